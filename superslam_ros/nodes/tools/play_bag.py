"""Plays a bag into ROS topics, where no ``ros2 bag`` is installed: ``-m superslam_ros.nodes.tools.play_bag BAG``."""

from __future__ import annotations

if __name__ == '__main__':      # before the imports that take long
    from superslam_ros.nodes.shared.start import start

    start(__spec__.name)

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock

from superslam_ros.bags import types
from superslam_ros.bags.bag import BagError, BagReader, Connection, as_cdr, is_latched, open_bag
from superslam_ros.conversions import split_stamp
from superslam_ros.nodes.shared.process import begin

LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Deep: every broadcaster of static transforms has a message of its own on /tf_static."""
CLOCK_WAIT_S = 2.0
DISCOVERY_S = 1.0
"""For subscribers to find the publishers in their turn, which cannot be seen from here: what is sent before is lost."""


class BagPlayer:
    """Publishes the messages of an open bag as they were recorded: byte by byte, but for those of ROS 1."""

    def __init__(
        self, node: Node, reader: BagReader, topics: Sequence[str] = (), clock: bool = False,
        without: Sequence[str] = (), going: Callable[[], bool] = rclpy.ok,
    ) -> None:
        """Advertise the topics (default: all whose messages can be sent); latched ones stay latched.

        :param clock: publish /clock, and not the one of the bag.
        :param without: topics that are not played.
        :param going: whether to go on waiting.
        :raises BagError: when one of the ``topics`` is not in the bag or cannot be sent.
        """
        self._node, self._reader, self._going = node, reader, going
        # Before the others, so that whoever finds those has found the clock.
        self._clock = node.create_publisher(Clock, '/clock', 10) if clock else None
        there = {c.topic for c in reader.connections}
        absent = [topic for topic in topics if topic not in there]
        if absent:
            raise BagError(f'the bag has no {", ".join(absent)}, but {", ".join(sorted(there))}')
        wanted = (set(topics) or there) - set(without) - ({'/clock'} if clock else set())
        self._publishers: dict[str, Publisher] = {}
        self._connections = []
        kinds: dict[str, str] = {}
        latched = {c.topic for c in reader.connections if is_latched(c)}
        for connection in (c for c in reader.connections if c.topic in wanted):
            topic, name = connection.topic, connection.msgtype
            try:
                kind = _message_class(connection)
                if kinds.setdefault(topic, name) != name:
                    raise BagError(f'it has {kinds[topic]}, too')
                if topic not in self._publishers:
                    qos = LATCHED if topic in latched else QoSProfile(depth=50)
                    self._publishers[topic] = node.create_publisher(kind, topic, qos)
                self._connections.append(connection)
            except (BagError, InvalidTopicNameException) as error:
                reason = str(error).splitlines()[0]
                if topic in topics:
                    raise BagError(f'{topic} with {name} cannot be played: {reason}') from error
                node.get_logger().warning(f'{topic} with {name} is left out: {reason}')

    def wait_for_subscribers(self, topics: Sequence[str], timeout_s: float) -> bool:
        """Wait until every one of ``topics`` has a subscriber; return whether that happened in time.

        Those who listen to /clock are waited for a little, too: without it what they hear has no time.

        :raises BagError: when the bag has no such topic.
        """
        absent = [topic for topic in topics if topic not in self._publishers]
        if absent:
            raise BagError(f'{", ".join(absent)} is not played; the bag has {", ".join(self._publishers)}')
        if not self._wait(lambda: all(self._publishers[topic].get_subscription_count() for topic in topics), timeout_s):
            return False
        if self._clock is not None:
            self._wait(lambda: self._clock.get_subscription_count() >= self._node.count_subscribers(
                self._clock.topic_name), CLOCK_WAIT_S)
        if topics:
            self._wait(lambda: False, DISCOVERY_S)
        return True

    def _wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._going():
            if ready():
                return True
            time.sleep(0.05)
        return False

    def play(self, pause: Callable[[int], bool]) -> None:
        """Publish everything; ``pause`` is called with each message's time (ns) before it goes out.

        It may wait, and ends the playing by returning False.
        """
        for connection, log_ns, raw in self._reader.messages(self._connections):
            if not pause(log_ns):
                return
            if self._clock is not None:
                clock = Clock()
                clock.clock.sec, clock.clock.nanosec = split_stamp(log_ns)
                self._clock.publish(clock)
            message = as_cdr(raw, connection)
            if message is not None:
                self._publishers[connection.topic].publish(bytes(message))
        for publisher in self._publishers.values():
            if self._going():
                publisher.wait_for_all_acked(Duration(seconds=2))


class RealTime:
    """Waits so that a bag plays at a rate of the time it was recorded in."""

    def __init__(self, rate: float, going: Callable[[], bool] = rclpy.ok) -> None:
        """Set the rate: 1 is as recorded, 2 twice as fast; and what says whether to go on."""
        self.rate, self._going = rate, going
        self._start: tuple[float, int] | None = None

    def __call__(self, log_ns: int) -> bool:
        """Wait for a message's time; return whether to go on."""
        if self._start is None:
            self._start = time.monotonic(), log_ns
        due = self._start[0] + (log_ns - self._start[1]) * 1e-9 / self.rate
        while self._going() and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self._going()


def _message_class(connection: Connection) -> type:
    """Return the class of a topic's messages; raise BagError with the reason when they cannot be sent."""
    package, _, kind = connection.msgtype.partition('/msg/')
    problem = '' if connection.encoding == 'cdr' else types.problem(connection)
    if problem:
        raise BagError(problem)
    try:
        found = getattr(import_module(f'{package}.msg'), kind) if package.isidentifier() else None
    except (ModuleNotFoundError, AttributeError):
        found = None
    if found is None:
        raise BagError('the type is not installed')
    if package == 'superslam_ros' and connection.encoding == 'cdr' and not types.problem(connection):
        recorded = [name for name, _ in types.store(connection).fielddefs[connection.msgtype][1]]
        if recorded != list(found.get_fields_and_field_types()):
            raise BagError('it was recorded with another version of this package, whose messages have other fields; '
                           'play the images in their place')
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Play a bag from the command line; arguments after ``--ros-args`` are those of a node."""
    parser = argparse.ArgumentParser(
        prog='play_bag', description='Play a rosbag into ROS 2 topics. Node and topics can be renamed, as those of '
        'any node: --ros-args -r OLD:=NEW')
    parser.add_argument('bag', type=Path)
    parser.add_argument('--rate', type=float, default=1.0, help='1: as recorded (default)')
    parser.add_argument('--topics', nargs='+', default=[], help='only these')
    parser.add_argument('--without', nargs='+', default=[], metavar='TOPIC', help='all but these')
    parser.add_argument('--clock', action='store_true', help='publish /clock, for use_sim_time')
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument('--wait-for', nargs='+', default=[], metavar='TOPIC', help='wait for subscribers of these')
    argv = sys.argv if argv is None else ['play_bag', *argv]
    arguments = parser.parse_args(remove_ros_args(argv)[1:])
    if not arguments.rate > 0:
        parser.error('--rate must be positive')
    going = begin(argv)
    node = rclpy.create_node('play_bag')
    try:
        with open_bag(arguments.bag) as reader:
            player = BagPlayer(node, reader, arguments.topics, arguments.clock, arguments.without, going)
            if not player.wait_for_subscribers(arguments.wait_for, 30.0) and going():
                raise BagError(f'nobody has subscribed to {", ".join(arguments.wait_for)} within 30 s')
            player.play(RealTime(arguments.rate, going))
            while arguments.loop and going():
                player.play(RealTime(arguments.rate, going))
            return int(bool(reader.damage))
    except BagError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
