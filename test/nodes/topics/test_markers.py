"""What RViz gets of the map, against the map itself."""

import numpy as np
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from superslam_ros.conversions import stamp_ns
from superslam_ros.nodes.shared.base import LATCHED
from superslam_ros.nodes.superslam_node import SuperSlamNode

from ..conftest import wait_until
from ..test_live import STEREO, Camera, frames  # noqa: F401


def ends(array):
    """Return the (N, 2, 3) ends of the lines of a message of one marker."""
    marker, = array.markers
    assert (marker.type, marker.action, marker.header.frame_id) == (Marker.LINE_LIST, Marker.ADD, 'odom')
    return np.array([[point.x, point.y, point.z] for point in marker.points]).reshape(-1, 2, 3)


def test_landmarks_keyframes_and_matches_are_those_of_the_map(context, spin, frames):  # noqa: F811
    camera = Camera(context=context)
    got = {}
    for topic, kind, qos in (('landmarks', PointCloud2, LATCHED), ('keyframes', MarkerArray, LATCHED),
                             ('observations', MarkerArray, 10)):
        camera.create_subscription(
            kind, f'superslam/{topic}', lambda message, topic=topic: got.update({topic: message}), qos)
    # Every frame a keyframe.
    node = SuperSlamNode(context=context, parameter_overrides=[*STEREO, Parameter('temporal.overlap', value=1.0),
                                                               Parameter('temporal.displacement', value=0.01)])
    spin(camera, node)
    assert camera.ready()
    assert all(camera.send(frame) for frame in frames)
    table = node.odometry.motion.map
    assert len(table.keyframes) > 3
    # Those of the last frame, not of one before.
    assert wait_until(lambda: len(got) == 3 and {stamp_ns(header.stamp) for header in (
        got['observations'].markers[0].header, got['keyframes'].markers[0].header, got['landmarks'].header)}
        == {frames[-1].stamp_ns})

    cloud = np.frombuffer(got['landmarks'].data, '<f4').reshape(-1, 4)
    np.testing.assert_allclose(cloud[:, :3], table.landmarks.points, atol=1e-5)
    assert cloud[:, 3].min() == 0 and cloud[:, 3].max() == table.total - 1 - table.landmarks.born.min() > 2

    frusta = ends(got['keyframes']).reshape(len(table.keyframes), 8, 2, 3)
    centres = [keyframe.T_odom_camera[:3, 3] for keyframe in table.keyframes]
    np.testing.assert_allclose(frusta[:, 0, 0], centres, atol=1e-9)
    forward = frusta[:, :4, 1].mean(1) - centres
    axes = np.array([keyframe.T_odom_camera[:3, 2] for keyframe in table.keyframes])
    assert ((forward * axes).sum(1) / np.linalg.norm(forward, axis=1) > 0.99).all()

    lines = ends(got['observations'])
    np.testing.assert_allclose(lines[:, 0], np.broadcast_to(centres[-1], lines[:, 0].shape), atol=1e-9)
    assert len(lines) > 50
    distances = np.linalg.norm(lines[:, 1, None] - table.landmarks.points[None], axis=2).min(1)
    assert distances.max() < 1e-9
