"""An inertial measurement unit from its topic, of a frame whose place TF knows."""

from __future__ import annotations

import threading

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Imu as ImuMsg

from superslam_ros.conversions import frame_id
from superslam_ros.messages import imu_of
from superslam_ros.node_config import FrameConfig, ImuOptions
from superslam_ros.nodes.reporting.reports import REPORT_S
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.guess import WAIT_S
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.tracking.prediction import Relative

DEPTH = 400
"""Messages that may wait: two seconds at 200 Hz."""
PATIENCE_NS = 5_000_000_000
"""The first frame of odom waits so long for what is up, by the stamps of the images."""


def imu_input(node: SlamNode, options: ImuOptions, frames: FrameConfig) -> ImuInput | None:
    """Return the IMU that a node is to have."""
    return ImuInput(node, options, frames) if options.enabled else None


class ImuInput(Imu):
    """An IMU that listens; messages come on one thread, and it is asked on others.

    :ivar lacking: what a first frame has waited for, in words; nothing once one was ready.
    """

    def __init__(self, node: SlamNode, options: ImuOptions, frames: FrameConfig) -> None:
        """Subscribe."""
        self._node, self._frames, self._frame, self._said_unplaced = node, frames, '', False
        self._changed, self.lacking = threading.Condition(), ''
        self._waits_since_ns: int | None = None
        self._gave_up = False
        super().__init__(options)
        self._transforms = TransformListener(node)
        # Best effort hears every publisher.
        node.create_subscription(ImuMsg, 'imu', self._receive, QoSProfile(
            depth=DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT))

    def ready(self, camera_frame: str, stamp_ns: int) -> bool:
        """Return whether odom may begin with a frame: it can begin level, or has waited long enough for that.

        That is said once; later beginnings do not wait for what did not come before.
        """
        if self._gave_up or not self.config.gravity:
            return True
        self._place(camera_frame)
        self.lacking = self._what_lacks(camera_frame, stamp_ns)
        if not self.lacking:
            self._waits_since_ns = None
            return True
        self._waits_since_ns = min(stamp_ns, self._waits_since_ns or stamp_ns)
        if stamp_ns - self._waits_since_ns < PATIENCE_NS:
            return False
        self._gave_up = self._said_unplaced = True
        self._node.get_logger().warning(
            f'odom begins without being levelled by the IMU, after {PATIENCE_NS * 1e-9:.0f} s: '
            f'{self.lacking}; then call {self._node.resolve_service_name("~/reset")}, or set imu.enabled: false')
        return True

    def _what_lacks(self, camera_frame: str, stamp_ns: int) -> str:
        """Return what is missing to know what is up at a frame, and the remedy."""
        topic = self._node.resolve_topic_name('imu')
        with self._changed:
            self._wait_for(stamp_ns)
            if not self._frame:
                return f'no message has come on {topic}: start the driver of the IMU, or remap the topic imu'
            if self.T_imu_camera is None:
                return (f'TF does not connect the frame {self._frame!r} of {topic} with the camera '
                        f'{self._frames.camera_frame or camera_frame!r}: publish it, such as with '
                        'static_transform_publisher of tf2_ros')
            if not self.covers(stamp_ns):
                return (f'{topic} has no messages around the image at {stamp_ns * 1e-9:.3f} s, the last is of '
                        f'{self.last_ns * 1e-9:.3f} s: have both stamped by the same clock')
        return ''

    def _place(self, camera_frame: str) -> None:
        """Ask TF where the camera is on the unit, as long as that is not known."""
        if self.T_imu_camera is not None or not self._frame:
            return
        mount = self._transforms.lookup(self._frame, frame_id(self._frames.camera_frame or camera_frame))
        if mount is not None:
            with self._changed:
                self.T_imu_camera = mount
            self._transforms.close()

    def look(self, camera_frame: str) -> None:
        """Find out where the camera is on the unit, before a frame of it."""
        self._place(camera_frame)
        if self.T_imu_camera is not None:
            return
        camera_frame = self._frames.camera_frame or camera_frame
        if self._frame and not self._said_unplaced:
            self._said_unplaced = True
            self._node.get_logger().warning(
                f'the IMU is of no use yet: TF does not connect its frame {self._frame!r} with the camera '
                f'{camera_frame!r}; publish it, such as with static_transform_publisher of tf2_ros')
        elif not self._frame and not self._gave_up:
            self._node.get_logger().warning(f'no IMU message has come yet: {self._node.resolve_topic_name("imu")}',
                                            throttle_duration_sec=REPORT_S)

    def values(self) -> dict[str, str]:
        """Return what diagnostics say of it."""
        with self._changed:
            mean = np.array2string(self.comparison.bias.mean, precision=4, separator=' ')
            return {'imu: place': 'known' if self.T_imu_camera is not None else 'not known',
                    'imu: last stamp (s)': f'{self.last_ns * 1e-9:.3f}', 'imu: bias (rad/s)': mean.strip('[]'),
                    'imu: agrees with vision': 'yes' if self.comparison.believed else 'no',
                    **{f'imu: refused: {reason}': str(count) for reason, count in self.refused.items()}}

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera turned; wait a little for what is on its way."""
        with self._changed:
            self._wait_for(stamp1_ns)
            return super().between(stamp0_ns, stamp1_ns)

    def level(self, stamp_ns: int) -> tuple[np.ndarray, float] | None:
        """Return what is up, by what has come: the second after the frame is not waited for."""
        with self._changed:
            self._wait_for(stamp_ns)
            return super().level(stamp_ns)

    def up(self, metric: bool) -> tuple[np.ndarray, float] | None:
        """Return what is up at the frame that was seen last."""
        with self._changed:
            return super().up(metric)

    def see(self, stamp_ns: int, T_odom_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Compare with vision."""
        with self._changed:
            super().see(stamp_ns, T_odom_camera, covariance)

    def moved(self, T_odom_before: np.ndarray) -> None:
        """Follow a correction of odom."""
        with self._changed:
            super().moved(T_odom_before)

    def interrupt(self) -> None:
        """Vision is lost."""
        with self._changed:
            super().interrupt()

    def _wait_for(self, stamp_ns: int) -> None:
        late = stamp_ns - self.last_ns
        if self.T_imu_camera is not None and 0 < late < self.config.max_gap * 1e9:     # what has stopped is no more
            self._changed.wait_for(lambda: self.last_ns >= stamp_ns, WAIT_S)

    def _receive(self, message: ImuMsg) -> None:
        sample = imu_of(message)
        with self._changed:
            self._frame = frame_id(message.header.frame_id) or self._frame
            self.add(*sample)
            self._changed.notify_all()
