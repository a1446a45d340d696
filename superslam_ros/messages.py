"""Our data as ROS messages, whoever makes them: rosbags for files, rclpy for topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from superslam_ros.boards.types import BoardDetection
from superslam_ros.conversions import frame_id as tf_name
from superslam_ros.conversions import split_stamp, stamp_ns
from superslam_ros.data import Camera, Features, Matches, Motion
from superslam_ros.geometry.pose import compose, quaternion, rotation
from superslam_ros.maps.keyframe import Keyframe

POSE, NOT_CALIBRATED, UNCERTAIN = 0, 1, 2
"""Whether a board has a pose, as in BoardDetection.msg."""


class MessageFactory:
    """Fills messages; a sub-class knows how to make one."""

    def make(self, name: str, /, **fields: Any) -> Any:
        """Return a message of a type given as ``package/Name``; sequences come as NumPy arrays."""
        raise NotImplementedError

    def time(self, stamp_ns: int) -> Any:
        """Return a builtin_interfaces/Time."""
        seconds, nanoseconds = split_stamp(stamp_ns)
        return self.make('builtin_interfaces/Time', sec=seconds, nanosec=nanoseconds)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a std_msgs/Header."""
        return self.make('std_msgs/Header', stamp=self.time(stamp_ns), frame_id=tf_name(frame_id))

    def pose(self, T: np.ndarray) -> Any:
        """Return a geometry_msgs/Pose of a (4, 4) transform."""
        point = self.make('geometry_msgs/Point', **_xyz(T[:3, 3]))
        return self.make('geometry_msgs/Pose', position=point, orientation=self._quaternion(T))

    def pose_stamped(self, stamp_ns: int, frame_id: str, T: np.ndarray) -> Any:
        """Return a geometry_msgs/PoseStamped."""
        return self.make('geometry_msgs/PoseStamped', header=self.header(stamp_ns, frame_id), pose=self.pose(T))

    def pose_with_covariance(self, T: np.ndarray, covariance: np.ndarray) -> Any:
        """Return a geometry_msgs/PoseWithCovariance."""
        return self.make('geometry_msgs/PoseWithCovariance', pose=self.pose(T),
                         covariance=covariance.reshape(-1).astype(np.float64))

    def pose_with_covariance_stamped(
        self, stamp_ns: int, frame_id: str, T: np.ndarray, covariance: np.ndarray,
    ) -> Any:
        """Return a geometry_msgs/PoseWithCovarianceStamped."""
        return self.make('geometry_msgs/PoseWithCovarianceStamped', header=self.header(stamp_ns, frame_id),
                         pose=self.pose_with_covariance(T, covariance))

    def path(self, frame_id: str, stamps_ns: Sequence[int], poses: Sequence[np.ndarray]) -> Any:
        """Return a nav_msgs/Path stamped with its last pose."""
        stamped = [self.pose_stamped(stamp, frame_id, T) for stamp, T in zip(stamps_ns, poses)]
        return self.make('nav_msgs/Path', header=self.header(stamps_ns[-1], frame_id), poses=stamped)

    def transform(self, stamp_ns: int, parent: str, child: str, T_parent_child: np.ndarray) -> Any:
        """Return a tf2_msgs/TFMessage with one transform."""
        translation = self.make('geometry_msgs/Vector3', **_xyz(T_parent_child[:3, 3]))
        transform = self.make(
            'geometry_msgs/Transform', translation=translation, rotation=self._quaternion(T_parent_child))
        stamped = self.make(
            'geometry_msgs/TransformStamped', header=self.header(stamp_ns, parent), child_frame_id=tf_name(child),
            transform=transform)
        return self.make('tf2_msgs/TFMessage', transforms=[stamped])

    def odometry(self, motion: Motion, odom_frame: str, child_frame: str) -> Any:
        """Return a nav_msgs/Odometry of the camera's optical frame, or of what the motion is of; the twist is in it."""
        pose = self.pose_with_covariance(motion.T_odom_camera, motion.covariance)
        linear, angular = (
            self.make('geometry_msgs/Vector3', **_xyz(part)) for part in (motion.velocity[:3], motion.velocity[3:]))
        twist = self.make(
            'geometry_msgs/TwistWithCovariance', twist=self.make('geometry_msgs/Twist', linear=linear, angular=angular),
            covariance=motion.velocity_covariance.reshape(-1).astype(np.float64))
        return self.make('nav_msgs/Odometry', header=self.header(motion.stamp_ns, odom_frame),
                         child_frame_id=tf_name(child_frame), pose=pose, twist=twist)

    def points(self, stamp_ns: int, frame_id: str, points: np.ndarray, age: np.ndarray) -> Any:
        """Return a sensor_msgs/PointCloud2 with float32 x, y, z of (N, 3) metres, and age (N,) in keyframes."""
        data = np.column_stack([points, age]).astype('<f4')
        fields = [self.make('sensor_msgs/PointField', name=name, offset=4 * i, datatype=7, count=1)
                  for i, name in enumerate(('x', 'y', 'z', 'age'))]
        return self.make(
            'sensor_msgs/PointCloud2', header=self.header(stamp_ns, frame_id), height=1, width=len(data),
            fields=fields, is_bigendian=False, point_step=16, row_step=16 * len(data),
            data=np.frombuffer(data.tobytes(), np.uint8), is_dense=True)

    def lines(
        self, stamp_ns: int, frame_id: str, name: str, ends: np.ndarray, colour: tuple[float, float, float, float],
        width_m: float,
    ) -> Any:
        """Return a visualization_msgs/MarkerArray of one marker with lines between (N, 2, 3) points.

        :param colour: red, green, blue, opacity, 0 to 1.
        """
        points = [self.make('geometry_msgs/Point', **_xyz(point)) for point in ends.reshape(-1, 3)]
        marker = self.make(
            'visualization_msgs/Marker', header=self.header(stamp_ns, frame_id), ns=name, id=0, type=5,
            action=0 if points else 2, pose=self.pose(np.eye(4)),
            scale=self.make('geometry_msgs/Vector3', x=width_m, y=0.0, z=0.0),
            color=self.make('std_msgs/ColorRGBA', **dict(zip('rgba', colour))), points=points)
        return self.make('visualization_msgs/MarkerArray', markers=[marker])

    def image(self, stamp_ns: int, frame_id: str, array: np.ndarray) -> Any:
        """Return a sensor_msgs/Image: mono8 of (H, W) uint8, rgb8 of (H, W, 3), 16UC1 of uint16, 32FC1 of float32."""
        encoding = {'uint8': 'mono8', 'uint16': '16UC1', 'float32': '32FC1'}[array.dtype.name]
        height, width = array.shape[:2]
        if array.ndim == 3:
            encoding = 'rgb8'
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<'))
        return self.make(
            'sensor_msgs/Image', header=self.header(stamp_ns, frame_id), height=height, width=width,
            encoding=encoding, is_bigendian=0, step=array[0].nbytes,
            data=np.frombuffer(little.tobytes(), np.uint8))

    def camera_info(self, stamp_ns: int, camera: Camera) -> Any:
        """Return a sensor_msgs/CameraInfo."""
        roi = self.make('sensor_msgs/RegionOfInterest', x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        distorted = camera.distortion_model != 'none'
        return self.make(
            'sensor_msgs/CameraInfo', header=self.header(stamp_ns, camera.frame_id), height=camera.height,
            width=camera.width, distortion_model=camera.distortion_model if distorted else 'plumb_bob',
            d=camera.distortion if distorted else np.zeros(5), k=camera.K.reshape(-1), r=camera.R.reshape(-1),
            p=camera.P.reshape(-1), binning_x=0, binning_y=0, roi=roi)

    def features(self, stamp_ns: int, frame_id: str, features: Features, extractor: str, descriptors: bool) -> Any:
        """Return our Features; ``descriptors`` False leaves them out (descriptor_size 0)."""
        table = features.descriptors if descriptors else np.zeros((0, 0), np.float32)
        return self.make(
            'superslam_ros/Features', header=self.header(stamp_ns, frame_id), width=features.image_size[0],
            height=features.image_size[1], extractor=extractor, weights=features.weights,
            keypoints=features.keypoints.reshape(-1), scores=features.scores, scales=features.scales,
            descriptor_size=table.shape[1], descriptors=table.reshape(-1),
            stability=np.zeros(0, np.float32) if features.stability is None else features.stability)

    def matches(
        self, matches: Matches, frame_id: str, stereo: bool, sizes: tuple[tuple[int, int], tuple[int, int]],
        matcher: str,
    ) -> Any:
        """Return our Matches; ``sizes`` are (width, height) of image 0 and image 1."""
        (width0, height0), (width1, height1) = sizes
        indices = matches.indices.astype(np.uint32)
        return self.make(
            'superslam_ros/Matches', header=self.header(matches.stamp1_ns, frame_id), kind=int(stereo),
            stamp0=self.time(matches.stamp0_ns), stamp1=self.time(matches.stamp1_ns), width0=width0,
            height0=height0, width1=width1, height1=height1, matcher=matcher, keyframe=bool(matches.keyframe),
            indices0=indices[:, 0].copy(), indices1=indices[:, 1].copy(),
            keypoints0=np.ascontiguousarray(matches.keypoints0, np.float32).reshape(-1),
            keypoints1=np.ascontiguousarray(matches.keypoints1, np.float32).reshape(-1),
            scores=np.ascontiguousarray(matches.scores, np.float32))

    def status(
        self, motion: Motion, frame_id: str, timings_ms: Mapping[str, float] | None = None, dropped: int = 0,
        **counts: int,
    ) -> Any:
        """Return our TrackingStatus.

        :param timings_ms: by stage; files leave them out, because they differ between two runs.
        :param counts: keyframes, landmarks, frames, lost, skipped.
        """
        timings_ms = timings_ms or {}
        return self.make(
            'superslam_ros/TrackingStatus', header=self.header(motion.stamp_ns, frame_id), state=int(motion.state),
            keyframe=bool(motion.keyframe), metric=bool(motion.metric), still=bool(motion.still),
            repeated=bool(motion.repeated), guessed=bool(motion.guessed), matches=motion.matches,
            inliers=motion.inliers, dropped=dropped, stages=list(timings_ms),
            stage_ms=np.fromiter(timings_ms.values(), np.float32), **counts)

    def keyframe(self, frame_id: str, keyframe: Keyframe) -> Any:
        """Return our Keyframe."""
        camera, previous = keyframe.pinhole, keyframe.previous_stamp_ns
        return self.make(
            'superslam_ros/Keyframe', header=self.header(keyframe.stamp_ns, frame_id), weights=keyframe.weights,
            segment=keyframe.segment, metric=keyframe.metric, width=keyframe.image_size[0],
            height=keyframe.image_size[1], camera=np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
            pose=self.pose_with_covariance(keyframe.T_odom_camera, keyframe.covariance),
            has_previous=previous is not None, previous=self.time(previous or 0),
            motion=self.pose_with_covariance(keyframe.T_previous_camera, keyframe.edge_covariance),
            descriptor_size=keyframe.descriptors.shape[1], landmark_ids=keyframe.landmark_ids,
            point_covariances=keyframe.point_covariance.reshape(-1),
            **{name: getattr(keyframe, name).reshape(-1)
               for name in ('pixels', 'sigma_px', 'scores', 'scales', 'descriptors', 'points')})

    def imu(
        self, stamp_ns: int, frame_id: str, angular_rad_s: np.ndarray, linear_m_s2: np.ndarray,
        variances: tuple[float, float] = (0.0, 0.0),
    ) -> Any:
        """Return a sensor_msgs/Imu of angular velocity (3,) and specific force (3,), without an orientation.

        :param variances: of every axis of both; zero: not known.
        """
        def vector(values: np.ndarray) -> Any:
            return self.make('geometry_msgs/Vector3', **_xyz(values))

        no_orientation = np.zeros(9)
        no_orientation[0] = -1
        return self.make(
            'sensor_msgs/Imu', header=self.header(stamp_ns, frame_id), orientation_covariance=no_orientation,
            angular_velocity=vector(angular_rad_s), linear_acceleration=vector(linear_m_s2),
            angular_velocity_covariance=np.eye(3).ravel() * variances[0],
            linear_acceleration_covariance=np.eye(3).ravel() * variances[1])

    def board_detections(
        self, stamp_ns: int, frame_id: str, image_size: tuple[int, int], boards: Sequence[BoardDetection], reason: str,
        uncalibrated: str = '',
    ) -> Any:
        """Return our BoardDetections.

        :param reason: why there are no boards; ``uncalibrated``: why no camera is known, which would give poses.
        """
        return self.make(
            'superslam_ros/BoardDetections', header=self.header(stamp_ns, frame_id), width=image_size[0],
            height=image_size[1], boards=[self._board_detection(one, uncalibrated) for one in boards], reason=reason)

    def _board_detection(self, found: BoardDetection, uncalibrated: str) -> Any:
        T, reason = found.T_camera_board, found.reason
        status = POSE
        if T is None:
            status, reason = (NOT_CALIBRATED, uncalibrated) if uncalibrated else (UNCERTAIN, reason)
            nowhere = self.make(
                'geometry_msgs/Pose', position=self.make('geometry_msgs/Point', **_xyz([np.nan] * 3)),
                orientation=self.make('geometry_msgs/Quaternion', **dict.fromkeys('xyzw', np.nan)))
            pose = self.make('geometry_msgs/PoseWithCovariance', pose=nowhere, covariance=np.full(36, np.nan))
        else:
            pose = self.pose_with_covariance(T, found.covariance)
        return self.make(
            'superslam_ros/BoardDetection', board=found.board, ids=found.ids.astype(np.uint32),
            pixels=found.pixels.reshape(-1).astype(np.float32), sigma_px=found.sigma_px.astype(np.float32),
            legacy=bool(found.legacy), status=status, reason=reason, has_pose=T is not None, pose=pose)

    def board_objects(
        self, stamp_ns: int, frame_id: str, boards: Sequence[BoardDetection],
        sizes_m: Mapping[str, tuple[float, float]],
    ) -> Any:
        """Return a vision_msgs/Detection3DArray of boards with poses, their boxes around what is printed.

        :param sizes_m: width and height by name.
        """
        header, objects = self.header(stamp_ns, frame_id), []
        for one in boards:
            T, (width, height) = one.T_camera_board, sizes_m[one.board]
            middle = T @ compose(np.eye(3), [width / 2, height / 2, 0])
            box = self.make('vision_msgs/BoundingBox3D', center=self.pose(middle), size=self.make(
                'geometry_msgs/Vector3', x=float(width), y=float(height), z=0.0))
            hypothesis = self.make('vision_msgs/ObjectHypothesis', class_id=one.board, score=1.0)
            result = self.make('vision_msgs/ObjectHypothesisWithPose', hypothesis=hypothesis,
                               pose=self.pose_with_covariance(T, one.covariance))
            objects.append(self.make(
                'vision_msgs/Detection3D', header=header, results=[result], bbox=box, id=one.board))
        return self.make('vision_msgs/Detection3DArray', header=header, detections=objects)

    def _quaternion(self, T: np.ndarray) -> Any:
        return self.make('geometry_msgs/Quaternion', **dict(zip('xyzw', map(float, quaternion(T[:3, :3])))))


def _xyz(vector: np.ndarray) -> dict[str, float]:
    return dict(zip('xyz', map(float, vector)))


def transforms_of(message: Any) -> Iterator[tuple[int, str, str, np.ndarray]]:
    """Yield stamp (ns), parent, child and T_parent_child (4, 4) of a tf2_msgs/TFMessage, but for what is none."""
    for one in message.transforms:
        t, q = one.transform.translation, one.transform.rotation
        quaternion, position = np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z])
        length = np.linalg.norm(quaternion)
        if 0.9 < length < 1.1 and np.isfinite(position).all():
            yield (stamp_ns(one.header.stamp), tf_name(one.header.frame_id), tf_name(one.child_frame_id),
                   compose(rotation(quaternion / length), position))


def imu_of(message: Any) -> tuple[int, np.ndarray, np.ndarray]:
    """Return stamp (ns), angular velocity (3,) in rad/s and specific force (3,) in m/s^2 of a sensor_msgs/Imu.

    What the unit does not measure (covariance -1 in the first element) comes back as NaN.
    """
    found = []
    for vector, covariance in ((message.angular_velocity, message.angular_velocity_covariance),
                               (message.linear_acceleration, message.linear_acceleration_covariance)):
        known = covariance[0] != -1
        found.append(np.array([vector.x, vector.y, vector.z]) if known else np.full(3, np.nan))
    return stamp_ns(message.header.stamp), found[0], found[1]


def odometry_of(message: Any) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return stamp (ns), pose (4, 4), covariance (6, 6) of it and of the velocity, and velocity (6,), of an Odometry.

    A pose that is none comes back as NaN.
    """
    p, q = message.pose.pose.position, message.pose.pose.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    T = np.full((4, 4), np.nan)
    if np.isfinite(quaternion).all() and np.linalg.norm(quaternion) > 0.1:
        T = compose(rotation(quaternion), np.array([p.x, p.y, p.z]))
    covariance, of_velocity = (np.array(one.covariance, np.float64).reshape(6, 6)
                               for one in (message.pose, message.twist))
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    velocity = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
    return stamp_ns(message.header.stamp), T, covariance, of_velocity, velocity
