"""What the nodes publish, built only for those who listen."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import partial

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from superslam_ros import display
from superslam_ros.data import Features, Matches, Motion, TrackingState
from superslam_ros.geometry.extrinsics import motion_of_base
from superslam_ros.geometry.pose import T_BODY_OPTICAL, inverse, read_pose
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Keyframe as KeyframeMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.msg import TrackingStatus
from superslam_ros.node_config import FrameConfig
from superslam_ros.nodes.reporting.reports import REPORT_S
from superslam_ros.nodes.reporting.story import TrackingLog
from superslam_ros.nodes.shared.base import LATCHED, SlamNode
from superslam_ros.nodes.topics.guess import GuessInput
from superslam_ros.nodes.topics.handover import Handed, Outlet
from superslam_ros.nodes.topics.markers import MapPublisher
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.slam.mapping.map import LocalMap
from superslam_ros.slam.motion import MotionEstimator

RELIABLE = QoSProfile(depth=10)
KEYFRAMES = QoSProfile(depth=100)
"""None is to be lost while a map closes a loop."""


class FeaturePublisher:
    """Publishes features on ``superslam/features`` and ``superslam/features_right``."""

    def __init__(self, node: SlamNode, extractor: str) -> None:
        """Advertise the topics that the node's mode needs."""
        self._make, self._extractor = RosMessages(), extractor
        names = ['features', 'features_right'] if node.topics.mode == 'stereo' else ['features']
        self._outlets = [Outlet(node, FeaturesMsg, f'superslam/{name}', RELIABLE) for name in names]

    def publish(self, stamp_ns: int, frame_ids: list[str], sides: list[Features]) -> None:
        """Publish the left, or the left and the right image's features."""
        for outlet, frame_id, features in zip(self._outlets, frame_ids, sides):
            outlet.put(
                Handed(self._make.header(stamp_ns, frame_id), features),
                partial(self._make.features, stamp_ns, frame_id, features, self._extractor, True))


class MatchPublisher:
    """Publishes matches on ``superslam/matches`` and ``superslam/matches_stereo``."""

    def __init__(self, node: SlamNode, matcher: str) -> None:
        """Advertise the topics that the node's mode needs."""
        self._make, self._matcher = RosMessages(), matcher
        names = ['matches', 'matches_stereo'] if node.topics.mode == 'stereo' else ['matches']
        self._outlets = [Outlet(node, MatchesMsg, f'superslam/{name}', RELIABLE) for name in names]

    def publish(
        self, frame_id: str, image_size: tuple[int, int], temporal: Matches, stereo: Matches | None
    ) -> None:
        """Publish one frame's matches; the stereo ones first, so that they are there when they are needed."""
        for index, matches in ((1, stereo), (0, temporal)):
            if matches is not None:
                self._outlets[index].put(
                    Handed(self._make.header(matches.stamp1_ns, frame_id), matches),
                    partial(self._make.matches, matches, frame_id, index == 1, (image_size, image_size), self._matcher))


class KeyframePublisher:
    """Publishes ``superslam/keyframe``: every keyframe with its landmarks, for maps."""

    def __init__(self, node: SlamNode, motion: MotionEstimator) -> None:
        """Advertise the topic."""
        self._make, self._feed = RosMessages(), KeyframeFeed(motion)
        self._outlet = Outlet(node, KeyframeMsg, 'superslam/keyframe', KEYFRAMES)

    def publish(self, frame_id: str, always: bool = False) -> list[Keyframe]:
        """Publish the keyframes that have come with the last frame, and return them, if anyone wants them.

        :param always: whether the caller does.
        """
        if not (always or self._outlet.wanted):
            return []
        keyframes = self._feed.new()
        for one in keyframes:
            self._outlet.put(Handed(self._make.header(one.stamp_ns, frame_id), one),
                             partial(self._make.keyframe, frame_id, one))
        return keyframes


class OdometryPublisher:
    """Publishes pose, path, status, the transform, and the map."""

    def __init__(self, node: SlamNode, config: FrameConfig, guess: GuessInput | None = None) -> None:
        """Advertise the topics.

        :param guess: what the base may have for a parent in TF already.
        """
        self._guess = guess
        self._node, self._config, self._make = node, config, RosMessages()
        self._odometry = node.create_publisher(Odometry, 'superslam/odometry', RELIABLE)
        self._path = node.create_publisher(Path, 'superslam/path', LATCHED)
        self._map = MapPublisher(node, config.odom_frame)
        self._status = node.create_publisher(TrackingStatus, 'superslam/status', RELIABLE)
        self._tf = self._transform_publisher() if config.publish_tf else None
        self._listener = TransformListener(node) if config.base_frame else None
        self._T_base_camera: np.ndarray | None = None
        self._next_start: np.ndarray | None = None
        try:
            self._T_odom_start = read_pose(config.initial_pose) if config.initial_pose else np.eye(4)
        except ValueError as error:
            raise ValueError(f'frames.initial_pose: {error}') from error
        self._poses: deque[PoseStamped] = deque(maxlen=config.path_length)
        self._frames = self._lost = 0
        self._log = TrackingLog(node)

    def begin_at(self, T_odom_start: np.ndarray) -> None:
        """Say where odometry begins after the next reset: pose (4, 4) of the base, or of a body looking along x."""
        self._next_start = T_odom_start

    def reset(self) -> None:
        """Begin a new path."""
        if self._next_start is not None:
            self._T_odom_start, self._next_start = self._next_start, None
        self._poses.clear()
        self._log.reset()

    def start(self, camera_frame: str) -> np.ndarray | None:
        """Return T_odom_camera of the first frame: of the base, or a camera looking along x, at the initial pose.

        None as long as TF does not know where on the base the camera is.
        """
        if self._listener is None:
            return self._T_odom_start @ T_BODY_OPTICAL
        if self._T_base_camera is None:
            camera_frame = self._config.camera_frame or camera_frame
            self._T_base_camera = self._listener.lookup(self._config.base_frame, camera_frame)
        if self._T_base_camera is not None:
            self._listener.close()
        else:
            self._node.get_logger().warning(
                f'no frame is used: TF does not connect {self._config.base_frame!r} (frames.base_frame) with the '
                f'camera {camera_frame!r}: start the robot_state_publisher or a static_transform_publisher',
                throttle_duration_sec=REPORT_S)
            return None
        return self._T_odom_start @ self._T_base_camera

    @property
    def T_base_camera(self) -> np.ndarray:
        """Where on the base the camera is; without a base, of a camera that looks along x."""
        return T_BODY_OPTICAL if self._T_base_camera is None else self._T_base_camera

    def publish(
        self, motion: Motion, camera_frame: str, local_map: LocalMap, timings_ms: Mapping[str, float]
    ) -> Motion | None:
        """Publish one frame's result; return the motion of the base, or of the camera without one, if it has any."""
        make, odom, stamp = self._make, self._config.odom_frame, motion.stamp_ns
        camera_frame = self._config.camera_frame or camera_frame or 'camera_optical'
        moving = self._config.base_frame or camera_frame
        base = motion if self._T_base_camera is None else motion_of_base(motion, self._T_base_camera)
        self._frames += 1
        self._lost += motion.state == TrackingState.LOST
        self._poses.append(make.pose_stamped(stamp, odom, base.T_odom_camera))
        located = motion.state != TrackingState.INITIALIZING or motion.metric
        if located:
            self._odometry.publish(make.odometry(base, odom, moving))
            self._broadcast(stamp, moving, base.T_odom_camera)
        self._status.publish(make.status(
            motion, camera_frame, timings_ms, self._node.worker.dropped, keyframes=len(local_map.keyframes),
            landmarks=len(local_map.landmarks), frames=self._frames, lost=self._lost,
            skipped=sum(self._node.skipped.values())))
        self._map.publish(motion, local_map)
        self._log.tell(motion)
        # At keyframes in any case: those who come later get the last one.
        if motion.keyframe or self._path.get_subscription_count():
            self._path.publish(Path(header=self._poses[-1].header, poses=list(self._poses)))
        return base if located else None

    def _broadcast(self, stamp_ns: int, child: str, T_odom_child: np.ndarray) -> None:
        """Broadcast where the base or the camera is, by the frame that it has for a parent, if any."""
        if self._tf is None:
            return
        odom, make = self._config.odom_frame, self._make
        if self._guess is not None and self._guess.parent:
            T_child_guess = self._guess.T_base_guess(stamp_ns)
            if T_child_guess is None:
                return
            child, T_odom_child = self._guess.parent, T_odom_child @ T_child_guess
        if self._config.invert_tf:
            self._tf.publish(make.transform(stamp_ns, child, odom, inverse(T_odom_child)))
        else:
            self._tf.publish(make.transform(stamp_ns, odom, child, T_odom_child))

    def _transform_publisher(self):
        try:
            from tf2_msgs.msg import TFMessage
        except ModuleNotFoundError:
            self._node.get_logger().warning(
                'no transform is broadcast: tf2_msgs is not installed (apt install ros-$ROS_DISTRO-tf2-msgs); '
                'publish_tf: false silences this')
            return None
        return self._node.create_publisher(TFMessage, '/tf', QoSProfile(depth=100))


class OverlayPublisher:
    """Publishes ``superslam/overlay``: the image with keypoints, and how each has moved since the keyframe."""

    def __init__(self, node: SlamNode) -> None:
        """Advertise the topic."""
        self._make = RosMessages()
        self._publisher = node.create_publisher(Image, 'superslam/overlay', RELIABLE)

    def publish(self, stamp_ns: int, frame_id: str, gray: np.ndarray, features: Features, matches: Matches) -> None:
        """Draw and publish, if someone looks."""
        if self._publisher.get_subscription_count():
            drawn = display.overlay(gray, features, matches)
            self._publisher.publish(self._make.image(stamp_ns, frame_id, drawn))
