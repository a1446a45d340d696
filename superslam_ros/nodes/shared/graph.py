"""What the graph tells a node about its inputs: who publishes them, and whether the node can hear it."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image


def why_silent(node: Node) -> str:
    """Return what the graph tells about inputs that nobody publishes, or only in a way that the node does not hear."""
    reasons = []
    for subscription in node.subscriptions:
        topic = subscription.topic_name
        if not hasattr(subscription.msg_type, 'header'):
            continue    # no input
        publishers = node.get_publishers_info_by_topic(topic)
        if not publishers:
            reasons.append(f'nobody publishes {topic}{_beside(node, topic, subscription.msg_type)}')
        elif (subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE
              and all(one.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for one in publishers)):
            reasons.append(f'{topic} is published as best_effort, which reliability: reliable does not hear')
    return '; '.join(reasons) or 'the topics are published, but no complete frame comes'


def _beside(node: Node, topic: str, kind: type) -> str:
    """Return a hint if the image is there in the other transport."""
    if kind is Image and node.count_publishers(f'{topic}/compressed'):
        return f', but {topic}/compressed is there: transport: compressed'
    raw = topic.removesuffix('/compressed')
    if kind is CompressedImage and node.count_publishers(raw):
        return f', but {raw} is there: transport: raw'
    return ''
