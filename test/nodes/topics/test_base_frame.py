"""Odometry of the robot's base: extrinsics from TF, and what is broadcast."""

import numpy as np
import pytest
import rclpy
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, inverse, rotation, rotation_exp
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.nodes.topics.transforms import TransformListener
from superslam_ros.slam import VisualOdometry

from ..conftest import wait_until
from ..test_live import STEREO, Camera, frames  # noqa: F401

T_BASE_MAST = compose(rotation_exp(np.array([0.0, 0.0, 2.0])), np.array([0.2, 0.0, 0.9]))
T_MAST_CAMERA = compose(rotation_exp(np.array([0.0, 0.3, 0.0])), np.array([0.0, 0.1, 0.4])) @ T_BODY_OPTICAL
T_BASE_CAMERA = T_BASE_MAST @ T_MAST_CAMERA
STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def matrix(translation, quaternion):
    return compose(rotation(np.array([getattr(quaternion, name) for name in 'xyzw'])),
                   np.array([getattr(translation, name) for name in 'xyz']))


class Robot(Camera):
    """A camera on a mast, whose place is published when ``tell`` is called."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.base, self.broadcast = {}, []
        self.static = self.create_publisher(TFMessage, '/tf_static', STATIC)
        self.create_subscription(Odometry, 'superslam/odometry', self.on_base, 10)
        self.create_subscription(TFMessage, '/tf', lambda message: self.broadcast.extend(message.transforms), 10)

    def on_base(self, message):
        pose = message.pose.pose
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.base[stamp] = message.child_frame_id, matrix(pose.position, pose.orientation)

    def tell(self):
        for parent, child, T in (('base_link', 'mast', T_BASE_MAST), ('mast', 'camera', T_MAST_CAMERA)):
            self.static.publish(RosMessages().transform(0, parent, child, T))


@pytest.mark.parametrize('kinds', [[SuperSlamNode], [SuperPointNode, SuperGlueNode, OdometryNode]])
def test_the_base_moves_as_the_camera_on_it(context, spin, frames, kinds):  # noqa: F811
    robot = Robot(context=context)
    inverted = len(kinds) == 1
    nodes = [kind(context=context, parameter_overrides=[
        *STEREO, Parameter('frames.base_frame', value='base_link'), Parameter('frames.invert_tf', value=inverted)])
        for kind in kinds]
    spin(robot, *nodes)
    assert robot.ready()
    # Nothing is known of the base yet.
    robot.send(frames[0], header=robot.make.image(frames[0].stamp_ns, 'camera', frames[0].image).header)
    if inverted:
        assert wait_until(lambda: nodes[0].skipped['no transform'])
    else:
        assert wait_until(lambda: nodes[-1].held)
    assert not robot.base
    robot.tell()
    listener = nodes[-1].publisher._listener
    assert wait_until(lambda: listener.lookup('base_link', 'camera') is not None)
    sent = frames[1:4]
    if not inverted:
        sent = frames[:4]   # the first one was held
        robot.send(frames[1], header=robot.make.image(frames[1].stamp_ns, 'camera', frames[1].image).header)
        assert wait_until(lambda: len(robot.base) == 2)
    assert all(robot.send(frame) for frame in sent[-2 if not inverted else 0:])
    assert wait_until(lambda: len(robot.base) == len(sent) and len(robot.broadcast) == len(sent))

    # Elsewhere in odom, the last bits differ, and with them now and then an inlier.
    odometry, atol = VisualOdometry(), 5e-4
    for frame, transform in zip(sent, robot.broadcast):
        T_start_camera = inverse(T_BODY_OPTICAL) @ odometry.process(frame).motion.T_odom_camera
        expected = T_BASE_CAMERA @ T_start_camera @ inverse(T_BASE_CAMERA)
        child, T_odom_base = robot.base[frame.stamp_ns]
        assert child == 'base_link'
        np.testing.assert_allclose(T_odom_base, expected, atol=atol)
        names = transform.header.frame_id, transform.child_frame_id
        T = matrix(transform.transform.translation, transform.transform.rotation)
        assert names == (('base_link', 'odom') if inverted else ('odom', 'base_link'))
        np.testing.assert_allclose(inverse(T) if inverted else T, expected, atol=atol)


def test_frames_are_found_through_their_common_ancestor(context, spin):
    node = rclpy.create_node('listening', context=context)
    listener = TransformListener(node)
    spin(node)
    sender = rclpy.create_node('sending', context=context)
    publisher = sender.create_publisher(TFMessage, '/tf_static', STATIC)
    T_base_lidar = compose(rotation_exp(np.array([0.1, 0.2, 0.3])), np.array([1.0, 0.0, 0.5]))
    broken = RosMessages().transform(0, 'base_link', 'nowhere', T_base_lidar)
    broken.transforms[0].transform.rotation.w = float('nan')
    nowhere = RosMessages().transform(0, 'base_link', 'nowhere', T_base_lidar)
    nowhere.transforms[0].transform.translation.x = float('nan')
    for message in (
        broken, nowhere, RosMessages().transform(0, '/base_link', 'lidar', T_base_lidar),
        RosMessages().transform(0, 'base_link', 'camera', T_BASE_CAMERA),
        RosMessages().transform(0, 'night', 'day', np.eye(4)), RosMessages().transform(0, 'day', 'night', np.eye(4)),
    ):
        publisher.publish(message)
    assert wait_until(lambda: listener.lookup('night', 'day') is not None)
    np.testing.assert_allclose(listener.lookup('lidar', 'camera'), inverse(T_base_lidar) @ T_BASE_CAMERA, atol=1e-12)
    assert listener.lookup('base_link', 'nowhere') is None
    listener.close()
    publisher.publish(broken)
    assert wait_until(lambda: not node.count_subscribers('/tf') and not node.count_subscribers('/tf_static'))
    assert listener.lookup('base_link', 'nowhere') is None
    assert listener.lookup('camera', 'day') is None
    sender.destroy_node()
