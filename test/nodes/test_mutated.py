"""Nodes under messages with something wrong: refusals and skips, never an error, nor a pose that is no number."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage

from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.data import Frame
from superslam_ros.nodes.charuco_node import CharucoNode
from superslam_ros.nodes.odometry_node import OdometryNode
from superslam_ros.nodes.rgbd_image_node import RgbdImageNode
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.superpoint_node import SuperPointNode
from superslam_ros.nodes.superslam_node import SuperSlamNode
from superslam_ros.nodes.topics.messages import RosMessages
from superslam_ros.slam import ExtractorConfig, SlamConfig, VisualOdometry

from .conftest import wait_until
from .mutated import mutate

FEW = {'extractor.max_keypoints': 150, 'extractor.octaves': 1, 'extractor.device': 'cpu', 'charuco.squares_x': 5,
       'charuco.squares_y': 7, 'charuco.square_m': 0.04, 'charuco.marker_m': 0.03, 'charuco.dictionary': 'DICT_6X6_250'}
CASES = [
    (SuperSlamNode, 'stereo', 'raw'), (SuperSlamNode, 'rgbd', 'raw'), (SuperSlamNode, 'rgbd', 'compressed'),
    (SuperSlamNode, 'mono', 'compressed'), (SuperPointNode, 'stereo', 'raw'), (SuperGlueNode, 'stereo', 'raw'),
    (OdometryNode, 'stereo', 'raw'), (OdometryNode, 'rgbd', 'compressed'), (RgbdImageNode, 'rgbd', 'compressed'),
    (CharucoNode, 'mono', 'raw'),
]
STEP_NS = 100_000_000


@pytest.fixture(scope='module')
def steps(demo_bag):
    """Return what the core makes of the first frames of the demo, at half the size."""
    with open_bag(demo_bag.bag) as reader:
        large = [recorded.frame for recorded, _ in zip(BagFrames(reader), range(8))]
    odometry = VisualOdometry(SlamConfig(extractor=ExtractorConfig(device='cpu', max_keypoints=150, octaves=1)))
    return [odometry.process(_half(frame)) for frame in large]


def _half(frame: Frame) -> Frame:
    cameras = [replace(camera, width=camera.width // 2, height=camera.height // 2,
                       K=_halved(camera.K), P=_halved(camera.P)) for camera in (frame.camera, frame.right_camera)]
    left, right = (cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
                   for image in (frame.image, frame.right_image))
    depth_m = np.full(left.shape, 2.0, np.float32)
    return Frame(frame.stamp_ns, left, cameras[0], right, cameras[1], depth_m)


def _halved(matrix):
    return None if matrix is None else np.diag([0.5, 0.5, 1.0]) @ matrix


def messages(step, stamp_ns: int) -> dict:
    """Return good messages of a frame, as if it had been taken at another time, by topic."""
    make, frame = RosMessages(), step.frame
    encoded = {name: cv2.imencode('.png', image)[1].tobytes() for name, image in (
        ('image', frame.image), ('right/image', frame.right_image))}
    header = make.header(stamp_ns, 'camera')
    reference_ns = stamp_ns - (step.temporal.stamp1_ns - step.temporal.stamp0_ns)
    temporal, stereo = (replace(matches, stamp0_ns=stamp0_ns, stamp1_ns=stamp_ns) for matches, stamp0_ns in (
        (step.temporal, reference_ns), (step.stereo, stamp_ns)))
    size = step.features.image_size
    depth = make.image(stamp_ns, 'camera', (1000 * frame.depth_m).astype(np.uint16))
    png = bytes(12) + cv2.imencode('.png', (1000 * frame.depth_m).astype(np.uint16))[1].tobytes()
    return {
        'camera_info': make.camera_info(stamp_ns, frame.camera),
        'right/camera_info': make.camera_info(stamp_ns, frame.right_camera),
        'right/image': make.image(stamp_ns, 'right', frame.right_image), 'depth': depth,
        'right/image/compressed': CompressedImage(header=header, format='png', data=encoded['right/image']),
        'depth/compressedDepth': CompressedImage(header=header, format='16UC1; compressedDepth png', data=png),
        'image': make.image(stamp_ns, 'camera', frame.image),
        'image/compressed': CompressedImage(header=header, format='png', data=encoded['image']),
        'superslam/features': make.features(stamp_ns, 'camera', step.features, 'superpoint', True),
        'superslam/features_right': make.features(stamp_ns, 'right', step.right_features, 'superpoint', True),
        'superslam/matches_stereo': make.matches(stereo, 'camera', True, (size, size), 'nearest'),
        'superslam/matches': make.matches(temporal, 'camera', False, (size, size), 'nearest'),
    }


class Fed:
    """A node that is fed on this thread: an error that it does not expect comes out here."""

    def __init__(self, node, steps, monkeypatch) -> None:
        """Take over from the worker, and watch what is published."""
        self.node, self.steps, self.stamp_ns, self.taken = node, steps, 10**12, 0
        monkeypatch.setattr(node.worker, 'offer', self.work)
        took = node.monitor.took
        monkeypatch.setattr(node.monitor, 'took', lambda *given: self.count() or took(*given))
        self.callbacks = {one.topic_name.lstrip('/'): one.callback for one in node.subscriptions}
        for publisher in node.publishers:
            monkeypatch.setattr(publisher, 'publish', self.look)
            monkeypatch.setattr(publisher, 'get_subscription_count', lambda: 1)

    def work(self, item) -> None:
        """Work on a frame, on both halves where the node has two."""
        made = self.node._work(item)
        if made is not None:
            self.node._finish(made)

    def count(self) -> None:
        """Count a frame that was used."""
        self.taken += 1

    def look(self, message) -> None:
        """Check what is published, as if someone had subscribed."""
        serialize_message(message)
        if hasattr(message, 'twist'):
            values = [*message.pose.covariance, *message.twist.covariance, message.pose.pose.position.x,
                      message.pose.pose.position.y, message.pose.pose.position.z, message.pose.pose.orientation.w]
            assert np.isfinite(values).all()

    def feed(self, number: int, mutated: str = '', rng: random.Random | None = None) -> None:
        """Give a frame, one of its messages mutated, as it would come over DDS."""
        self.stamp_ns += STEP_NS
        for topic, message in messages(self.steps[number % len(self.steps)], self.stamp_ns).items():
            if topic == mutated:
                message = mutate(message, rng)
                message = deserialize_message(serialize_message(message), type(message))
            if topic in self.callbacks:
                self.callbacks[topic](message)


@pytest.mark.parametrize('count', [12, pytest.param(1000, marks=pytest.mark.long)])
@pytest.mark.parametrize('case', CASES, ids=lambda case: '-'.join([case[0].__name__, *case[1:]]))
def test_a_node_bears_mutated_messages(context, steps, monkeypatch, case, count):
    kind, mode, transport = case
    if kind is RgbdImageNode:
        pytest.importorskip('rtabmap_msgs.msg', reason='rtabmap_msgs is not installed; `make test` builds it')
    options = {'mode': mode, 'transport': transport, 'depth_transport': transport, **FEW}
    node = kind(context=context, parameter_overrides=[Parameter(name, value=value) for name, value in options.items()])
    try:
        fed = Fed(node, steps, monkeypatch)
        topics = [topic for topic in messages(steps[0], 1) if topic in fed.callbacks]
        assert len(topics) > 1 or kind is SuperPointNode
        for topic in topics:
            rng = random.Random(f'{kind.__name__} {mode} {topic}')
            for number in range(count):
                fed.feed(number, topic, rng)
            fed.taken, numbers = 0, itertools.count()
            # Good ones are taken again, when what waits for a companion has waited long enough.
            assert wait_until(lambda numbers=numbers: fed.feed(next(numbers)) or fed.taken, 10), topic
        assert count < 100 or sum(node.skipped.values()) > count / 10
    finally:
        node.destroy_node()
