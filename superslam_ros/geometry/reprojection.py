"""Errors of landmarks in an image: whitened, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import skew

CHI2_99 = {2: 9.21, 3: 11.34}
"""99 % quantiles of chi-square by degrees of freedom: what an inlier may cost."""
NEAREST_M = 1e-3
"""Points nearer to the camera than this are behind it."""
HUBER = 2.0
"""Standard deviations from which on a residual counts linearly."""


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
    return change @ R.T


def in_camera(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Return points (N, 3) in the camera, none nearer than a millimetre."""
    q = (points - T[:3, 3]) @ T[:3, :3]
    return np.column_stack([q[:, :2], np.maximum(q[:, 2], NEAREST_M)])


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
    return np.linalg.inv(np.linalg.cholesky(noise))


def linearise(seen: Observations, camera: Pinhole, T: np.ndarray, whiten: np.ndarray) -> Terms:
    """Return the errors at a pose; a point behind the camera counts as far off."""
    q = in_camera(seen.landmarks, T)
    measured = np.isfinite(seen.inverse_depth)
    residual = np.column_stack([camera.project(q) - seen.pixels, 1 / q[:, 2] - seen.inverse_depth])
    change = by_point(camera, q, T[:3, :3])
    jacobian = np.concatenate([-change, change @ skew(seen.landmarks - T[:3, 3])], 2)
    residual[~measured, 2] = 0
    jacobian[~measured, 2] = 0
    jacobian, residual = whiten @ jacobian, (whiten @ residual[..., None])[..., 0]
    behind = q[:, 2] <= NEAREST_M
    jacobian[behind] = 0
    residual[behind] = 1e3
    return Terms(jacobian, residual, (residual**2).sum(1), np.where(measured, 3, 2))


def normal_equations(terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """Return information (6, 6) and gradient (6,) of the pose, weighted by Huber's loss."""
    weight = np.minimum(1, HUBER / np.sqrt(np.maximum(terms.squared, 1e-12)))
    weighted = (terms.jacobian * weight[:, None, None]).reshape(-1, 6)
    return weighted.T @ terms.jacobian.reshape(-1, 6), weighted.T @ terms.residual.reshape(-1)
