"""Our data survives the way into a ROS message and back."""

import dataclasses
import math
from dataclasses import replace

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from superslam_ros.msg import BoardDetection as BoardDetectionMsg
from superslam_ros.msg import BoardDetections
from superslam_ros.msg import Features as FeaturesMsg
from superslam_ros.msg import Matches as MatchesMsg

from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.boards.types import BoardDetection
from superslam_ros.data import Features, Matches, Motion, TrackingState
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import perturb
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.nodes.topics.messages import RosMessages, features_from, keyframe_from, matches_from


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    descriptors = rng.normal(size=(5, 256)).astype(np.float32)
    return Features(rng.random((5, 2)) * 100, rng.random(5), descriptors, (320, 240), 2 ** rng.integers(0, 3, 5),
                    'abc')


def test_features_survive(features):
    message = RosMessages().features(5_000_000_007, 'camera', features, 'superpoint', True)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (5, 7)
    assert (message.width, message.height, message.descriptor_size) == (320, 240, 256)
    back = features_from(message)
    assert np.array_equal(back.keypoints, features.keypoints)
    assert np.array_equal(back.descriptors, features.descriptors)
    assert np.array_equal(back.scales, features.scales) and back.weights == 'abc'
    assert back.image_size == (320, 240) and back.stability is None


def test_stability_survives_where_the_weights_say_it(features):
    features.stability = np.linspace(0, 1, 5, dtype=np.float32)
    message = RosMessages().features(1, 'camera', features, 'superpoint', False)
    files = Messages(typestore())
    raw = files.store.serialize_cdr(files.features(1, 'camera', features, 'superpoint', False),
                                    'superslam_ros/msg/Features')
    assert deserialize_message(bytes(raw), FeaturesMsg) == message
    message = RosMessages().features(1, 'camera', features, 'superpoint', True)
    assert np.array_equal(features_from(message).stability, features.stability)
    message.stability[2] = math.nan
    with pytest.raises(ValueError, match='stability of 5 values for 5 keypoints, or not from 0 to 1'):
        features_from(message)
    message.stability.pop()
    with pytest.raises(ValueError, match='stability of 4 values for 5 keypoints'):
        features_from(message)


def test_matches_survive(features):
    matches = Matches.of(features, features, [[0, 1], [2, 3]], [0.5, 1.0])
    matches.stamp0_ns, matches.stamp1_ns, matches.keyframe = 1_000_000_001, 2_000_000_002, True
    message = RosMessages().matches(matches, 'camera', False, ((320, 240), (320, 240)), 'nearest')
    assert message.kind == MatchesMsg.TEMPORAL
    back = matches_from(message)
    for name in ('indices', 'scores', 'keypoints0', 'keypoints1'):
        assert np.array_equal(getattr(back, name), getattr(matches, name)), name
    assert (back.stamp0_ns, back.stamp1_ns, back.keyframe) == (1_000_000_001, 2_000_000_002, True)


@pytest.fixture
def keyframe():
    rng = np.random.default_rng(1)
    covariance = np.diag(np.arange(1.0, 7)) * 1e-4
    points = np.where([[True], [False], [True]], rng.normal(size=(3, 3)), np.nan)
    return Keyframe(
        5_000_000_007, 2, Pinhole(300.0, 301.0, 160.0, 120.0), (320, 240), perturb(np.eye(4), rng.normal(size=6)),
        covariance, 4_000_000_000, perturb(np.eye(4), rng.normal(size=6)), 2 * covariance, rng.random((3, 2)) * 100,
        rng.random(3), rng.random(3), np.ones(3), rng.normal(size=(3, 256)), np.array([7, 0, 9]), points,
        np.where(np.isnan(points[:, :, None]), np.nan, np.eye(3)), False, 'abc')


def test_keyframes_survive(keyframe):
    message = RosMessages().keyframe('camera', keyframe)
    back = keyframe_from(message)
    for field in dataclasses.fields(Keyframe):
        before, after = getattr(keyframe, field.name), getattr(back, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_allclose(after, before, atol=1e-12, err_msg=field.name)
        else:
            assert after == before, field.name
    assert keyframe_from(RosMessages().keyframe('camera', replace(keyframe, previous_stamp_ns=None))
                         ).previous_stamp_ns is None


def test_keyframes_of_wrong_lengths_or_without_numbers_are_refused(keyframe):
    message = RosMessages().keyframe('camera', keyframe)
    message.points.pop()
    with pytest.raises(ValueError, match='3 scores has 8 values of points'):
        keyframe_from(message)
    message = RosMessages().keyframe('camera', keyframe)
    message.pixels[0] = math.nan
    with pytest.raises(ValueError, match='pixels'):
        keyframe_from(message)
    message = RosMessages().keyframe('camera', keyframe)
    message.pose.pose.orientation.w = message.pose.pose.orientation.x = 0.0
    message.pose.pose.orientation.y = message.pose.pose.orientation.z = 0.0
    with pytest.raises(ValueError, match='quaternion'):
        keyframe_from(message)


def test_messages_of_wrong_lengths_are_refused(features):
    message = RosMessages().features(1, 'camera', features, 'superpoint', True)
    message.descriptor_size = 128
    with pytest.raises(ValueError, match='descriptor'):
        features_from(message)
    message = RosMessages().features(1, 'camera', features, 'superpoint', True)
    message.scales.pop()
    with pytest.raises(ValueError, match=r'5 scores has .* 4 scales'):
        features_from(message)
    matches = RosMessages().matches(
        Matches.of(features, features, [[0, 1]], [0.5]), 'camera', True, ((1, 1), (1, 1)), 'nearest')
    matches.indices0.append(3)
    with pytest.raises(ValueError, match='1 scores'):
        matches_from(matches)


@pytest.mark.parametrize('name, value, complaint', [
    ('keypoints', np.nan, 'do not lie in its image of 320x240'), ('keypoints', 1e30, 'do not lie'),
    ('keypoints', -5, 'do not lie'), ('scores', np.inf, 'from 0 to 1'), ('scores', np.nan, 'from 0 to 1')])
def test_what_no_image_can_have_is_refused(features, name, value, complaint):
    message = RosMessages().features(1, 'camera', features, 'superpoint', True)
    getattr(message, name)[3] = value
    with pytest.raises(ValueError, match=f'Features message .*{complaint}'):
        features_from(message)
    for side in '01':
        matches = RosMessages().matches(
            Matches.of(features, features, [[0, 1], [1, 2]], [0.5, 0.5]), 'camera', True, ((320, 240), (320, 240)), '')
        values = getattr(matches, name if name == 'scores' else f'{name}{side}')
        values[1] = value
        with pytest.raises(ValueError, match=f'Matches message .*{complaint}'):
            matches_from(matches)


def test_odometry_is_in_the_order_of_rep_103():
    motion = Motion(1, TrackingState.TRACKING, np.eye(4), np.diag(np.arange(1.0, 7)), np.arange(6.0), np.eye(6) * 2)
    message = RosMessages().odometry(motion, 'odom', 'camera')
    assert message.pose.covariance.reshape(6, 6)[5, 5] == 6
    assert message.twist.twist.angular.z == 5
    assert (message.header.frame_id, message.child_frame_id) == ('odom', 'camera')


def test_boards_are_the_same_whoever_makes_the_message():
    ids, pixels = np.array([3, 4, 9]), np.array([[1.5, 2], [3, 4], [5, 6]])
    T = np.eye(4)
    T[:3, 3] = 0.1, 0.2, 0.7
    posed = BoardDetection('dock', ids, pixels, np.full(3, 0.1), T, np.diag(np.arange(1.0, 7)), True)
    bare = BoardDetection('wall', ids, pixels, np.full(3, 0.1), reason='corners on a line')
    files = Messages(typestore())
    made = [make.board_detections(10**9, 'cam', (64, 48), [posed, bare], '') for make in (RosMessages(), files)]
    raw = bytes(files.store.serialize_cdr(made[1], 'superslam_ros/msg/BoardDetections'))
    assert repr(deserialize_message(raw, BoardDetections)) == repr(made[0])     # which has NaN
    found = made[0].boards
    assert [one.status for one in found] == [BoardDetectionMsg.POSE, BoardDetectionMsg.UNCERTAIN]
    assert [one.has_pose for one in found] == [True, False] and [one.legacy for one in found] == [True, False]
    assert found[0].pose.pose.position.z == 0.7 and found[0].pose.covariance[35] == 6 and found[1].reason == bare.reason
    nowhere = found[1].pose
    assert np.isnan([nowhere.pose.position.z, nowhere.pose.orientation.w, nowhere.covariance[0]]).all()
    uncalibrated, = RosMessages().board_detections(1, 'cam', (64, 48), [bare], '', 'no camera_info').boards
    assert (uncalibrated.status, uncalibrated.reason) == (BoardDetectionMsg.NOT_CALIBRATED, 'no camera_info')


def test_clouds_and_pictures():
    make = RosMessages()
    cloud = make.points(1, 'odom', np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([0, 7]))
    assert np.frombuffer(cloud.data, np.float32).tolist() == [1, 2, 3, 0, 4, 5, 6, 7]
    picture = make.image(1, 'camera', np.zeros((4, 6, 3), np.uint8))
    assert (picture.encoding, picture.step, len(picture.data)) == ('rgb8', 18, 72)
