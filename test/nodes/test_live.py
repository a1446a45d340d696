"""Frames in, odometry out, over DDS: between processes, composed and separate, with bad messages among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rclpy
from nav_msgs.msg import Odometry, Path
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Matches as MatchesMsg
from superslam_ros.msg import TrackingStatus
from visualization_msgs.msg import MarkerArray

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.shared.base import LATCHED
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.slam import VisualOdometry

from .conftest import end, wait_until

FRAMES = 8
STEREO = [Parameter('mode', value='stereo')]
FLOAT32 = '-p', 'extractor.precision:=float32'      # as this process computes, whatever the CPU can do


@pytest.fixture(scope='module')
def frames(demo_bag):
    """Return the first frames of the demo bag."""
    with open_bag(demo_bag.bag) as reader:
        return [recorded.frame for recorded, _ in zip(BagFrames(reader), range(FRAMES))]


class Camera(rclpy.node.Node):
    """Publishes frames one by one, and keeps what comes back."""

    def __init__(self, **kwargs):
        super().__init__('camera', **kwargs)
        self.make = RosMessages()
        self.out = {
            name: self.create_publisher(kind, name, 10) for name, kind in (
                ('image', Image), ('right/image', Image), ('camera_info', CameraInfo),
                ('right/camera_info', CameraInfo))}
        self.poses, self.states, self.status = {}, [], None
        self.create_subscription(Odometry, 'superslam/odometry', self.on_odometry, 10)
        self.create_subscription(TrackingStatus, 'superslam/status', self.on_status, 10)

    def on_odometry(self, message):
        position = message.pose.pose.position
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.poses[stamp] = np.array([position.x, position.y, position.z])

    def on_status(self, message):
        self.status = message
        self.states.append(message.state)

    def ready(self):
        return wait_until(lambda: all(p.get_subscription_count() for p in self.out.values())
                          and self.count_publishers('superslam/status') > 0)

    def send_infos(self, frame):
        self.out['camera_info'].publish(self.make.camera_info(frame.stamp_ns, frame.camera))
        self.out['right/camera_info'].publish(self.make.camera_info(frame.stamp_ns, frame.right_camera))

    def send(self, frame, **changes):
        """Publish a frame and wait until it was worked on; fields of the image may be changed.

        What is published before both sides have found each other is lost, so it is published again.
        """
        stamp, before = frame.stamp_ns, len(self.states)
        image = self.make.image(stamp, 'camera', frame.image)
        for name, value in changes.items():
            setattr(image, name, value)
        for _ in range(3):
            self.send_infos(frame)
            self.out['right/image'].publish(self.make.image(stamp, 'right', frame.right_image))
            self.out['image'].publish(image)
            if changes or wait_until(lambda: len(self.states) > before, timeout=20):
                return True
        return False


def expected(frames):
    """Return the positions that the core computes without ROS."""
    odometry = VisualOdometry()
    return {frame.stamp_ns: odometry.process(frame).motion.T_odom_camera[:3, 3] for frame in frames}


def assert_same(poses, frames):
    truth = expected(frames)
    assert set(poses) == set(truth)
    for stamp, position in truth.items():
        np.testing.assert_allclose(poses[stamp], position, atol=1e-6)


def test_three_nodes_compute_what_the_core_computes(context, spin, frames):
    camera = Camera(context=context)
    spin(camera, *(node(context=context, parameter_overrides=STEREO)
                   for node in (SuperPointNode, SuperGlueNode, OdometryNode)))
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames)
    assert wait_until(lambda: len(camera.poses) == len(frames))
    assert_same(camera.poses, frames)


def test_keypoints_of_the_next_frame_are_found_while_one_is_tracked(context, spin, frames, monkeypatch):
    """And the odometry is that of one frame after the other."""
    frames = frames[:5]     # as many as a subscription holds
    camera, node = Camera(context=context), SuperSlamNode(context=context, parameter_overrides=[
        *STEREO, Parameter('reliability', value='reliable')])
    node.worker._most = len(frames)     # not the latest alone
    extracted, at_once, finish = [], [], node.finish
    extract = node.odometry.extract
    monkeypatch.setattr(node.odometry, 'extract', lambda frame: (extracted.append(frame.stamp_ns), extract(frame))[1])

    def finish_later(made):
        ahead = [frame.stamp_ns for frame in frames if frame.stamp_ns > made.extracted.frame.stamp_ns][:1]
        at_once.append(wait_until(lambda: not ahead or ahead[0] in extracted))
        finish(made)

    monkeypatch.setattr(node, 'finish', finish_later)
    spin(camera, node)
    assert camera.ready()
    camera.send_infos(frames[0])
    assert wait_until(lambda: node.cameras.complete)
    for frame in frames:
        camera.out['right/image'].publish(camera.make.image(frame.stamp_ns, 'right', frame.right_image))
        camera.out['image'].publish(camera.make.image(frame.stamp_ns, 'camera', frame.image))
    assert wait_until(lambda: len(camera.poses) == len(frames))
    assert_same(camera.poses, frames)
    assert all(at_once) and len(at_once) == len(frames) and not node.worker.dropped


def test_listeners_come_and_go(context, spin, frames):
    camera, node = Camera(context=context), SuperSlamNode(context=context, parameter_overrides=STEREO)
    spin(camera, node)
    assert camera.ready()
    topics = {'overlay': Image, 'observations': MarkerArray, 'features': FeaturesMsg, 'matches_stereo': MatchesMsg}
    publishers = [one for one in node.publishers if one.topic_name.rpartition('/')[2] in topics]
    assert len(publishers) == len(topics)
    for number, frame in enumerate(frames[:6]):
        stamp, heard, listeners = camera.make.header(frame.stamp_ns, '').stamp, {}, []
        if number % 2:
            listeners = [camera.create_subscription(
                kind, f'superslam/{name}', lambda message, name=name, heard=heard: heard.update({name: message}), 10)
                for name, kind in topics.items()]
        here = len(listeners) > 0
        assert wait_until(lambda here=here: all(one.get_subscription_count() == here for one in publishers))
        assert camera.send(frame)
        # The overlay of the frame before may still have been under way.
        assert not here or wait_until(lambda heard=heard, stamp=stamp: [
            (getattr(message, 'header', None) or message.markers[0].header).stamp for message in heard.values()
        ] == [stamp] * len(topics))
        for listener in listeners:
            camera.destroy_subscription(listener)
    assert_same(camera.poses, frames[:6])

    paths = []
    camera.create_subscription(Path, 'superslam/path', paths.append, LATCHED)     # when it is over
    assert wait_until(lambda: paths) and 1 <= len(paths[0].poses) <= 6
    assert paths[0].poses[0].header.stamp == camera.make.header(frames[0].stamp_ns, '').stamp


def test_one_process_survives_bad_messages_and_a_looped_bag(context, spin, frames):
    camera = Camera(context=context)
    node = SuperSlamNode(context=context, parameter_overrides=STEREO)
    spin(camera, node)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[:4])
    for number, changes in enumerate((
        {'encoding': 'no such encoding'}, {'width': 0, 'height': 0}, {'step': 1}, {'data': b''}), 1):
        camera.send(frames[4], **changes)
        assert wait_until(lambda number=number: sum(node.skipped.values()) >= number)
    assert all(camera.send(frame) for frame in frames[4:])
    first = dict(camera.poses)
    assert_same(first, frames)
    camera.poses.clear()
    later = [replace(frame, stamp_ns=frame.stamp_ns + 10**10) for frame in frames[:1]]
    assert all(camera.send(frame) for frame in [*later, *frames])    # the bag begins again: time jumps back
    assert node.odometry.resets.total() == 1
    camera.poses.pop(later[0].stamp_ns)
    assert_same(camera.poses, frames)


@pytest.mark.parametrize('composed', [True, False])
def test_reset_begins_anew_at_the_origin(context, spin, frames, composed):
    camera = Camera(context=context)
    kinds = [SuperSlamNode] if composed else [SuperPointNode, SuperGlueNode, OdometryNode]
    nodes = [kind(context=context, parameter_overrides=STEREO) for kind in kinds]
    spin(camera, *nodes)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames[4:6])
    camera.poses.clear()
    service = camera.create_client(Trigger, '/superslam/reset' if composed else '/odometry/reset')
    assert service.wait_for_service(5)
    future = service.call_async(Trigger.Request())
    assert wait_until(future.done) and future.result().success
    assert wait_until(lambda: all(node._reset_asked.is_set() for node in nodes[-2:]))    # over DDS, it takes a moment
    assert all(camera.send(frame) for frame in frames[:3])    # earlier stamps: not refused either
    assert wait_until(lambda: len(camera.poses) == 3)
    assert_same(camera.poses, frames[:3])


def test_odometry_comes_out_of_another_process(context, spin, start, frames):
    camera = Camera(context=context)
    spin(camera)
    process = start('superslam_node', '--ros-args', '-p', 'mode:=stereo', '-p', 'reliability:=reliable', *FLOAT32)
    assert camera.ready()
    camera.send_infos(frames[0])
    assert not wait_until(lambda: camera.states, timeout=1)     # between processes, topics may overtake each other
    assert all(camera.send(frame) for frame in frames[:4])
    assert wait_until(lambda: len(camera.poses) == 4)
    assert_same(camera.poses, frames[:4])
    assert camera.status.stages == ['extract', 'match', 'motion']
    status, output = end(process)
    assert status == 0, output
