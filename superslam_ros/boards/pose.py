"""The pose of a flat board from its corners, with its covariance; none where two fit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from superslam_ros.data import Camera
from superslam_ros.geometry.camera import alone, from_ideal, ideal, to_ideal
from superslam_ros.geometry.pose import compose, perturb, skew, transform
from superslam_ros.geometry.reprojection import CHI2_99

FEWEST = 4
CLEARER = 16.0
"""How much larger the second solution's chi-square has to be: the odds are then e^8 to 1."""
SLANT_RAD = 0.35
"""Of a pose: when it may be turned so far at no more cost, its covariance means nothing."""
FLATTEST = 0.05
"""Of the corners' extent, its narrower side: below, they lie on a line."""
_PRIOR_FREEDOM = 4.0
"""Degrees of freedom that the corners' own sigma is worth against the residuals of one image."""
_HUBER = 2.5


@dataclass(frozen=True)
class BoardPose:
    """``T_camera_board`` (4, 4) and its covariance (6, 6), or None and the reason; ``inliers`` (N,) bool."""

    T_camera_board: np.ndarray | None = None
    covariance: np.ndarray | None = None
    reason: str = ''
    inliers: np.ndarray | None = None


def board_pose(points: np.ndarray, pixels: np.ndarray, sigma_px: np.ndarray, camera: Camera,
               rectified: bool = False, shared_px: float = 0.0) -> BoardPose:
    """Find the pose of least weighted reprojection error among the two that a plane has.

    Both solutions of IPPE (Collins and Bartoli, IJCV 2014) are refined; the better one is believed only where the
    other fits clearly worse.

    :param points: (N, 3) metres in the board's frame, z = 0.
    :param pixels: (N, 2) of the image as it came; ``sigma_px`` (N,) of each coordinate.
    :param rectified: whether the image is rectified; the pose is then in the rectified camera's frame.
    :param shared_px: standard deviation of what all corners are off by in common: it does not show in what is left,
        and more corners do not help against it.
    """
    if len(points) < FEWEST:
        return BoardPose(reason=f'{len(points)} corners, {FEWEST} are needed for a pose')
    spread = np.linalg.svd(points[:, :2] - points[:, :2].mean(0), compute_uv=False)
    if spread[1] < FLATTEST * spread[0]:
        return BoardPose(reason='the corners lie on a line: any turn about it fits')
    camera = camera if rectified else alone(camera)
    flat = to_ideal(camera, pixels, rectified)
    usable = np.isfinite(flat).all(axis=1)
    if usable.sum() < FEWEST:
        return BoardPose(reason='the corners lie where the calibration does not reach')
    problem = _Problem(points[usable], flat[usable], _whitening(camera, flat[usable], sigma_px[usable], rectified),
                       ideal(camera, rectified).K)
    solved = sorted((_refine(problem, T) for T in _starts(problem)), key=lambda one: one[1])
    if not solved:
        return BoardPose(reason='no pose in front of the camera fits the corners')
    T, cost, covariance, inliers = solved[0]
    found = np.zeros(len(points), dtype=bool)
    found[usable] = inliers
    freedom = 2 * inliers.sum() - 6
    excess = (_PRIOR_FREEDOM + cost) / (_PRIOR_FREEDOM + max(freedom, 1))
    if inliers.sum() < max(FEWEST, 0.5 * len(points)):
        return BoardPose(reason='no pose fits most of the corners: is the board bent, or the calibration another\'s?')
    for other, other_cost, _, _ in solved[1:]:
        turned = np.degrees(np.linalg.norm(cv2.Rodrigues(other[:3, :3].T @ T[:3, :3])[0]))
        if turned > 2 and (other_cost - cost) / max(excess, 1.0) < CLEARER:
            return BoardPose(reason=f'two poses, turned by {turned:.0f} degrees, fit almost equally well: come nearer, '
                                    'or see the board at a slant', inliers=found)
    if _slant_unknown(problem, T, cost + CLEARER * max(excess, 1.0)):
        return BoardPose(reason='the slant of the board cannot be told: come nearer', inliers=found)
    shared = shared_px**2 * (1 / sigma_px[found]**2).sum()
    return BoardPose(T, covariance * (excess + shared), '', found)


@dataclass(frozen=True)
class _Problem:
    """``points`` (N, 3), ideal ``pixels`` (N, 2), ``whiten`` (N, 2, 2) and the ideal camera's matrix ``K``."""

    points: np.ndarray
    pixels: np.ndarray
    whiten: np.ndarray
    K: np.ndarray

    def residuals(self, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return whitened residuals (N, 2) and derivatives (N, 2, 6) by the pose error of geometry.pose."""
        seen = self.points @ T[:3, :3].T
        q = seen + T[:3, 3]
        w = 1 / np.maximum(q[:, 2], 1e-6)
        fx, fy = self.K[0, 0], self.K[1, 1]
        projected = np.stack([fx * q[:, 0] * w + self.K[0, 2], fy * q[:, 1] * w + self.K[1, 2]], 1)
        by_point = np.zeros((len(q), 2, 3))
        by_point[:, 0, 0], by_point[:, 1, 1] = fx * w, fy * w
        by_point[:, 0, 2], by_point[:, 1, 2] = -fx * q[:, 0] * w * w, -fy * q[:, 1] * w * w
        by_pose = np.concatenate([by_point, -by_point @ skew(seen)], axis=2)
        return ((self.whiten @ (projected - self.pixels)[:, :, None])[..., 0], self.whiten @ by_pose)


def _whitening(camera: Camera, flat: np.ndarray, sigma_px: np.ndarray, rectified: bool) -> np.ndarray:
    """Return (N, 2, 2) that turn errors of ideal pixels into errors of the image's, by their standard deviation."""
    if rectified:
        return np.eye(2) / sigma_px[:, None, None]
    step = 0.5
    columns = [(from_ideal(camera, flat + move, False) - from_ideal(camera, flat - move, False)) / (2 * step)
               for move in np.eye(2) * step]
    return np.stack(columns, axis=2) / sigma_px[:, None, None]


def _starts(problem: _Problem) -> list[np.ndarray]:
    """Return the two poses that IPPE finds, and that of a plane turned the other way, in front of the camera."""
    found = cv2.solvePnPGeneric(problem.points, problem.pixels.reshape(-1, 1, 2), problem.K, None,
                                flags=cv2.SOLVEPNP_IPPE)
    poses = [compose(cv2.Rodrigues(np.asarray(r, np.float64))[0], t) for r, t in zip(found[1], found[2])]
    middle = problem.points.mean(0)
    poses += [_mirrored(T, middle) for T in poses[:1]]
    return [T for T in poses if np.isfinite(T).all() and transform(T, problem.points)[:, 2].min() > 0]


def _mirrored(T: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the pose whose normal is reflected at the ray to the board's middle: what the ambiguity looks like."""
    centre = T[:3, :3] @ middle + T[:3, 3]
    ray = centre / np.linalg.norm(centre)
    half_turn = 2 * np.outer(ray, ray) - np.eye(3)
    normal = T[:3, 2]
    mirrored = half_turn @ normal
    axis = np.cross(normal, mirrored)
    sine, cosine = np.linalg.norm(axis), float(normal @ mirrored)
    if sine < 1e-9:
        return T
    R = cv2.Rodrigues(axis / sine * np.arctan2(sine, cosine))[0] @ T[:3, :3]
    return compose(R, centre - R @ middle)


def _refine(problem: _Problem, T: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Minimise by Levenberg-Marquardt with Huber's weights; return pose, robust cost, covariance and inliers."""
    damping = 1e-6
    residual, jacobian = problem.residuals(T)
    for _ in range(30):
        weight = _weights(residual)
        normal = np.einsum('nia,nib,n->ab', jacobian, jacobian, weight)
        gradient = np.einsum('nia,ni,n->a', jacobian, residual, weight)
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)) + 1e-12 * np.eye(6), gradient)
        trial = perturb(T, step)
        trial_residual, trial_jacobian = problem.residuals(trial)
        if _cost(trial_residual) > _cost(residual) or transform(trial, problem.points)[:, 2].min() <= 0:
            damping = max(damping * 20, 1e-6)
            if damping > 1e6:
                break
            continue
        small = np.abs(step).max() < 1e-9
        T, residual, jacobian, damping = trial, trial_residual, trial_jacobian, damping / 10
        if small:
            break
    inliers = (residual**2).sum(1) < max(CHI2_99[2], 6 * float(np.median((residual**2).sum(1))))
    information = np.einsum('nia,nib->ab', jacobian[inliers], jacobian[inliers])
    covariance = np.linalg.pinv(information, hermitian=True)
    return T, _cost(residual), (covariance + covariance.T) / 2, inliers


def _slant_unknown(problem: _Problem, T: np.ndarray, limit: float) -> bool:
    """Say whether the board may be slanted otherwise, in any of eight directions, at no more cost than the limit.

    Where both solutions of a plane have become one, the cost is flat, and its curvature says too little.
    """
    middle = T[:3, :3] @ problem.points.mean(0) + T[:3, 3]
    ray = middle / np.linalg.norm(middle)
    free = np.zeros((6, 4))
    free[:3, :3], free[3:, 3] = np.eye(3), ray
    across = np.linalg.svd(ray[None])[2][1:]
    for angle in np.arange(8) * np.pi / 4:
        turn = cv2.Rodrigues(SLANT_RAD * (np.cos(angle) * across[0] + np.sin(angle) * across[1]))[0]
        other = compose(turn @ T[:3, :3], turn @ (T[:3, 3] - middle) + middle)
        for _ in range(3):
            residual, jacobian = problem.residuals(other)
            weight, jacobian = _weights(residual), jacobian @ free
            normal = np.einsum('nia,nib,n->ab', jacobian, jacobian, weight) + 1e-9 * np.eye(4)
            other = perturb(other, free @ -np.linalg.solve(
                normal, np.einsum('nia,ni,n->a', jacobian, residual, weight)))
        if _cost(problem.residuals(other)[0]) < limit:
            return True
    return False


def _weights(residual: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(residual, axis=1)
    return np.where(length < _HUBER, 1, _HUBER / np.maximum(length, 1e-12))


def _cost(residual: np.ndarray) -> float:
    length = np.linalg.norm(residual, axis=1)
    return float(np.where(length < _HUBER, length**2, 2 * _HUBER * length - _HUBER**2).sum())
