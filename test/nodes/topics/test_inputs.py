"""What is skipped is said by topic and cause; two publishers on one topic are no time that jumps back."""

from dataclasses import dataclass

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from superslam_ros.nodes.shared.base import SlamNode
from superslam_ros.nodes.topics.inputs import CameraInputs, ImageInputs
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.worlds import pinhole

from ..conftest import wait_until

MS, SECOND = 10**6, 10**9
KEPT = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NAMES = {'image': Image, 'depth': Image, 'camera_info': CameraInfo}


@dataclass(frozen=True)
class NoConfig:
    """Nothing to tune."""


class Listener(SlamNode):
    """Keeps the stamps of the frames that come."""

    def __init__(self, **kwargs):
        self.taken = []
        super().__init__('listener', NoConfig, **kwargs)

    def configure(self, config):
        pass

    def listen(self):
        self.cameras = CameraInputs(self, False)
        self.inputs = ImageInputs(self)

    def process(self, item):
        if not self.cameras.complete:
            self.skip('no calibration', self.cameras.why_incomplete)
            return
        self.taken.append(item.main.stamp_ns)


class Driver(rclpy.node.Node):
    """Publishes images and calibrations of 64x48."""

    def __init__(self, name, **kwargs):
        super().__init__(name, **kwargs)
        self.make, self.log = RosMessages(), []
        self.create_subscription(Log, '/rosout', lambda message: self.log.append(message.msg), KEPT)
        self.out = {name: self.create_publisher(kind, f'/cam/{name}', 10) for name, kind in NAMES.items()}

    def send(self, name, stamp_ns, **changes):
        array = np.full((48, 64), 2000, np.uint16) if name == 'depth' else np.zeros((48, 64), np.uint8)
        message = (self.make.camera_info(stamp_ns, pinhole(64, 48)) if name == 'camera_info'
                   else self.make.image(stamp_ns, 'camera', array))
        for field, value in changes.items():
            setattr(message, field, value)
        self.out[name].publish(message)


@pytest.fixture
def start(context, spin):
    """Return a function that starts a listener of a mode and a driver that it hears."""
    def started(mode, **remapped):
        rules = [part for name in NAMES for part in ('-r', f'{name}:={remapped.get(name, f"/cam/{name}")}')]
        node = Listener(context=context, cli_args=['--ros-args', *rules], parameter_overrides=[
            Parameter('mode', value=mode), Parameter('reliability', value='reliable')])
        driver = Driver('driver', context=context)
        spin(node, driver)
        heard = [name for name in NAMES if name in node.channels and name not in remapped]
        assert wait_until(lambda: all(driver.out[name].get_subscription_count() for name in heard), 10)
        return node, driver
    return started


def said(driver, text):
    """Wait until something is in the log; return all that is."""
    assert wait_until(lambda: any(text in line for line in driver.log), 10), driver.log
    return '\n'.join(driver.log)


@pytest.mark.parametrize('off_ns, reason', [
    (33 * MS, 'no depth within 20 ms (sync_tolerance) of a frame of /cam/image: the nearest on /cam/depth is 33.0 ms '
     'later'),
    (3600 * SECOND, 'the nearest on /cam/depth is 3600.000 s later, as of another clock'),
])
def test_depth_that_does_not_fit_is_told_by_how_much(start, off_ns, reason):
    node, driver = start('rgbd')
    driver.send('depth', SECOND + off_ns)
    assert wait_until(lambda: node.channels['depth'].count, 10)
    driver.send('image', SECOND)
    said(driver, reason)
    assert node.skipped['no depth'] == 1 and not node.taken


def test_depth_on_another_topic_is_named(start):
    node, driver = start('rgbd', depth='/cam/deptt')
    driver.send('image', SECOND)
    assert wait_until(lambda: node.channels['image'].count, 10)
    assert wait_until(lambda: driver.send('image', 2 * SECOND) or node.skipped['no depth'], 10)
    said(driver, 'nobody publishes /cam/deptt (did you mean /cam/depth? remap: -r depth:=/cam/depth)')


@pytest.mark.parametrize('send, remapped, reason', [
    (None, {'camera_info': '/cam/camera_inf'}, 'nobody publishes /cam/camera_inf (did you mean /cam/camera_info? '),
    (None, {}, 'no valid camera_info: nothing has come on /cam/camera_info yet'),
    ({'k': np.zeros(9)}, {}, 'no valid camera_info: /cam/camera_info: '),
])
def test_a_calibration_that_is_missing_is_told_by_topic(start, send, remapped, reason):
    node, driver = start('mono', **remapped)
    if send is not None:
        driver.send('camera_info', SECOND, **send)
        assert wait_until(lambda: node.skipped['camera_info'], 10)
    driver.send('image', SECOND)
    said(driver, reason)


def test_what_is_skipped_is_told_once_in_a_while_for_each_reason(start):
    node, driver = start('mono')
    for stamp in (0, 0, SECOND):
        driver.send('image', stamp)
    assert wait_until(lambda: node.skipped['zero stamp'] == 2 and node.skipped['no calibration'] == 1, 10)
    log = said(driver, 'no valid camera_info')
    assert log.count('skipped: /cam/image: the stamp is zero or negative') == 1


def test_two_publishers_are_named_and_one_of_them_is_kept_to(start, context, spin):
    node, driver = start('mono')
    intruder, diagnosed = Driver('intruder', context=context), []
    intruder.create_subscription(
        DiagnosticArray, '/diagnostics', lambda message: diagnosed.append(message.status[0].message), 10)
    spin(intruder)
    assert wait_until(lambda: intruder.out['image'].get_subscription_count(), 10)
    driver.send('camera_info', 100 * SECOND)
    assert wait_until(lambda: node.cameras.complete, 10)
    stamps = [100 * SECOND + index * 100 * MS for index in range(5)]
    for stamp in stamps:
        before = node.channels['image'].count, node.skipped['several publishers']
        driver.send('image', stamp)
        assert wait_until(lambda before=before: node.channels['image'].count > before[0], 10)
        intruder.send('image', stamp - 60 * SECOND)
        assert wait_until(lambda before=before: node.skipped['several publishers'] > before[1], 10)
    assert wait_until(lambda: len(node.taken) + node.worker.dropped == 5, 10) and set(node.taken) <= set(stamps)
    log = said(driver, 'several publishers on /cam/camera_info, /cam/image: /driver and /intruder; let one have ')
    assert 'jumped back' not in log
    assert wait_until(lambda: any('/driver and /intruder' in text for text in diagnosed), 10)

    intruder.destroy_publisher(intruder.out.pop('image'))
    assert wait_until(lambda: node.count_publishers('/cam/image') == 1, 10)
    driver.send('image', SECOND)    # of one publisher, it is a bag that begins again
    assert wait_until(lambda: SECOND in node.taken, 10)


def test_a_calibration_that_changes_is_told(start):
    node, driver = start('mono')
    driver.send('camera_info', SECOND)
    assert wait_until(lambda: node.cameras.complete, 10)
    driver.send('camera_info', SECOND, k=[float(value) for value in (40, 0, 32, 0, 40, 24, 0, 0, 1)])
    said(driver, '/cam/camera_info: the calibration changes')
    assert node.cameras.left.K[0, 0] == 40
