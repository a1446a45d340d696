"""Node: features, matches and depth to odometry."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from rclpy.qos import QoSProfile

from superslam_ros import conversions
from superslam_ros.config import group
from superslam_ros.data import Camera, Features, Matches
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.node_config import FrameConfig, GuessOptions, ImuOptions
from superslam_ros.nodes.reporting import story
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.guess import guess_of
from superslam_ros.nodes.topics.imu import imu_input
from superslam_ros.nodes.topics.inputs import (
    CameraInputs,
    FrameInputs,
    doubts,
    subscribe_image,
    warn_of_unregistered,
)
from superslam_ros.nodes.topics.messages import features_from, matches_from
from superslam_ros.nodes.topics.publishers import KeyframePublisher, OdometryPublisher
from superslam_ros.nodes.topics.reset_service import offer_reset_to_pose
from superslam_ros.slam import MotionEstimator, OdometryConfig, SmootherConfig
from superslam_ros.slam.checks import SkippedFrame, StampOrder, camera_of
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
    guess: GuessOptions = group(GuessOptions)
    imu: ImuOptions = group(ImuOptions)


class OdometryNode(SlamNode):
    """Subscribes to superslam/features and matches, camera_info, matches_stereo or depth; publishes odometry."""

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('odometry', OdometryNodeConfig, waiting=QUEUE, **kwargs)

    def configure(self, config: OdometryNodeConfig) -> None:
        """Begin without a map, and advertise."""
        self.motion = MotionEstimator(config.odometry, config.smoother)
        self._asked = False
        self.order = StampOrder(jump_ahead_ns=math.inf)     # superglue_node looks at that
        self.guess = self.motion.predictor = guess_of(self, config.guess, config.frames)
        self.imu = self.motion.imu = imu_input(self, config.imu, config.frames)
        self.monitor.more = dict if self.imu is None else self.imu.values
        self.publisher = OdometryPublisher(self, config.frames, self.guess)
        self.keyframes = KeyframePublisher(self, self.motion)
        self.offer_reset()
        offer_reset_to_pose(self, self.publisher)

    def release(self) -> None:
        """Let go of the map."""
        self.motion = None

    def describe(self) -> str:
        """Return the smoother."""
        return story.of_motion(self.motion)

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
            subscribe_image(self.inputs, self, 'depth', QUEUE)

    def retune(self, config: OdometryNodeConfig) -> None:
        """Take over live options."""
        self.motion.config = config.odometry

    def reset(self) -> None:
        """Forget the map, the path and what waits."""
        self.held.clear()
        self.motion.reset()
        self.order.reset()
        self.publisher.reset()
        self._asked = False

    def process(self, item: Bundle) -> None:
        """Estimate and publish the motion of a frame, and before it of those that waited for the camera_info."""
        self.held.append(item)
        if not self.cameras.complete:
            self.reports.warn('no calibration', lambda: f'matches wait: {self.cameras.why_incomplete()}')
            return
        frame_id = item.main.item.header.frame_id
        start = self.publisher.start(frame_id)
        if start is None:
            return
        self.motion.T_base_camera = self.publisher.T_base_camera
        self.motion.begin_at(start)
        if self.guess is not None:
            self.guess.look(frame_id)
        while self.held:
            self.worker.interrupt()
            frame = self.held.popleft()
            self._look_at_time(frame.main.stamp_ns)
            if self.imu is not None:
                if self.motion.dynamics.stamp_ns is None:
                    if not self.imu.ready(frame_id, item.main.stamp_ns):
                        self.held.appendleft(frame)
                        self.reports.warn('no IMU', lambda: f'matches wait for the IMU: {self.imu.lacking}')
                        return
                    if not self.imu.ready(frame_id, frame.main.stamp_ns):       # from before its first messages
                        self.skip('no IMU', f'odom begins with the IMU: {self.imu.lacking}')
                        continue
                self.imu.look(frame_id)
            self._estimate(frame, self.cameras.left, self.cameras.right)

    def _look_at_time(self, stamp_ns: int) -> None:
        """Start over where time jumps back."""
        if self.order.jumped_back(stamp_ns):
            self.get_logger().warning('time jumped back: odometry starts over')
            self.motion.reset()
            self.order.reset()
            self.publisher.reset()

    def _estimate(self, item: Bundle, camera: Camera, right_camera: Camera | None) -> None:
        message = item.main.item
        temporal = matches_from(message)
        if item.companions['features'].stamp_ns != item.main.stamp_ns:
            raise SkippedFrame('no features', self.inputs.why_incomplete(item, 'features'))
        companions = {name: stamped.item for name, stamped in item.companions.items()}
        features = features_from(companions['features'])
        temporal = self._from_known(temporal, features)
        shape = features.image_size[::-1]
        camera = camera_of(shape, camera, 'image')
        right_camera = right_camera and camera_of(shape, right_camera, 'right image')
        depth_m = None
        if 'depth' in companions:
            warn_of_unregistered(self, message.header.frame_id, companions['depth'].header.frame_id)
            depth_m = self.inputs.read(conversions.depth_m, 'depth', companions['depth'])
        with timed({}, 'motion') as timings_ms:
            motion = self.motion.process(
                features, temporal, camera,
                matches_from(companions['matches_stereo']) if 'matches_stereo' in companions else None, right_camera,
                depth_m)
        self.order.accept(item.main.stamp_ns)
        self.publisher.publish(motion, message.header.frame_id, self.motion.map, timings_ms)
        self.keyframes.publish(message.header.frame_id)
        self.monitor.took(item.main, timings_ms, motion.state, doubts(self, motion, self.motion))

    def _from_known(self, matches: Matches, features: Features) -> Matches:
        """Return matches that the map can begin with, if it has not begun yet.

        Those of frames that had to wait for depth, or that came before this node, refer to a keyframe that it has not.

        :raises SkippedFrame: for such; the matcher is asked, once, for a keyframe of its own.
        """
        if self.motion.map.keyframes or matches.stamp0_ns == matches.stamp1_ns:
            self._asked = False
            return matches
        if matches.keyframe:
            nothing = Matches.of(features, features, [], [])
            return replace(nothing, stamp0_ns=matches.stamp1_ns, stamp1_ns=matches.stamp1_ns, keyframe=True)
        if not self._asked:
            self.reset_others()
            self._asked = True
        raise SkippedFrame('no keyframe', 'its matches refer to a keyframe that came before the map could begin; '
                           'superglue_node is asked for a new one')


def main() -> int:
    """Run the node."""
    return run(OdometryNode)
