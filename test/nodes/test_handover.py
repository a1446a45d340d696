"""Objects from node to node in a process; messages for those outside, and nothing twice."""

import gc
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from superslam_ros.msg import Features as FeaturesMsg

from superslam_ros import data
from superslam_ros.data import Features
from superslam_ros.nodes.handover import Handed, Inlet, Outlet
from superslam_ros.nodes.messages import RosMessages, features_from
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode

from .conftest import wait_until
from .test_live import STEREO, Camera, assert_same, frames  # noqa: F401

MAKE = RosMessages()


@pytest.fixture
def elsewhere():
    """Return a node of another context, which is to the nodes of a test what another process is."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('elsewhere', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.wait = lambda condition: wait_until(lambda: executor.spin_once(0.02) or condition())
    yield node
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def features(seed=0, count=60):
    rng = np.random.default_rng(seed)
    descriptors = rng.normal(size=(count, 256)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    keypoints = rng.uniform(10, 200, (count, 2)).astype(np.float32)
    return Features(keypoints, np.ones(count, np.float32), descriptors, (320, 240))


def test_objects_stay_in_the_process_and_messages_are_made_for_others(context, spin, elsewhere):
    sender, receiver = (rclpy.create_node(name, context=context) for name in ('sender', 'receiver'))
    spin(sender, receiver)
    taken, made, heard = [], [], []
    outlet = Outlet(sender, FeaturesMsg, 'things', 10)
    inlet = Inlet(receiver, FeaturesMsg, '/things', 10, taken.append)
    assert wait_until(lambda: outlet._publisher.get_subscription_count() == 1)
    found = features()

    def put(stamp_ns):
        def make():
            made.append(stamp_ns)
            return MAKE.features(stamp_ns, 'camera', found, 'test', True)
        outlet.put(Handed(MAKE.header(stamp_ns, 'camera'), found), make)

    put(1)
    assert features_from(taken[0]) is found and not made

    subscription = elsewhere.create_subscription(FeaturesMsg, 'things', heard.append, 10)
    assert elsewhere.wait(lambda: outlet._publisher.get_subscription_count() == 2)
    put(2)
    assert elsewhere.wait(lambda: heard) and made == [2]
    np.testing.assert_array_equal(features_from(heard[0]).keypoints, found.keypoints)
    assert not wait_until(lambda: len(taken) > 2, timeout=0.5)      # the message is passed over

    publisher = elsewhere.create_publisher(FeaturesMsg, 'things', 10)
    assert elsewhere.wait(lambda: receiver.count_publishers('/things') == 2)
    publisher.publish(MAKE.features(3, 'camera', found, 'test', True))
    assert wait_until(lambda: len(taken) == 3) and isinstance(taken[2], FeaturesMsg)

    inlet.close()
    put(4)
    assert len([one for one in taken if isinstance(one, Handed)]) == 2
    elsewhere.destroy_subscription(subscription)


def test_an_image_of_a_driver_in_the_same_process_comes_as_it_is(context, spin, frames):  # noqa: F811
    driver, node = rclpy.create_node('driver', context=context), SuperPointNode(context=context)
    seen = []
    node.process = lambda item: seen.append(item.main.item)
    spin(driver, node)
    image = MAKE.image(1, 'camera', frames[0].image)
    Outlet(driver, Image, 'image', 1).publish(image)
    assert wait_until(lambda: seen) and seen[0] is image


def test_three_processes_compute_what_the_core_computes(context, spin, start, frames):  # noqa: F811
    camera = Camera(context=context)
    spin(camera)
    for name in ('superpoint_node', 'superglue_node', 'odometry_node'):
        start(name, '--ros-args', '-p', 'mode:=stereo', '-p', 'reliability:=reliable')
    assert camera.ready()
    assert wait_until(lambda: camera.count_subscribers('superslam/matches_stereo')
                      and camera.count_subscribers('superslam/features_right'))
    assert all(camera.send(frame) for frame in frames[:5])
    assert wait_until(lambda: len(camera.poses) == 5)
    assert_same(camera.poses, frames[:5])


def seen_from(x, points, descriptors):
    """Return the features of points (N, 3) in an ideal camera at (x, 0, 0)."""
    rays = points - [x, 0, 0]
    return Features((200 * rays[:, :2] / rays[:, 2:] + [160, 120]).astype(np.float32), np.ones(len(points), np.float32),
                    descriptors, (320, 240))


def test_ten_thousand_frames_leave_nothing_behind(context, spin):
    """A stereo camera goes to and fro before a cloud of points, through matching and odometry."""
    source, camera = rclpy.create_node('source', context=context), Camera(context=context)
    sides = [Outlet(source, FeaturesMsg, f'superslam/{name}', 10) for name in ('features', 'features_right')]
    often = [*STEREO, Parameter('temporal.displacement', value=0.05), Parameter('smoother.method', value='none')]
    nodes = [kind(context=context, parameter_overrides=often) for kind in (SuperGlueNode, OdometryNode)]
    spin(source, camera, *nodes)
    assert wait_until(lambda: all(camera.out[name].get_subscription_count() for name in camera.out if 'info' in name))
    K = np.array([[200.0, 0, 160], [0, 200, 120], [0, 0, 1]])
    left = data.Camera(320, 240, K)
    right = data.Camera(320, 240, K, P=np.column_stack([K, [-200 * 0.2, 0, 0]]))
    camera.out['camera_info'].publish(MAKE.camera_info(1, left))
    camera.out['right/camera_info'].publish(MAKE.camera_info(1, right))
    assert wait_until(lambda: nodes[1].cameras.camera and nodes[1].cameras.right_camera)
    points = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 4], (40, 3))
    descriptors = features(count=40).descriptors

    def send(first, count):
        done = nodes[1].publisher
        for number in range(first, first + count):
            before, x = done._frames, 0.3 * np.sin(0.05 * number)
            for outlet, at in zip(sides, (x, x + 0.2)):
                outlet.put(Handed(MAKE.header(number * 10**8, 'camera'), seen_from(at, points, descriptors)),
                           lambda: pytest.fail('nobody outside has subscribed'))
            deadline = time.monotonic() + 10
            while done._frames == before:
                assert time.monotonic() < deadline
                time.sleep(1e-4)
        gc.collect()
        return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 2**20

    started = send(1, 1500)     # the published path has its full length from 1000 on
    assert send(2000, 10000) - started < 8      # MiB
    assert nodes[1].publisher._lost == 0 and nodes[1].motion.map.total > 10
