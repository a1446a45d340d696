"""The services of a kept map, and hints where the camera is in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.task import Future

from superslam_ros.maps import merging, storage
from superslam_ros.maps.localizer import Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import MapError
from superslam_ros.msg import MapStatus
from superslam_ros.node_config import FrameConfig, MapOptions
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.maps import MapServer
from superslam_ros.nodes.topics.messages import pose_from
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.srv import ClearMap, LocalizeInMap, MapFile, SetLocalizationOnly

TF_WAIT_S = 2.0
"""How long TF has, to say where the frame of a hint is."""
Answer = tuple[int, str]
"""A code of MapStatus, and a sentence."""


def keep_map(node: SlamNode, options: MapOptions, frames: FrameConfig) -> MapServer:
    """Return the map of a node, with its services.

    :raises MapError: when its file cannot be used.
    """
    server = MapServer(node, options, frames)
    MapServices(node, server, options, frames)
    return server


class MapServices:
    """Serves ``superslam/map/...`` and listens to ``initialpose``; what they ask for is done on the map's thread."""

    def __init__(self, node: SlamNode, server: MapServer, options: MapOptions, frames: FrameConfig) -> None:
        """Offer the services."""
        self._node, self._server, self._options, self._frames = node, server, options, frames
        self._transforms: TransformListener | None = None
        for name, kind, do in (
            ('save', MapFile, self._save), ('load', MapFile, self._load),
            ('merge', MapFile, self._merge), ('localize', LocalizeInMap, self._localize),
            ('clear', ClearMap, self._clear), ('set_localization_only', SetLocalizationOnly, self._set_mode),
        ):
            node.create_service(kind, f'superslam/map/{name}', self._answering(do))
        node.create_subscription(PoseWithCovarianceStamped, 'initialpose', self._take_initial_pose, 10)

    def _save(self, request: MapFile.Request) -> Answer:
        return MapStatus.OK, self._server.save(self._path(request, self._options.path))

    @staticmethod
    def _path(request: MapFile.Request, otherwise: str = '') -> str:
        """Return the file of a request.

        :raises MapError: when there is none.
        """
        if not request.path and not otherwise:
            raise MapError('no path was given: name the file of a map')
        return request.path or otherwise

    def _answering(self, do: Callable[[Any], Answer]) -> Callable[[Any, Any], Any]:
        """Return a service's callback, which waits for the thread of the map without keeping others from theirs."""
        def safely(request: Any) -> Answer:
            try:
                return do(request)
            except MapError as error:
                return MapStatus.BAD_FILE, str(error)

        async def answer(request: Any, response: Any) -> Any:
            if getattr(request, 'has_hint', False):
                self._listen_for(request.hint)
            future = Future(executor=self._node.executor)
            self._server.ask(lambda: safely(request), future)
            response.code, response.message = await future
            response.success = response.code == MapStatus.OK
            self._say(response.code, response.message)
            return response

        return answer

    def _say(self, code: int, text: str) -> None:
        if code == MapStatus.OK:        # on two lines: rclpy remembers which severity each of them has
            self._node.get_logger().info(text)
        else:
            self._node.get_logger().warning(text)

    def _load(self, request: MapFile.Request) -> Answer:
        path = self._path(request, self._options.path)
        kept = storage.load(path)
        self._server.begin(kept, path)
        return MapStatus.OK, f'{path}: loaded with {len(kept)} keyframes; looking for the camera in it'

    def _merge(self, request: MapFile.Request) -> Answer:
        kept = self._server.mapper.map
        if not len(kept):
            return MapStatus.NO_MAP, 'there is no map to merge it into: load it'
        answer = merging.merge(kept, storage.load(self._path(request)), self._server.mapper.localizer)
        if isinstance(answer, Refusal):
            return int(answer.reason), f'{request.path}: not merged: {answer.text}'
        self._server.changed()
        return MapStatus.OK, f'{request.path}: merged; {len(kept)} keyframes now'

    def _localize(self, request: LocalizeInMap.Request) -> Answer:
        if request.has_hint:
            return self._hint(request.hint)
        return self._look_anew(None, 'everywhere in the map')

    def _clear(self, _: ClearMap.Request) -> Answer:
        self._server.begin(Map(), '')
        return MapStatus.OK, 'the map is empty'

    def _set_mode(self, request: SetLocalizationOnly.Request) -> Answer:
        self._server.mode = self._server.mapper.mode = 'localize' if request.localization_only else 'build'
        return MapStatus.OK, 'the map is only read from now on' if request.localization_only else \
            'keyframes are added to the map from now on'

    # --- where the camera may be ------------------------------------------------------------------

    def _look_anew(self, hint: np.ndarray | None, where: str) -> Answer:
        """Look for the camera with the last keyframe and the next ones; ``hint``: T_map_camera (4, 4)."""
        if not len(self._server.mapper.map):
            return MapStatus.NO_MAP, 'the map has no keyframes: load one'
        self._server.mapper.forget(hint)
        self._server.changed()
        self._server.look_again()
        if self._server.mapper.T_map_odom is not None:
            return MapStatus.OK, 'the camera has been found'
        return MapStatus.OK, f'the camera is looked for {where}, from the next keyframe on'

    def _hint(self, hint: PoseWithCovarianceStamped) -> Answer:
        """Look near a pose of the odometry's frame."""
        frame = hint.header.frame_id.lstrip('/') or self._options.frame
        T_map_frame = self._map_from(frame)
        if T_map_frame is None:
            return MapStatus.REFUSED, (f'hint: TF does not connect its frame {frame!r} with {self._options.frame!r}; '
                                       f'give it in {self._options.frame!r}')
        try:
            T_frame_child = pose_from(hint.pose.pose)
        except ValueError as error:
            return MapStatus.REFUSED, f'hint: {error}; (0, 0, 0, 1) is no turn'
        if not np.isfinite(T_frame_child).all():
            return MapStatus.REFUSED, 'hint: it holds NaN or infinity'
        return self._look_anew(T_map_frame @ T_frame_child @ self._server.child_camera(),
                               'near the hint, then everywhere')

    def _map_from(self, frame: str) -> np.ndarray | None:
        """Return T_map_frame (4, 4), by what has been found last, and by TF."""
        if frame == self._options.frame:
            return np.eye(4)
        T_map_odom = self._server.mapper.T_map_odom
        if frame == self._frames.odom_frame:
            return T_map_odom
        end = time.monotonic() + TF_WAIT_S
        while self._transforms is not None and time.monotonic() < end:
            T = self._transforms.lookup(self._options.frame, frame)
            if T is None and T_map_odom is not None:
                T_odom_frame = self._transforms.lookup(self._frames.odom_frame, frame)
                T = None if T_odom_frame is None else T_map_odom @ T_odom_frame
            if T is not None:
                return T
            time.sleep(0.05)
        return None

    def _listen_for(self, hint: PoseWithCovarianceStamped) -> None:
        """Listen to TF where a hint is in a frame of others; not always, for a robot's TF is a lot to parse."""
        known = '', self._options.frame, self._frames.odom_frame
        if self._transforms is None and hint.header.frame_id.lstrip('/') not in known:
            self._transforms = TransformListener(self._node)

    def _take_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        self._listen_for(message)
        self._server.ask(lambda: self._say(*self._hint(message)))
