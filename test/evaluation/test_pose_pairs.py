from dataclasses import replace

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.evaluation import pose_pairs
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.evaluation.pose_pairs import PosePairs
from superslam_ros.geometry import pose
from superslam_ros.geometry.camera import Pinhole


@pytest.fixture(scope='module')
def pairs(room):
    """Give three pairs of a walk through the room: near, far, and the same place twice."""
    camera = worlds.pinhole(320, 240)
    poses = worlds.demo_trajectory(60)[[0, 4, 24, 24]]
    poses[3, :3, 3] += [2e-3, 1e-3, 0]
    images = [worlds.render(room, camera, T, 1).image for T in poses]
    frames = np.array([[0, 1], [0, 2], [2, 3]])
    T_1_0 = np.array([pose.inverse(poses[j]) @ poses[i] for i, j in frames])
    K = camera.K
    return PosePairs('walk', images.__getitem__, Pinhole(K[0, 0], K[1, 1], K[0, 2], K[1, 2]), frames,
                     np.array([0, 0, 2.4]), T_1_0, np.array([False, True, False]), np.array([False, False, True]))


def test_poses_of_pairs(pairs):
    errors, right = pose_pairs.measure(FrontEnd('sift-ratio'), [pairs, pairs.select(pairs.wide)])
    assert errors.shape == (4, 5) and len(right) == 4
    assert (errors[0] < 8).all() and (errors[2] < 0.5).all() and errors[1].mean() > errors[0].mean()
    assert (errors[3] == errors[1]).all() and right[3] == right[1]
    assert right[0] > right[1] and right[2] == 0        # of one place, which are right cannot be told


def test_which_matches_are_right(pairs):
    end = FrontEnd('sift-ratio')
    (_, _, matches), *_ = pose_pairs.matched(end, pairs)
    assert pose_pairs.right_matches(pairs, 0, matches).mean() > 0.9
    wrong = replace(matches, keypoints1=matches.keypoints1[::-1])
    assert pose_pairs.right_matches(pairs, 0, wrong).mean() < 0.3


def test_features_are_extracted_once_and_forgotten(pairs):
    seen, end = [], FrontEnd('orb')
    watched = replace(pairs, image=lambda frame: seen.append(frame) or pairs.image(frame))
    assert len(list(pose_pairs.matched(end, watched))) == 3 and seen == [0, 1, 2, 3]


def test_blank_images_are_failed_pairs(pairs):
    blank = replace(pairs, image=lambda frame: np.zeros((240, 320), np.uint8))
    errors, right = pose_pairs.measure(FrontEnd('sift'), [blank])
    assert np.isinf(errors).all() and not right.any()
    none, _ = pose_pairs.measure(FrontEnd('sift'), [pairs.select(np.zeros(3, bool))])
    assert none.shape == (0, 5)
