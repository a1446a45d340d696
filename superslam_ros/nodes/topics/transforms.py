"""Where frames of the robot are in each other, from TF."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile

from superslam_ros.geometry.frames import FrameTree
from superslam_ros.messages import transforms_of

if TYPE_CHECKING:
    from rclpy.node import Node
    from tf2_msgs.msg import TFMessage


class TransformListener:
    """Keeps the latest transform of each frame to its parent. For frames fixed to each other: times are not looked at.

    tf2_ros would do more, and cannot be installed without a ROS distribution.
    """

    def __init__(self, node: Node, heard: Callable[[str, int], None] = lambda parent, stamp_ns: None) -> None:
        """Subscribe to /tf and /tf_static.

        :param heard: called with the parent, and the stamp, of every transform.
        :raises ImportError: when tf2_msgs is not installed.
        """
        from tf2_msgs.msg import TFMessage

        self._node, self._closed, self._heard, self._tree = node, False, heard, FrameTree()
        self._subscriptions = [
            node.create_subscription(TFMessage, '/tf', self._receive, QoSProfile(depth=100)),
            node.create_subscription(TFMessage, '/tf_static', self._receive, QoSProfile(
                depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))]

    def close(self) -> None:
        """Listen no more, from the next message on: a robot's /tf is a lot to parse."""
        self._closed = True

    def lookup(self, frame_a: str, frame_b: str) -> np.ndarray | None:
        """Return T_a_b (4, 4), or None where TF does not connect the frames."""
        return self._tree.lookup(frame_a, frame_b)

    def _receive(self, message: TFMessage) -> None:
        if self._closed:    # here, and not in close: subscriptions go on the thread that waits for them
            for subscription in self._subscriptions:
                self._node.destroy_subscription(subscription)
            return
        for stamp_ns, parent, child, T in transforms_of(message):
            self._tree.add(parent, child, T)
            self._heard(parent, stamp_ns)
