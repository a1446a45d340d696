"""Whether a stereo pair's disparities are off: by what near and far points say of one motion.

A constant added to all disparities brings near points hardly nearer and far ones much. Where the camera then moves, no
one motion explains both, so that two stereo frames tell the constant, without a ground truth: it is one more unknown
beside the motion and the points' depths (errors in variables: a depth that is taken as measured would bias it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, rotation_exp

LEAST = 30
"""Points that must be seen by both frames, with their depths."""
_ROUNDS = 6
_HUBER, _WILD = 3.0, 8.0
"""Standard deviations from which on a point counts less, and from which on it does not count."""
_SINGULAR = 1e-9
_NEAREST = 0.05
"""Depth ratio below which a point would be at the camera, or behind it."""


@dataclass(frozen=True, eq=False)
class StereoPoints:
    """Points that two stereo frames show: arrays (N,) and (N, 2).

    :ivar rays: (N, 3) in the first camera, of depth 1.
    :ivar pixels: (N, 2) in the second (ideal) camera; ``pixel_sigma`` (N,) of both frames together.
    :ivar inverse_depth: (N, 2) 1/m in the first and in the second frame; ``inverse_depth_sigma`` (N, 2).
    """

    rays: np.ndarray
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray


class Offset(NamedTuple):
    """What two frames say of the offset: ``inverse_depth`` (1/m, too much) and ``sigma`` of it (1/m).

    ``length`` is that of the motion (m) which goes with it, of ``points`` points.
    """

    inverse_depth: float
    sigma: float
    length: float
    points: int


def offset(points: StereoPoints, camera: Pinhole, T_1_0: np.ndarray) -> Offset | None:
    """Estimate motion, depths and the offset together, by Gauss-Newton with Huber weights.

    :param T_1_0: (4, 4) motion to begin with, from the first camera to the second.
    :returns: None where too few points are left, or they do not tell.
    """
    T, depth, common = T_1_0, points.inverse_depth[:, 0].copy(), 0.0
    for _ in range(_ROUNDS):
        found = _linearised(points, camera, T, depth, common)
        if (found.weight > 0).sum() < LEAST:
            return None
        by_depth = (found.by_depth**2).sum(1)
        # The depths are eliminated point by point (Schur complement).
        share = np.einsum('ni,nij->nj', found.by_depth, found.jacobian) / by_depth[:, None]
        reduced = found.jacobian - found.by_depth[:, :, None] * share[:, None]
        information = np.einsum('n,nij,nik->jk', found.weight, reduced, reduced)
        size = np.sqrt(np.diag(information))
        if not (size > 0).all() or np.linalg.eigvalsh(information / np.outer(size, size))[0] < _SINGULAR:
            return None
        step = np.linalg.solve(information, np.einsum('n,nij,ni->j', found.weight, reduced, found.residual))
        depth += np.einsum('ni,ni->n', found.by_depth, found.residual) / by_depth - share @ step
        dR = rotation_exp(step[3:6])
        T, common = compose(dR @ T[:3, :3], dR @ T[:3, 3] + step[:3]), common + step[6]
    squared = (found.residual**2).sum(1)
    counted = found.weight > 0
    # Four measurements a point, one unknown of its own.
    variance = (found.weight * squared)[counted].sum() / max(1, 3 * counted.sum() - 7)
    sigma = np.sqrt(max(variance, 1.0) * np.linalg.inv(information)[6, 6])
    return Offset(float(common), float(sigma), float(np.linalg.norm(T[:3, 3])), int(counted.sum()))


class _Linear(NamedTuple):
    """Whitened ``residual`` (N, 4), ``jacobian`` (N, 4, 7), ``by_depth`` (N, 4), and the points' ``weight`` (N,)."""

    residual: np.ndarray
    jacobian: np.ndarray
    by_depth: np.ndarray
    weight: np.ndarray


def _linearised(
    points: StereoPoints, camera: Pinhole, T: np.ndarray, depth: np.ndarray, common: float
) -> _Linear:
    """Return the errors of pixels and inverse depths, with how they change by motion, offset and depth.

    A point times its inverse depth is R @ ray + depth * t: nothing is lost where it is far away.
    """
    turned = points.rays @ T[:3, :3].T
    X = turned + depth[:, None] * T[:3, 3]
    z = np.maximum(X[:, 2], _NEAREST)
    focal = np.array([camera.fx, camera.fy])
    at = X[:, :2] / z[:, None] * focal + [camera.cx, camera.cy]
    weigh = 1 / np.column_stack([points.pixel_sigma, points.pixel_sigma, points.inverse_depth_sigma])
    residual = np.column_stack([points.pixels - at, points.inverse_depth[:, 0] - common - depth,
                                points.inverse_depth[:, 1] - common - depth / z]) * weigh
    by_point = np.zeros((len(z), 4, 3))
    by_point[:, 0, 0], by_point[:, 1, 1] = camera.fx / z, camera.fy / z
    by_point[:, :2, 2] = -X[:, :2] * focal / z[:, None]**2
    by_point[:, 3, 2] = -depth / z**2
    jacobian = np.zeros((len(z), 4, 7))
    jacobian[:, :, :3] = by_point * depth[:, None, None]
    jacobian[:, :, 3:6] = np.cross(X[:, None], by_point)
    jacobian[:, 2:, 6] = 1
    by_depth = by_point @ T[:3, 3]
    by_depth[:, 2] += 1
    by_depth[:, 3] += 1 / z
    size = np.linalg.norm(residual, axis=1)
    weight = np.where((size < _WILD) & (X[:, 2] > _NEAREST), np.minimum(1, _HUBER / np.maximum(size, 1e-9)), 0)
    return _Linear(residual, jacobian * weigh[:, :, None], by_depth * weigh, weight)
