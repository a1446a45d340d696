"""Where frames of the robot are in each other, from TF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile

from superslam_ros.geometry.pose import compose, inverse, rotation

if TYPE_CHECKING:
    from rclpy.node import Node
    from tf2_msgs.msg import TFMessage


class TransformListener:
    """Keeps the latest transform of each frame to its parent. For frames fixed to each other: times are not looked at.

    tf2_ros would do more, and cannot be installed without a ROS distribution.
    """

    def __init__(self, node: Node) -> None:
        """Subscribe to /tf and /tf_static.

        :raises ImportError: when tf2_msgs is not installed.
        """
        from tf2_msgs.msg import TFMessage

        self._node, self._closed = node, False
        self._parents: dict[str, tuple[str, np.ndarray]] = {}
        self._subscriptions = [
            node.create_subscription(TFMessage, '/tf', self._receive, QoSProfile(depth=100)),
            node.create_subscription(TFMessage, '/tf_static', self._receive, QoSProfile(
                depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))]

    def close(self) -> None:
        """Listen no more, from the next message on: a robot's /tf is a lot to parse."""
        self._closed = True

    def lookup(self, frame_a: str, frame_b: str) -> np.ndarray | None:
        """Return T_a_b (4, 4), or None where TF does not connect the frames."""
        from_a, from_b = self._ancestors(frame_a), self._ancestors(frame_b)
        common = next((frame for frame in from_a if frame in from_b), None)
        return None if common is None else inverse(from_a[common]) @ from_b[common]

    def _ancestors(self, frame: str) -> dict[str, np.ndarray]:
        """Return T_ancestor_frame of the frame itself and all above it, the nearest first."""
        frame = frame.lstrip('/')
        found, T = {frame: np.eye(4)}, np.eye(4)
        while frame in self._parents:
            frame, T_parent_frame = self._parents[frame]
            if frame in found:
                break   # a loop, which TF forbids
            T = T_parent_frame @ T
            found[frame] = T
        return found

    def _receive(self, message: TFMessage) -> None:
        if self._closed:    # here, and not in close: subscriptions go on the thread that waits for them
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            return
        for one in message.transforms:
            t, q = one.transform.translation, one.transform.rotation
            quaternion, position = np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z])
            length = np.linalg.norm(quaternion)
            if not (0.9 < length < 1.1 and np.isfinite(position).all()):
                continue
            T = compose(rotation(quaternion / length), position)
            self._parents[one.child_frame_id.lstrip('/')] = one.header.frame_id.lstrip('/'), T
