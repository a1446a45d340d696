"""Pose of a camera from landmarks: robust, refined, with its covariance."""

from __future__ import annotations

from dataclasses import dataclass, fields

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
    ``pixel_sigma`` (N,) px.
    """

    landmarks: np.ndarray
    landmark_covariance: np.ndarray
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray


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
    seen: Observations, camera: Pinhole, T_world_camera: np.ndarray, minimum: int = 8, iterations: int = 12
) -> PoseEstimate | None:
    """Minimise whitened reprojection (and inverse depth) errors by Levenberg-Marquardt with Huber weights.

    The noise of an observation is that of its pixel, plus what the landmark's own covariance does to it.
    The covariance is the inverse information of the inliers, scaled up when they fit worse than assumed.
    """
    T, blocks = _minimise(seen, camera, T_world_camera, iterations)
    inliers = _agree(blocks)
    if inliers.sum() < minimum:
        return None
    # Huber's weights bound what outliers pull; a second round without them ends it.
    T, _ = _minimise(_select(seen, inliers), camera, T, iterations)
    _, blocks = _linearise(seen, camera, T)
    inliers, squared, freedom = _agree(blocks), blocks[2], blocks[3]
    if inliers.sum() < minimum:
        return None
    information, _ = _normal_equations(tuple(block[inliers] for block in blocks))
    excess = squared[inliers].sum() / max(1.0, freedom[inliers].sum() - 6)
    covariance = np.linalg.pinv(information, hermitian=True) * max(1.0, excess)
    return PoseEstimate(T, (covariance + covariance.T) / 2, inliers)


def _minimise(
    seen: Observations, camera: Pinhole, T_world_camera: np.ndarray, iterations: int
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    T, damping = T_world_camera, 1e-6
    cost, blocks = _linearise(seen, camera, T)
    for _ in range(iterations):
        information, gradient = _normal_equations(blocks)
        step = -np.linalg.solve(information + damping * np.diag(np.diag(information)) + 1e-12 * np.eye(6), gradient)
        trial = perturb(T, step)
        trial_cost, trial_blocks = _linearise(seen, camera, trial)
        if trial_cost <= cost:
            T, cost, blocks, damping = trial, trial_cost, trial_blocks, max(damping / 10, 1e-9)
            if np.abs(step).max() < 1e-7:
                break
        else:
            damping *= 30
    return T, blocks


def _agree(blocks: tuple[np.ndarray, ...]) -> np.ndarray:
    return blocks[2] < np.where(blocks[3] == 3, CHI2_99[3], CHI2_99[2])


def _select(seen: Observations, keep: np.ndarray) -> Observations:
    return Observations(*(getattr(seen, field.name)[keep] for field in fields(seen)))


def _within(seen: Observations, camera: Pinhole, T: np.ndarray, threshold_px: float) -> np.ndarray:
    error = camera.project(transform(inverse(T), seen.landmarks)) - seen.pixels
    with np.errstate(invalid='ignore'):
        return np.hypot(error[:, 0], error[:, 1]) < threshold_px


def _linearise(seen: Observations, camera: Pinhole, T: np.ndarray) -> tuple[float, tuple[np.ndarray, ...]]:
    """Return the Huber cost and per observation: whitened Jacobian (N, 3, 6), residual (N, 3), square, freedom."""
    R = T[:3, :3]
    offset = seen.landmarks - T[:3, 3]
    q = offset @ R
    z = np.maximum(q[:, 2], 1e-3)
    residual = np.stack([
        camera.fx * q[:, 0] / z + camera.cx - seen.pixels[:, 0],
        camera.fy * q[:, 1] / z + camera.cy - seen.pixels[:, 1],
        1 / z - seen.inverse_depth], 1)
    zero = np.zeros_like(z)
    by_point = np.stack([
        np.stack([camera.fx / z, zero, -camera.fx * q[:, 0] / z**2], 1),
        np.stack([zero, camera.fy / z, -camera.fy * q[:, 1] / z**2], 1),
        np.stack([zero, zero, -1 / z**2], 1)], 1) @ R.T
    jacobian = np.concatenate([-by_point, by_point @ skew(offset)], 2)
    noise = by_point @ seen.landmark_covariance @ by_point.transpose(0, 2, 1)
    noise[:, 0, 0] += seen.pixel_sigma**2
    noise[:, 1, 1] += seen.pixel_sigma**2
    measured = np.isfinite(seen.inverse_depth)
    noise[:, 2, 2] += np.where(measured, seen.inverse_depth_sigma**2, 1.0)
    # An unmeasured depth says nothing: its row and its correlations vanish.
    residual[~measured, 2] = 0
    jacobian[~measured, 2] = 0
    noise[~measured, 2, :2] = noise[~measured, :2, 2] = 0
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    jacobian, residual = whiten @ jacobian, (whiten @ residual[..., None])[..., 0]
    behind = q[:, 2] <= 1e-3
    jacobian[behind] = 0
    residual[behind] = 1e3
    squared = (residual**2).sum(1)
    root = np.sqrt(squared)
    cost = float(np.where(root < _HUBER, squared, 2 * _HUBER * root - _HUBER**2).sum())
    return cost, (jacobian, residual, squared, np.where(measured, 3, 2))


_HUBER = 2.0


def _normal_equations(blocks: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    jacobian, residual, squared, _ = blocks
    weight = np.minimum(1, _HUBER / np.sqrt(np.maximum(squared, 1e-12)))
    weighted = jacobian * weight[:, None, None]
    return np.einsum('nki,nkj->ij', weighted, jacobian), np.einsum('nki,nk->i', weighted, residual)
