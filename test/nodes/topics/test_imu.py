"""An IMU from its topic: where it is by TF, what diagnostics say, and what is said where it is of no use."""

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Imu as ImuMsg
from tf2_msgs.msg import TFMessage

from superslam_ros.geometry.pose import compose, inverse, rotation_exp
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.slam.imu import Imu

from ..conftest import wait_until

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, 0, 0])
PERIOD_NS = 5_000_000
START_NS = 10**9
RATE, FORCE = np.array([0.1, -0.2, 0.3]), np.array([0.0, 0.0, 9.81])


class Unit:
    """Publishes an IMU, and where the camera is on it."""

    def __init__(self, node):
        self.node, self.make = node, RosMessages()
        self.static = node.create_publisher(
            TFMessage, '/tf_static', QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.imu = node.create_publisher(ImuMsg, 'unit', 400)

    def turn(self, count: int, start: int = 0, **fields) -> None:
        for i in range(start, start + count):
            message = self.make.imu(START_NS + i * PERIOD_NS, 'imu', RATE, FORCE)
            for name, value in fields.items():
                setattr(message, name, value)
            self.imu.publish(message)


@pytest.fixture
def make(context, spin):
    unit = Unit(rclpy.create_node('unit', context=context))

    def start(kind):
        node = kind(context=context, cli_args=['--ros-args', '-r', 'imu:=unit'],
                    parameter_overrides=[Parameter('imu.enabled', value=True)])
        spin(unit.node, node)
        assert wait_until(lambda: unit.imu.get_subscription_count() and unit.static.get_subscription_count())
        return unit, node

    return start


@pytest.mark.parametrize('kind', [OdometryNode, SuperSlamNode])
def test_turns_as_the_same_messages_do_offline(make, kind):
    unit, node = make(kind)
    unit.turn(100)
    assert wait_until(lambda: node.imu.last_ns == START_NS + 99 * PERIOD_NS)
    assert node.imu.between(START_NS, START_NS + 80 * PERIOD_NS) is None        # where it is, is not known
    unit.static.publish(unit.make.transform(0, 'camera', 'imu', inverse(MOUNT)))
    assert wait_until(lambda: node.imu.look('/camera') or node.imu.T_imu_camera is not None)
    np.testing.assert_allclose(node.imu.T_imu_camera, MOUNT, atol=1e-9)
    offline = Imu(node.imu.config, node.imu.T_imu_camera)
    for i in range(100):
        offline.add(START_NS + i * PERIOD_NS, RATE, FORCE)
    for mine, theirs in zip(node.imu.between(START_NS, START_NS + 80 * PERIOD_NS),
                            offline.between(START_NS, START_NS + 80 * PERIOD_NS)):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(node.imu.level(START_NS + 80 * PERIOD_NS)[0],
                                  offline.level(START_NS + 80 * PERIOD_NS)[0])
    motion = node.odometry.motion if kind is SuperSlamNode else node.motion
    assert motion.imu is node.imu


def test_what_it_does_not_measure_is_refused_and_told(make, monkeypatch):
    unit, node = make(OdometryNode)
    unknown = np.zeros(9)
    unknown[0] = -1
    unit.turn(20)
    unit.turn(5, start=20, angular_velocity_covariance=unknown)
    unit.turn(1, start=30)
    assert wait_until(lambda: node.imu.last_ns == START_NS + 30 * PERIOD_NS)
    values = node.monitor.more()
    assert sum(int(value) for name, value in values.items() if name.startswith('imu: refused')) == 5
    assert values['imu: last stamp (s)'] == '1.150' and values['imu: agrees with vision'] == 'yes'
    assert values['imu: place'] == 'not known'


def test_without_a_place_it_is_said_once(make, monkeypatch):
    unit, node = make(OdometryNode)
    unit.turn(2)
    assert wait_until(lambda: node.imu.last_ns)
    said = []
    monkeypatch.setattr(type(node.get_logger()), 'warning', lambda logger, text, **_: said.append(text))
    for _ in range(3):
        node.imu.look('camera')
    assert len(said) == 1 and "does not connect its frame 'imu' with the camera 'camera'" in said[0]
