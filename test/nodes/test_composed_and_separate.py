"""One node or three: of the same images they say the same, also where depth comes late and time begins anew."""

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from superslam_ros.msg import TrackingStatus

from superslam_ros.data import Features
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.worlds import pinhole

from .conftest import wait_until

STEP_NS = 100_000_000
RNG = np.random.default_rng(0)
DESCRIPTORS = np.linalg.qr(RNG.standard_normal((256, 256)))[0][:60].astype(np.float32)
FEATURES = Features(RNG.random((60, 2)) * [60, 44] + 2, RNG.random(60), DESCRIPTORS, (64, 48))


class Fixed:
    """An extractor that finds the same keypoints in every image."""

    name = 'fixed'

    def batch(self, grays):
        return [FEATURES for _ in grays]


class Points(SuperPointNode):
    """Without a network."""

    def configure(self, config):
        super().configure(config)
        self.extractor = Fixed()

    def describe(self):
        return ''


class Whole(SuperSlamNode):
    """Without a network."""

    def configure(self, config):
        super().configure(config)
        self.odometry.extractor = Fixed()

    def describe(self):
        return ''


class Camera(rclpy.node.Node):
    """Publishes images and depth, and keeps what is said of them."""

    def __init__(self, nodes, **kwargs):
        super().__init__('camera', **kwargs)
        self.nodes, self.make, self.said = nodes, RosMessages(), []
        self.out = {name: self.create_publisher(kind, name, 10) for name, kind in (
            ('image', Image), ('depth', Image), ('camera_info', CameraInfo))}
        self.create_subscription(TrackingStatus, 'superslam/status', self.on_status, 10)

    def on_status(self, message):
        self.said.append((message.header.stamp.nanosec // STEP_NS, message.state))

    def ready(self):
        return wait_until(lambda: all(one.get_subscription_count() for one in self.out.values())
                          and self.count_publishers('superslam/status'), 20)

    def calibrate(self):
        self.out['camera_info'].publish(self.make.camera_info(STEP_NS, pinhole(64, 48)))
        assert wait_until(lambda: self.nodes[-1].cameras.complete, 20)

    def send(self, name, index):
        """Publish, and wait until it was taken, and worked on."""
        array = np.full((48, 64), 2000, np.uint16) if name == 'depth' else np.full((48, 64), index, np.uint8)
        listeners = [node for node in self.nodes if name in node.channels]
        before = [node.channels[name].count for node in listeners]
        message = self.make.image(index * STEP_NS, 'camera', array)
        self.out[name].publish(message)
        assert wait_until(lambda: all(node.channels[name].count > count for node, count in zip(listeners, before)), 20)

    def send_frame(self, index):
        """Publish an image, and wait until the last node has dealt with it."""
        before = self.dealt_with
        self.send('image', index)
        assert wait_until(lambda: self.dealt_with > before, 20)

    @property
    def dealt_with(self):
        return len(self.said) + sum(self.nodes[-1].skipped.values())


@pytest.fixture(params=[True, False], ids=['composed', 'separate'])
def camera(request, context, spin):
    """Return the camera of one node, or of three."""
    kinds = [Whole] if request.param else [Points, SuperGlueNode, OdometryNode]
    nodes = [kind(context=context, parameter_overrides=[
        Parameter('mode', value='rgbd'), Parameter('reliability', value='reliable')]) for kind in kinds]
    camera = Camera(nodes, context=context)
    spin(camera, *nodes)
    assert camera.ready()
    return camera


def assert_begins(said):
    """It initialises once, then tracks."""
    states = [state for _, state in said]
    assert states[0] == TrackingStatus.INITIALIZING and set(states[1:]) == {TrackingStatus.TRACKING}, said


def test_depth_that_begins_after_the_images(camera):
    camera.calibrate()
    last, (main, *_) = camera.nodes[-1], [name for name in camera.nodes[-1].channels if name in ('image', 'matches')]
    for index in (1, 2):
        camera.send('image', index)
        assert wait_until(lambda index=index: last.channels[main].count == index, 20)
    camera.send('depth', 3)     # now it is clear that these have none
    assert wait_until(lambda: last.skipped['no depth'] + last.worker.dropped == 2, 20)
    assert not camera.said
    camera.send_frame(3)
    for index in range(4, 9):
        camera.send('depth', index)
        camera.send_frame(index)
    assert_begins(camera.said)
    assert camera.said[-1][0] == 8
    assert last.skipped['no keyframe'] <= 3     # until the matcher has begun anew


def test_depth_that_has_come_is_not_missed_after_a_loop(camera):
    camera.calibrate()
    for index in (20, 21, 22):
        camera.send('depth', index)
        camera.send_frame(index)
    before = len(camera.said)
    for index in (1, 2, 3):     # matches come long after depth, where networks are slow
        camera.send('depth', index)
    for index in (1, 2, 3):
        camera.send_frame(index)
    assert wait_until(lambda: camera.said[-1][0] == 3, 20)
    assert_begins(camera.said[:before])
    assert_begins(camera.said[before:])
    assert 'without depth' not in camera.nodes[-1].reports._said


def test_odometry_that_begins_in_the_midst_of_it(camera):
    """As when its node is started anew."""
    camera.calibrate()
    for index in (1, 2):
        camera.send('depth', index)
        camera.send_frame(index)
    last = camera.nodes[-1]
    for change in (last.trigger_deactivate, last.trigger_cleanup, last.trigger_configure, last.trigger_activate):
        change()
    assert camera.ready()
    camera.said.clear()
    camera.calibrate()
    for index in range(3, 9):
        camera.send('depth', index)
        camera.send_frame(index)
    assert_begins(camera.said)
