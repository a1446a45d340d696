"""Our data to ROS messages and back."""

from __future__ import annotations

import array
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseWithCovariance

from superslam_ros import conversions
from superslam_ros.data import Features, Matches
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, rotation
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.messages import MessageFactory
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Keyframe as KeyframeMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.nodes.topics.handover import Handed


class RosMessages(MessageFactory):
    """Makes rclpy messages."""

    def make(self, name: str, /, **fields: Any) -> Any:
        """Return a message of a type given as ``package/Name``.

        Sequences are filled from the bytes of arrays: rclpy takes an ``array.array`` as it is, and copies
        anything else value by value.
        """
        package, _, kind = name.partition('/')
        message = getattr(import_module(f'{package}.msg'), kind)()
        for field, value in fields.items():
            if isinstance(value, np.ndarray) and not isinstance(getattr(message, field), np.ndarray):
                sequence = array.array(getattr(message, field).typecode)
                sequence.frombytes(np.ascontiguousarray(value, dtype=sequence.typecode).tobytes())
                value = sequence
            setattr(message, field, value)
        return message


def features_from(message: FeaturesMsg | Handed) -> Features:
    """Return the features of a message, or those that were handed over in its place.

    :raises ValueError: when the lengths of its arrays disagree, or values are no pixels of its image or no numbers.
    """
    if isinstance(message, Handed):
        return message.content
    count, size = len(message.scores), message.descriptor_size
    lengths = len(message.keypoints), len(message.scales), len(message.descriptors)
    if lengths != (2 * count, count, size * count):
        raise ValueError(
            f'Features message of {count} scores has {lengths[0]} keypoint values, {lengths[1]} scales and '
            f'{lengths[2]} descriptor values of size {size}')
    stability = np.asarray(message.stability, np.float32) if len(message.stability) else None
    keypoints, scores = _checked('Features', message.keypoints, message.scores, message.width, message.height)
    return Features(
        keypoints, scores, np.asarray(message.descriptors, np.float32).reshape(count, size),
        (message.width, message.height), np.asarray(message.scales, np.float32), message.weights, stability)


def matches_from(message: MatchesMsg | Handed) -> Matches:
    """Return the matches of a message, or those that were handed over in its place.

    :raises ValueError: when the lengths of its arrays disagree, or values are no pixels of its images or no numbers.
    """
    if isinstance(message, Handed):
        return message.content
    count = len(message.scores)
    lengths = [len(message.indices0), len(message.indices1), len(message.keypoints0) / 2, len(message.keypoints1) / 2]
    if any(length != count for length in lengths):
        raise ValueError(f'Matches message of {count} scores has arrays for {lengths} matches')
    indices = np.stack([np.asarray(message.indices0, np.int64), np.asarray(message.indices1, np.int64)], 1)
    keypoints0, scores = _checked('Matches', message.keypoints0, message.scores, message.width0, message.height0)
    keypoints1, _ = _checked('Matches', message.keypoints1, message.scores, message.width1, message.height1)
    return Matches(
        indices, scores, keypoints0, keypoints1, conversions.stamp_ns(message.stamp0),
        conversions.stamp_ns(message.stamp1), message.keyframe)


def keyframe_from(message: KeyframeMsg | Handed) -> Keyframe:
    """Return the keyframe of a message, or the one that was handed over in its place.

    :raises ValueError: when the lengths of its arrays disagree, or what must be a number is none.
    """
    if isinstance(message, Handed):
        return message.content
    count, size = len(message.scores), message.descriptor_size
    shapes = {'pixels': (count, 2), 'sigma_px': (count,), 'scores': (count,), 'scales': (count,),
              'descriptors': (count, size), 'landmark_ids': (count,), 'points': (count, 3),
              'point_covariances': (count, 3, 3)}
    arrays = {name: np.asarray(getattr(message, name)) for name in shapes}
    for name, array_ in arrays.items():
        if array_.size != np.prod(shapes[name]):
            raise ValueError(f'Keyframe message of {count} scores has {array_.size} values of {name}')
        arrays[name] = array_.reshape(shapes[name])
    (T_odom_camera, covariance), (T_previous_camera, edge) = map(_posed, (message.pose, message.motion))
    return Keyframe(
        conversions.stamp_ns(message.header.stamp), message.segment, Pinhole(*map(float, message.camera)),
        (message.width, message.height), T_odom_camera, covariance,
        conversions.stamp_ns(message.previous) if message.has_previous else None, T_previous_camera, edge,
        point_covariance=arrays.pop('point_covariances'), metric=message.metric, weights=message.weights, **arrays)


def _posed(message: PoseWithCovariance) -> tuple[np.ndarray, np.ndarray]:
    """Return the pose (4, 4) and its covariance (6, 6)."""
    return pose_from(message.pose), np.array(message.covariance).reshape(6, 6)


def pose_from(message: Pose) -> np.ndarray:
    """Return a pose as a matrix (4, 4).

    :raises ValueError: when its quaternion has no length.
    """
    p, q = message.position, message.orientation
    return compose(rotation(np.array([q.x, q.y, q.z, q.w])), np.array([p.x, p.y, p.z]))


def _checked(
    kind: str, keypoints: Sequence[float], scores: Sequence[float], width: int, height: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return keypoints (N, 2) and scores (N,) of a message; a border of a pixel around the image belongs to it."""
    pixels, confidences = np.asarray(keypoints, np.float32).reshape(-1, 2), np.asarray(scores, np.float32)
    # Written so that NaN is refused.
    if not ((pixels >= -1) & (pixels <= [width, height])).all():
        raise ValueError(f'{kind} message has keypoints that do not lie in its image of {width}x{height}')
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError(f'{kind} message has scores that are not from 0 to 1')
    return pixels, confidences
