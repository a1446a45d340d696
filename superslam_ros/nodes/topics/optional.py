"""Publishers of messages whose packages need not be there."""

from __future__ import annotations

from importlib import import_module

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile


def publisher_where_installed(node: Node, message: str, topic: str, qos: QoSProfile | int) -> Publisher | None:
    """Advertise a topic, or say that nothing is published on it.

    :param message: type of its messages, as ``package/Name``.
    """
    package, _, name = message.partition('/')
    try:
        kind = getattr(import_module(f'{package}.msg'), name)
    except ModuleNotFoundError:
        node.get_logger().info(f'nothing is published on {topic}: {package} is not installed '
                               f'(apt install ros-$ROS_DISTRO-{package.replace("_", "-")})')
        return None
    return node.create_publisher(kind, topic, qos)
