"""What RViz shows: landmarks by age, keyframes as frusta, what the camera sees of them, and keypoints in the image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from superslam_ros.data import Features, Matches, Motion
from superslam_ros.geometry.pose import transform
from superslam_ros.messages import MessageFactory
from superslam_ros.slam.mapping.map import LocalMap, View

KEYFRAME_COLOUR = 0.94, 0.72, 0.18, 1.0
MATCH_COLOUR = 0.18, 0.83, 0.75, 0.35
FRUSTUM = 0.05
"""Depth of a frustum, as a part of the median distance of the landmarks."""
EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
"""Of the camera's centre, 0, and the corners of its image."""


def landmarks(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a sensor_msgs/PointCloud2 of the landmarks, with their age in keyframes."""
    table = local_map.landmarks
    return make.points(motion.stamp_ns, odom_frame, table.points, local_map.total - 1 - table.born)


def keyframes(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a visualization_msgs/MarkerArray with the frusta of the keyframes."""
    size = _frustum_size(motion, local_map.landmarks.points)
    ends = np.concatenate([frustum(keyframe, size) for keyframe in local_map.keyframes])
    return make.lines(motion.stamp_ns, odom_frame, 'keyframes', ends, KEYFRAME_COLOUR, 0.1 * size)


def observations(make: MessageFactory, odom_frame: str, motion: Motion, local_map: LocalMap) -> Any:
    """Return a visualization_msgs/MarkerArray with lines from the camera to the landmarks that it sees."""
    points, ends = local_map.landmarks.points, np.zeros((0, 2, 3))
    if motion.inliers and local_map.previous is not None:
        seen = points[local_map.known(local_map.previous)[1]]
        ends = np.stack([np.broadcast_to(motion.T_odom_camera[:3, 3], seen.shape), seen], 1)
    width = 0.02 * _frustum_size(motion, points)
    return make.lines(motion.stamp_ns, odom_frame, 'observations', ends, MATCH_COLOUR, width)


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


def overlay(gray: np.ndarray, features: Features, matches: Matches) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: keypoints as circles of their scale, matches as lines from where they were.

    The surer a match, the greener.
    """
    picture = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    for centre, scale in zip(np.rint(features.keypoints).astype(int).tolist(), features.scales.tolist()):
        cv2.circle(picture, centre, round(2 * scale), (255, 200, 0), 1, cv2.LINE_AA)
    ends = np.rint(matches.keypoints0).astype(int), np.rint(matches.keypoints1).astype(int)
    for start, end, score in zip(*(side.tolist() for side in ends), matches.scores.tolist()):
        cv2.line(picture, start, end, (int(255 * (1 - score)), int(255 * score), 60), 1, cv2.LINE_AA)
    return picture
