"""Rendered boards in, corners and poses out, over DDS; and what is said where there are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger
from superslam_ros.msg import BoardDetection, BoardDetections
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from superslam_ros.boards.board import Board
from superslam_ros.data import Camera
from superslam_ros.geometry.pose import difference
from superslam_ros.geometry.pose import rotation as rotation_of
from superslam_ros.nodes.charuco_node import CharucoNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.worlds import pinhole
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

from .conftest import wait_until

BOARD = Board('dock', 5, 7, 0.04, 0.03, 'DICT_6X6_250')
PARAMETERS = {'charuco.name': 'dock', 'charuco.squares_x': 5, 'charuco.squares_y': 7, 'charuco.square_m': 0.04,
              'charuco.marker_m': 0.03, 'charuco.dictionary': 'DICT_6X6_250'}
CAMERA = pinhole(320, 240)
T_CAMERA_BOARD = facing(BOARD, 0.4, 0.3, 0.7, 0.2)
STAMP_S = 100


@pytest.fixture(scope='module')
def view():
    """Return what the camera sees: the image, and all corners."""
    seen = render_boards(CAMERA, [Placed(BOARD, T_CAMERA_BOARD)], 0.4)
    return photograph(seen.image), seen.pixels[0]


def node_with(context, **parameters) -> CharucoNode:
    values = {**PARAMETERS, **{f'charuco.{name}': value for name, value in parameters.items()}}
    transport = values.pop('charuco.transport', 'raw')
    return CharucoNode(context=context, parameter_overrides=[
        Parameter(name, value=value) for name, value in {**values, 'transport': transport}.items()])


class Robot(rclpy.node.Node):
    """Publishes images and keeps the last message of every topic."""

    def __init__(self, context) -> None:
        super().__init__('robot', context=context)
        self.make, self.heard, self.count = RosMessages(), {}, 0
        self.out = {name: self.create_publisher(kind, name, 10) for name, kind in (
            ('image', Image), ('image/compressed', CompressedImage), ('camera_info', CameraInfo))}
        self.create_subscription(BoardDetections, 'charuco/detections', self.on_detections, 10)

    def listen(self, **kinds: type) -> None:
        """Keep the last message of some topics below charuco."""
        for name, kind in kinds.items():
            self.create_subscription(
                kind, f'charuco/{name}', lambda message, name=name: self.heard.update({name: message}), 10)

    def on_detections(self, message: BoardDetections) -> None:
        self.heard['detections'], self.count = message, self.count + 1

    def ready(self, node: CharucoNode, transport: str = 'image') -> bool:
        return wait_until(lambda: self.out[transport].get_subscription_count()
                          and self.out['camera_info'].get_subscription_count()
                          and self.count_publishers('charuco/detections'))

    def calibrate(self, node: CharucoNode, camera: Camera) -> None:
        """Publish a calibration and wait until the node has it."""
        self.out['camera_info'].publish(self.make.camera_info(STAMP_S * 10**9, camera))
        assert wait_until(lambda: node._cameras.left and node._cameras.left.image_size == camera.image_size)

    def show(self, image: np.ndarray, compressed: bool = False) -> BoardDetections:
        """Publish an image and return what the node found in it."""
        stamp_ns, before = (STAMP_S + self.count) * 10**9, self.count
        if compressed:
            self.out['image/compressed'].publish(CompressedImage(
                header=self.make.header(stamp_ns, 'optical'), format='mono8; png compressed ',
                data=cv2.imencode('.png', image)[1].tobytes()))
        else:
            self.out['image'].publish(self.make.image(stamp_ns, 'optical', image))
        assert wait_until(lambda: self.count > before)
        found = self.heard['detections']
        assert (found.header.stamp.sec, found.header.frame_id) == (STAMP_S + before, 'optical')
        assert (found.width, found.height) == image.shape[::-1]
        return found


def corners_of(detection: BoardDetection) -> np.ndarray:
    pixels = np.reshape(detection.pixels, (-1, 2))
    assert len(pixels) == len(detection.ids) == len(detection.sigma_px) and min(detection.sigma_px) > 0
    return pixels


def pose_of(pose) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = rotation_of([getattr(pose.orientation, axis) for axis in 'xyzw'])
    T[:3, 3] = pose.position.x, pose.position.y, pose.position.z
    return T


def test_corners_and_pose(context, spin, view):
    objects = pytest.importorskip('vision_msgs.msg', reason='vision_msgs is not installed; `make test` builds it')
    robot, node, image, transforms = Robot(context), node_with(context), view[0], []
    robot.listen(pose=PoseStamped, pose_with_covariance=PoseWithCovarianceStamped, overlay=Image, markers=MarkerArray,
                 detections_3d=objects.Detection3DArray)
    robot.create_subscription(TFMessage, '/tf', lambda message: transforms.extend(message.transforms), 10)
    spin(robot, node)
    assert robot.ready(node)
    assert wait_until(lambda: all(publisher.get_subscription_count() for publisher in node.publishers
                                  if 'charuco/' in publisher.topic_name))
    robot.calibrate(node, CAMERA)
    found, = robot.show(image).boards
    assert found.board == 'dock' and len(found.ids) == 24 and not found.legacy
    np.testing.assert_allclose(corners_of(found), view[1][list(found.ids)], atol=0.5)
    assert found.has_pose and found.status == BoardDetection.POSE
    error = difference(pose_of(found.pose.pose), T_CAMERA_BOARD)
    assert np.linalg.norm(error[:3]) < 0.01 * 0.4 and np.linalg.norm(error[3:]) < np.radians(1)
    covariance = np.reshape(found.pose.covariance, (6, 6))
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert wait_until(lambda: len(robot.heard) == 6 and transforms)
    heard = robot.heard
    assert heard['pose'].pose == found.pose.pose == heard['pose_with_covariance'].pose.pose
    assert list(heard['pose_with_covariance'].pose.covariance) == list(found.pose.covariance)
    assert heard['pose'].header == heard['detections'].header
    transform, = transforms
    assert (transform.header.frame_id, transform.child_frame_id) == ('optical', 'dock')
    assert transform.transform.translation.z == found.pose.pose.position.z
    one, = heard['detections_3d'].detections
    assert one.id == one.results[0].hypothesis.class_id == 'dock' and one.bbox.size.x == pytest.approx(0.2)
    assert one.bbox.center.position.z == pytest.approx(0.4, abs=0.01)      # of the middle of the board
    assert {marker.action for marker in heard['markers'].markers} == {0}
    assert len(heard['overlay'].data) == 3 * image.size



def test_corners_without_a_pose_and_why(context, spin, view):
    robot, node, image = Robot(context), node_with(context), view[0]
    robot.listen(pose=PoseStamped, markers=MarkerArray)
    problems = []
    robot.create_subscription(DiagnosticArray, '/diagnostics', lambda message: problems.append(
        message.status[0].message), 10)
    spin(robot, node)
    assert robot.ready(node)
    found, = robot.show(image).boards
    assert not found.has_pose and found.status == BoardDetection.NOT_CALIBRATED and len(found.ids) == 24
    assert 'no valid camera_info' in found.reason
    robot.calibrate(node, pinhole(640, 480))
    found, = robot.show(image).boards
    assert not found.has_pose and found.status == BoardDetection.NOT_CALIBRATED and len(corners_of(found)) == 24
    assert found.reason == 'image is 320x240, its calibration 640x480'
    assert wait_until(lambda: 'image is 320x240, its calibration 640x480' in problems)
    message = robot.show(np.full_like(image, 90))
    assert not message.boards and message.reason
    robot.calibrate(node, CAMERA)
    found, = robot.show(image).boards
    assert found.has_pose and wait_until(lambda: 'pose' in robot.heard and 'markers' in robot.heard)
    skipped = dict(node.skipped)
    robot.out['image'].publish(robot.make.image(10**12, 'optical', np.zeros((8, 8), np.uint8)))
    assert wait_until(lambda: node.skipped != skipped) and node.skipped['image too small'] == 1
    assert robot.show(image).boards         # and it goes on


def test_it_is_started_stopped_and_toggled_as_docking_does(context, spin, view):
    robot, node, image = Robot(context), node_with(context, started=False, transport='compressed'), view[0]
    clients = {name: robot.create_client(Trigger, f'charuco/{name}') for name in ('start', 'stop', 'toggle')}
    spin(robot, node)
    assert robot.ready(node, 'image/compressed')

    def call(name: str) -> str:
        assert clients[name].wait_for_service(30)
        future = clients[name].call_async(Trigger.Request())
        assert wait_until(future.done) and future.result().success
        return future.result().message

    robot.calibrate(node, CAMERA)
    assert node.worker.paused
    assert [call(name) for name in ('start', 'start', 'toggle', 'stop', 'toggle')] == [
        'started', 'started', 'stopped', 'stopped', 'started']
    found, = robot.show(image, compressed=True).boards
    assert found.has_pose and len(found.ids) == 24


@pytest.mark.parametrize('parameters, complaint', [
    ({'squares_x': 0, 'dictionary': ''}, 'set charuco.boards to a file of boards, or charuco.squares_x, charuco.dic'),
    ({'boards': '/nowhere.yaml'}, '/nowhere.yaml'), ({'pose_of': 'door'}, "'door' is no board; there is dock"),
    ({'square_m': 0.03, 'marker_m': 0.04}, 'exchange the two'), ({'dictionary': 'DICT_6X6_20'}, 'DICT_6X6_250'),
    ({'squares_x': -1}, 'charuco.squares_x'), ({'legacy': 'old'}, 'charuco.legacy'),
    ({'squares': 5}, 'charuco.squares'),
])
def test_wrong_parameters_are_named(context, parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        node_with(context, **parameters)


def test_a_truth_value_is_one_of_the_patterns(context):
    node = node_with(context, legacy=True, squares_x=6, squares_y=8)
    try:
        board, = node._detector.boards
        assert board.legacy is True and node.get_parameter('charuco.legacy').value == 'true'
    finally:
        node.destroy_node()


def test_a_file_of_boards(context, tmp_path):
    (tmp_path / 'boards.yaml').write_text(
        'boards:\n  a: {squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.03, dictionary: DICT_6X6_250}\n'
        '  b: {squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.03, dictionary: DICT_4X4_50, legacy: auto}\n')
    node = node_with(context, boards=str(tmp_path / 'boards.yaml'), pose_of='b')
    try:
        assert [board.name for board in node._detector.boards] == ['a', 'b'] and 'looks for a, b' in node.describe()
    finally:
        node.destroy_node()
