"""A kept map beside the odometry: keyframes come in; transform, pose, status and the map itself go out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.task import Future

from superslam_ros.geometry.pose import T_BODY_OPTICAL, carry_covariance, inverse
from superslam_ros.maps import merging, storage
from superslam_ros.maps.correction import Correction
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Reason
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper, Outcome
from superslam_ros.maps.parts import LOOP, MapError
from superslam_ros.msg import MapStatus
from superslam_ros.node_config import FrameConfig, MapOptions
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.worker import LatestWorker
from superslam_ros.nodes.topics.map_publishers import MapPublishers
from superslam_ros.nodes.topics.messages import pose_from
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.srv import ClearMap, LocalizeInMap, MapFile, SetLocalizationOnly

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

        :raises MapError, OSError: when the file of the map cannot be used, or there is none to localize in.
        """
        self._node, self._options, self._frames = node, options, frames
        self._mode = 'localize' if options.mode == 'localize' else 'build'
        self._path = options.path
        self._mapper = self._begin(self._first_map())
        self._correction = Correction(options.blend_s if options.correction == 'blend' else 0.0)
        self._lock, self._segment = Lock(), 0
        self._moved: deque[tuple[int, np.ndarray]] = deque(maxlen=REMEMBERED)
        self._publishers = MapPublishers(node, options.frame, frames.odom_frame, options.publish_tf)
        self._transforms: TransformListener | None = None
        self._worker = LatestWorker(self._work, node.fail, WAITING)
        self._offer_services()
        node.create_subscription(PoseWithCovarianceStamped, 'initialpose', self._take_initial_pose, 10)
        node.create_timer(1.0, self._look_for_listeners)
        self._settle(0)

    def close(self) -> None:
        """End the thread, when the keyframes that wait are in the map; save it, if that was asked for."""
        if self._options.save_at_end and self._path and self._mode == 'build':
            self._worker.complete()
            self._node.get_logger().info(self._save(self._path)[1])
        self._worker.stop()

    def describe(self) -> str:
        """Return the mode, and what the map holds."""
        kept = self._mapper.map
        of = f' of {self._path}' if self._path else ''
        return f'map: {self._mode}, {len(kept.keyframes)} keyframes{of}'

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
            T_map_odom = self._correction.at(stamp_ns)
        if T_map_odom is not None:
            self._publishers.transform(stamp_ns, T_map_odom)

    # --- on the thread of the map -----------------------------------------------------------------

    def _work(self, item: Keyframe | _Job) -> None:
        if isinstance(item, _Job):
            answer = item.do()
            if item.future is not None:
                item.future.set_result(answer)
                self._node.executor.wake()
            return
        outcome = self._mapper.add(item)
        self._settle(item.stamp_ns)
        if outcome.loop:
            self._node.get_logger().info(outcome.text)
        if outcome.fix is not None and outcome.reason is Reason.OK:
            self._tell_pose(item, outcome)
        self._publishers.status(item.stamp_ns, **self._state(outcome))

    def _state(self, outcome: Outcome) -> dict[str, Any]:
        """Return the fields of MapStatus."""
        kept, localizing = self._mapper.map, self._mode == 'localize'
        return {
            'mode': MapStatus.LOCALIZING if localizing else MapStatus.BUILDING,
            'localized': self._mapper.T_map_odom is not None, 'code': int(outcome.reason), 'message': outcome.text,
            'path': self._path, 'sessions': len(kept.sessions), 'keyframes': len(kept.keyframes),
            'landmarks': len(kept.landmarks), 'inliers': 0 if outcome.fix is None else outcome.fix.inliers,
            'loops': sum(edge.kind == LOOP and edge.inlier for edge in kept.edges)}

    def _settle(self, stamp_ns: int) -> None:
        """Take over what the map has found of where odom is."""
        with self._lock:
            self._correction.find(self._mapper.T_map_odom, stamp_ns)

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

    def _first_map(self) -> Map:
        path = self._options.path
        if self._mode == 'localize' and not path:
            return Map()        # ~/map/load brings one
        if path and (self._mode == 'localize' or Path(path).exists()):
            return storage.load(path)
        return Map()

    def _begin(self, kept: Map) -> Mapper:
        return Mapper(kept, self._options, self._mode)

    # --- services ---------------------------------------------------------------------------------

    def _offer_services(self) -> None:
        def of_file(do: Callable[[str], tuple[int, str]]) -> Callable[[Any], tuple[int, str]]:
            return lambda request: do(request.path)

        for name, kind, do in (
            ('save', MapFile, of_file(self._save)), ('load', MapFile, of_file(self._load)),
            ('merge', MapFile, of_file(self._merge)), ('localize', LocalizeInMap, self._localize),
            ('clear', ClearMap, self._clear), ('set_localization_only', SetLocalizationOnly, self._set_mode),
        ):
            self._node.create_service(kind, f'superslam/map/{name}', self._answering(do))

    def _answering(self, do: Callable[[Any], tuple[int, str]]) -> Callable[[Any, Any], Any]:
        """Return a service's callback that has something done on the thread of the map, and waits without blocking."""
        def safely(request: Any) -> tuple[int, str]:
            try:
                return do(request)
            except MapError as error:
                return MapStatus.BAD_FILE, str(error)
            except OSError as error:
                return MapStatus.BAD_FILE, f'{request.path}: {error.strerror or error}'

        async def answer(request: Any, response: Any) -> Any:
            future = Future(executor=self._node.executor)
            self._worker.offer(_Job(lambda: safely(request), future))
            response.code, response.message = await future
            response.success = response.code == MapStatus.OK
            level = self._node.get_logger().info if response.success else self._node.get_logger().warning
            level(response.message)
            return response

        return answer

    def _save(self, path: str) -> tuple[int, str]:
        path = path or self._options.path
        if not path:
            return MapStatus.BAD_FILE, 'no path was given, and map.path is empty'
        storage.save(self._mapper.map, path)
        self._path = path
        return MapStatus.OK, f'{path}: saved with {len(self._mapper.map.keyframes)} keyframes'

    def _load(self, path: str) -> tuple[int, str]:
        self._mapper = self._begin(storage.load(path))
        self._path = path
        self._changed()
        return MapStatus.OK, f'{path}: loaded with {len(self._mapper.map.keyframes)} keyframes; looking for the camera'

    def _merge(self, path: str) -> tuple[int, str]:
        other = storage.load(path)
        if not self._mapper.map.keyframes:
            return MapStatus.NO_MAP, 'there is no map to merge it into: load it'
        refusal = merging.merge(self._mapper.map, other, self._options)
        if refusal:
            return MapStatus.REFUSED, f'{path}: not merged: {refusal}'
        self._changed()
        return MapStatus.OK, f'{path}: merged; {len(self._mapper.map.keyframes)} keyframes now'

    def _localize(self, request: LocalizeInMap.Request) -> tuple[int, str]:
        if not self._mapper.map.keyframes:
            return MapStatus.NO_MAP, 'the map has no keyframes: load one'
        if not request.has_hint:
            self._mapper.relocalize(None)
            self._changed()
            return MapStatus.OK, 'the camera is looked for everywhere in the map, from the next keyframe on'
        return self._hint(request.hint)

    def _hint(self, hint: PoseWithCovarianceStamped) -> tuple[int, str]:
        """Look near a pose of the odometry's frame."""
        frame = hint.header.frame_id.lstrip('/') or self._options.frame
        T_map_frame = self._map_from(frame)
        if T_map_frame is None:
            return MapStatus.REFUSED, (f'hint: TF does not connect its frame {frame!r} with {self._options.frame!r}; '
                                       f'give it in {self._options.frame!r}')
        try:
            T_frame_child = pose_from(hint.pose.pose)
        except ValueError as error:
            return MapStatus.REFUSED, f'hint: {error}; x 0, y 0, z 0, w 1 is straight on'
        self._mapper.relocalize(T_map_frame @ T_frame_child @ self._camera_of_child())
        self._changed()
        return MapStatus.OK, 'the camera is looked for near the hint, then everywhere, from the next keyframe on'

    def _map_from(self, frame: str) -> np.ndarray | None:
        """Return T_map_frame (4, 4), by what has been found last, and by TF."""
        if frame == self._options.frame:
            return np.eye(4)
        T_map_odom = self._mapper.T_map_odom
        if frame == self._frames.odom_frame:
            return T_map_odom
        return None if self._transforms is None else self._transforms.lookup(self._options.frame, frame)

    def _camera_of_child(self) -> np.ndarray:
        """Return T_child_camera; a camera without a base is hinted at as a body that looks along x."""
        last = self._mapper.last
        if not self._frames.base_frame or last is None:
            return T_BODY_OPTICAL
        return self._of_child(last)

    def _clear(self, _: ClearMap.Request) -> tuple[int, str]:
        self._mapper = self._begin(Map())
        self._path = ''
        self._changed()
        return MapStatus.OK, 'the map is empty'

    def _set_mode(self, request: SetLocalizationOnly.Request) -> tuple[int, str]:
        self._mode = 'localize' if request.localization_only else 'build'
        self._mapper.mode = self._mode
        return MapStatus.OK, 'the map is only read from now on' if request.localization_only else \
            'keyframes are added to the map from now on'

    def _changed(self) -> None:
        self._settle(self._moved[-1][0] if self._moved else 0)
        self._publishers.changed()

    def _take_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        def do() -> None:
            code, text = self._hint(message) if self._mapper.map.keyframes else (
                MapStatus.NO_MAP, 'initialpose: the map has no keyframes')
            (self._node.get_logger().info if code == MapStatus.OK else self._node.get_logger().warning)(text)

        self._worker.offer(_Job(do))

    def _look_for_listeners(self) -> None:
        if self._publishers.wanted():
            self._worker.offer(_Job(lambda: self._publishers.map(self._mapper.map)))
