"""What all nodes share: subscriptions, the worker, the handling of bad messages, start and end."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from superslam_ros import conversions
from superslam_ros.data import Camera
from superslam_ros.nodes.parameters import TopicConfig, declare, refuse_unknown
from superslam_ros.nodes.worker import LatestWorker
from superslam_ros.slam.checks import SkippedFrame
from superslam_ros.sync import Bundle, Stamped, Synchronizer

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
REPORT_S = 10.0
COMPANION_WAIT_NS = 500_000_000
"""How long a message waits for what belongs to it; by the wall, for the clock of a bag may stop or jump."""
_BAD_MESSAGE = (ValueError, RuntimeError, ArithmeticError, LookupError, cv2.error)


class SlamNode(Node):
    """A node with a worker thread: callbacks offer work, ``process`` does it, a bad message costs a log line."""

    def __init__(self, name: str, waiting: int = 1, **kwargs: Any) -> None:
        """Declare the topic parameters and start the worker.

        :param waiting: how many frames may wait for the worker; 1: the latest wins.
        :param kwargs: handed to rclpy's Node, so that a container can set context, name and parameters.
        """
        super().__init__(name, **kwargs)
        refuse_unknown(self)
        self.topics = declare(self, TopicConfig)
        self.skipped: Counter[str] = Counter()
        self._had_depth = False
        self._reset_asked = threading.Event()
        self.worker = LatestWorker(self._process_safely, self._fail, waiting)
        self._reported: tuple[int, int] = (0, 0)
        self.create_timer(REPORT_S, self._report_losses)

    def process(self, item: Bundle) -> None:
        """Do the work for one frame, on the worker's thread."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the past, on the worker's thread; for nodes that call ``listen_for_reset`` or ``offer_reset``."""
        raise NotImplementedError

    def listen_for_reset(self) -> None:
        """Reset before the next frame whenever ``superslam/reset`` says so."""
        self.create_subscription(Empty, 'superslam/reset', lambda _: self._reset_asked.set(), 10)

    def offer_reset(self) -> None:
        """Serve ``~/reset``, which tells the nodes before this one in the pipeline, too."""
        publisher = self.create_publisher(Empty, 'superslam/reset', 10)

        def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            self._reset_asked.set()
            publisher.publish(Empty())
            response.success, response.message = True, 'the next frame begins a new odometry at the origin'
            return response

        self.create_service(Trigger, '~/reset', answer)

    def destroy_node(self) -> None:
        """End the worker, then the node."""
        self.worker.stop()
        super().destroy_node()

    def skip(self, reason: str, detail: str) -> None:
        """Count something that cannot be used and say so, at most once in a while."""
        self.skipped[reason] += 1
        self.get_logger().warning(f'skipped: {detail}', throttle_duration_sec=REPORT_S)

    def sensor_qos(self, depth: int = 5) -> QoSProfile:
        """Return the QoS of subscriptions, with the reliability of the parameter."""
        best_effort = self.topics.reliability == 'best_effort'
        return QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=depth,
            reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE)

    def _process_safely(self, item: Bundle) -> None:
        if self._reset_asked.is_set():
            self._reset_asked.clear()
            self._had_depth = False
            self.get_logger().info('reset')
            self.reset()
        try:
            # Once there is a map with depth, a frame can do without.
            missing = [name for name in item.missing if name != 'depth' or not self._had_depth]
            if missing:
                raise SkippedFrame('no companion', f'no {missing[0]} within '
                                   f'{self.topics.tolerance_ns / 1e6:g} ms (sync_tolerance) of a frame')
            if item.missing:
                self.get_logger().warning('no depth comes: tracking without', throttle_duration_sec=REPORT_S)
            self._had_depth |= 'depth' in item.companions
            self.process(item)
        except _BAD_MESSAGE as error:
            self.skip(getattr(error, 'reason', type(error).__name__), str(error))

    def _fail(self) -> None:
        """End the process on a programming error: a node that only looks alive would be worse."""
        self.get_logger().fatal('internal error, see the traceback; the node ends')
        self.context.try_shutdown()

    def _report_losses(self) -> None:
        losses = self.worker.dropped, sum(self.skipped.values())
        if losses != self._reported:
            dropped, skipped = (now - before for now, before in zip(losses, self._reported))
            reasons = ', '.join(f'{count} x {reason}' for reason, count in self.skipped.most_common(3))
            self.get_logger().info(
                f'in the last {REPORT_S:.0f} s {dropped} frames were dropped because a newer one came first, '
                f'{skipped} skipped{f" (in all: {reasons})" if reasons else ""}')
            self._reported = losses


class FrameInputs:
    """Brings the messages of one frame together, by their stamps, and hands them to the node's worker."""

    def __init__(
        self, node: SlamNode, main: str, companions: Sequence[str], tolerance_ns: int,
        wait_ns: int = COMPANION_WAIT_NS,
    ) -> None:
        """Begin with empty queues; frames go to the node's worker."""
        self._node, self._main = node, main
        self._synchronizer = Synchronizer(companions, tolerance_ns, wait_ns)

    def subscribe(self, name: str, kind: type, topic: str, qos: QoSProfile) -> None:
        """Take the messages of a topic as the channel ``name``."""
        self._node.create_subscription(kind, topic, lambda message: self._receive(name, message), qos)

    def _receive(self, name: str, message: Any) -> None:
        stamp = conversions.stamp_ns(message.header.stamp)
        if stamp == 0:
            self._node.skip('zero stamp', f'{name}: the stamp is zero; the driver must set header.stamp')
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


def run(make_node: Callable[[], SlamNode], args: list[str] | None = None) -> int:
    """Spin a node until SIGINT or SIGTERM; return the exit status.

    What keeps a node from starting (missing weights, a wrong parameter) is said in one line; status 1.
    """
    rclpy.init(args=args)
    try:
        node = make_node()
    except KeyboardInterrupt:
        rclpy.try_shutdown()
        return 0
    except (ValueError, OSError, RuntimeError, rclpy.exceptions.ParameterException) as error:
        if not rclpy.ok():  # SIGTERM while it was starting
            return 0
        print(f'error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return int(node.worker.failed)
