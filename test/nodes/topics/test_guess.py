"""Wheel odometry as a guess: from its topic, and from TF, whose tree stays one."""

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, inverse, quaternion, rotation_exp
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages, pose_from

from ..conftest import wait_until

MOUNT = compose(np.eye(3), [0.2, 0.0, 0.5]) @ T_BODY_OPTICAL
PERIOD_NS = 20_000_000
START_NS = 10**9


def wheels(i: int) -> np.ndarray:
    """Return T_odom_base of the i-th message."""
    return compose(rotation_exp([0, 0, 0.01 * i]), [0.02 * i, 0.0, 0.0])


class Robot:
    """Publishes where its camera is, and its wheels' odometry, both ways."""

    def __init__(self, node):
        self.node, self.make, self.heard = node, RosMessages(), []
        self.static = node.create_publisher(
            TFMessage, '/tf_static', QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.tf = node.create_publisher(TFMessage, '/tf', 100)
        self.odometry = node.create_publisher(Odometry, 'wheels', 100)
        node.create_subscription(TFMessage, '/tf', lambda message: self.heard.extend(message.transforms), 100)
        self.static.publish(self.make.transform(0, 'base_link', 'camera', MOUNT))

    def drive(self, count: int, start: int = 0) -> None:
        for i in range(start, start + count):
            stamp, T = START_NS + i * PERIOD_NS, wheels(i)
            self.tf.publish(self.make.transform(stamp, 'odom', 'base_link', T))
            message = Odometry(header=self.make.header(stamp, 'odom'), child_frame_id='base_link')
            message.pose.pose.position = Point(**dict(zip('xyz', map(float, T[:3, 3]))))
            message.pose.pose.orientation = Quaternion(**dict(zip('xyzw', map(float, quaternion(T[:3, :3])))))
            message.pose.covariance[0] = 1e-4 * (i + 1)
            self.odometry.publish(message)


@pytest.fixture
def make(context, spin):
    robot = Robot(rclpy.create_node('robot', context=context))

    def start(kind, **parameters):
        node = kind(context=context, cli_args=['--ros-args', '-r', 'guess:=wheels'], parameter_overrides=[
            Parameter(name.replace('__', '.'), value=value) for name, value in parameters.items()])
        spin(robot.node, node)
        assert wait_until(lambda: robot.static.get_subscription_count() and robot.tf.get_subscription_count() > 1)
        return robot, node

    return start


@pytest.mark.parametrize('kind', [OdometryNode, SuperSlamNode])
def test_from_its_topic(make, kind):
    robot, node = make(kind, guess__source='odometry')
    assert wait_until(robot.odometry.get_subscription_count)
    robot.drive(10)
    assert wait_until(lambda: node.guess._guess.last_ns == START_NS + 9 * PERIOD_NS)
    assert wait_until(lambda: node.guess.look('camera') or node.guess._guess.T_base_camera is not None)
    found = node.guess.between(START_NS, START_NS + 8 * PERIOD_NS)
    np.testing.assert_allclose(found.T_0_1, inverse(MOUNT) @ inverse(wheels(0)) @ wheels(8) @ MOUNT, atol=1e-9)
    assert found.covariance[2, 2] == pytest.approx(8e-4, rel=0.1)       # along x of the base
    assert node.guess.between(START_NS, START_NS + 10**9) is None       # it has stopped


def test_from_tf_and_the_tree_stays_one(make):
    """base_link has a parent already: the odometry's frame goes above that."""
    robot, node = make(OdometryNode, guess__source='tf', guess__frame='odom', frames__base_frame='base_link',
                       frames__odom_frame='visual_odom')
    robot.drive(10)
    assert wait_until(lambda: node.guess._guess.last_ns == START_NS + 9 * PERIOD_NS)
    assert wait_until(lambda: node.guess.look('camera') or node.guess._guess.T_base_camera is not None)
    assert node.guess.between(START_NS, START_NS + 8 * PERIOD_NS).T_0_1.shape == (4, 4)
    T = compose(rotation_exp([0, 0, 0.3]), [1.0, 2.0, 0.0])
    node.publisher._broadcast(START_NS + 5 * PERIOD_NS, 'base_link', T)
    assert wait_until(lambda: any(one.header.frame_id == 'visual_odom' for one in robot.heard))
    one = next(one for one in robot.heard if one.header.frame_id == 'visual_odom')
    assert one.child_frame_id == 'odom'
    t, q = one.transform.translation, one.transform.rotation
    found = pose_from(Pose(position=Point(x=t.x, y=t.y, z=t.z), orientation=q))
    np.testing.assert_allclose(found @ wheels(5), T, atol=1e-9)


@pytest.mark.parametrize('parameters, named', [
    ({'guess.source': 'tf'}, 'needs guess.frame'),
    ({'guess.source': 'tf', 'guess.frame': 'odom', 'frames.base_frame': 'base_link'}, 'another name')])
def test_frames_that_do_not_go_together_are_refused(context, parameters, named):
    with pytest.raises(ValueError, match=named):
        OdometryNode(context=context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
