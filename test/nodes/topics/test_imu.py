"""An IMU from its topic: where it is by TF, what diagnostics say, and what is said where it is of no use."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Imu as ImuMsg
from tf2_msgs.msg import TFMessage

from superslam_ros.data import Camera, Features, Matches
from superslam_ros.geometry.pose import compose, inverse, rotation_exp
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.slam.imu import Imu
from superslam_ros.sync import Bundle, Stamped

from ..conftest import wait_until
from ..test_live import STEREO, frames  # noqa: F401
from ..test_live import Camera as LiveCamera

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


@pytest.fixture
def said(monkeypatch):
    """Return the warnings of nodes."""
    found = []
    logger = type(rclpy.logging.get_logger('any'))
    monkeypatch.setattr(logger, 'warning', lambda logger, text, **_: found.append(text))
    return found


@pytest.mark.parametrize('late, lacking', [
    (0, 'no message has come on /unit'), (10, "TF does not connect the frame 'imu' of /unit with the camera 'camera'")])
def test_a_first_frame_waits_five_seconds_of_its_stamps(make, said, late, lacking):
    unit, node = make(OdometryNode)
    unit.turn(late)
    assert wait_until(lambda: bool(node.imu.last_ns) == bool(late))
    for tenths in (10, 11, 59, 5, 54):      # the player of a bag may begin again
        assert not node.imu.ready('camera', tenths * 10**8)
        assert lacking in node.imu.lacking
    assert not said
    assert node.imu.ready('camera', 55 * 10**8)
    assert node.imu.ready('camera', 10 * 10**8), 'after a reset it waits again'
    node.imu.look('camera')
    assert len(said) == 1 and lacking in said[0] and 'then call /odometry/reset' in said[0]


def test_a_first_frame_is_ready_with_a_place_and_messages_around_it(make, said):
    unit, node = make(OdometryNode)
    unit.static.publish(unit.make.transform(0, 'camera', 'imu', inverse(MOUNT)))
    unit.turn(100)
    assert wait_until(lambda: node.imu.last_ns == START_NS + 99 * PERIOD_NS)
    assert wait_until(lambda: node.imu.ready('camera', START_NS + 80 * PERIOD_NS))
    assert not node.imu.ready('camera', START_NS + 2 * 10**9)
    assert 'no messages around the image at 3.000 s, the last is of 1.495 s' in node.imu.lacking
    assert node.imu.ready('camera', START_NS + 80 * PERIOD_NS)
    assert not node.imu.ready('camera', START_NS + 9 * 10**9), 'it counts from the frame before'
    assert not said


def test_without_gravity_no_frame_waits(make):
    _, node = make(OdometryNode)
    node.imu.config = replace(node.imu.config, gravity=False)
    assert node.imu.ready('camera', START_NS)


FEATURES = Features(np.random.default_rng(0).random((40, 2)) * [320, 240], np.ones(40), np.zeros((40, 256)), (320, 240))
CAMERA = Camera(320, 240, np.array([[200.0, 0, 160], [0, 200, 120], [0, 0, 1]]))


def matched(make, stamp_ns):
    """Return a frame that is a keyframe of its own, as the odometry node takes it."""
    first = replace(Matches.of(FEATURES, FEATURES, [], []), stamp0_ns=stamp_ns, stamp1_ns=stamp_ns, keyframe=True)
    features = make.features(stamp_ns, 'camera', FEATURES, 'superpoint', True)
    matches = make.matches(first, 'camera', False, ((320, 240), (320, 240)), 'nearest')
    stamps = stamp_ns, stamp_ns
    return Bundle(Stamped(*stamps, matches), {'features': Stamped(*stamps, features)}, [])


def test_matches_wait_and_those_from_before_the_imu_are_skipped(make):
    unit, node = make(OdometryNode)
    node.cameras = SimpleNamespace(complete=True, left=CAMERA, right=None)
    for tenths in (2, 3):
        node.process(matched(unit.make, tenths * 10**8))
    assert len(node.held) == 2 and node.motion.dynamics.stamp_ns is None
    unit.static.publish(unit.make.transform(0, 'camera', 'imu', inverse(MOUNT)))
    unit.turn(100)
    assert wait_until(lambda: node.imu.ready('camera', START_NS + 80 * PERIOD_NS))
    node.process(matched(unit.make, START_NS + 80 * PERIOD_NS))
    assert not node.held and node.skipped == {'no IMU': 2}
    assert node.motion.dynamics.stamp_ns == START_NS + 80 * PERIOD_NS
    up = node.motion.map.keyframes[-1].T_odom_camera[:3, :3] @ MOUNT[:3, :3].T @ FORCE
    assert up[2] > 0.99 * FORCE[2], 'odom did not begin level'
    node.reset()
    node.process(matched(unit.make, START_NS + 90 * PERIOD_NS))
    assert node.motion.dynamics.stamp_ns == START_NS + 90 * PERIOD_NS and not node.held


def test_superslam_skips_frames_until_the_imu_is_there(context, spin, frames):  # noqa: F811
    camera = LiveCamera(context=context)
    node = SuperSlamNode(context=context, parameter_overrides=[
        *STEREO, Parameter('reliability', value='reliable'), Parameter('imu.enabled', value=True)])
    spin(camera, node)
    assert camera.ready()
    camera.send_infos(frames[0])
    assert wait_until(lambda: camera.send(frames[0], is_bigendian=0) and node.skipped['no IMU'])
    assert 'no message has come' in node.imu.lacking and node.odometry.motion.dynamics.stamp_ns is None
