"""Stamps and rate of a camera as the parameters have them; where odometry begins."""

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from superslam_ros.srv import ResetToPose

from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, rotation_exp
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.topics.messages import RosMessages

from ..conftest import wait_until

SECOND = 10**9


@pytest.mark.parametrize('parameters', [
    {'max_rate': 10.0, 'stamp_offset': -0.25}, {'receive_time': True}])
def test_images(context, spin, parameters, monkeypatch):
    node = SuperPointNode(context=context, parameter_overrides=[
        Parameter(name, value=value) for name, value in (parameters | {'reliability': 'reliable'}).items()])
    found = []
    monkeypatch.setattr(node.worker, 'offer', lambda bundle: found.append(bundle.main.stamp_ns))
    camera = rclpy.create_node('camera', context=context)
    out = camera.create_publisher(Image, 'image', 50)
    spin(node, camera)
    assert wait_until(out.get_subscription_count)
    stamps = [SECOND + i * SECOND // 30 for i in range(31)]
    for i, stamp in enumerate(stamps):      # the queue is short
        out.publish(RosMessages().image(stamp, 'camera', np.zeros((16, 16), np.uint8)))
        assert wait_until(lambda i=i: len(found) + node.skipped['above max_rate'] == i + 1)
    if 'receive_time' in parameters:
        assert len(found) == 31
        assert abs(found[-1] - node.get_clock().now().nanoseconds) < 60 * SECOND
        return
    assert found == [stamp - SECOND // 4 for stamp in stamps[::3]]


def test_the_initial_pose_is_that_of_the_first_frame(context):
    node = OdometryNode(context=context, parameter_overrides=[
        Parameter('frames.initial_pose', value='1 2 0.5 0 0 1.5')])
    np.testing.assert_allclose(node.publisher.start('camera'),
                               compose(rotation_exp([0, 0, 1.5]), [1, 2, 0.5]) @ T_BODY_OPTICAL)
    node.destroy_node()
    with pytest.raises(ValueError, match=r"frames.initial_pose: 'there' is no pose"):
        OdometryNode(context=context, parameter_overrides=[Parameter('frames.initial_pose', value='there')])


def test_reset_to_a_pose(context, spin):
    node = OdometryNode(context=context)
    asker = rclpy.create_node('asker', context=context)
    client = asker.create_client(ResetToPose, '/odometry/reset_to_pose')
    spin(node, asker)
    assert client.wait_for_service(30)
    answers = []
    for request in (ResetToPose.Request(pose=Pose(position=Point(x=2.0))), ResetToPose.Request(
            pose=Pose(orientation=Quaternion(w=0.0)))):
        future = client.call_async(request)
        assert wait_until(future.done)
        answers.append(future.result().success)
    assert answers == [True, False]
    assert node._reset_asked.is_set()
    node.reset()
    np.testing.assert_allclose(node.publisher.start('camera'), compose(np.eye(3), [2, 0, 0]) @ T_BODY_OPTICAL)
