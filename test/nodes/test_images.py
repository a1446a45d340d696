"""What images say of themselves is heard by the nodes, too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from superslam_ros.msg import Features, TrackingStatus

from superslam_ros import worlds
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages

from .conftest import wait_until

SECOND = 10**9
GRAY = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8), (0, 0), 2)


@pytest.fixture
def camera(context, spin):
    """Return a function that starts a node, sends it one image in some form until it is used, and returns the node."""
    make, other = RosMessages(), rclpy.create_node('camera', context=context)

    def send(image, depth=None, info=None, mask=None, **parameters):
        node = SuperSlamNode(context=context, parameter_overrides=[
            Parameter(name, value=value) for name, value in parameters.items()])
        statuses, reports, features, stamp = [], [], [], [SECOND]
        other.create_subscription(TrackingStatus, 'superslam/status', statuses.append, 10)
        other.create_subscription(Features, 'superslam/features', features.append, 10)
        other.create_subscription(
            DiagnosticArray, '/diagnostics', lambda m: reports.extend(one.message for one in m.status), 10)
        name = 'image/compressed' if isinstance(image, CompressedImage) else 'image'
        out = {one: other.create_publisher(type(message), one, 10) for one, message in (
            (name, image), ('depth', depth), ('camera_info', info), ('mask', mask)) if message is not None}
        spin(node, other)

        def sent(wanted):
            stamp[0] += SECOND // 10
            for one, message in ((name, image), ('depth', depth), ('camera_info', info), ('mask', mask)):
                if message is not None:
                    message.header = make.header(stamp[0], '/camera')
                    out[one].publish(message)
            return wait_until(wanted, timeout=1)

        assert wait_until(lambda: sent(lambda: statuses and features))
        return node, statuses, features, lambda wanted: wait_until(lambda: sent(lambda: any(map(wanted, reports))))

    return send


def calibration(**changes):
    message = RosMessages().camera_info(SECOND, worlds.pinhole(128, 96))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_depth_that_contributes_nothing_is_in_the_diagnostics(camera) -> None:
    make = RosMessages()
    depth = make.image(SECOND, 'camera', np.full((96, 128), 2100, np.float32))
    _, statuses, _, reported = camera(make.image(SECOND, 'camera', GRAY), depth, calibration(), mode='rgbd')
    assert not statuses[-1].metric
    assert reported(lambda message: message.startswith('no scale: ') and 'millimetres' in message)


def test_binning_levels_and_slashes_are_understood(camera) -> None:
    """A binned camera of 14 bits, whose frame begins with a slash."""
    image = RosMessages().image(SECOND, 'camera', 7500 + 3 * GRAY.astype(np.uint16))
    image.encoding = 'mono16'
    whole = RosMessages().camera_info(SECOND, worlds.pinhole(256, 192))
    whole.binning_x = whole.binning_y = 2
    node, statuses, features, _ = camera(image, info=whole)
    assert node.levels.range is not None and len(features[-1].scores) > 10
    assert statuses[-1].header.frame_id == features[-1].header.frame_id == 'camera'


def test_a_turned_jpeg_is_taken_as_it_is_stored(camera) -> None:
    plain = cv2.imencode('.jpg', GRAY)[1].tobytes()
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    data = plain[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + plain[2:]
    _, _, features, _ = camera(CompressedImage(format='jpeg', data=data), info=calibration(), transport='compressed')
    assert (features[-1].width, features[-1].height) == (128, 96)


def test_no_keypoints_where_the_mask_is_zero(camera) -> None:
    make, mask = RosMessages(), np.zeros((96, 128), np.uint8)
    mask[:, 70:] = 255
    image, mask = (make.image(SECOND, 'camera', one) for one in (GRAY, mask))
    _, _, features, _ = camera(image, info=calibration(), mask=mask, masked=True)
    x = np.array(features[-1].keypoints).reshape(-1, 2)[:, 0]
    assert len(x) > 10 and x.min() > 68
