"""Relative poses between frames of a recording that are some frames apart, against its ground truth.

The measure of self-improving visual odometry (arXiv 1812.03245, section 6.2): the wider the gap, the less the
two images have in common, and the sooner matching fails. Front-ends see the same pairs. Poses are estimated as
the odometry does it, by locally optimised RANSAC: the best sample of plain RANSAC is less exact, and changes more
with the order of the matches, so that it says less about them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from superslam_ros.data import Camera, Features, Frame
from superslam_ros.evaluation import relative_pose
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.evaluation.relative_pose import PoseResult
from superslam_ros.geometry import camera as cameras
from superslam_ros.geometry import pose, two_view

NEAR_NS = 20_000_000
"""A frame's true pose is the nearest in time, at most this far away."""
ORDERS = 5
"""Poses are estimated from each pair's matches in so many orders: of one, luck moves the AUC by .01."""
MIN_BASELINE_M = 0.05
"""Below this translation its direction is left unjudged: ground truth is not that exact."""


@dataclass(frozen=True)
class Seen:
    """What is kept of a frame; ``T_world_camera`` is None where the ground truth has nothing near in time."""

    camera: Camera
    T_world_camera: np.ndarray | None
    features: dict[str, Features]


class Truth:
    """A trajectory that is asked for its pose at a time."""

    def __init__(self, stamps_ns: np.ndarray, poses: np.ndarray) -> None:
        """Take stamps (N,) int64 in any order and poses T_world_camera (N, 4, 4), N at least 1."""
        order = np.argsort(stamps_ns, kind='stable')
        self._stamps, self._poses = np.asarray(stamps_ns, np.int64)[order], np.asarray(poses)[order]

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """Return the (4, 4) pose nearest in time, None where none is within 20 ms."""
        number = int(np.abs(self._stamps - stamp_ns).argmin())
        return self._poses[number] if abs(int(self._stamps[number]) - stamp_ns) <= NEAR_NS else None


def evaluate(
    front_ends: Sequence[FrontEnd], frames: Iterable[Frame], truth: Truth, gaps: Sequence[int], rectified: bool,
    plain: bool = False,
) -> dict[int, dict[str, list[PoseResult]]]:
    """Return gap -> front-end -> figures of every pair of frames so far apart whose true poses are known.

    There are :data:`ORDERS` of each pair, one after the other.

    :param frames: in order, with their cameras; images are matched at their own size.
    :param gaps: in frames, each at least 1.
    :param rectified: whether the images are; otherwise keypoints are undistorted.
    :param plain: by plain RANSAC, as in SuperGlue's protocol.
    """
    method = cv2.RANSAC if plain else two_view.LOCALLY_OPTIMISED
    results: dict[int, dict[str, list[PoseResult]]] = {gap: {end.name: [] for end in front_ends} for gap in gaps}
    window: deque[Seen] = deque(maxlen=max(gaps) + 1)
    for frame in frames:
        window.append(Seen(frame.camera, truth.at(frame.stamp_ns), {
            end.name: end.extract(frame.image) for end in front_ends}))
        for gap in gaps:
            if gap < len(window):
                first, second = window[-1 - gap], window[-1]
                if first.T_world_camera is not None and second.T_world_camera is not None:
                    for end in front_ends:
                        results[gap][end.name] += _evaluate_pair(end, first, second, rectified, method)
    return results


def _evaluate_pair(end: FrontEnd, first: Seen, second: Seen, rectified: bool, method: int) -> list[PoseResult]:
    T_1_0 = pose.inverse(second.T_world_camera) @ first.T_world_camera
    matches = end.matcher(first.features[end.name], second.features[end.name])
    (rays0, focal0), (rays1, focal1) = (
        _rays(seen.camera, keypoints, rectified)
        for seen, keypoints in ((first, matches.keypoints0), (second, matches.keypoints1)))
    focal, keypoints = (focal0 + focal1) / 2, len(first.features[end.name])
    results = [
        relative_pose.measure(rays0, rays1, focal, T_1_0, keypoints, order, method) for order in range(ORDERS)]
    if np.linalg.norm(T_1_0[:3, 3]) >= MIN_BASELINE_M:
        return results
    # The epipolar geometry of noise tells nothing either.
    return [replace(result, translation_deg=0.0 if np.isfinite(result.rotation_deg) else result.translation_deg,
                    precision=np.nan, matching_score=np.nan) for result in results]


def _rays(camera: Camera, keypoints: np.ndarray, rectified: bool) -> tuple[np.ndarray, float]:
    """Return (N, 2) coordinates on the plane z = 1 of the optical frame of the image, and the focal length."""
    if not rectified:
        # The truth is of the optical frame as it is, not of one turned parallel to another camera's.
        camera = cameras.alone(camera)
    ideal = cameras.ideal(camera, rectified)
    return ideal.rays(cameras.to_ideal(camera, keypoints, rectified))[:, :2], (ideal.fx + ideal.fy) / 2
