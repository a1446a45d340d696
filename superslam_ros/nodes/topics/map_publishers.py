"""What is published of a kept map."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from superslam_ros import display
from superslam_ros.maps.map import Map
from superslam_ros.msg import MapStatus
from superslam_ros.nodes.shared.base import LATCHED, SlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.nodes.topics.optional import publisher_where_installed

RELIABLE = QoSProfile(depth=10)


class MapPublishers:
    """Publishes transform, pose, status, landmarks and pose graph; those of the map itself for listeners only."""

    def __init__(self, node: SlamNode, map_frame: str, odom_frame: str, publish_tf: bool) -> None:
        """Advertise the topics."""
        self._node, self._frame, self._odom, self._make = node, map_frame, odom_frame, RosMessages()
        self._pose = node.create_publisher(PoseWithCovarianceStamped, 'superslam/map_pose', RELIABLE)
        self._status = node.create_publisher(MapStatus, 'superslam/map_status', LATCHED)
        self._landmarks = node.create_publisher(PointCloud2, 'superslam/map_landmarks', LATCHED)
        self._graph = publisher_where_installed(
            node, 'visualization_msgs/MarkerArray', 'superslam/map_graph', LATCHED)
        self._tf = publisher_where_installed(
            node, 'tf2_msgs/TFMessage', '/tf', QoSProfile(depth=100)) if publish_tf else None
        self._stamp_ns, self._dirty = 0, True

    def transform(self, stamp_ns: int, T_map_odom: np.ndarray) -> None:
        """Broadcast where odom is in the map."""
        if self._tf is not None:
            self._tf.publish(self._make.transform(stamp_ns, self._frame, self._odom, T_map_odom))

    def pose(self, stamp_ns: int, T_map_child: np.ndarray, covariance: np.ndarray) -> None:
        """Publish where the odometry's frame is in the map; ``covariance`` (6, 6) in the map's axes."""
        self._pose.publish(self._make.pose_with_covariance_stamped(stamp_ns, self._frame, T_map_child, covariance))

    def status(self, stamp_ns: int, **fields: Any) -> None:
        """Publish what has become of a keyframe: the fields of MapStatus but the header."""
        self._stamp_ns, self._dirty = stamp_ns, True
        self._status.publish(self._make.make('superslam_ros/MapStatus', header=self._make.header(
            stamp_ns, self._frame), **fields))

    def changed(self) -> None:
        """Note that the map is another one."""
        self._dirty = True

    def wanted(self) -> bool:
        """Whether the map has changed since it was last published, and someone listens."""
        listeners = self._landmarks.get_subscription_count()
        if self._graph is not None:
            listeners += self._graph.get_subscription_count()
        return self._dirty and listeners > 0

    def map(self, kept: Map) -> None:
        """Publish landmarks, keyframes and edges."""
        self._dirty = False
        self._landmarks.publish(display.map_landmarks(self._make, self._stamp_ns, self._frame, kept))
        if self._graph is not None:
            self._graph.publish(display.map_graph(self._make, self._stamp_ns, self._frame, kept))
