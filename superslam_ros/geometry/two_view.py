"""Two views of one scene: relative pose up to scale, and triangulation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, skew, transform

LOCALLY_OPTIMISED = getattr(cv2, 'USAC_ACCURATE', cv2.RANSAC)
"""RANSAC that refines its best samples on their inliers (Barath and Matas, CVPR 2018), where OpenCV has it."""
CERTAIN = 12.0
"""Deviations of the angle between two rays that a parallax must have for a map to begin. Noisy ones that are chosen for
being large are on average larger than the true ones, and their points too near, by the more the fewer deviations."""
MIN_PARALLAX_RAD = 0.01
"""Smallest angle between the rays of a point that is triangulated."""
FAR = 1e9
"""In baselines. OpenCV leaves out what is farther than 50: everything, when the camera hardly moved."""


@dataclass(frozen=True)
class TwoView:
    """The second camera's pose in the first, with a baseline of 1, and what was triangulated.

    ``points`` (N, 3) in the first camera, NaN rows where none; ``inliers`` (N,) agree with the pose.
    """

    T_0_1: np.ndarray
    points: np.ndarray
    inliers: np.ndarray


def pose_from_rays(
    rays0: np.ndarray, rays1: np.ndarray, threshold: float, method: int = LOCALLY_OPTIMISED
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Estimate the essential matrix robustly and take the pose with the most points in front (Nister 2004).

    The same on every run, but not in every order of the pairs.

    :param rays0: (N, 2) coordinates on the plane z = 1; ``rays1`` likewise; ``threshold`` in the same unit.
    :param method: OpenCV's number of the estimator.
    :returns: (R (3, 3), t (3,) of length 1) that map points of the first camera to the second, and (N,) bool
        inliers; None with fewer than 5 pairs or no solution.
    """
    if len(rays0) < 5:
        return None
    cv2.setRNGSeed(0)
    found, mask = cv2.findEssentialMat(
        rays0, rays1, np.eye(3), method=method, prob=0.99999, threshold=threshold)
    best, pose = 0, None
    # Several solutions come stacked.
    for E in [] if found is None else np.split(found, len(found) // 3):
        count, R, t, inliers, _ = cv2.recoverPose(E, rays0, rays1, np.eye(3), distanceThresh=FAR, mask=mask.copy())
        if count > best:
            best, pose = count, (R, t.ravel(), inliers.ravel() > 0)
    return pose


def relative_pose(
    pixels0: np.ndarray, pixels1: np.ndarray, camera0: Pinhole, camera1: Pinhole, threshold_px: float = 1.0
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (T_0_1 with a baseline of 1, (N,) bool inliers), or None with fewer than 8 pairs or inliers."""
    if len(pixels0) < 8:
        return None
    focal = (camera0.fx + camera1.fx) / 2
    found = pose_from_rays(camera0.rays(pixels0)[:, :2], camera1.rays(pixels1)[:, :2], threshold_px / focal)
    if found is None or found[2].sum() < 8:
        return None
    R, t, inliers = found
    return inverse(compose(R, t)), inliers


def triangulate(
    pixels0: np.ndarray, pixels1: np.ndarray, camera: Pinhole, T_0_1: np.ndarray,
    min_parallax_rad: float = MIN_PARALLAX_RAD, threshold_px: float = 2.0, camera1: Pinhole | None = None,
) -> np.ndarray:
    """Return points (N, 3) in the first camera where two rays meet (midpoint), NaN where they do not.

    A point counts when it lies in front of both cameras, is seen under enough parallax, and reprojects
    near both pixels.

    :param camera1: of the second view, where it is another one.
    """
    camera1 = camera1 or camera
    d0 = camera.rays(pixels0)
    d1 = camera1.rays(pixels1) @ T_0_1[:3, :3].T
    t = T_0_1[:3, 3]
    a, b, c = (d0 * d0).sum(1), (d0 * d1).sum(1), (d1 * d1).sum(1)
    determinant = a * c - b * b
    safe = np.maximum(determinant, 1e-12)
    s0 = (c * (d0 @ t) - b * (d1 @ t)) / safe
    s1 = (b * (d0 @ t) - a * (d1 @ t)) / safe
    points = (s0[:, None] * d0 + t + s1[:, None] * d1) / 2
    parallax = np.arccos(np.clip(b / np.sqrt(a * c), -1, 1))
    with np.errstate(invalid='ignore'):
        error0 = np.linalg.norm(camera.project(points) - pixels0, axis=1)
        error1 = np.linalg.norm(camera1.project(transform(inverse(T_0_1), points)) - pixels1, axis=1)
        good = (s0 > 0) & (s1 > 0) & (parallax > min_parallax_rad)
        good &= (error0 < threshold_px) & (error1 < threshold_px)
    points[~good] = np.nan
    return points


def epipolar_residuals(
    rays0: np.ndarray, rays1: np.ndarray, T_1_0: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x1^T E x0 of coordinates (N, 2) on the planes z = 1, and its squared gradients by x0 and by x1, (N,) each.

    :param T_1_0: (4, 4) maps points of the first camera to the second.
    """
    E = skew(T_1_0[:3, 3]) @ T_1_0[:3, :3]
    ones = np.ones((len(rays0), 1))
    line1, line0 = np.hstack([rays0, ones]) @ E.T, np.hstack([rays1, ones]) @ E
    return (np.hstack([rays1, ones]) * line1).sum(1), (line0[:, :2]**2).sum(1), (line1[:, :2]**2).sum(1)


def reconstruct(
    pixels0: np.ndarray, pixels1: np.ndarray, camera: Pinhole, threshold_px: float = 1.5, certain: float = CERTAIN
) -> TwoView | None:
    """Reconstruct pose and points of two views, or None when they show no clear translation.

    Rotation alone and too short a baseline leave the points without parallax; then most of the inliers of
    the pose triangulate to nothing. How much parallax it takes follows from how exactly the inliers agree.

    :param certain: deviations of the angle between two rays that a parallax must have.
    """
    found = relative_pose(pixels0, pixels1, camera, camera, threshold_px)
    if found is None:
        return None
    T_0_1, inliers = found
    # Sampson's distance (Hartley and Zisserman, section 11.4.3) deviates as much as a coordinate does.
    residuals, steep0, steep1 = epipolar_residuals(
        camera.rays(pixels0[inliers])[:, :2], camera.rays(pixels1[inliers])[:, :2], inverse(T_0_1))
    noise_rad = np.sqrt(2) * 1.4826 * float(np.median(np.abs(residuals) / np.sqrt(steep0 + steep1)))
    points = triangulate(pixels0, pixels1, camera, T_0_1, max(MIN_PARALLAX_RAD, certain * noise_rad))
    points[~inliers] = np.nan
    if np.isfinite(points[:, 0]).sum() < max(20, 0.5 * inliers.sum()):
        return None
    return TwoView(T_0_1, points, inliers)
