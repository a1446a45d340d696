"""Publishes the local map for RViz."""

from __future__ import annotations

from sensor_msgs.msg import PointCloud2

from superslam_ros import display
from superslam_ros.data import Motion
from superslam_ros.nodes.shared.base import LATCHED, SlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.nodes.topics.optional import publisher_where_installed
from superslam_ros.slam.mapping.map import LocalMap


class MapPublisher:
    """Publishes landmarks and keyframes whenever there is a new keyframe, and the matched landmarks of every frame."""

    def __init__(self, node: SlamNode, odom_frame: str) -> None:
        """Advertise the topics."""
        self._odom, self._make = odom_frame, RosMessages()
        self._landmarks = node.create_publisher(PointCloud2, 'superslam/landmarks', LATCHED)
        self._keyframes, self._observations = (
            publisher_where_installed(node, 'visualization_msgs/MarkerArray', f'superslam/{name}', qos)
            for name, qos in (('keyframes', LATCHED), ('observations', 1)))

    def publish(self, motion: Motion, local_map: LocalMap) -> None:
        """Publish what one frame has changed."""
        shown = self._make, self._odom, motion, local_map
        if motion.keyframe:
            self._landmarks.publish(display.landmarks(*shown))
            if self._keyframes is not None:
                self._keyframes.publish(display.keyframes(*shown))
        if self._observations is not None and self._observations.get_subscription_count():
            self._observations.publish(display.observations(*shown))
