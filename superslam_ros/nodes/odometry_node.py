"""Node: features, matches and depth to odometry."""

from __future__ import annotations

import math
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any

from rclpy.qos import QoSProfile

from superslam_ros import conversions
from superslam_ros.config import group
from superslam_ros.data import Camera
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.node_config import FrameConfig
from superslam_ros.nodes.shared.base import REPORT_S, SlamNode
from superslam_ros.nodes.shared.inputs import CameraInputs, FrameInputs, subscribe_depth, warn_of_unregistered
from superslam_ros.nodes.shared.messages import features_from, matches_from
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.shared.publishers import OdometryPublisher
from superslam_ros.slam import MotionEstimator, OdometryConfig, SmootherConfig
from superslam_ros.slam.checks import SkippedFrame, StampOrder, check_size
from superslam_ros.slam.odometry import timed
from superslam_ros.sync import Bundle

QUEUE = 50
"""Matches are not dropped for newer ones: each may begin a keyframe that the following ones refer to."""
MATCHES = QoSProfile(depth=QUEUE)
WAIT_NS = 2_000_000_000
"""Depth images come long before the matches of their frame, where the networks are slow."""


@dataclass(frozen=True)
class OdometryNodeConfig:
    """Options of the node."""

    odometry: OdometryConfig = group(OdometryConfig)
    smoother: SmootherConfig = group(SmootherConfig)
    frames: FrameConfig = group(FrameConfig)


class OdometryNode(SlamNode):
    """Subscribes to superslam/features and matches, camera_info, matches_stereo or depth; publishes odometry."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('odometry', OdometryNodeConfig, waiting=QUEUE, **kwargs)

    def configure(self, config: OdometryNodeConfig) -> None:
        """Begin without a map, and advertise."""
        self.motion = MotionEstimator(config.odometry, config.smoother)
        self.order = StampOrder(jump_ahead_ns=math.inf)     # superglue_node looks at that
        self.publisher = OdometryPublisher(self, config.frames)
        self.offer_reset()

    def release(self) -> None:
        """Let go of the map."""
        self.motion = None

    def listen(self) -> None:
        """Subscribe to features, matches, calibrations and depth."""
        self.cameras = CameraInputs(self, self.motion.config.rectified)
        self.held: deque[Bundle] = deque(maxlen=QUEUE)
        mode = self.topics.mode
        companions = ['features', *{'stereo': ['matches_stereo'], 'rgbd': ['depth']}.get(mode, [])]
        self.inputs = FrameInputs(self, 'matches', companions, self.topics.tolerance_ns, WAIT_NS)
        self.inputs.subscribe('matches', MatchesMsg, 'superslam/matches', MATCHES)
        self.inputs.subscribe('features', FeaturesMsg, 'superslam/features', MATCHES)
        if mode == 'stereo':
            self.inputs.subscribe('matches_stereo', MatchesMsg, 'superslam/matches_stereo', MATCHES)
        elif mode == 'rgbd':
            subscribe_depth(self.inputs, self, QUEUE)

    def retune(self, config: OdometryNodeConfig) -> None:
        """Take over live options."""
        self.motion.config = config.odometry

    def reset(self) -> None:
        """Forget the map, the path and what waits."""
        self.held.clear()
        self.motion.reset()
        self.order.reset()
        self.publisher.reset()

    def process(self, item: Bundle) -> None:
        """Estimate and publish the motion of a frame, and before it of those that waited for the camera_info."""
        self.held.append(item)
        camera, right_camera = self.cameras.camera, self.cameras.right_camera
        if camera is None or (self.topics.mode == 'stereo' and right_camera is None):
            self.get_logger().warning(
                'matches wait for a valid camera_info' + (' of both cameras' if self.topics.mode == 'stereo' else ''),
                throttle_duration_sec=REPORT_S)
            return
        start = self.publisher.start(item.main.item.header.frame_id)
        if start is None:
            return
        self.motion.begin_at(start)
        while self.held:
            self._estimate(self.held.popleft(), camera, right_camera)

    def _estimate(self, item: Bundle, camera: Camera, right_camera: Camera | None) -> None:
        message = item.main.item
        temporal = matches_from(message)
        if self.order.jumped_back(item.main.stamp_ns):
            self.get_logger().warning('time jumped back: odometry starts over')
            self.motion.reset()
            self.publisher.reset()
        if item.companions['features'].stamp_ns != item.main.stamp_ns:
            raise SkippedFrame('no features', 'the features of these matches have not come')
        companions = {name: stamped.item for name, stamped in item.companions.items()}
        features = features_from(companions['features'])
        check_size(features.image_size[::-1], camera, 'image')
        if 'depth' in companions:
            warn_of_unregistered(self, message.header.frame_id, companions['depth'].header.frame_id)
        with timed({}, 'motion') as timings_ms:
            motion = self.motion.process(
                features, temporal, camera,
                matches_from(companions['matches_stereo']) if 'matches_stereo' in companions else None, right_camera,
                conversions.depth_m(companions['depth']) if 'depth' in companions else None)
        self.monitor.took(timings_ms, motion.state)
        self.order.accept(item.main.stamp_ns)
        self.publisher.publish(motion, message.header.frame_id, self.motion.map, timings_ms)


def main() -> int:
    """Run the node."""
    return run(OdometryNode)


if __name__ == '__main__':
    sys.exit(main())
