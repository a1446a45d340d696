"""What a single camera without depth needs: a beginning, a scale, and pure rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.data import Matches
from superslam_ros.geometry import two_view
from superslam_ros.geometry.pose import compose, transform
from superslam_ros.geometry.turn import rotation_between
from superslam_ros.slam.mapping.landmarks import covariance_of
from superslam_ros.slam.mapping.map import View
from superslam_ros.slam.odometry_config import OdometryConfig
from superslam_ros.slam.tracking.prediction import Relative

LEVEL_RAD = np.radians(15)
"""A ground plane's normal may lean so far from odom's z."""
ON_PLANE = 0.05
"""A point is of the ground when its distance is right to this part."""
TENTHS = 10
SURE = 0.2
"""Relative deviation of a distance told by other sensors, below which it gives a map its scale."""
DEPTH_CHANGE = 0.3
"""By how much, relatively, the median depth is taken to have changed (one deviation) while there was no map."""


@dataclass(frozen=True)
class Beginning:
    """A new map: the frame's pose, and landmarks (M, 3) for the given ``matches`` (M,) with covariance (M, 3, 3).

    ``scale_sigma`` is the relative deviation of its scale, 0 where that is as it was asked for.
    """

    T_odom_camera: np.ndarray
    matches: np.ndarray
    points: np.ndarray
    covariance: np.ndarray
    metric: bool
    scale_sigma: float


class NoGround(ValueError):
    """The height of the camera is to give the scale, and no ground is in sight."""


class ScaleDoubt:
    """What uncertain scales add to covariances: errors in proportion to the way since a map began."""

    def __init__(self) -> None:
        """Begin without any."""
        self._terms: list[tuple[float, np.ndarray]] = []
        self._settled = np.zeros((6, 6))

    def begin(self, sigma: float, position: np.ndarray) -> None:
        """Have a map begin at a position (3,) in odom, with relative deviation ``sigma`` of its scale to the last's."""
        if sigma > 0:
            self._terms.append((sigma, position.copy()))

    def settle(self, position: np.ndarray) -> None:
        """Have the scale be known from a position (3,) in odom on: the error so far stays as it is."""
        self._settled, self._terms = self.of_position(position), []

    def of_position(self, position: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) to add to that of a pose at a position (3,) in odom."""
        return self._settled + _outer([sigma * (position - start) for sigma, start in self._terms])

    def of_velocity(self, velocity: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) to add to that of a velocity (6,)."""
        return _outer([sigma * velocity[:3] for sigma, _ in self._terms])


def _outer(errors: list[np.ndarray]) -> np.ndarray:
    total = np.zeros((6, 6))
    for error in errors:
        total[:3, :3] += np.outer(error, error)
    return total


def distance(motion: Relative) -> tuple[float, float]:
    """Return how far a motion leads (m), and the relative deviation of that."""
    way = motion.T_0_1[:3, 3]
    metres = max(float(np.linalg.norm(way)), 1e-9)
    along = way / metres
    return metres, float(np.sqrt(along @ motion.covariance[:3, :3] @ along)) / metres


def begin(
    view: View, reference: View, temporal: Matches, config: OdometryConfig, median_depth: float | None,
    baseline: tuple[float, float] | None = None,
) -> Beginning | None:
    """Reconstruct two views, if the camera has moved enough between them.

    :param median_depth: of the landmarks of the last map, which theirs is taken to be where no scale is given; None
        for the first map, which has 1.
    :param baseline: distance of the two views that other sensors tell, as of :func:`distance`.
    :returns: None when there is no clear translation.
    :raises NoGround: when there is no ground plane although its distance is to give the scale.
    """
    seen = np.isfinite(reference.pixels[temporal.indices[:, 0]]) & np.isfinite(view.pixels[temporal.indices[:, 1]])
    positions = np.flatnonzero(seen.all(1))     # of a very wide lens, the ideal camera does not see all
    index0, index1 = temporal.indices[positions].T
    pixels0, pixels1 = reference.pixels[index0], view.pixels[index1]
    found = two_view.reconstruct(pixels0, pixels1, view.pinhole) if reference.pinhole == view.pinhole else None
    if found is None:
        return None
    good = np.flatnonzero(np.isfinite(found.points[:, 0]))
    metric, scale_sigma = True, 0.0
    if config.first_baseline > 0:
        scale = config.first_baseline
    elif baseline is not None:
        scale, told_sigma = baseline
        scale_sigma = _jackknife(pixels0, pixels1, view, _depth) if told_sigma <= SURE else None
        if scale_sigma is None or np.hypot(scale_sigma, told_sigma) > SURE:
            return None     # it has not gone far enough
        scale_sigma = float(np.hypot(scale_sigma, told_sigma))
    elif config.camera_height > 0:
        def ground(found: two_view.TwoView | None) -> float | None:
            return _ground(found, reference.T_odom_camera[:3, :3])

        below = ground(found)
        scale_sigma = None if below is None else _jackknife(pixels0, pixels1, view, ground)
        if scale_sigma is None:
            raise NoGround('no level ground plane is in sight: camera_height cannot give the map its scale yet')
        scale = config.camera_height / below
    else:
        metric, scale_sigma = False, 0.0 if median_depth is None else DEPTH_CHANGE
        scale = (median_depth or 1.0) / float(np.median(found.points[good, 2]))
    T = reference.T_odom_camera @ compose(found.T_0_1[:3, :3], found.T_0_1[:3, 3] * scale)
    placed = replace(view, T_odom_camera=T)
    points = transform(reference.T_odom_camera, found.points[good] * scale)
    covariance = covariance_of(points, [(reference, index0[good]), (placed, index1[good])])
    return Beginning(T, positions[good], points, covariance, metric, scale_sigma)


def _ground(found: two_view.TwoView | None, R_odom_camera: np.ndarray) -> float | None:
    """Return how far below the first camera the ground is, in baselines; None without ground."""
    return None if found is None else ground_distance(found.points[np.isfinite(found.points[:, 0])] @ R_odom_camera.T)


def _depth(found: two_view.TwoView | None) -> float | None:
    """Return the median depth of the points, in baselines; None without a reconstruction."""
    return None if found is None else float(np.nanmedian(found.points[:, 2]))


def _jackknife(
    pixels0: np.ndarray, pixels1: np.ndarray, view: View, measure: Callable[[two_view.TwoView | None], float | None]
) -> float | None:
    """Return the relative deviation of what is measured of two views; None if a tenth of the matches is vital for it.

    By the jackknife (Efron and Tibshirani 1993, chapter 11), in tenths: every one is left out once.
    """
    tenth = np.arange(len(pixels0)) % TENTHS
    found = [measure(two_view.reconstruct(
        pixels0[tenth != k], pixels1[tenth != k], view.pinhole, certain=two_view.CERTAIN / 2)) for k in range(TENTHS)]
    return None if None in found else float(np.std(np.log(found)) * np.sqrt(TENTHS - 1))


def ground_distance(points: np.ndarray, trials: int = 200) -> float | None:
    """Return how far below the camera a level plane lies, found by RANSAC with a fixed seed.

    :param points: (N, 3) relative to the camera, along axes with z up; any unit. What is triangulated is as exact in
        inverse distance wherever it is, and of that a plane is a linear function of the direction.
    :returns: None when fewer than 20 points, and a fifth of those below, agree on a plane.
    """
    low = points[points[:, 2] < 0]
    if len(low) < 20:
        return None
    inverse_distance = 1 / np.linalg.norm(low, axis=1)
    rays = low * inverse_distance[:, None]
    random = np.random.default_rng(0)
    best = np.zeros(len(low), bool)
    for _ in range(trials):
        chosen = random.choice(len(low), 3, replace=False)
        plane = np.linalg.lstsq(rays[chosen], inverse_distance[chosen], rcond=None)[0]
        if -plane[2] < np.linalg.norm(plane) * np.cos(LEVEL_RAD):
            continue
        inside = np.abs(rays @ plane - inverse_distance) < ON_PLANE * inverse_distance
        if inside.sum() > best.sum():
            best = inside
    if best.sum() < max(20, 0.2 * len(low)):
        return None
    for _ in range(3):
        plane = np.linalg.lstsq(rays[best], inverse_distance[best], rcond=None)[0]
        best = np.abs(rays @ plane - inverse_distance) < ON_PLANE * inverse_distance
    return float(1 / np.linalg.norm(plane))


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
