"""What the nodes listen to: the messages of one frame brought together, and calibrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from superslam_ros import conversions
from superslam_ros.data import Camera
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.handover import Inlet
from superslam_ros.sync import Stamped, Synchronizer

COMPANION_WAIT_NS = 500_000_000
"""How long a message waits for what belongs to it; by the wall, for the clock of a bag may stop or jump."""


class FrameInputs:
    """Brings the messages of one frame together, by their stamps, and hands them to the node's worker."""

    def __init__(
        self, node: SlamNode, main: str, companions: Sequence[str], tolerance_ns: int,
        wait_ns: int = COMPANION_WAIT_NS,
    ) -> None:
        """Begin with empty queues; frames go to the node's worker."""
        self._node, self._main, self.tolerance_ns = node, main, tolerance_ns
        self._synchronizer, self._lock = Synchronizer(companions, tolerance_ns, wait_ns), threading.Lock()
        self._inlets: list[Inlet] = []
        self._closed = False

    def subscribe(self, name: str, kind: type, topic: str, qos: QoSProfile) -> None:
        """Take the messages of a topic as the channel ``name``."""
        self._inlets.append(Inlet(self._node, kind, topic, qos, lambda item: self._receive(name, item)))

    def close(self) -> None:
        """Take nothing more, not even what another node of this process is just handing over."""
        for inlet in self._inlets:
            inlet.close()
        with self._lock:
            self._closed = True

    def _receive(self, name: str, message: Any) -> None:
        stamp = conversions.stamp_ns(message.header.stamp)
        if stamp <= 0:
            self._node.skip('zero stamp', f'{name}: the stamp is zero or negative; the driver must set header.stamp')
            return
        with self._lock:    # what is handed over comes on another thread than messages
            if self._closed:
                return
            stamped = Stamped(stamp, time.monotonic_ns(), message)
            if name == self._main:
                found = self._synchronizer.add_main(stamped)
            else:
                found = self._synchronizer.add_companion(name, stamped)
            for bundle in found:
                self._node.worker.offer(bundle)


class ImageInputs(FrameInputs):
    """The image topics of a node: bundles of left, right and depth images."""

    def __init__(self, node: SlamNode, with_depth: bool = True) -> None:
        """Subscribe to what the node's mode asks for."""
        topics = node.topics
        companions = {'stereo': ['right/image'], 'rgbd': ['depth'] if with_depth else []}.get(topics.mode, [])
        super().__init__(node, 'image', companions, topics.tolerance_ns)
        for name in ['image', *companions]:
            if name == 'depth':
                subscribe_depth(self, node)
            elif topics.transport == 'compressed':
                self.subscribe(name, CompressedImage, f'{name}/compressed', node.sensor_qos())
            else:
                self.subscribe(name, Image, name, node.sensor_qos())


def warn_of_unregistered(node: SlamNode, image_frame: str, depth_frame: str) -> None:
    """Say once that the depth seems not to be registered to the image."""
    problem = conversions.unregistered(image_frame, depth_frame)
    if problem:
        node.get_logger().warning(problem, once=True)


def subscribe_depth(inputs: FrameInputs, node: SlamNode, waiting: int = 5) -> None:
    """Take the depth image's topic as channel ``depth``."""
    compressed = node.topics.depth_transport == 'compressed'
    kind, topic = (CompressedImage, 'depth/compressedDepth') if compressed else (Image, 'depth')
    inputs.subscribe('depth', kind, topic, node.sensor_qos(waiting))


class CameraInputs:
    """The calibrations of a node: the last valid camera_info of each camera."""

    def __init__(self, node: SlamNode, rectified: bool) -> None:
        """Subscribe to camera_info, and right/camera_info in stereo mode."""
        self._node, self._rectified = node, rectified
        self._cameras: dict[str, Camera] = {}
        for name in ['camera_info', *(['right/camera_info'] if node.topics.mode == 'stereo' else [])]:
            node.create_subscription(
                CameraInfo, name, lambda message, name=name: self._receive(name, message), node.sensor_qos())

    @property
    def camera(self) -> Camera | None:
        """The left (or only) camera."""
        return self._cameras.get('camera_info')

    @property
    def right_camera(self) -> Camera | None:
        """The right camera."""
        return self._cameras.get('right/camera_info')

    def _receive(self, name: str, message: CameraInfo) -> None:
        try:
            self._cameras[name] = conversions.camera(message, self._rectified)
        except ValueError as error:
            self._node.skip('camera_info', f'{name}: {error}')
