"""One list of what may come: the nodes and `superslam run` use the same frames of it, and skip the same."""

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.data import Features, Matches
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.slam import VisualOdometry
from superslam_ros.worlds import pinhole

from .conftest import wait_until

IMAGE, INFO, DEPTH = '/cam/image_raw', '/cam/camera_info', '/cam/depth'
STEP_NS = 100_000_000       # of the bag
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Blank:
    """An extractor that finds nothing, at once."""

    name = 'blank'

    def batch(self, grays):
        return [Features(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 256)), gray.shape[::-1]) for gray in grays]


def odometry(config):
    return VisualOdometry(config, Blank(), lambda left, right: Matches.of(left, right, [], []))


class Listener(SuperSlamNode):
    """The node without networks; keeps which frames it uses, and counts what it hears."""

    def __init__(self, **kwargs):
        self.used, self.heard = [], 0
        super().__init__(**kwargs)
        self.worker._most = 100     # the node of a robot takes the latest

    def configure(self, config):
        super().configure(config)
        self.odometry = odometry(config)
        publish = self.publisher.publish
        self.publisher.publish = lambda motion, *others: (self.used.append(motion.stamp_ns), publish(motion, *others))

    def describe(self):
        return ''

    def create_subscription(self, kind, topic, callback, qos, **kwargs):
        def count(message):
            callback(message)
            self.heard += 1
        return super().create_subscription(kind, topic, count, qos, **kwargs)


def images(bag, *indices, **changes):
    for index in indices:
        bag.image(index, **changes)


def with_every_image(bag):
    bag.frames(6)


def once(bag):
    bag.info(0)
    images(bag, *range(6))


def slower(bag):
    for index in range(6):
        if index % 3 == 0:
            bag.info(index)
        bag.image(index)


def late(bag):
    images(bag, 0, 1, 2)
    bag.frames(3, start=3)


def elsewhere(bag):
    for index in range(6):
        bag.info(index, topic='/calibration')
        bag.image(index)


def of_another_size(bag):
    bag.frames(3)
    bag.info(3, camera=pinhole(32, 24))
    bag.image(3)
    bag.frames(2, start=4)


def not_calibrated(bag):
    bag.frames(3)
    bag.info(3, k=np.zeros(9))
    bag.image(3)


def bad_images(bag):
    bag.frames(2)
    bag.image(2, encoding='what is this')
    bag.image(3, stamp_ns=0)
    bag.image(4, data=np.zeros(5, np.uint8))
    bag.frames(1, start=5)


def out_of_order(bag):
    bag.frames(3)
    bag.image(3, stamp_ns=2 * STEP_NS)
    bag.image(4, stamp_ns=3 * STEP_NS)
    bag.frames(1, start=5)


def again_from_the_beginning(bag):
    bag.frames(2, start=20)
    for index in range(4):
        bag.image(22 + index, stamp_ns=(index + 1) * STEP_NS)


def depth(bag, index, **changes):
    bag.image(index, np.full((48, 64), 2000, np.uint16), topic=DEPTH, encoding='16UC1', **changes)


def depth_that_begins_later(bag):
    bag.info(0)
    for index in range(6):
        if index >= 2:
            depth(bag, index)
        bag.image(index)


def depth_with_a_gap(bag):
    bag.info(0)
    for index in range(6):
        if index != 2:
            depth(bag, index)
        bag.image(index)


def depth_of_another_clock(bag):
    bag.info(0)
    for index in range(6):
        depth(bag, index, **({} if index == 5 else {'stamp_ns': (index + 1) * STEP_NS + 3600 * 10**9}))
        bag.image(index)


ALL = [0, 1, 2, 3, 4, 5]
CASES = [
    (with_every_image, ALL), (once, ALL), (slower, ALL), (elsewhere, ALL), (of_another_size, [0, 1, 2, 4, 5]),
    (not_calibrated, [0, 1, 2, 3]), (bad_images, [0, 1, 5]), (out_of_order, [0, 1, 2, 5]),
    (again_from_the_beginning, [20, 21, 0, 1, 2, 3]), (depth_that_begins_later, [2, 3, 4, 5]),
    (depth_with_a_gap, ALL), (depth_of_another_clock, [5]),
    # A recording is searched for the calibration beforehand.
    (late, {'bag': ALL, 'node': [3, 4, 5]}),
]


def of_bag(path, options):
    with open_bag(path) as reader:
        slam, used = None, []
        for recorded in BagFrames(reader, options):
            slam = slam or odometry(None)
            step = slam.process(recorded.frame)
            used += [] if step is None else [recorded.frame.stamp_ns]
    return used


class Driver:
    """Publishes recorded messages, each when the one before has come."""

    def __init__(self, context, bag, latched):
        self.bag, self.latched, self.node = bag, latched, rclpy.create_node('driver', context=context)
        self.out = {}
        for topic, _, message in bag.messages:
            if topic not in self.out:
                kind = Image if message.__msgtype__.endswith('Image') else CameraInfo
                self.out[topic] = self.node.create_publisher(
                    kind, topic, LATCHED if kind is CameraInfo and latched else 10)

    def send(self, topic, message):
        self.out[topic].publish(bytes(self.bag.make.store.serialize_cdr(message, message.__msgtype__)))

    def send_all(self, listener):
        assert wait_until(lambda: all(one.get_subscription_count() for one in self.out.values()))
        for topic, _, message in self.bag.messages:
            if self.latched and message.__msgtype__.endswith('CameraInfo'):
                continue
            before = listener.heard
            self.send(topic, message)
            assert wait_until(lambda before=before: listener.heard > before, 10)


@pytest.mark.parametrize('fill, expected', CASES, ids=lambda value: getattr(value, '__name__', ''))
def test_the_same_frames_are_used(context, spin, bag, fill, expected):
    fill(bag)
    info = '/calibration' if fill is elsewhere else INFO
    mode = 'rgbd' if any(topic == DEPTH for topic, *_ in bag.messages) else 'mono'
    expected = {kind: [(index + 1) * STEP_NS for index in indices] for kind, indices in (
        expected if isinstance(expected, dict) else {'bag': expected, 'node': expected}).items()}
    options = ReaderOptions(mode=mode, camera_info=info if fill is elsewhere else '')
    assert of_bag(bag.write(), options) == expected['bag']
    node = Listener(
        context=context, cli_args=['--ros-args', '-r', f'image:={IMAGE}', '-r', f'camera_info:={info}',
                                   '-r', f'depth:={DEPTH}'],
        parameter_overrides=[Parameter('mode', value=mode), Parameter('reliability', value='reliable')])
    driver = Driver(context, bag, latched=False)
    spin(node, driver.node)
    driver.send_all(node)
    wait_until(lambda: node.used == expected['node'], 10)
    assert node.used == expected['node']


def test_a_calibration_that_was_latched_before_is_heard(context, spin, bag):
    """Also when its publisher is another one later, and when it sends another one."""
    once(bag)
    driver = Driver(context, bag, latched=True)
    driver.send(INFO, bag.messages[0][2])
    node = Listener(context=context, cli_args=['--ros-args', '-r', f'image:={IMAGE}', '-r', f'camera_info:={INFO}'],
                    parameter_overrides=[Parameter('reliability', value='reliable')])
    spin(node, driver.node)
    assert wait_until(lambda: node.cameras.complete, 10)
    driver.send_all(node)
    assert wait_until(lambda: node.used == [(index + 1) * STEP_NS for index in ALL], 10)

    message = bag.make.camera_info(STEP_NS, pinhole(32, 24))
    driver.send(INFO, message)
    assert wait_until(lambda: node.cameras.left.image_size == (32, 24), 10)
    driver.node.destroy_publisher(driver.out.pop(INFO))
    assert wait_until(lambda: not node.count_publishers(INFO), 10)
    driver.out[INFO] = driver.node.create_publisher(CameraInfo, INFO, LATCHED)
    driver.send(INFO, bag.messages[0][2])
    assert wait_until(lambda: node.cameras.left.image_size == (64, 48), 10)
    driver.node.destroy_publisher(driver.out.pop(INFO))
    assert wait_until(lambda: not node.count_publishers(INFO), 10)
    driver.out[INFO] = driver.node.create_publisher(CameraInfo, INFO, 10)    # volatile: as most drivers
    # Nobody warns of a subscription that does not fit.
    assert wait_until(lambda: node.count_subscribers(INFO) == 1 and driver.out[INFO].get_subscription_count() == 1, 10)
    driver.send(INFO, message)
    assert wait_until(lambda: node.cameras.left.image_size == (32, 24), 10)
