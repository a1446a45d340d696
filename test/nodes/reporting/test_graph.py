"""What is missing is explained by its cause: the graph and the stamps are asked whenever something is."""

import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from superslam_ros.nodes.reporting import graph
from superslam_ros.nodes.reporting.graph import why_silent
from superslam_ros.nodes.superpoint_node import SuperPointNode

from ..conftest import wait_until

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def driver():
    """Return a node of another process, as far as DDS is concerned; not spun, it may destroy its publishers at once."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('driver', namespace='cam', context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize('parameters, remapping, publishers, reason', [
    ({}, 'image:=/cam/image', [], 'nobody publishes /cam/image, nor any other sensor_msgs/msg/Image'),
    ({}, 'image:=/cam/imagge', [(Image, '/cam/image', 10), (Image, '/lidar/range', 10)],
     'nobody publishes /cam/imagge (did you mean /cam/image? remap: -r image:=/cam/image)'),
    ({}, 'image:=/cam/image', [(CompressedImage, '/cam/image/compressed', 10)], 'transport: compressed'),
    ({'transport': 'compressed'}, 'image:=/cam/image', [(Image, '/cam/image', 10)], 'transport: raw'),
    ({}, 'image:=/cam/image', [(CompressedImage, '/cam/image', 10)],
     'published by /cam/driver as sensor_msgs/msg/CompressedImage, not as sensor_msgs/msg/Image'),
    ({'reliability': 'reliable'}, 'image:=/cam/image', [(Image, '/cam/image', BEST_EFFORT)],
     '/cam/image is published as best_effort by /cam/driver, which reliability: reliable does not hear'),
    ({}, 'image:=/cam/image', [(Image, '/cam/image', 10)], 'nothing has come on /cam/image for'),
    ({'use_sim_time': True}, 'image:=/cam/image', [], 'use_sim_time is true, but nobody publishes /clock'),
    ({'transport': 'compressed'}, 'image:=/cam/image', [], 'nobody publishes /cam/image/compressed'),
    ({'transport': 'compressed'}, 'image/compressed:=/cam/jpegs', [], 'nobody publishes /cam/jpegs'),
])
def test_silence_is_explained(context, spin, driver, parameters, remapping, publishers, reason):
    node = SuperPointNode(
        context=context, cli_args=['--ros-args', '-r', remapping],
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()])
    spin(node)
    for publisher in publishers:
        driver.create_publisher(*publisher)
    assert wait_until(lambda: reason in why_silent(node, node.channels), 10), why_silent(node, node.channels)
    if publishers and 'clock' not in reason:
        assert 'nor any other' not in why_silent(node, node.channels)


def test_what_a_node_publishes_itself_is_not_proposed_to_it(context, spin):
    node = rclpy.create_node('node', context=context)
    spin(node)
    node.create_publisher(Image, '/depht', 10)
    channel = graph.Channel.of(node, 'depth', Image, BEST_EFFORT)
    assert wait_until(lambda: node.count_publishers('/depht'), 10)
    assert 'nor any other' in graph.why_missing(node, channel)


def test_several_publishers_are_named(context, spin, driver):
    node, other = (rclpy.create_node(name, context=context) for name in ('node', 'other'))
    spin(node, other)
    channels = [graph.Channel.of(node, name, Image, BEST_EFFORT) for name in ('image', 'depth', 'cam/image')]
    for topic in ('image', 'image', '/image', '/depth'):
        driver.create_publisher(Image, topic, 10)
    assert wait_until(lambda: node.count_publishers('/depth') == node.count_publishers('/image') == 1, 10)
    assert wait_until(lambda: graph.mixtures(node, channels) == [
        'several publishers on /cam/image: /cam/driver (2 times); let one have another name'], 10)
    for topic in ('image', 'depth'):
        other.create_publisher(Image, topic, 10)
    assert wait_until(lambda: 'several publishers on /image, /depth: /cam/driver and /other; let one have another name'
                      in graph.mixtures(node, channels), 10)
