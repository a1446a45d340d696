"""Records topics into a bag, where no ``ros2 bag`` is installed: ``python -m superslam_ros.nodes.tools.record_bag``."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.utilities import remove_ros_args
from rclpy.validate_topic_name import validate_topic_name

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.messages import typestore
from superslam_ros.bags.writer import BagWriter
from superslam_ros.nodes.shared.process import begin, spin

_RESULTS = {
    'features': 'superslam_ros/msg/Features',
    'matches': 'superslam_ros/msg/Matches',
    'matches_stereo': 'superslam_ros/msg/Matches',
    'status': 'superslam_ros/msg/TrackingStatus',
    'odometry': 'nav_msgs/msg/Odometry',
    'path': 'nav_msgs/msg/Path',
    'landmarks': 'sensor_msgs/msg/PointCloud2',
    'keyframes': 'visualization_msgs/msg/MarkerArray',
    'observations': 'visualization_msgs/msg/MarkerArray',
    'overlay': 'sensor_msgs/msg/Image',
    'map_pose': 'geometry_msgs/msg/PoseWithCovarianceStamped',
    'map_status': 'superslam_ros/msg/MapStatus',
    'map_landmarks': 'sensor_msgs/msg/PointCloud2',
    'map_graph': 'visualization_msgs/msg/MarkerArray',
}
LATCHED_TOPICS = ('/tf_static', *(f'/superslam/{name}' for name in (
    'path', 'landmarks', 'keyframes', 'map_status', 'map_landmarks', 'map_graph')))
"""Ends of names that are taken for latched before their publishers are there."""
ADAPT_S = 0.2
CLOCK_WAIT_NS = 10_000_000_000


def results(namespace: str = '') -> dict[str, str]:
    """Return topic -> type of all that our nodes publish in a namespace, and /tf."""
    prefix = f'/{namespace}/superslam'.replace('//', '/')
    return {**{f'{prefix}/{name}': kind for name, kind in _RESULTS.items()}, '/tf': 'tf2_msgs/msg/TFMessage'}


class RecorderNode(Node):
    """Writes what is published, reliably or not, as it comes, with the time of receipt; in a bag, names are as given.

    A topic that is renamed (-r OLD:=NEW) is listened to as NEW and written as OLD, which is how the player has it.
    """

    def __init__(self, bag: Path, topics: dict[str, str], replace: bool = False) -> None:
        """Open the bag and subscribe.

        :param topics: topic -> type, like ``{'/odom': 'nav_msgs/msg/Odometry'}``.
        :param replace: whether a bag that is there already may go.
        :raises BagError: when a topic's name is none, a type is not installed, the bag is there or cannot be written,
            or rosbags does not know a type.
        """
        classes = {topic: _message_class(topic, kind) for topic, kind in topics.items()}
        self._writer = BagWriter(bag, typestore(), replace)
        super().__init__('record_bag')
        full = {topic: self.resolve_topic_name(topic, only_expand=True) for topic in topics}
        self._types = {full[topic]: kind for topic, kind in topics.items()}
        self._classes = {full[topic]: kind for topic, kind in classes.items()}
        self._early: list[tuple[str, bytes, int]] = []
        self.counts = dict.fromkeys(self._types, 0)
        self._recorded = {topic: self._subscribe(topic, True, topic.endswith(LATCHED_TOPICS)) for topic in self._types}
        self.create_timer(ADAPT_S, self._adapt, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _subscribe(self, topic: str, reliable: bool, latched: bool) -> Subscription:
        qos = QoSProfile(
            depth=100, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
        return self.create_subscription(
            self._classes[topic], topic, lambda raw: self._write(topic, raw), qos, raw=True)

    def _adapt(self) -> None:
        """Ask for no more than what all publishers of a topic offer, and for what was latched before us."""
        for topic, subscription in self._recorded.items():
            offered = [publisher.qos_profile for publisher in self.get_publishers_info_by_topic(
                subscription.topic_name)]
            if not offered:
                continue
            was_latched = subscription.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            reliable = all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
            # What has come already would come again.
            latched = (was_latched or not self.counts[topic]) and all(
                qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
            if (reliable, latched) != (
                    subscription.qos_profile.reliability == ReliabilityPolicy.RELIABLE, was_latched):
                self.destroy_subscription(subscription)
                self._recorded[topic] = self._subscribe(topic, reliable, latched)

    def _write(self, topic: str, raw: bytes) -> None:
        """Write a message; with ``use_sim_time`` and before the first /clock, keep it for a while: it has no time."""
        self.counts[topic] += 1
        self._early.append((topic, raw, time.time_ns()))
        now_ns = self.get_clock().now().nanoseconds
        if now_ns or self._early[-1][2] - self._early[0][2] > CLOCK_WAIT_NS:
            self._write_early(now_ns)

    def _write_early(self, now_ns: int) -> None:
        """Write what was kept, with the time that ROS has now, or with the computer's where it has none."""
        if self._early and not now_ns:
            self.get_logger().warning(
                'use_sim_time: no /clock comes; messages have the time of this computer', once=True)
        for topic, raw, came_ns in self._early:
            self._writer.write_raw(topic, self._types[topic], now_ns or came_ns, raw)
        self._early.clear()

    def destroy_node(self) -> None:
        """Close the bag, then the node."""
        self._write_early(self.get_clock().now().nanoseconds)
        self._writer.__exit__(None, None, None)
        super().destroy_node()


def _message_class(topic: str, kind: str) -> type:
    try:
        validate_topic_name(topic)
    except NameValidationException as error:
        raise BagError(f'{topic}: no name of a topic ({str(error).splitlines()[0]})') from error
    package, slash, name = kind.partition('/msg/')
    try:
        if slash:
            return getattr(import_module(f'{package}.msg'), name)
    except (ModuleNotFoundError, AttributeError):
        pass
    raise BagError(f'{topic}: message type {kind!r} is not installed; write TOPIC:PACKAGE/msg/NAME')


def main(argv: Sequence[str] | None = None) -> int:
    """Record from the command line until interrupted; arguments after ``--ros-args`` are those of a node."""
    parser = argparse.ArgumentParser(
        prog='record_bag', description='Record ROS 2 topics into a bag. Node and topics can be renamed, as those of '
        'any node: --ros-args -r OLD:=NEW')
    parser.add_argument('topics', nargs='*', metavar='TOPIC:TYPE', help='e.g. /odom:nav_msgs/msg/Odometry')
    parser.add_argument('--results', metavar='NAMESPACE',
                        help='all that the nodes of superslam_ros publish in this namespace (/ for none), and /tf')
    parser.add_argument('--out', type=Path, required=True, help='folder of the bag, which must not be there yet')
    argv = sys.argv if argv is None else ['record_bag', *argv]
    arguments = parser.parse_args(remove_ros_args(argv)[1:])
    wanted = {} if arguments.results is None else results(arguments.results.strip('/'))
    wanted.update((topic, kind) for topic, _, kind in (pair.partition(':') for pair in arguments.topics))
    if not wanted:
        parser.error('name topics, or --results')
    going = begin(argv)
    try:
        node = RecorderNode(arguments.out, wanted)
    except BagError as error:
        print(f'error: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    try:
        spin(node, going)
    except OSError as error:
        print(f'error: {arguments.out}: cannot be written any more ({error.strerror or error})', file=sys.stderr)
        return 1
    return 0
