"""Node: images to odometry in one process; the stages hand over objects, messages are made for listeners only.

The keypoints of the next frame are found while this one is matched and tracked.
"""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import conversions
from superslam_ros.data import Frame
from superslam_ros.node_config import NodeConfig
from superslam_ros.nodes.reporting import story
from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.topics.guess import guess_of
from superslam_ros.nodes.topics.imu import imu_input
from superslam_ros.nodes.topics.inputs import CameraInputs, ImageInputs, doubts, warn_of_unregistered
from superslam_ros.nodes.topics.map_services import keep_map
from superslam_ros.nodes.topics.maps import MapServer
from superslam_ros.nodes.topics.publishers import (
    FeaturePublisher,
    KeyframePublisher,
    MatchPublisher,
    OdometryPublisher,
    OverlayPublisher,
)
from superslam_ros.nodes.topics.reset_service import offer_reset_to_pose
from superslam_ros.slam import VisualOdometry
from superslam_ros.slam.checks import SkippedFrame
from superslam_ros.slam.odometry import Extracted
from superslam_ros.sync import Bundle, Stamped
from superslam_ros.viewer import Viewer


@dataclass
class Begun:
    """A frame between the halves of the work: ``frame_ids`` of its messages; where the first one's camera is."""

    image: Stamped
    extracted: Extracted
    frame_ids: list[str]
    T_odom_camera: np.ndarray


class SuperSlamNode(SlamNode):
    """Subscribes to images, camera_info and depth; publishes everything that the single nodes do."""

    map: MapServer | None = None
    viewer: Viewer | None = None

    def __init__(self, **kwargs: Any) -> None:
        """Start as a managed node; ``kwargs`` go to rclpy's Node."""
        super().__init__('superslam', NodeConfig, overlapping=True, **kwargs)

    def configure(self, config: NodeConfig) -> None:
        """Load the networks and advertise."""
        self.odometry = VisualOdometry(config, interrupt=self.worker.interrupt)
        self.levels = conversions.Levels(config.extractor.black_level, config.extractor.white_level)
        self.features = FeaturePublisher(self, self.odometry.extractor.name)
        self.matches = MatchPublisher(self, config.matcher.matcher)
        self.guess = self.odometry.motion.predictor = guess_of(self, config.guess, config.frames)
        self.imu = self.odometry.motion.imu = imu_input(self, config.imu, config.frames)
        self.monitor.more = dict if self.imu is None else self.imu.values
        self.publisher = OdometryPublisher(self, config.frames, self.guess)
        self.keyframes = KeyframePublisher(self, self.odometry.motion)
        self.overlay = OverlayPublisher(self)
        self.offer_reset()
        offer_reset_to_pose(self, self.publisher)
        self.viewer = self._viewer(config.viewer)
        if config.map.mode != 'off':
            self.map = keep_map(self, config.map, config.frames)

    def release(self) -> None:
        """Let go of the networks and the maps; save the one that is kept, if that is asked for."""
        self.odometry = None
        if self.viewer is not None:
            self.viewer.close()
            self.viewer = None
        if self.map is not None:
            self.map.close()
            self.map = None

    def _viewer(self, where: str) -> Viewer | None:
        """Return the viewer that is asked for."""
        if not where:
            return None
        to_file = where.endswith('.rrd')
        viewer = Viewer('' if to_file else where, Path(where) if to_file else None)
        if viewer.address:
            self.get_logger().info(f'viewer: {viewer.address}')
        return viewer

    def describe(self) -> str:
        """Return extractor, matcher and smoother, with weights and devices, and the map."""
        odometry, kept = self.odometry, [] if self.map is None else [self.map.describe()]
        return '; '.join([story.of_extractor(odometry.extractor), story.of_matcher(odometry.matcher),
                          story.of_motion(odometry.motion), *kept])

    def listen(self) -> None:
        """Subscribe to images and calibrations."""
        self.cameras = CameraInputs(self, self.odometry.config.odometry.rectified)
        self.inputs = ImageInputs(self)

    def retune(self, config: NodeConfig) -> None:
        """Take over live options."""
        self.odometry.retune(config)
        self.levels.set(config.extractor.black_level, config.extractor.white_level)

    def reset(self) -> None:
        """Forget the map and the path."""
        self.odometry.reset('asked for')
        self.publisher.reset()

    def process(self, item: Bundle) -> Begun | None:
        """Find the keypoints of one frame."""
        if not self.cameras.complete:
            self.skip('no calibration', self.cameras.why_incomplete)
            return None
        frame_id = item.main.item.header.frame_id
        start = self.publisher.start(frame_id)
        if start is None:
            raise SkippedFrame('no transform', 'TF does not know where on the robot the camera is')
        messages = {name: stamped.item for name, stamped in item.companions.items()}
        gray = partial(conversions.gray, levels=self.levels)
        frame = Frame(item.main.stamp_ns, self.inputs.read(gray, 'image', item.main.item), self.cameras.left)
        if 'right/image' in messages:
            frame.right_image = self.inputs.read(gray, 'right/image', messages['right/image'])
            frame.right_camera = self.cameras.right
        if 'depth' in messages:
            warn_of_unregistered(self, frame_id, messages['depth'].header.frame_id)
            frame.depth_m = self.inputs.read(conversions.depth_m, 'depth', messages['depth'])
        if 'mask' in messages:
            frame.mask = self.inputs.read(conversions.gray, 'mask', messages['mask'])
        self.odometry.check_images(frame)
        frame_ids = [frame_id, *(message.header.frame_id for name, message in messages.items() if name != 'mask')]
        return Begun(item.main, self.odometry.extract(frame), frame_ids, start)

    def finish(self, made: Begun) -> None:
        """Take the frame through the other stages, and publish what came of it."""
        frame, frame_id = made.extracted.frame, made.frame_ids[0]
        self.odometry.motion.T_base_camera = self.publisher.T_base_camera
        self.odometry.motion.begin_at(made.T_odom_camera)
        if self.guess is not None:
            self.guess.look(frame_id)
        resets = self.odometry.resets.total()
        self.odometry.check_stamp(frame)
        if self.odometry.resets.total() != resets:      # time jumped back
            self.publisher.reset()
        if self.imu is not None:
            if self.odometry.motion.dynamics.stamp_ns is None and not self.imu.ready(frame_id, frame.stamp_ns):
                raise SkippedFrame('no IMU', f'odom waits for the IMU: {self.imu.lacking}')
            self.imu.look(frame_id)
        step = self.odometry.track(made.extracted)
        sides = [step.features] if step.right_features is None else [step.features, step.right_features]
        self.features.publish(frame.stamp_ns, made.frame_ids, sides)
        self.matches.publish(frame_id, step.features.image_size, step.temporal, step.stereo)
        keyframes = self.keyframes.publish(frame_id, always=self.map is not None)
        moving = self.publisher.publish(step.motion, frame_id, self.odometry.motion.map, step.timings_ms)
        if self.map is not None:
            for keyframe in keyframes:
                self.map.offer(keyframe)
            if moving is not None:
                self.map.moved(frame.stamp_ns, moving.T_odom_camera)
        self.monitor.took(made.image, step.timings_ms, step.motion.state,
                          doubts(self, step.motion, self.odometry.motion))
        if self.viewer is not None:
            self.viewer.see(step, self.odometry.motion)
        self.overlay.publish(frame.stamp_ns, frame_id, frame.image, step.features, step.temporal)


def main() -> int:
    """Run the node."""
    return run(SuperSlamNode)
