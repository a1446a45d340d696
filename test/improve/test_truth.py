import numpy as np

from superslam_ros import worlds
from superslam_ros.geometry import pose
from superslam_ros.improve import truth

POSES = worlds.demo_trajectory(130, 10.0)
ONE = np.zeros(130, int)


def test_the_same_motion_in_another_frame_and_scale_fits():
    turn = pose.compose(pose.rotation_exp([0.3, 1, -2]), np.array([3.0, 1, 2]))
    other = turn @ POSES
    other[:, :3, 3] *= 0.4
    noisy = POSES.copy()
    noisy[:, :3, 3] += np.random.default_rng(0).normal(0, 0.01, (130, 3))
    assert truth.objection(noisy, other, ONE) == ''


def test_what_is_of_another_recording_does_not():
    for wrong in (worlds.demo_trajectory(130, 10.0, 1)[::-1], np.roll(POSES, 40, 0), np.tile(np.eye(4), (130, 1, 1)),
                  POSES @ pose.compose(pose.rotation_exp([0, 1.5, 0]), np.zeros(3))):
        assert 'it is of another recording' in truth.objection(POSES, wrong, ONE)


def test_few_poses_in_common_are_said():
    few = POSES.copy()
    few[25:] = np.nan
    assert '25 frames have both' in truth.objection(POSES, few, ONE)
    assert '0 frames have both' in truth.objection(POSES, POSES, ONE - 1)
