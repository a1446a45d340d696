"""A kept map beside the odometry: keyframes come in; transform, pose, status and the map itself go out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from rclpy.task import Future

from superslam_ros.geometry.pose import T_BODY_OPTICAL, carry_covariance, inverse
from superslam_ros.maps import storage, unplaced
from superslam_ros.maps.correction import Correction
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Outcome, Reason
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.maps.parts import LOOP
from superslam_ros.msg import MapStatus
from superslam_ros.node_config import FrameConfig, MapOptions
from superslam_ros.nodes.reporting.logs import speaking
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.worker import LatestWorker
from superslam_ros.nodes.topics.map_publishers import MapPublishers

WAITING = 1000
"""Keyframes that may wait while a loop is closed."""
REMEMBERED = 1000
"""Frames whose place in odom is remembered, until their keyframe comes back from the map."""


@dataclass
class _Job:
    """Something to be done between two keyframes; ``future`` waits for what ``do`` returns."""

    do: Callable[[], Any]
    future: Future | None = None


class MapServer:
    """The map of a node: it works on a thread of its own, so that the odometry never waits for it."""

    def __init__(self, node: SlamNode, options: MapOptions, frames: FrameConfig) -> None:
        """Load the map, if there is one, advertise, and start the thread.

        :raises MapError: when the file of the map cannot be used, or it is not there to localize in.
        """
        self._node, self._options, self._frames = node, options, frames
        self.mode = 'localize' if options.mode == 'localize' else 'build'
        self.path = options.path
        self.mapper = Mapper(self._first_map(), options, self.mode)
        self._correction = Correction(options.blend_s if options.correction == 'blend' else 0.0)
        self._lock, self._segment = Lock(), 0
        self._last: Keyframe | None = None
        self._moved: deque[tuple[int, np.ndarray]] = deque(maxlen=REMEMBERED)
        self._publishers = MapPublishers(node, options.frame, frames.odom_frame, options.publish_tf)
        self._worker = LatestWorker(self._work, node.fail, WAITING)
        node.create_timer(1.0, self._look_for_listeners)

    def close(self) -> None:
        """End the thread, when the keyframes that wait are in the map; save it, if that was asked for."""
        if self._options.save_at_end and self.path and self.mode == 'build':
            self._worker.complete()
            self._node.get_logger().info(self.save(self.path))
        self._worker.stop()

    def describe(self) -> str:
        """Return the mode, and what the map holds."""
        kept = self.mapper.map
        of = f' of {self.path}' if self.path else ''
        return f'map: {self.mode}, {len(kept.keyframes)} keyframes{of}'

    def begin(self, kept: Map, path: str) -> None:
        """Go on with another map, on the thread of the map; nothing is known of where odom is in it."""
        self.mapper, self.path = Mapper(kept, self._options, self.mode), path
        self.changed()

    def save(self, path: str) -> str:
        """Save the map, on its thread, and return what to say of it.

        :raises MapError: when it cannot be written.
        """
        beside = unplaced.save_all(self.mapper.map, self.mapper.waiting(), path)
        self.path = path
        said = unplaced.advice(beside)
        return f'{path}: saved with {len(self.mapper.map)} keyframes' + (f'; {said}' if said else '')

    def changed(self) -> None:
        """Take over what has become of the map without a keyframe."""
        with self._lock:
            stamp_ns = self._moved[-1][0] if self._moved else 0
        self._settle(stamp_ns)
        self._publishers.changed()

    def look_again(self) -> None:
        """Take the last keyframe once more: a camera that stands still gives no other."""
        with self._lock:
            current = self._last is not None and self._last.segment == self._segment
        if current and self.mode == 'localize':
            self._deal_with(self._last)

    def ask(self, do: Callable[[], Any], future: Future | None = None) -> None:
        """Have something done on the thread of the map, between two keyframes; ``future`` gets what it returns."""
        self._worker.offer(_Job(do, future))

    def child_camera(self) -> np.ndarray:
        """Return T_child_camera; a camera without a base is taken for a body that looks along x."""
        if not self._frames.base_frame or self._last is None:
            return T_BODY_OPTICAL
        return self._of_child(self._last)

    def offer(self, keyframe: Keyframe) -> None:
        """Hand over a keyframe, and return at once."""
        with self._lock:
            if keyframe.segment != self._segment and self._segment:
                # A new odometry: where it is in the map is not known yet.
                self._correction.find(None, keyframe.stamp_ns)
            self._segment = keyframe.segment
        self._worker.offer(keyframe)

    def moved(self, stamp_ns: int, T_odom_child: np.ndarray) -> None:
        """Take where the odometry's frame is, base or camera, and broadcast the transform from the map to odom."""
        with self._lock:
            self._moved.append((stamp_ns, T_odom_child))
            T_map_odom = self._correction.at(stamp_ns, T_odom_child[:3, 3])
        if T_map_odom is not None:
            self._publishers.transform(stamp_ns, T_map_odom)

    def _first_map(self) -> Map:
        path = self._options.path
        if path and (self.mode == 'localize' or Path(path).exists()):
            return storage.load(path)
        return Map()        # to localize, the service load brings one

    def _look_for_listeners(self) -> None:
        if self._publishers.wanted():
            self.ask(lambda: self._publishers.map(self.mapper.map))

    # --- on the thread of the map -----------------------------------------------------------------

    def _work(self, item: Keyframe | _Job) -> None:
        with speaking(self._node.get_logger()):
            self._deal_with(item)

    def _deal_with(self, item: Keyframe | _Job) -> None:
        if isinstance(item, _Job):
            answer = item.do()
            if item.future is not None:
                item.future.set_result(answer)
                self._node.executor.wake()
            return
        outcome, self._last = self.mapper.add(item), item
        self._settle(item.stamp_ns)
        if outcome.loop:
            self._node.get_logger().info(outcome.text)
        if outcome.fix is not None and outcome.reason is Reason.OK:
            self._tell_pose(item, outcome)
        self._publishers.status(item.stamp_ns, **self._state(outcome))

    def _state(self, outcome: Outcome) -> dict[str, Any]:
        """Return the fields of MapStatus."""
        kept, localizing = self.mapper.map, self.mode == 'localize'
        return {
            'mode': MapStatus.LOCALIZING if localizing else MapStatus.BUILDING,
            'localized': self.mapper.T_map_odom is not None, 'code': int(outcome.reason), 'message': outcome.text,
            'path': self.path, 'sessions': len(kept.sessions), 'keyframes': len(kept.keyframes),
            'landmarks': len(kept.landmarks), 'inliers': 0 if outcome.fix is None else outcome.fix.inliers,
            'loops': sum(edge.kind == LOOP and edge.inlier for edge in kept.edges)}

    def _settle(self, stamp_ns: int) -> None:
        """Take over what the map has found of where odom is, unless odom has begun anew since."""
        with self._lock:
            current = self._last is not None and self._last.segment == self._segment
            at = next((T[:3, 3] for stamp, T in self._moved if current and stamp == self._last.stamp_ns), None)
            self._correction.find(self.mapper.T_map_odom if current else None, stamp_ns, self.mapper.unit, at)

    def _tell_pose(self, keyframe: Keyframe, outcome: Outcome) -> None:
        """Publish where the odometry's frame was in the map at a keyframe."""
        T_map_camera = outcome.fix.T_map_camera
        T = T_map_camera @ inverse(self._of_child(keyframe))
        covariance = carry_covariance(outcome.fix.covariance, T[:3, 3] - T_map_camera[:3, 3])
        self._publishers.pose(keyframe.stamp_ns, T, covariance)

    def _of_child(self, keyframe: Keyframe) -> np.ndarray:
        """Return T_child_camera: where the ideal camera is in the frame that the odometry reports, base or camera."""
        with self._lock:
            T_odom_child = next((T for stamp, T in self._moved if stamp == keyframe.stamp_ns), None)
        return np.eye(4) if T_odom_child is None else inverse(T_odom_child) @ keyframe.T_odom_camera
