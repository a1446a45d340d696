from dataclasses import replace

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.data import Frame
from superslam_ros.evaluation import gaps, relative_pose
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.geometry import pose

STEP_NS = 100_000_000


@pytest.fixture(scope='module')
def walk():
    """Give frames of a camera with a strong lens, and their true poses: four on a path, then two at rest."""
    camera = replace(worlds.pinhole(320, 240), distortion=np.array([-0.2, 0.05, 0, 0, 0]), distortion_model='plumb_bob')
    poses = worlds.demo_trajectory(60)[[0, 4, 8, 12, 12, 12]]
    # Standing still, to the exactness of a motion capture.
    poses[4:, :3, 3] += [[1e-3, 0, 0], [0, 2e-3, 0]]
    world = worlds.room_world(texels_per_metre=120)
    # What turns the camera parallel to another one is no part of the truth.
    turned = replace(camera, R=pose.rotation_exp([0.1, 0.2, 0]), P=np.hstack([camera.K, np.zeros((3, 1))]))
    frames = [Frame(k * STEP_NS, worlds.render(world, camera, T, 1).image, turned) for k, T in enumerate(poses)]
    return frames, gaps.Truth(np.arange(6) * STEP_NS, poses)


def test_poses_over_gaps_through_a_lens(walk):
    frames, truth = walk
    results = gaps.evaluate([FrontEnd('sift-ratio'), FrontEnd('orb')], frames, truth, [1, 2, 5], rectified=False)
    of_each = gaps.ORDERS
    assert {gap: len(by_name['sift-ratio']) for gap, by_name in results.items()} == {
        1: 5 * of_each, 2: 4 * of_each, 5: of_each}
    moving, resting = results[2]['sift-ratio'][:2 * of_each], results[1]['sift-ratio'][3 * of_each:]
    assert len({result.rotation_deg for result in moving}) > 2      # the orders differ
    assert (np.median([[one.rotation_deg, one.translation_deg] for one in moving], 0) < [2, 10]).all()
    assert all(one.rotation_deg < 4 and one.translation_deg < 30 for one in moving)
    assert all(result.precision > 0.9 for result in moving)
    assert np.median([one.rotation_deg for one in resting]) < 0.3 and all(one.rotation_deg < 2 for one in resting)
    assert all(result.translation_deg == 0 for result in resting)
    assert all(np.isnan(result.precision) for result in resting)
    assert relative_pose.summarise(resting)['auc_5'] > 0.9
    assert relative_pose.summarise(results[2]['sift-ratio'])['precision'] > 0.85
    # Taken as rectified, the lens shows.
    wrong = gaps.evaluate([FrontEnd('sift-ratio')], frames, truth, [2], rectified=True)[2]['sift-ratio'][:2 * of_each]
    assert np.mean([result.rotation_deg > 5 for result in wrong]) > 0.8 and all(one.precision < 0.9 for one in wrong)


def test_frames_without_truth_are_counted_but_not_judged(walk):
    frames, _ = walk
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, 3] = [1, 0, 0]
    truth = gaps.Truth(np.array([3 * STEP_NS + gaps.NEAR_NS, 0]), poses[::-1])
    assert (truth.at(0) == poses[0]).all() and (truth.at(3 * STEP_NS) == poses[1]).all()
    assert truth.at(3 * STEP_NS - 1) is None
    results = gaps.evaluate([FrontEnd('orb')], frames, truth, [1, 3], rectified=False)
    assert [len(results[gap]['orb']) for gap in (1, 3)] == [0, gaps.ORDERS]


def test_a_blank_frame_is_a_failed_pair_and_no_error(walk):
    frames, truth = walk
    blank = replace(frames[2], image=np.zeros_like(frames[2].image))
    result, *_ = gaps.evaluate([FrontEnd('sift')], [frames[0], frames[1], blank], truth, [2], False)[2]['sift']
    assert np.isinf(result.error_deg) and result.matches == 0 and result.precision == 0
    assert relative_pose.summarise([result])['auc_20'] == 0
