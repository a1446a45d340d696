"""The whole chain on rendered rooms with exact poses: how far off, and whether it knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from superslam_ros.data import Frame, Motion, TrackingState
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.geometry.pose import difference, inverse, rotation_exp
from superslam_ros.offline.demo import DemoOptions, render_frames
from superslam_ros.slam import SlamConfig, VisualOdometry

FRAMES, SEEDS = 30, (0, 1)


@dataclass
class Walked:
    """The motions of a walk, and the true poses in odom."""

    motions: list[Motion]
    truth: list[np.ndarray]

    def percent(self) -> float:
        """Return the ATE in percent of the path."""
        stamps = [one.stamp_ns for one in self.motions]
        return trajectory.compare(
            stamps, np.array([one.T_odom_camera for one in self.motions]), stamps, np.array(self.truth)).percent

    def squares(self) -> list[float]:
        """Return the normalised squared errors, but for the first frame, which defines odom."""
        found = []
        for motion, T in zip(self.motions[1:], self.truth[1:]):
            error = difference(motion.T_odom_camera, T)
            found.append(float(error @ np.linalg.solve(motion.covariance, error)))
        return found


@pytest.fixture(scope='module')
def rooms() -> list[list[tuple[Frame, np.ndarray]]]:
    """Return the frames of two rooms, with T_world_camera."""
    return [list(render_frames(DemoOptions(FRAMES, seed))) for seed in SEEDS]


def walk(frames: list[tuple[Frame, np.ndarray]], mode: str, features: str) -> Walked:
    """Run the odometry with the inputs of a mode."""
    config = SlamConfig()
    odometry, walked = VisualOdometry(config, make_extractor(features, config.extractor)), Walked([], [])
    unused = {'depth_m': None} if mode == 'stereo' else {'right_image': None, 'right_camera': None}
    for frame, T_world_camera in frames:
        motion = odometry.process(replace(frame, **unused)).motion
        if not walked.motions:
            T_odom_world = motion.T_odom_camera @ inverse(T_world_camera)
        walked.motions.append(motion)
        walked.truth.append(T_odom_world @ T_world_camera)
    return walked


@pytest.mark.parametrize('mode', ['stereo', 'rgbd'])
def test_errors_are_small_and_known(rooms, mode: str) -> None:
    """ATE below half a percent; normalised squared errors within the 99.9 % band of chi-square over the rooms."""
    walks = [walk(frames, mode, 'sift') for frames in rooms]
    assert max(one.percent() for one in walks) < 0.5
    band = 3.3 * np.sqrt(12 / len(walks))
    assert max(0.5, 6 - band) < np.mean([one.squares() for one in walks]) < 6 + band


def test_superpoint_is_as_good(rooms) -> None:
    """The shipped weights on one of the rooms, and every bit the same the second time."""
    first, second = (walk(rooms[0][:count], 'rgbd', 'superpoint') for count in (FRAMES, 8))
    assert first.percent() < 0.5 and np.mean(first.squares()) < 6 + 3.3 * np.sqrt(12)
    for one, other in zip(first.motions, second.motions):
        np.testing.assert_array_equal(one.T_odom_camera, other.T_odom_camera)
        np.testing.assert_array_equal(one.covariance, other.covariance)


def test_exposure_that_jumps(rooms) -> None:
    """Half as bright, then twice as bright, from one frame to the next."""
    gains = np.repeat([1.0, 0.45, 1.0, 1.8, 0.6], 4)
    frames = [(replace(frame, image=np.clip(gain * frame.image, 0, 255).astype(np.uint8)), T)
              for gain, (frame, T) in zip(gains, rooms[1])]
    walked = walk(frames, 'rgbd', 'superpoint')
    assert all(one.state == TrackingState.TRACKING for one in walked.motions[1:]) and walked.percent() < 1


def test_a_hand_over_the_lens(rooms) -> None:
    """Dark and full of noise: lost, said so, within its covariance, and back at once."""
    random = np.random.default_rng(0)
    frames = list(rooms[1][:24])
    for i in range(8, 18):
        dark = random.normal(12, 3, frames[i][0].image.shape).clip(0, 255).astype(np.uint8)
        frames[i] = replace(frames[i][0], image=dark, depth_m=np.full(dark.shape, np.nan, np.float32)), frames[i][1]
    walked = walk(frames, 'rgbd', 'superpoint')
    states = [one.state for one in walked.motions]
    assert set(states[8:18]) == {TrackingState.LOST} and set(states[18:]) == {TrackingState.TRACKING}
    assert max(walked.squares()[7:17]) < 22.5       # 99.9 % of chi-square
    assert np.linalg.norm(difference(walked.motions[-1].T_odom_camera, walked.truth[-1])[:3]) < 0.03


@pytest.mark.parametrize('mode', ['rgbd', 'mono'])
def test_a_rotation_to_another_camera_is_of_no_concern_to_one_alone(rooms, mode: str) -> None:
    """Left images of an unrectified pair: depth is along their own axis, and so is the pose."""
    config = SlamConfig()
    config = replace(config, odometry=replace(config.odometry, rectified=False))
    frames, found = [frame for frame, _ in rooms[0][:24:2]], []
    for R, P in ((np.eye(3), None), (rotation_exp([0.02, 0.2, 0.05]), np.eye(3, 4) * 100)):
        odometry = VisualOdometry(config, make_extractor('orb', config.extractor))
        for frame in frames:
            depth = frame.depth_m if mode == 'rgbd' else None
            step = odometry.process(Frame(
                frame.stamp_ns, frame.image, replace(frame.camera, R=R, P=P), depth_m=depth))
        found.append(step.motion)
    assert found[0].state == TrackingState.TRACKING
    np.testing.assert_array_equal(found[0].T_odom_camera, found[1].T_odom_camera)
