"""Node: matches (and depth) to odometry."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from superslam_ros import conversions
from superslam_ros.config import group
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.nodes.base import CameraInputs, SlamNode, run
from superslam_ros.nodes.messages import matches_from
from superslam_ros.nodes.parameters import FrameConfig, declare
from superslam_ros.nodes.publishers import RELIABLE, OdometryPublisher
from superslam_ros.slam import MotionEstimator, OdometryConfig
from superslam_ros.slam.checks import SkippedFrame, StampOrder, check_size
from superslam_ros.sync import Bundle, Stamped, Synchronizer


@dataclass(frozen=True)
class OdometryNodeConfig:
    """Options of the node."""

    odometry: OdometryConfig = group(OdometryConfig)
    frames: FrameConfig = group(FrameConfig)


class OdometryNode(SlamNode):
    """Subscribes to superslam/matches, camera_info and matches_stereo or depth; publishes superslam/odometry."""

    def __init__(self, **kwargs: Any) -> None:
        """Subscribe; ``kwargs`` go to rclpy's Node."""
        super().__init__('odometry', **kwargs)
        config = declare(self, OdometryNodeConfig)
        self.motion = MotionEstimator(config.odometry)
        self.order = StampOrder()
        self.publisher = OdometryPublisher(self, config.frames)
        self.cameras = CameraInputs(self, config.odometry.rectified)
        mode = self.topics.mode
        companions = {'stereo': ['matches_stereo'], 'rgbd': ['depth']}.get(mode, [])
        self.synchronizer = Synchronizer(companions, round(self.topics.sync_tolerance * 1e9))
        self._listen(MatchesMsg, 'superslam/matches', 'matches', RELIABLE)
        if mode == 'stereo':
            self._listen(MatchesMsg, 'superslam/matches_stereo', 'matches_stereo', RELIABLE)
        elif mode == 'rgbd':
            compressed = self.topics.transport == 'compressed'
            kind, topic = (CompressedImage, 'depth/compressed') if compressed else (Image, 'depth')
            self._listen(kind, topic, 'depth', self.sensor_qos(depth=30))

    def _listen(self, kind: type, topic: str, name: str, qos: Any) -> None:
        def receive(message: Any) -> None:
            stamped = Stamped(
                conversions.stamp_ns(message.header.stamp), self.get_clock().now().nanoseconds, message)
            main = name == 'matches'
            add = self.synchronizer.add_main(stamped) if main else self.synchronizer.add_companion(name, stamped)
            for bundle in add:
                self.worker.offer(bundle)

        self.create_subscription(kind, topic, receive, qos)

    def process(self, item: Bundle) -> None:
        """Estimate and publish the motion of one frame."""
        message = item.main.item
        temporal = matches_from(message)
        camera, right_camera = self.cameras.camera, self.cameras.right_camera
        if camera is None or (self.topics.mode == 'stereo' and right_camera is None):
            raise SkippedFrame('no calibration', 'no valid camera_info has come yet')
        check_size((message.height1, message.width1), camera, 'image')
        if self.order.jumped_back(item.main.stamp_ns):
            self.get_logger().warning('time jumped back: odometry starts over')
            self.motion.reset()
            self.publisher.reset()
        companions = {name: stamped.item for name, stamped in item.companions.items()}
        start = time.perf_counter()
        motion = self.motion.process(
            item.main.stamp_ns, temporal, camera,
            matches_from(companions['matches_stereo']) if 'matches_stereo' in companions else None, right_camera,
            conversions.depth_m(companions['depth']) if 'depth' in companions else None)
        timings_ms = {'motion': (time.perf_counter() - start) * 1e3}
        self.order.accept(item.main.stamp_ns)
        self.publisher.publish(motion, message.header.frame_id, self.motion.map, timings_ms)


def main() -> int:
    """Run the node."""
    return run(OdometryNode)


if __name__ == '__main__':
    sys.exit(main())
