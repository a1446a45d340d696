"""Nodes that the tests load into a container."""

import time
from pathlib import Path

from rclpy.node import Node
from std_msgs.msg import String

from superslam_ros.nodes.shared.process import run
from superslam_ros.nodes.superpoint_node import SuperPointNode

THING = 'no class'


class Talker(Node):
    """Publishes its parameter ``word`` on ``chatter``, logs what comes on ``log``; one on ``fail`` makes it raise."""

    def __init__(self, **kwargs):
        super().__init__('talker', **kwargs)
        self.word = self.declare_parameter('word', 'hello').value
        self.publisher = self.create_publisher(String, 'chatter', 10)
        self.create_timer(0.02, lambda: self.publisher.publish(String(data=self.word)))
        self.create_subscription(String, 'fail', self.fail, 10)
        self.create_subscription(String, 'log', lambda message: self.get_logger().info(message.data), 10)

    def fail(self, message):
        raise RuntimeError(message.data)


class Buggy(SuperPointNode):
    """Has a programming error where images are worked on."""

    def process(self, item):
        raise AttributeError('a bug')


class Careless(SuperPointNode):
    """Has a programming error where it is configured."""

    def configure(self, config):
        raise AttributeError('another bug')


class Slow(Node):
    """Takes two seconds to be made, or with a parameter ``until`` as long as that file is missing."""

    def __init__(self, **kwargs):
        super().__init__('slow', **kwargs)
        until = self.declare_parameter('until', '').value
        end = time.monotonic() + (60 if until else 2)
        while time.monotonic() < end and not (until and Path(until).exists()):
            time.sleep(0.02)


class Broken(Node):
    """Raises when there is a node in the graph already, and a thread."""

    def __init__(self, **kwargs):
        super().__init__('broken', **kwargs)
        raise OSError('no weights here')


class Closed(Node):
    """Takes no arguments."""

    def __init__(self):
        super().__init__('closed')


if __name__ == '__main__':
    run(Buggy)
