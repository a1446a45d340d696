"""The spine on frames that are good, bad, and in the wrong order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from points import BASELINE_M, LEFT, PERIOD_NS, RIGHT, PointWorld, match_numbers, nothing, trajectory

from superslam_ros.data import Camera, Features, Frame, TrackingState
from superslam_ros.geometry.pose import difference
from superslam_ros.slam.odometry import VisualOdometry


class PointExtractor:
    """Sees a point world: an image's first pixel says which pose it shows, the second which eye."""

    name = 'points'

    def __init__(self) -> None:
        """Make the world."""
        self.world, self.poses = PointWorld.make(), trajectory(60)

    def batch(self, grays: list[np.ndarray]) -> list[Features]:
        """Return the features of each image; a black one has none."""
        found = []
        for gray in grays:
            features = self.world.features(self.poses[gray[0, 0]], BASELINE_M * gray[0, 1])
            features.image_size = gray.shape[::-1]
            found.append(features if gray[0, 2] else nothing(features))
        return found


def frame(number: int, **changes: object) -> Frame:
    """Return a stereo frame of a pose of the walk."""
    left, right = (np.zeros((480, 640), dtype=np.uint8) for _ in range(2))
    left[0, :3], right[0, :3] = (number, 0, 1), (number, 1, 1)
    return dataclasses.replace(Frame(10**10 + number * PERIOD_NS, left, LEFT, right, RIGHT), **changes)


@pytest.fixture
def odometry() -> VisualOdometry:
    """Return odometry on points that has seen five frames."""
    odometry = VisualOdometry(extractor=PointExtractor(), matcher=match_numbers)
    for number in range(5):
        assert odometry.process(frame(number)) is not None
    return odometry


def test_steps_hold_every_stage(odometry: VisualOdometry) -> None:
    """A step has features, matches, motion and timings, and the pose is true."""
    step = odometry.process(frame(5))
    assert len(step.features) and len(step.right_features) and len(step.temporal) and len(step.stereo)
    assert set(step.timings_ms) == {'extract', 'match', 'motion'} and min(step.timings_ms.values()) >= 0
    assert step.motion.state == TrackingState.TRACKING
    assert np.abs(difference(step.motion.T_odom_camera, trajectory(6)[5])).max() < 1e-4


BAD = {
    'repeated stamp': lambda: frame(4),
    'out of order': lambda: frame(3),
    'no calibration': lambda: frame(5, camera=None),
    'calibration of another size': lambda: frame(5, camera=Camera(320, 240, LEFT.K)),
    'image too small': lambda: frame(5, image=np.zeros((4, 4), dtype=np.uint8)),
    'depth of another size': lambda: frame(5, depth_m=np.zeros((240, 320), dtype=np.float32)),
}


@pytest.mark.parametrize('reason', BAD)
def test_bad_frames_are_skipped_and_counted(odometry: VisualOdometry, reason: str) -> None:
    """A bad frame changes nothing: the next good one is as exact as ever."""
    assert odometry.process(BAD[reason]()) is None
    assert odometry.skipped == {reason: 1} and not odometry.resets
    step = odometry.process(frame(6))
    assert np.abs(difference(step.motion.T_odom_camera, trajectory(7)[6])).max() < 1e-4


def test_right_camera_without_calibration(odometry: VisualOdometry) -> None:
    """The right image needs its own."""
    assert odometry.process(frame(5, right_camera=None)) is None
    assert odometry.skipped == {'no calibration': 1}


@pytest.mark.parametrize('stamp_ns', [0, 1])
def test_time_that_jumps_back_begins_anew(odometry: VisualOdometry, stamp_ns: int) -> None:
    """A looped bag: counted, and the next pose is the origin again."""
    step = odometry.process(frame(5, stamp_ns=stamp_ns))
    assert odometry.resets == {'time jumped back': 1}
    np.testing.assert_array_equal(step.motion.T_odom_camera, trajectory(1)[0])


def test_one_stamp_far_ahead_is_not_believed_and_two_are(odometry: VisualOdometry) -> None:
    """A driver's slip costs a frame; a camera that was away for a while goes on."""
    hour = 3_600_000_000_000
    assert odometry.process(frame(5, stamp_ns=frame(5).stamp_ns + hour)) is None
    assert odometry.skipped == {'far ahead': 1} and not odometry.resets
    assert np.abs(difference(odometry.process(frame(6)).motion.T_odom_camera, trajectory(7)[6])).max() < 1e-4
    assert odometry.process(frame(7, stamp_ns=frame(7).stamp_ns + hour)) is None
    assert odometry.process(frame(8, stamp_ns=frame(8).stamp_ns + hour)) is not None
    assert odometry.process(frame(9, stamp_ns=frame(9).stamp_ns + hour)) is not None
    assert odometry.skipped == {'far ahead': 2} and not odometry.resets


def test_another_image_size_begins_a_new_map(odometry: VisualOdometry, caplog) -> None:
    """The camera was changed, calibration and all: the pose goes on."""
    image = np.zeros((240, 320), dtype=np.uint8)
    image[0, 2] = 1
    camera = Camera(320, 240, LEFT.K)
    step = odometry.process(frame(5, image=image, camera=camera, right_image=None))
    assert step.motion.keyframe and len(odometry.motion.map.keyframes) == 1
    assert 'image size' in caplog.text and not odometry.resets
    assert np.linalg.norm(step.motion.T_odom_camera[:3, 3] - trajectory(6)[5][:3, 3]) < 0.1


def test_black_images_are_lost_not_skipped(odometry: VisualOdometry) -> None:
    """A covered lens: predicted poses, then tracking again."""
    black = np.zeros((480, 640), dtype=np.uint8)
    for number in (5, 6):
        step = odometry.process(frame(number, image=black, right_image=black))
        assert step.motion.state == TrackingState.LOST and np.isfinite(step.motion.covariance).all()
    assert odometry.process(frame(7)).motion.state == TrackingState.TRACKING


def test_reset_is_counted_with_its_reason(odometry: VisualOdometry) -> None:
    """By whoever asks for it."""
    odometry.reset('asked')
    assert odometry.resets == {'asked': 1}
    assert odometry.process(frame(0)).motion.state == TrackingState.INITIALIZING
