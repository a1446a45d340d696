"""Stereo calibrations that have drifted: noticed while the odometry runs, told, and corrected if that is wanted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from superslam_ros.data import Matches
from superslam_ros.geometry.disparity import StereoPoints, offset
from superslam_ros.geometry.pose import inverse
from superslam_ros.slam.mapping.map import LocalMap, View

KEYFRAMES = 5
"""So many of them have to tell, before anything is believed."""
REMEMBERED = 500
"""The latest keyframes that tell: a calibration may go on drifting."""
SURE, LEAST_PX = 4.0, 0.15
"""How many standard deviations an offset has to be from none, and how many pixels, to be spoken of."""
FLOOR_PX = 0.02
"""Nothing is known better: keypoints are drawn to pixels alike in all frames."""
_MOVED = 0.02
"""Part of their distance by which the camera has to have moved against points of the median distance."""

log = logging.getLogger(__name__)


class DisparityOffset(NamedTuple):
    """How many pixels all disparities are too large, ``sigma_px`` of that, and how much too long motions come out."""

    px: float
    sigma_px: float
    too_long: float

    @property
    def noticed(self) -> bool:
        """Whether it is worth a warning."""
        return abs(self.px) >= LEAST_PX and abs(self.px) > SURE * self.sigma_px


class DisparityMonitor:
    """Gathers what pairs of stereo frames say of the offset of their disparities.

    Frames that are compared with one keyframe err together: they count as one measurement, and the uncertainty is that
    which the keyframes' scatter shows.

    :ivar applied_px: what is taken off all disparities by now.
    """

    def __init__(self, given_px: float = 0.0) -> None:
        """Begin with what the user knows."""
        self.applied_px = given_px
        self._keyframes: dict[int, tuple[float, float, float]] = {}
        """Stamp -> sum of weights, of weighted offsets, and the largest weight."""
        self._lengths = np.zeros(2)
        self._told: float | None = None

    def see(self, view: View, reference: View, temporal: Matches, scale: float) -> None:
        """Take a frame that was located.

        :param scale: focal length times baseline, px m.
        """
        index0, index1 = temporal.indices.T
        both = np.isfinite(reference.inverse_depth[index0]) & np.isfinite(view.inverse_depth[index1])
        index0, index1 = index0[both], index1[both]
        T_1_0 = inverse(view.T_odom_camera) @ reference.T_odom_camera
        inverse_depth = np.column_stack([reference.inverse_depth[index0], view.inverse_depth[index1]])
        if not len(index0) or np.linalg.norm(T_1_0[:3, 3]) * np.median(inverse_depth[:, 0]) < _MOVED:
            return
        camera = reference.pinhole
        pixels = reference.pixels[index0]
        found = offset(StereoPoints(
            np.column_stack([(pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy], np.ones(len(pixels))]),
            view.pixels[index1], np.hypot(reference.pixel_sigma[index0], view.pixel_sigma[index1]), inverse_depth,
            np.column_stack([reference.inverse_depth_sigma[index0], view.inverse_depth_sigma[index1]]),
        ), view.pinhole, T_1_0)
        if found is None:
            return
        weight = 1 / (scale * found.sigma)**2
        total, weighted, most = self._keyframes.get(reference.stamp_ns, (0.0, 0.0, 0.0))
        self._keyframes[reference.stamp_ns] = (
            total + weight, weighted + weight * (self.applied_px + scale * found.inverse_depth), max(most, weight))
        if len(self._keyframes) > REMEMBERED:
            del self._keyframes[next(iter(self._keyframes))]
        self._lengths += np.linalg.norm(T_1_0[:3, 3]), found.length

    def estimate(self) -> DisparityOffset | None:
        """Return the offset of the disparities as they were measured; None where too little was seen."""
        if len(self._keyframes) < KEYFRAMES:
            return None
        total, weighted, most = np.array(list(self._keyframes.values())).T
        each, count = weighted / total, len(total)
        px = float((most * each).sum() / most.sum())
        scatter = (most**2 * (each - px)**2).sum() / most.sum()**2 * count / (count - 1)
        sigma = float(np.sqrt(max(scatter, 1 / most.sum()) + FLOOR_PX**2))
        return DisparityOffset(px, sigma,
                               float(self._lengths[0] / self._lengths[1] - 1) if self._lengths[1] else 0.0)

    @property
    def problem(self) -> str:
        """What is to be said of an offset that is not corrected; empty where there is none."""
        left = self._left()
        if left is None or not left.noticed:
            return ''
        return (f'near and far points disagree: the right camera is off by {abs(left.px):.2f} +- {left.sigma_px:.2f} '
                f'px, so that distances come out about {100 * abs(left.too_long):.1f} % too '
                f'{"long" if left.too_long > 0 else "short"}; calibrate the pair again, or set odometry.'
                f'disparity_offset: {self.applied_px + left.px:.2f}, or odometry.disparity_correction: auto')

    def tell(self) -> None:
        """Warn of an offset when it is noticed, and when it has changed."""
        problem, left = self.problem, self._left()
        if problem and (self._told is None or abs(left.px - self._told) > max(LEAST_PX, SURE * left.sigma_px)):
            self._told = left.px
            log.warning(problem)

    def correction(self) -> float:
        """Return by how many pixels the correction has to grow, which it has done then; mostly 0."""
        left = self._left()
        if left is None or not left.noticed:
            return 0.0
        self.applied_px += left.px
        self._lengths[:] = 0
        log.warning('disparities are %.2f +- %.2f px too %s: corrected from here on (odometry.disparity_offset: %.2f '
                    'does so from the start)', abs(self.applied_px), left.sigma_px,
                    'large' if self.applied_px > 0 else 'small', self.applied_px)
        return left.px

    def _left(self) -> DisparityOffset | None:
        found = self.estimate()
        return found and found._replace(px=found.px - self.applied_px)


def correct(local_map: LocalMap, others: Sequence[View], change: float) -> None:
    """Take ``change`` (1/m) off the inverse depths of a map's views, and of others; its landmarks move accordingly."""
    rows = np.arange(len(local_map.landmarks))
    if local_map.keyframes and len(rows):
        hosts = local_map.hosts(rows, local_map.keyframes[-1])
        points = local_map.landmarks.points
        seen = np.einsum('nji,nj->ni', hosts[:, :3, :3], points - hosts[:, :3, 3])
        nearer = 1 - change * seen[:, 2]
        seen /= np.maximum(nearer, 0.1)[:, None]
        points[:] = np.einsum('nij,nj->ni', hosts[:, :3, :3], seen) + hosts[:, :3, 3]
    views = [*local_map.keyframes, *others, *([] if local_map.previous is None else [local_map.previous])]
    for view in {id(one): one for one in views}.values():
        view.inverse_depth = np.maximum(view.inverse_depth - change, 1e-6)
