"""Pose of a camera from landmarks without a guess: from three of them at a time, many times at once."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, rotation_exp

BATCH = 100
"""Samples that are worked out together."""
FIRST, BEST = 60, 20
"""Observations by which poses are compared at first, and how many poses then are by all."""
STEPS = 4
"""Of Gauss and Newton, from the best pose of three points: three that are a little off have few others agree."""


def three_points(points: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all cameras that see three points in the directions of three rays, for S samples.

    The distances are found by Grunert's quartic in the form of Haralick, Lee, Ottenberg and Nölle (Review and Analysis
    of Solutions of the Three Point Perspective Pose Estimation Problem, IJCV 1994).

    :param points: (S, 3, 3) float64, a row a point; ``rays`` (S, 3, 3) likewise, unit length.
    :returns: R_camera_world (H, 3, 3) and t (H, 3), up to four for a sample, without those behind the camera.
    """
    a2, b2, c2 = (((points[:, i] - points[:, j])**2).sum(1) for i, j in ((1, 2), (0, 2), (0, 1)))
    alpha, beta, gamma = ((rays[:, i] * rays[:, j]).sum(1) for i, j in ((1, 2), (0, 2), (0, 1)))
    with np.errstate(divide='ignore', invalid='ignore'):
        p, q = (a2 - c2) / b2, (a2 + c2) / b2
        quartic = np.stack([
            (p - 1)**2 - 4 * c2 / b2 * alpha**2,
            4 * (p * (1 - p) * beta - (1 - q) * alpha * gamma + 2 * c2 / b2 * alpha**2 * beta),
            2 * (p**2 - 1 + 2 * p**2 * beta**2 + 2 * (b2 - c2) / b2 * alpha**2 - 4 * q * alpha * beta * gamma
                 + 2 * (b2 - a2) / b2 * gamma**2),
            4 * (-p * (1 + p) * beta + 2 * a2 / b2 * gamma**2 * beta - (1 - q) * alpha * gamma),
            (1 + p)**2 - 4 * a2 / b2 * gamma**2], 1)
        monic = quartic[:, 1:] / quartic[:, :1]
        solvable = np.flatnonzero(np.isfinite(monic).all(1) & (np.abs(monic) < 1e9).all(1))
        companion = np.zeros((len(solvable), 4, 4))
        companion[:, 0] = -monic[solvable]
        companion[:, [1, 2, 3], [0, 1, 2]] = 1
        roots = np.linalg.eigvals(companion)
        which, root = np.nonzero((np.abs(roots.imag) < 1e-4 * np.abs(roots.real)) & (roots.real > 0))
        v, at = roots.real[which, root], solvable[which]
        u = ((p[at] - 1) * v**2 - 2 * p[at] * beta[at] * v + 1 + p[at]) / (2 * (gamma[at] - v * alpha[at]))
        first = np.sqrt(b2[at] / (1 + v**2 - 2 * v * beta[at]))
        distances = np.stack([first, u * first, v * first], 1)
        good = np.isfinite(distances).all(1) & (distances > 0).all(1)
    at = at[good]
    seen = distances[good][:, :, None] * rays[at]
    axes, axes_seen = _axes(points[at]), _axes(seen)
    R = axes_seen @ axes.transpose(0, 2, 1)
    return R, seen.mean(1) - np.einsum('hij,hj->hi', R, points[at].mean(1))


def draw_pose(
    points: np.ndarray, pixels: np.ndarray, camera: Pinhole, threshold_px: float, minimum: int, draws: int = 1000,
    confidence: float = 0.9999, weights: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the pose that most observations agree with, of many that three of them each ask for.

    RANSAC, locally optimised (Chum, Matas and Kittler, DAGM 2003). The same input gives the same pose.

    :param points: (N, 3) in the world; ``pixels`` (N, 2) of the ideal camera.
    :param draws: most samples. Fewer are drawn where those that agree, or ``minimum`` of them, would have been met.
    :returns: T_world_camera, or None when fewer than ``minimum`` agree.
    """
    count = len(points)
    if count < max(3, minimum):
        return None
    random = np.random.default_rng(0)
    weights = np.ones(count) if weights is None else np.float64(weights) * (count / np.sum(weights))
    bounds = np.cumsum(weights)
    rays = camera.rays(pixels)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    some = random.permutation(count)[:FIRST]
    best, support, agreeing, drawn = None, 0.0, 0, 0
    while drawn < min(draws, _needed(max(support, minimum) / count, confidence)):
        # Three different ones: where two are the same, the sample has no solution.
        chosen = np.searchsorted(bounds, random.uniform(0, bounds[-1], (BATCH, 3)), side='right').clip(max=count - 1)
        drawn += BATCH
        R, t = three_points(points[chosen], rays[chosen])
        first = _agree(R, t, points[some], pixels[some], camera, threshold_px) @ weights[some]
        likely = np.argsort(-first, kind='stable')[:BEST]
        R, t = R[likely], t[likely]
        supports = _agree(R, t, points, pixels, camera, threshold_px) @ weights
        if supports.max(initial=0) <= support:
            continue
        which = supports.argmax()
        tries = [(R[which], t[which])]
        for _ in range(STEPS):
            tries.append(_nearer(tries[-1], points, pixels, weights, camera, threshold_px))
        agree = _agree(*map(np.stack, zip(*tries)), points, pixels, camera, threshold_px)
        which = (agree @ weights).argmax()
        support, agreeing, best = agree[which] @ weights, int(agree[which].sum()), inverse(compose(*tries[which]))
    return best if agreeing >= minimum else None


def _nearer(
    T_camera_world: tuple[np.ndarray, np.ndarray], points: np.ndarray, pixels: np.ndarray, weights: np.ndarray,
    camera: Pinhole, scale_px: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return a pose (R, t) after a step of Gauss and Newton to the observations, with Geman and McClure's weights."""
    R, t = T_camera_world
    seen = points @ R.T + t
    front = np.flatnonzero(seen[:, 2] > 1e-6)
    x, y, z = seen[front].T
    error = camera.project(seen[front]) - pixels[front]
    weight = weights[front] * (1 + (error**2).sum(1) / scale_px**2)**-2
    zero = np.zeros_like(z)
    jacobian = np.array([[camera.fx], [camera.fy]]) * np.stack([
        np.stack([1 / z, zero, -x / z**2, -x * y / z**2, 1 + (x / z)**2, -y / z], 1),
        np.stack([zero, 1 / z, -y / z**2, -1 - (y / z)**2, x * y / z**2, x / z], 1)], 1)
    information = np.einsum('n,nki,nkj->ij', weight, jacobian, jacobian)
    step = -np.linalg.pinv(information, hermitian=True) @ np.einsum('n,nki,nk->i', weight, jacobian, error)
    turn = rotation_exp(step[3:])
    return turn @ R, turn @ t + step[:3]


def _needed(share: float, confidence: float) -> float:
    """Return how many samples meet three observations of a share of all, with some confidence."""
    return np.log(1 - confidence) / np.log1p(-min(share**3, 1 - 1e-9))


def _axes(triangle: np.ndarray) -> np.ndarray:
    """Return (H, 3, 3) rotations whose columns go along with triangles (H, 3, 3)."""
    first, second = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    with np.errstate(divide='ignore', invalid='ignore'):
        x = first / np.linalg.norm(first, axis=1, keepdims=True)
        z = np.cross(first, second)
        z /= np.linalg.norm(z, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], 2)


def _agree(
    R: np.ndarray, t: np.ndarray, points: np.ndarray, pixels: np.ndarray, camera: Pinhole, threshold_px: float
) -> np.ndarray:
    """Return which observations (N,) agree with each of some poses (H,), (H, N) bool."""
    seen = R.astype(np.float32) @ points.T.astype(np.float32) + t.astype(np.float32)[:, :, None]
    x, y = ((pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]).T.astype(np.float32)
    with np.errstate(invalid='ignore'):
        # Without a division: |x - X / Z| < threshold.
        off = (camera.fx * (x * seen[:, 2] - seen[:, 0]))**2 + (camera.fy * (y * seen[:, 2] - seen[:, 1]))**2
        return ((off < (threshold_px * seen[:, 2])**2) & (seen[:, 2] > 0))
