"""What the nodes listen to: the messages of one frame brought together, and calibrations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from superslam_ros import conversions
from superslam_ros.data import JUMP_BACK_NS, Camera, Motion
from superslam_ros.nodes.reporting import graph
from superslam_ros.nodes.reporting.diagnostics import STEADY
from superslam_ros.nodes.reporting.graph import Channel
from superslam_ros.nodes.shared.base import LATCHED, SlamNode
from superslam_ros.nodes.topics.handover import Inlet
from superslam_ros.slam import MotionEstimator
from superslam_ros.slam.checks import SkippedFrame
from superslam_ros.sync import Bundle, RateLimit, Stamped, Synchronizer, apart

COMPANION_WAIT_NS = 500_000_000
"""How long a message waits for what belongs to it; by the wall, for the clock of a bag may stop or jump."""
LOOK_S = 0.3
"""How often it is looked whether a camera_info is latched."""


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
        self._channels: dict[str, Channel] = {}
        self._sensors: set[str] = set()
        self._rate = RateLimit(node.topics.max_rate)
        self._closed = False

    def subscribe(self, name: str, kind: type, topic: str, qos: QoSProfile, sensor: bool = False) -> None:
        """Take the messages of a topic as the channel ``name``.

        :param sensor: whether they come from a camera, whose stamps and rate the node's parameters may change.
        """
        if sensor:
            self._sensors.add(name)
        self._channels[name] = self._node.channels[name] = Channel.of(self._node, topic, kind, qos)
        self._inlets.append(Inlet(self._node, kind, topic, qos, lambda item: self._receive(name, item)))

    def close(self) -> None:
        """Take nothing more, not even what another node of this process is just handing over."""
        for inlet in self._inlets:
            inlet.close()
        with self._lock:
            self._closed = True

    def read(self, convert: Callable[[Any], np.ndarray], name: str, message: Any) -> np.ndarray:
        """Return the image of a message of the channel ``name``.

        :raises SkippedFrame: naming the topic, when it cannot be read.
        """
        try:
            return convert(message)
        except conversions.ConversionError as error:
            raise SkippedFrame(f'{name} not readable', f'{self._topic(name)}: {error}') from error

    def why_incomplete(self, bundle: Bundle, name: str) -> str:
        """Return why a frame has no message of the channel ``name``: what the graph or the stamps tell."""
        within = f' within {self.tolerance_ns / 1e6:g} ms (sync_tolerance)' if self.tolerance_ns else ''
        without = f'no {name}{within} of a frame of {self._topic(self._main)}'
        reason = graph.why_missing(self._node, self._channels[name])
        off_ns = bundle.off_ns.get(name)
        if not reason and off_ns is None:
            heard = self._channels[name].count
            reason = f'what comes on {self._topic(name)} comes too late, or with gaps' if heard else \
                f'nothing has come on {self._topic(name)} yet'
        elif not reason:
            reason = f'the nearest on {self._topic(name)} is {apart(off_ns)}'
        return f'{without}: {reason}'

    def _topic(self, name: str) -> str:
        return self._channels[name].topic

    def _receive(self, name: str, message: Any) -> None:
        channel = self._channels[name]
        stamp = self._stamp_ns(name, message)
        if stamp <= 0:
            self._node.skip('zero stamp', f'{channel.topic}: the stamp is zero or negative; the driver must set '
                            'header.stamp')
            return
        back = channel.stamp_ns - stamp >= JUMP_BACK_NS and not channel.quiet
        if back and graph.mixtures(self._node, [channel]):
            # Time does not begin anew while what came before goes on: there are two clocks.
            self._node.skip('several publishers', lambda: (
                f'{"; ".join(graph.mixtures(self._node, self._node.channels.values()))}: the older of their stamps '
                'are passed over'))
            return
        channel.hear(stamp)
        if name == self._main and name in self._sensors and not self._rate.passes(stamp):
            self._node.skipped['above max_rate'] += 1
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


    def _stamp_ns(self, name: str, message: Any) -> int:
        topics = self._node.topics
        if name not in self._sensors:
            return conversions.stamp_ns(message.header.stamp)
        stamp_ns = self._node.get_clock().now().nanoseconds if topics.receive_time else \
            conversions.stamp_ns(message.header.stamp)
        return stamp_ns + round(topics.stamp_offset * 1e9) if stamp_ns > 0 else stamp_ns


class ImageInputs(FrameInputs):
    """The image topics of a node: bundles of left, right and depth images, and of masks."""

    def __init__(self, node: SlamNode, with_depth: bool = True) -> None:
        """Subscribe to what the node's mode asks for."""
        topics = node.topics
        companions = {'stereo': ['right/image'], 'rgbd': ['depth'] if with_depth else []}.get(topics.mode, [])
        companions += ['mask'] if topics.masked else []
        super().__init__(node, 'image', companions, topics.tolerance_ns)
        for name in ['image', *companions]:
            subscribe_image(self, node, name)


def subscribe_image(inputs: FrameInputs, node: SlamNode, name: str, waiting: int = 5) -> None:
    """Take an image's topic as channel ``name``: image, right/image, depth or mask."""
    depth = name == 'depth'
    compressed = (node.topics.depth_transport if depth else node.topics.transport) == 'compressed' and name != 'mask'
    topic = beside(node, name, 'compressedDepth' if depth else 'compressed') if compressed else name
    inputs.subscribe(name, CompressedImage if compressed else Image, topic, node.sensor_qos(waiting), sensor=True)


def beside(node: SlamNode, name: str, transport: str) -> str:
    """Return the topic of a transport: remapped by itself, or beside what ``name`` is remapped to."""
    topic = f'{name}/{transport}'
    if node.resolve_topic_name(topic) != node.resolve_topic_name(topic, only_expand=True):
        return topic
    return f'{node.resolve_topic_name(name)}/{transport}'


def doubts(node: SlamNode, motion: Motion, estimator: MotionEstimator) -> str:
    """Return what to say of poses that should be in metres and are not, or whose metres are doubtful; or nothing."""
    if motion.metric or node.topics.mode == 'mono':
        off = estimator.beyond_plane
        return estimator.disparity.problem or (f'{off} poses were not in the plane of odometry.two_d' if off else '')
    return f'no scale: {estimator.no_depth or "no depth has been found in an image yet"}'


def warn_of_unregistered(node: SlamNode, image_frame: str, depth_frame: str) -> None:
    """Say once that the depth seems not to be registered to the image."""
    problem = conversions.unregistered(image_frame, depth_frame)
    if problem:
        node.get_logger().warning(problem, once=True)


class InfoInput:
    """A camera_info, whether it is published with every image, or once and latched.

    What was latched before is sent to transient-local subscriptions only, and those hear no volatile publisher, which
    would warn of them. So there is one of each kind while someone latches; what is sent anew then comes twice, which
    changes nothing.
    """

    def __init__(self, node: SlamNode, name: str, take: Callable[[CameraInfo], None]) -> None:
        """Subscribe."""
        qos = node.sensor_qos()
        self._node, self._take, self._latched = node, take, None
        self.channel = node.channels[name] = Channel.of(node, name, CameraInfo, qos, lasting=True)
        node.create_subscription(CameraInfo, name, self._receive, qos)
        node.create_timer(LOOK_S, self._look, clock=STEADY)

    def _receive(self, message: CameraInfo) -> None:
        self.channel.hear(conversions.stamp_ns(message.header.stamp))
        self._take(message)

    def _look(self) -> None:
        """Adapt to the publishers that there are now."""
        latched = graph.is_latched(self._node, self.channel)
        if latched and self._latched is None:
            with self._node.of_activating.recorded():
                self._latched = self._node.create_subscription(CameraInfo, self.channel.name, self._receive, LATCHED)
        elif not latched and self._latched is not None:
            self._node.destroy_subscription(self._latched)
            self._latched = None


class Infos:
    """The camera_info of a node as they come: the last of each camera."""

    def __init__(self, node: SlamNode, single: bool = False) -> None:
        """Subscribe to camera_info, and to right/camera_info in stereo mode, but for nodes of a ``single`` image."""
        self._node, self._found, self._problems = node, {}, {}
        stereo = node.topics.mode == 'stereo' and not single
        self._names = ['camera_info', *(['right/camera_info'] if stereo else [])]
        for name in self._names:
            InfoInput(node, name, lambda message, name=name: self._receive(name, message))

    @property
    def complete(self) -> bool:
        """Whether every camera has one."""
        return all(name in self._found for name in self._names)

    @property
    def left(self) -> Any:
        """That of the left (or only) camera, or None."""
        return self._found.get('camera_info')

    @property
    def right(self) -> Any:
        """That of the right camera, or None."""
        return self._found.get('right/camera_info')

    def why_incomplete(self) -> str:
        """Return why a camera has none."""
        reasons = []
        for name in self._names:
            channel = self._node.channels[name]
            if name not in self._found:
                reasons.append(self._problems.get(name) or graph.why_missing(self._node, channel)
                               or f'nothing has come on {channel.topic} yet')
        return f'no valid {" and ".join(name for name in self._names if name not in self._found)}: {"; ".join(reasons)}'

    def _receive(self, name: str, message: CameraInfo) -> None:
        self._found[name] = message


class CameraInputs(Infos):
    """The calibrations of a node: the last valid camera_info of each camera, as a :class:`Camera`."""

    def __init__(self, node: SlamNode, rectified: bool, single: bool = False) -> None:
        """Subscribe; ``rectified`` is what the images are."""
        self._rectified = rectified
        super().__init__(node, single)

    def _receive(self, name: str, message: CameraInfo) -> None:
        topic, before = self._node.channels[name].topic, self._found.get(name)
        try:
            camera: Camera = conversions.camera(message, self._rectified)
        except ValueError as error:
            self._problems[name] = f'{topic}: {error}'
            self._node.skip('camera_info', self._problems[name])
            return
        same = before is not None and before.same(camera)
        if before is not None and not same:
            self._node.reports.warn(f'{name} changes', f'{topic}: the calibration changes')
        self._found[name] = camera
        problem = conversions.off_centre(camera)
        if problem and not same:
            self._node.reports.warn(f'{name} off centre', f'{topic}: {problem}')
