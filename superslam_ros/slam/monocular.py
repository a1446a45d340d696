"""What a single camera without depth needs: a beginning, a scale, and pure rotation."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from superslam_ros.data import Matches
from superslam_ros.geometry import two_view
from superslam_ros.geometry.pose import compose, transform
from superslam_ros.geometry.turn import rotation_between
from superslam_ros.slam.landmarks import covariance_of
from superslam_ros.slam.map import View
from superslam_ros.slam.odometry_config import OdometryConfig

log = logging.getLogger(__name__)

LEVEL_RAD = np.radians(15)
"""A ground plane's normal may lean so far from odom's z."""


@dataclass(frozen=True)
class Beginning:
    """A new map: the frame's pose, and landmarks (M, 3) for the given ``matches`` (M,) with covariance (M, 3, 3)."""

    T_odom_camera: np.ndarray
    matches: np.ndarray
    points: np.ndarray
    covariance: np.ndarray
    metric: bool


def begin(
    view: View, reference: View, temporal: Matches, config: OdometryConfig, median_depth: float
) -> Beginning | None:
    """Reconstruct two views, if the camera has moved enough between them.

    :param median_depth: what the median depth of the landmarks becomes where no scale is given.
    :returns: None when there is no clear translation, or no ground plane although its distance is to give the scale.
    """
    seen = np.isfinite(reference.pixels[temporal.indices[:, 0]]) & np.isfinite(view.pixels[temporal.indices[:, 1]])
    positions = np.flatnonzero(seen.all(1))     # of a very wide lens, the ideal camera does not see all
    index0, index1 = temporal.indices[positions].T
    found = two_view.reconstruct(reference.pixels[index0], view.pixels[index1], view.pinhole)
    if found is None or reference.pinhole != view.pinhole:
        return None
    good = np.flatnonzero(np.isfinite(found.points[:, 0]))
    scale = median_depth / float(np.median(found.points[good, 2]))
    if config.first_baseline > 0:
        scale = config.first_baseline
    elif config.camera_height > 0:
        below = ground_distance(found.points[good] @ reference.T_odom_camera[:3, :3].T)
        if below is None:
            log.warning('no level ground plane is in sight: camera_height cannot give the map its scale yet')
            return None
        scale = config.camera_height / below
    T_0_1 = compose(found.T_0_1[:3, :3], found.T_0_1[:3, 3] * scale)
    T = reference.T_odom_camera @ T_0_1
    placed = View(
        view.stamp_ns, T, view.covariance, view.features, pinhole=view.pinhole, pixels=view.pixels,
        pixel_sigma=view.pixel_sigma, inverse_depth=view.inverse_depth, inverse_depth_sigma=view.inverse_depth_sigma)
    points = transform(reference.T_odom_camera, found.points[good] * scale)
    covariance = covariance_of(points, [(reference, index0[good]), (placed, index1[good])])
    return Beginning(T, positions[good], points, covariance, config.first_baseline > 0 or config.camera_height > 0)


def ground_distance(points: np.ndarray, trials: int = 200) -> float | None:
    """Return how far below the camera a level plane lies, found by RANSAC with a fixed seed.

    :param points: (N, 3) relative to the camera, along axes with z up; any unit.
    :returns: None when fewer than 20 points, and a fifth of those below, agree on a plane.
    """
    low = points[points[:, 2] < 0]
    if len(low) < 20:
        return None
    random = np.random.default_rng(0)
    best: np.ndarray | None = None
    for _ in range(trials):
        a, b, c = low[random.choice(len(low), 3, replace=False)]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length < 1e-12 or abs(normal[2]) < length * np.cos(LEVEL_RAD):
            continue
        normal /= length * np.sign(normal[2])
        inside = np.abs((low - a) @ normal) < 0.03 * abs(a @ normal)
        if best is None or inside.sum() > best.sum():
            best = inside
    if best is None or best.sum() < max(20, 0.2 * len(low)):
        return None
    chosen = low[best]
    centre = chosen.mean(0)
    normal = np.linalg.svd(chosen - centre, full_matrices=False)[2][2]
    return float(abs(centre @ normal))


def turned(view: View, reference: View, temporal: Matches, config: OdometryConfig) -> np.ndarray | None:
    """Return the rotation R_odom_camera (3, 3) of a camera that has only turned since the reference, else None."""
    if len(temporal) < 2 * config.min_inliers:
        return None
    index0, index1 = temporal.indices.T
    R_0_1, agree = rotation_between(
        reference.pinhole.rays(reference.pixels[index0]), view.pinhole.rays(view.pixels[index1]),
        config.threshold_px / view.pinhole.fx)
    if agree.sum() < max(2 * config.min_inliers, 0.6 * len(temporal)):
        return None
    return reference.T_odom_camera[:3, :3] @ R_0_1
