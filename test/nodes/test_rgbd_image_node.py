"""Images and features as RTAB-Map reads them."""

import struct
import zlib

import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from superslam_ros.msg import Features as FeaturesMsg

from superslam_ros.data import Camera, Features
from superslam_ros.nodes.rgbd_image_node import RgbdImageNode
from superslam_ros.nodes.topics.messages import RosMessages

from .conftest import wait_until

rtabmap_msgs = pytest.importorskip('rtabmap_msgs.msg', reason='rtabmap_msgs is not installed; `make test` builds it')
STAMP = 3 * 10**9


def opened(data):
    """Return what rtabmap::uncompressData makes of bytes: the last three integers are rows, columns and type."""
    rows, columns, kind = struct.unpack('<3i', data[-12:])
    assert kind == 5    # CV_32FC1
    return np.frombuffer(zlib.decompress(data[:-12]), np.float32).reshape(rows, columns)


@pytest.mark.parametrize('mode', ['rgbd', 'stereo'])
def test_one_frame(context, spin, mode):
    node = RgbdImageNode(context=context, parameter_overrides=[Parameter('mode', value=mode)])
    other, make, received = rclpy.create_node('other', context=context), RosMessages(), []
    other.create_subscription(rtabmap_msgs.RGBDImage, 'superslam/rgbd_image', received.append, 10)
    second, second_image = {'rgbd': ('depth', np.full((24, 32), 1.5, np.float32)),
                            'stereo': ('right/image', np.full((24, 32), 9, np.uint8))}[mode]
    out = {name: other.create_publisher(kind, name, 10) for name, kind in (
        ('image', Image), (second, Image), ('camera_info', CameraInfo), ('right/camera_info', CameraInfo),
        ('superslam/features', FeaturesMsg))}
    spin(node, other)
    wanted = [name for name in out if mode == 'stereo' or not name.startswith('right')]
    assert wait_until(lambda: all(out[name].get_subscription_count() for name in wanted)
                      and node.count_subscribers('superslam/rgbd_image'))
    rng = np.random.default_rng(0)
    features = Features(rng.random((5, 2)) * 20, rng.random(5), rng.random((5, 256)), (32, 24))
    camera = Camera(32, 24, np.array([[30.0, 0, 16], [0, 30, 12], [0, 0, 1]]))
    out['camera_info'].publish(make.camera_info(STAMP, camera))
    out['right/camera_info'].publish(make.camera_info(STAMP, camera))
    assert wait_until(lambda: node._infos.complete)
    colours = rng.integers(0, 255, (24, 32, 3), np.uint8)
    out['image'].publish(make.image(STAMP, 'camera', colours))
    out[second].publish(make.image(STAMP, 'camera', second_image))
    out['superslam/features'].publish(make.features(STAMP, 'camera', features, 'superpoint', True))
    assert wait_until(lambda: received)
    message, = received
    assert message.header.frame_id == 'camera' and message.header.stamp.sec == 3
    assert message.rgb.encoding == 'rgb8' and bytes(message.rgb.data) == colours.tobytes()
    assert bytes(message.depth.data) == second_image.tobytes()
    assert message.rgb_camera_info.k[0] == message.depth_camera_info.k[0] == 30
    np.testing.assert_allclose([[p.pt.x, p.pt.y] for p in message.key_points], features.keypoints, rtol=1e-6)
    np.testing.assert_allclose([p.response for p in message.key_points], features.scores, rtol=1e-6)
    np.testing.assert_array_equal(opened(bytes(message.descriptors)), features.descriptors.astype(np.float32))


def test_it_needs_depth(context):
    with pytest.raises(ValueError, match='stereo or rgbd'):
        RgbdImageNode(context=context)
