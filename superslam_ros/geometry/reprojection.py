"""Errors of landmarks in an image: whitened, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole

CHI2_99 = {2: 9.21, 3: 11.34}
"""99 % quantiles of chi-square by degrees of freedom: what an inlier may cost."""
NEAREST_M = 1e-3
"""Points nearer to the camera than this are behind it."""
HUBER = 2.0
"""Standard deviations from which on a residual counts linearly."""

TINY = 1e-15
"""Part of a variance that rounding may leave of it."""


@dataclass(frozen=True)
class Observations:
    """What one image says of landmarks.

    ``landmarks`` (N, 3) in the world and ``landmark_covariance`` (N, 3, 3); ``pixels`` (N, 2) of the ideal
    camera; ``inverse_depth`` (N,) 1/m, NaN where not measured, with ``inverse_depth_sigma`` (N,);
    ``pixel_sigma`` (N,) px; ``correlation`` of the errors of a pixel's column and of its inverse depth; ``hosts``
    (N, 4, 4) T_world_camera of the cameras that found the landmarks: their errors are Gaussian in the image and the
    inverse depth of that camera, not in metres (Civera, Davison and Montiel, T-RO 2008). None: in metres.
    """

    landmarks: np.ndarray
    landmark_covariance: np.ndarray
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray
    correlation: float = 0.0
    hosts: np.ndarray | None = None


class Terms(NamedTuple):
    """Per observation: whitened Jacobian (N, 3, 6), residual (N, 3), its square (N,), degrees of freedom (N,)."""

    jacobian: np.ndarray
    residual: np.ndarray
    squared: np.ndarray
    freedom: np.ndarray


def agree(terms: Terms) -> np.ndarray:
    """Return (N,) bool: the observations within the 99 % quantile."""
    return terms.squared < np.where(terms.freedom == 3, CHI2_99[3], CHI2_99[2])


def cost(terms: Terms) -> float:
    """Return the sum of Huber's loss."""
    root = np.sqrt(terms.squared)
    return float(np.where(root < HUBER, terms.squared, 2 * HUBER * root - HUBER**2).sum())


def select(seen: Observations, keep: np.ndarray) -> Observations:
    """Return some of the observations."""
    values = {field.name: getattr(seen, field.name) for field in fields(seen)}
    return Observations(**{
        name: value[keep] if isinstance(value, np.ndarray) else value for name, value in values.items()})


def by_point(camera: Pinhole, q: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3): how pixel and inverse depth change with a point of the world, seen at q (N, 3)."""
    w = 1 / q[:, 2]
    change = np.zeros((len(q), 3, 3))
    change[:, 0, 0], change[:, 1, 1] = camera.fx * w, camera.fy * w
    change[:, :, 2] = q * np.array([-camera.fx, -camera.fy, -1.0]) * (w * w)[:, None]
    change[:, 2, 2] = -w * w
    return (change.reshape(-1, 3) @ R.T).reshape(-1, 3, 3)


def in_camera(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return points (N, 3) in the camera, none nearer than a millimetre."""
    q = (points - T[:3, 3]) @ T[:3, :3]
    q[:, 2] = np.maximum(q[:, 2], NEAREST_M)
    return q


def whitening(seen: Observations, camera: Pinhole, T: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3) matrices that give every observation's error unit covariance."""
    change = by_point(camera, in_camera(seen.landmarks, T), T[:3, :3])
    noise = change @ seen.landmark_covariance @ change.transpose(0, 2, 1)
    noise[:, 0, 0] += seen.pixel_sigma**2
    noise[:, 1, 1] += seen.pixel_sigma**2
    measured = np.isfinite(seen.inverse_depth)
    noise[:, 2, 2] += np.where(measured, seen.inverse_depth_sigma**2, 1.0)
    noise[:, 0, 2] += seen.correlation * seen.pixel_sigma * seen.inverse_depth_sigma
    noise[:, 2, 0] = noise[:, 0, 2]
    # An unmeasured depth says nothing: its correlations vanish.
    noise[~measured, 2, :2] = noise[~measured, :2, 2] = 0
    return _inverse_root(noise)


def _inverse_root(S: np.ndarray) -> np.ndarray:
    """Return the inverses of the lower Cholesky factors of matrices (N, 3, 3): LAPACK takes six times as long."""
    a = np.sqrt(S[:, 0, 0])
    b, c = S[:, 1, 0] / a, S[:, 2, 0] / a
    # What rounding makes negative is next to nothing.
    d = np.sqrt(np.maximum(S[:, 1, 1] - b * b, TINY * S[:, 1, 1]))
    e = (S[:, 2, 1] - b * c) / d
    f = np.sqrt(np.maximum(S[:, 2, 2] - c * c - e * e, TINY * S[:, 2, 2]))
    root = np.zeros_like(S)
    root[:, 0, 0], root[:, 1, 1], root[:, 2, 2] = 1 / a, 1 / d, 1 / f
    root[:, 1, 0], root[:, 2, 1], root[:, 2, 0] = -b / (a * d), -e / (d * f), (b * e - c * d) / (a * d * f)
    return root


def linearise(seen: Observations, camera: Pinhole, T: np.ndarray, whiten: np.ndarray) -> Terms:
    """Return the errors at a pose; a point behind the camera counts as far off."""
    q = in_camera(seen.landmarks, T)
    measured = np.isfinite(seen.inverse_depth)
    residual, w = np.zeros((len(q), 3)), 1 / q[:, 2]
    residual[:, 0] = camera.fx * q[:, 0] * w + camera.cx - seen.pixels[:, 0]
    residual[:, 1] = camera.fy * q[:, 1] * w + camera.cy - seen.pixels[:, 1]
    residual[measured, 2] = (w - seen.inverse_depth)[measured]
    change = by_point(camera, q, T[:3, :3])
    change[~measured, 2] = 0
    jacobian, residual = whiten @ _by_pose(change, seen.landmarks - T[:3, 3]), np.einsum('nij,nj->ni', whiten, residual)
    behind = q[:, 2] <= NEAREST_M
    jacobian[behind] = 0
    residual[behind] = 1e3
    return Terms(jacobian, residual, (residual**2).sum(1), np.where(measured, 3, 2))


def _by_pose(change: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """Return (N, 3, 6): how errors change with the camera's pose, from how they do with points (N, 3) from its centre.

    The rotation's part is ``change @ skew(arm)``, written out.
    """
    x, y, z = (arm[:, i, None] for i in range(3))
    of_x, of_y, of_z = (change[:, :, i] for i in range(3))
    jacobian = np.empty((len(arm), 3, 6))
    jacobian[:, :, :3] = -change
    jacobian[:, :, 3] = of_y * z - of_z * y
    jacobian[:, :, 4] = of_z * x - of_x * z
    jacobian[:, :, 5] = of_x * y - of_y * x
    return jacobian


def normal_equations(terms: Terms, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return information (6, 6) and gradient (6,) of the pose, weighted by (N,) values, by default of Huber's loss."""
    if weight is None:
        weight = np.minimum(1, HUBER / np.sqrt(np.maximum(terms.squared, 1e-12)))
    weighted = (terms.jacobian * weight[:, None, None]).reshape(-1, 6)
    return weighted.T @ terms.jacobian.reshape(-1, 6), weighted.T @ terms.residual.reshape(-1)
