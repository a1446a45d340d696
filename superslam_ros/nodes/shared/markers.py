"""The local map for RViz: landmarks by age, keyframes as frusta, and what the camera sees of it."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from sensor_msgs.msg import PointCloud2

from superslam_ros.data import Motion
from superslam_ros.geometry.pose import transform
from superslam_ros.nodes.shared.base import LATCHED, SlamNode
from superslam_ros.nodes.shared.messages import RosMessages
from superslam_ros.slam.map import LocalMap, View

KEYFRAME_COLOUR = 0.94, 0.72, 0.18, 1.0
MATCH_COLOUR = 0.18, 0.83, 0.75, 0.35
FRUSTUM = 0.05
"""Depth of a frustum, as a part of the median distance of the landmarks."""
EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
"""Of the camera's centre, 0, and the corners of its image."""


class MapPublisher:
    """Publishes landmarks and keyframes whenever there is a new keyframe, and the matched landmarks of every frame."""

    def __init__(self, node: SlamNode, odom_frame: str) -> None:
        """Advertise the topics."""
        self._odom, self._make = odom_frame, RosMessages()
        self._landmarks = node.create_publisher(PointCloud2, 'superslam/landmarks', LATCHED)
        self._keyframes = self._observations = None
        try:
            marker_array = import_module('visualization_msgs.msg').MarkerArray
        except ModuleNotFoundError:
            node.get_logger().info('no markers for RViz: visualization_msgs is not installed '
                                   '(apt install ros-$ROS_DISTRO-visualization-msgs)')
            return
        self._keyframes = node.create_publisher(marker_array, 'superslam/keyframes', LATCHED)
        self._observations = node.create_publisher(marker_array, 'superslam/observations', 1)

    def publish(self, motion: Motion, local_map: LocalMap) -> None:
        """Publish what one frame has changed."""
        make, odom, stamp, table = self._make, self._odom, motion.stamp_ns, local_map.landmarks
        if motion.keyframe:
            self._landmarks.publish(make.points(stamp, odom, table.points, age=local_map.total - 1 - table.born))
            if self._keyframes is not None:
                size = _frustum_size(motion, table.points)
                ends = np.concatenate([frustum(keyframe, size) for keyframe in local_map.keyframes])
                self._keyframes.publish(make.lines(stamp, odom, 'keyframes', ends, KEYFRAME_COLOUR, 0.1 * size))
        if self._observations is not None and self._observations.get_subscription_count():
            ends = np.zeros((0, 2, 3))
            if motion.inliers and local_map.previous is not None:
                seen = table.points[local_map.known(local_map.previous)[1]]
                ends = np.stack([np.broadcast_to(motion.T_odom_camera[:3, 3], seen.shape), seen], 1)
            width = 0.02 * _frustum_size(motion, table.points)
            self._observations.publish(make.lines(stamp, odom, 'observations', ends, MATCH_COLOUR, width))


def frustum(keyframe: View, size: float) -> np.ndarray:
    """Return the (8, 2, 3) ends of the edges of a camera's view, ``size`` metres deep, in odom."""
    width, height = keyframe.features.image_size
    camera = keyframe.pinhole
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], dtype=np.float64)
    rays = (corners - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    points = np.zeros((5, 3))
    points[1:] = size * np.column_stack([rays, np.ones(4)])
    return transform(keyframe.T_odom_camera, points)[np.array(EDGES)]


def _frustum_size(motion: Motion, points: np.ndarray) -> float:
    if not len(points):
        return FRUSTUM
    return FRUSTUM * float(np.median(np.linalg.norm(points - motion.T_odom_camera[:3, 3], axis=1)))
