"""Objects from node to node within a process, which rclpy has no path for; messages are made for those outside only."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from superslam_ros import conversions

_REMEMBERED = 100


@dataclass(frozen=True)
class Handed:
    """What is handed over in place of a message: Features, Matches, Keyframe; not to be changed by those who get it."""

    header: Header
    content: Any


class Outlet:
    """A publisher that gives objects to the inlets of its process, and messages to the rest of the world.

    Cameras with Python drivers can use it, too: with ``publish``, an image reaches the nodes of its container as it is.
    """

    def __init__(self, node: Node, kind: type, topic: str, qos: QoSProfile | int) -> None:
        """Advertise the topic."""
        self._publisher = node.create_publisher(kind, topic, qos)
        self._place = id(node.context), self._publisher.topic_name

    def publish(self, message: Any) -> None:
        """Publish a message; those in this process get the object itself, which must not be changed any more."""
        self.put(message, lambda: message)

    @property
    def wanted(self) -> bool:
        """Whether anyone listens, in this process or elsewhere."""
        with _lock:
            return bool(_inlets[self._place]) or self._publisher.get_subscription_count() > 0

    def put(self, item: Any, make_message: Callable[[], Any]) -> None:
        """Hand over an item that has a header, and publish a message of it if there are subscriptions elsewhere."""
        with _lock:
            inlets = list(_inlets[self._place])
        for inlet in inlets:
            inlet.hand(item)
        if self._publisher.get_subscription_count() > len(inlets):
            self._publisher.publish(make_message())


class Inlet:
    """A subscription that takes what outlets of its process hand over, and the messages of everyone else."""

    def __init__(self, node: Node, kind: type, topic: str, qos: QoSProfile, take: Callable[[Any], None]) -> None:
        """Subscribe; ``take`` is called with messages and objects, on whatever thread they come."""
        self._take = take
        self._handed: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        subscription = node.create_subscription(kind, topic, self._receive, qos)
        self._place = id(node.context), subscription.topic_name
        with _lock:
            _inlets[self._place].append(self)

    def close(self) -> None:
        """Take nothing more from outlets; the node destroys the subscription."""
        with _lock:
            if self in _inlets[self._place]:
                _inlets[self._place].remove(self)

    def hand(self, item: Any) -> None:
        """Take an object; the message of it, should someone outside have made it necessary, is passed over."""
        self._handed.append(_stamp(item))
        self._take(item)

    def _receive(self, message: Any) -> None:
        if _stamp(message) not in self._handed:
            self._take(message)


def _stamp(item: Any) -> tuple[int, str]:
    return conversions.stamp_ns(item.header.stamp), item.header.frame_id


_lock = threading.Lock()
_inlets: defaultdict[tuple[int, str], list[Inlet]] = defaultdict(list)
"""By context and full topic name."""
