"""Pose of a camera from landmarks: robust, refined, with its covariance."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, perturb, skew, transform

CHI2_99 = {2: 9.21, 3: 11.34}
"""99 % quantiles of chi-square by degrees of freedom: what an inlier may cost."""


@dataclass(frozen=True)
class Observations:
    """What one image says of landmarks.

    ``landmarks`` (N, 3) in the world and ``landmark_covariance`` (N, 3, 3); ``pixels`` (N, 2) of the ideal
    camera; ``inverse_depth`` (N,) 1/m, NaN where not measured, with ``inverse_depth_sigma`` (N,);
    ``pixel_sigma`` (N,) px; ``correlation`` of the errors of a pixel's column and of its inverse depth.
    """

    landmarks: np.ndarray
    landmark_covariance: np.ndarray
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray
    correlation: float = 0.0


@dataclass(frozen=True)
class PoseEstimate:
    """A pose with its covariance (in the world's axes) and the mask of the observations that support it."""

    T_world_camera: np.ndarray
    covariance: np.ndarray
    inliers: np.ndarray


def estimate_pose(
    seen: Observations, camera: Pinhole, T_world_camera: np.ndarray, threshold_px: float = 3.0, minimum: int = 8
) -> PoseEstimate | None:
    """Find the pose that explains the observations: P3P in RANSAC, then iterated robust least squares.

    OpenCV's RANSAC draws from a generator with a fixed seed: the same input gives the same pose.

    :param T_world_camera: prediction; used when it has more support than what RANSAC finds.
    :returns: None when fewer than ``minimum`` observations agree.
    """
    if len(seen.pixels) < minimum:
        return None
    candidates = [T_world_camera]
    found, rotation, translation, inliers = cv2.solvePnPRansac(
        seen.landmarks, seen.pixels, camera.K, None, flags=cv2.SOLVEPNP_P3P, reprojectionError=threshold_px,
        iterationsCount=300, confidence=0.9999)
    if found and inliers is not None:
        candidates.append(inverse(compose(cv2.Rodrigues(rotation)[0], translation)))
    supports = [_within(seen, camera, T, threshold_px).sum() for T in candidates]
    start = candidates[int(np.argmax(supports))]
    if max(supports) < minimum:
        return None
    return refine_pose(seen, camera, start, minimum)


def refine_pose(
    seen: Observations, camera: Pinhole, T_world_camera: np.ndarray, minimum: int = 8
) -> PoseEstimate | None:
    """Minimise whitened reprojection (and inverse depth) errors by Levenberg-Marquardt with Huber weights.

    The noise of an observation is that of its pixel, plus what the landmark's own covariance does to it.
    The covariance is the inverse information of the inliers, scaled up when they fit worse than assumed.
    """
    T = _minimise(seen, camera, T_world_camera)
    inliers = _agree(_linearise(seen, camera, T, _whitening(seen, camera, T)))
    if inliers.sum() < minimum:
        return None
    # Huber's weights bound what outliers pull; a second round without them ends it.
    T = _minimise(_select(seen, inliers), camera, T)
    terms = _linearise(seen, camera, T, _whitening(seen, camera, T))
    inliers = _agree(terms)
    if inliers.sum() < minimum:
        return None
    information, _ = _normal_equations(_Terms(*(part[inliers] for part in terms)))
    excess = terms.squared[inliers].sum() / max(1.0, terms.freedom[inliers].sum() - 6)
    covariance = np.linalg.pinv(information, hermitian=True) * max(1.0, excess)
    return PoseEstimate(T, (covariance + covariance.T) / 2, inliers)


def _minimise(
    seen: Observations, camera: Pinhole, T_world_camera: np.ndarray, rounds: int = 4, steps: int = 5
) -> np.ndarray:
    """Return the pose of least cost.

    The noise depends on the pose; it is held while steps are compared, since a step must not pay off by
    making the observations look worse than they are.
    """
    T, damping = T_world_camera, 1e-6
    for _ in range(rounds):
        whiten, start = _whitening(seen, camera, T), T
        terms = _linearise(seen, camera, T, whiten)
        for _ in range(steps):
            information, gradient = _normal_equations(terms)
            damped = information + damping * np.diag(np.diag(information)) + 1e-12 * np.eye(6)
            step = -np.linalg.solve(damped, gradient)
            trial = perturb(T, step)
            trial_terms = _linearise(seen, camera, trial, whiten)
            if _cost(trial_terms) > _cost(terms):
                damping *= 30
                continue
            T, terms, damping = trial, trial_terms, max(damping / 10, 1e-9)
            if np.abs(step).max() < 1e-7:
                break
        if np.abs(T - start).max() < 1e-7:
            break
    return T


class _Terms(NamedTuple):
    """Per observation: whitened Jacobian (N, 3, 6), residual (N, 3), its square (N,), degrees of freedom (N,)."""

    jacobian: np.ndarray
    residual: np.ndarray
    squared: np.ndarray
    freedom: np.ndarray


def _agree(terms: _Terms) -> np.ndarray:
    return terms.squared < np.where(terms.freedom == 3, CHI2_99[3], CHI2_99[2])


def _cost(terms: _Terms) -> float:
    root = np.sqrt(terms.squared)
    return float(np.where(root < _HUBER, terms.squared, 2 * _HUBER * root - _HUBER**2).sum())


def _select(seen: Observations, keep: np.ndarray) -> Observations:
    arrays = [getattr(seen, field.name)[keep] for field in fields(seen) if field.name != 'correlation']
    return Observations(*arrays, seen.correlation)


def _within(seen: Observations, camera: Pinhole, T: np.ndarray, threshold_px: float) -> np.ndarray:
    error = camera.project(transform(inverse(T), seen.landmarks)) - seen.pixels
    with np.errstate(invalid='ignore'):
        return np.hypot(error[:, 0], error[:, 1]) < threshold_px


def _by_point(camera: Pinhole, q: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3): how pixel and inverse depth change with a point of the world, seen at q (N, 3)."""
    zero, z = np.zeros(len(q)), q[:, 2]
    return np.stack([
        np.stack([camera.fx / z, zero, -camera.fx * q[:, 0] / z**2], 1),
        np.stack([zero, camera.fy / z, -camera.fy * q[:, 1] / z**2], 1),
        np.stack([zero, zero, -1 / z**2], 1)], 1) @ R.T


def _seen_at(seen: Observations, T: np.ndarray) -> np.ndarray:
    """Return the landmarks (N, 3) in the camera, none nearer than a millimetre."""
    q = (seen.landmarks - T[:3, 3]) @ T[:3, :3]
    return np.column_stack([q[:, :2], np.maximum(q[:, 2], _NEAREST_M)])


def _whitening(seen: Observations, camera: Pinhole, T: np.ndarray) -> np.ndarray:
    """Return (N, 3, 3) matrices that give every observation's error unit covariance."""
    by_point = _by_point(camera, _seen_at(seen, T), T[:3, :3])
    noise = by_point @ seen.landmark_covariance @ by_point.transpose(0, 2, 1)
    noise[:, 0, 0] += seen.pixel_sigma**2
    noise[:, 1, 1] += seen.pixel_sigma**2
    measured = np.isfinite(seen.inverse_depth)
    noise[:, 2, 2] += np.where(measured, seen.inverse_depth_sigma**2, 1.0)
    noise[:, 0, 2] += seen.correlation * seen.pixel_sigma * seen.inverse_depth_sigma
    noise[:, 2, 0] = noise[:, 0, 2]
    # An unmeasured depth says nothing: its correlations vanish.
    noise[~measured, 2, :2] = noise[~measured, :2, 2] = 0
    return np.linalg.inv(np.linalg.cholesky(noise))


def _linearise(seen: Observations, camera: Pinhole, T: np.ndarray, whiten: np.ndarray) -> _Terms:
    q = _seen_at(seen, T)
    measured = np.isfinite(seen.inverse_depth)
    residual = np.column_stack([camera.project(q) - seen.pixels, 1 / q[:, 2] - seen.inverse_depth])
    by_point = _by_point(camera, q, T[:3, :3])
    jacobian = np.concatenate([-by_point, by_point @ skew(seen.landmarks - T[:3, 3])], 2)
    residual[~measured, 2] = 0
    jacobian[~measured, 2] = 0
    jacobian, residual = whiten @ jacobian, (whiten @ residual[..., None])[..., 0]
    behind = q[:, 2] <= _NEAREST_M
    jacobian[behind] = 0
    residual[behind] = 1e3
    return _Terms(jacobian, residual, (residual**2).sum(1), np.where(measured, 3, 2))


_NEAREST_M = 1e-3
_HUBER = 2.0


def _normal_equations(terms: _Terms) -> tuple[np.ndarray, np.ndarray]:
    weight = np.minimum(1, _HUBER / np.sqrt(np.maximum(terms.squared, 1e-12)))
    weighted = (terms.jacobian * weight[:, None, None]).reshape(-1, 6)
    return weighted.T @ terms.jacobian.reshape(-1, 6), weighted.T @ terms.residual.reshape(-1)
