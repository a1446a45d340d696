"""The odometry node by itself: it loses no matches, and needs its camera_info no earlier than it comes."""

from dataclasses import replace

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.msg import TrackingStatus

from superslam_ros.data import Camera, Features, Matches
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.topics.inputs import warn_of_unregistered
from superslam_ros.nodes.topics.messages import RosMessages

from .conftest import wait_until

SECOND = 10**9


@pytest.fixture
def matches():
    """Return features, and the matches of a first frame, which is a keyframe, and of four that follow at once."""
    rng = np.random.default_rng(0)
    pixels = rng.random((40, 2)) * [320, 240]
    features = Features(pixels, rng.random(40), np.zeros((40, 256)), (320, 240))
    first = replace(Matches.of(features, features, [], []), stamp0_ns=SECOND, stamp1_ns=SECOND, keyframe=True)
    same = Matches.of(features, features, np.stack([np.arange(40)] * 2, 1), np.ones(40))
    return features, [
        first, *(replace(same, stamp0_ns=SECOND, stamp1_ns=SECOND + n * SECOND // 10) for n in range(1, 5))]


def test_matches_wait_for_camera_info(context, spin, matches):
    features, matches = matches
    node, other, make = OdometryNode(context=context), rclpy.create_node('other', context=context), RosMessages()
    stamps = []
    other.create_subscription(TrackingStatus, 'superslam/status', lambda m: stamps.append(m.header.stamp.nanosec), 10)
    out = other.create_publisher(MatchesMsg, 'superslam/matches', 10)
    features_out = other.create_publisher(FeaturesMsg, 'superslam/features', 10)
    features.stability = np.linspace(0.05, 1, 40, dtype=np.float32)
    info = other.create_publisher(CameraInfo, 'camera_info', 10)
    spin(node, other)
    assert wait_until(lambda: out.get_subscription_count() and features_out.get_subscription_count()
                      and info.get_subscription_count() and other.count_publishers('/superslam/status'))

    def publish(one):
        features_out.publish(make.features(one.stamp1_ns, 'camera', features, 'superpoint', True))
        out.publish(make.matches(one, 'camera', False, ((320, 240), (320, 240)), 'nearest'))

    for one in matches[:4]:
        publish(one)
    assert wait_until(lambda: len(node.held) == 4)
    assert not stamps
    camera = Camera(320, 240, np.array([[200.0, 0, 160], [0, 200, 120], [0, 0, 1]]))
    info.publish(make.camera_info(SECOND, camera))
    assert wait_until(lambda: node.cameras.complete)
    publish(matches[4])
    assert wait_until(lambda: len(stamps) == 5)
    assert stamps == [one.stamp1_ns % SECOND for one in matches]
    first = node.motion.map.find(SECOND)
    assert first is not None, 'the first keyframe was lost'
    assert first.pixel_sigma[0] > 2 * first.pixel_sigma[-1], 'what is not stable is exact'


def test_depth_of_another_frame_is_warned_of_once(context, capfd):
    node = Node('depth', context=context)
    for _ in range(3):
        warn_of_unregistered(node, 'color_optical', 'depth_optical')
    warn_of_unregistered(node, 'color_optical', 'color_optical')
    node.destroy_node()
    assert capfd.readouterr().err.count('the depth is of frame depth_optical') == 1
