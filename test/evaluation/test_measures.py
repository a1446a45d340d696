import math

import numpy as np
import pytest

from superslam_ros.data import Features
from superslam_ros.evaluation import measures

SIZE = (200, 100)


def shift(x, y):
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def grid():
    y, x = np.mgrid[10:90:10, 10:190:10]
    return np.stack([x.ravel(), y.ravel()], 1).astype(np.float32)


def features(points, descriptors=None):
    if descriptors is None:
        descriptors = np.eye(len(points), dtype=np.float32)
    return Features(points, np.ones(len(points)), descriptors, SIZE)


def test_the_same_points_repeat_and_a_known_shift_is_the_error():
    assert measures.repeatability(grid(), grid(), np.eye(3), SIZE, SIZE) == (1, 0)
    for error, expected in ((2, (1, pytest.approx(2))), (3.5, (0, pytest.approx(np.nan, nan_ok=True)))):
        near = grid() + np.float32([error, 0])
        assert measures.repeatability(near, grid(), np.eye(3), SIZE, SIZE) == expected


def test_points_the_other_image_does_not_see_do_not_count():
    # 60 pixels to the right: of 18 columns 12 stay inside; one stray point in each image's own part.
    first, second = grid(), grid() + np.float32([60, 0])
    inside = second[second[:, 0] < 200]
    assert measures.repeatability(first, inside, shift(60, 0), SIZE, SIZE) == (1, 0)
    stray = np.vstack([inside, [[20, 5]]])
    assert measures.repeatability(first, stray, shift(60, 0), SIZE, SIZE) == (1, 0)
    stray = np.vstack([inside, [[85, 5]]])
    rate, _ = measures.repeatability(first, stray, shift(60, 0), SIZE, SIZE)
    assert rate == pytest.approx(2 * len(inside) / (2 * len(inside) + 1))


def test_nothing_is_nan_and_half_of_nothing_is_zero():
    assert math.isnan(measures.repeatability(np.zeros((0, 2)), np.zeros((0, 2)), np.eye(3), SIZE, SIZE)[0])
    assert measures.repeatability(grid(), np.zeros((0, 2)), np.eye(3), SIZE, SIZE)[0] == 0


def test_average_precision_of_a_hand_made_list():
    # Ranked: right, wrong, right; 4 to find: (1/1 + 2/3) / 4.
    value = measures.average_precision(np.array([0.2, 0.9, 0.5]), np.array([True, True, False]), 4)
    assert value == pytest.approx((1 + 2 / 3) / 4)
    assert math.isnan(measures.average_precision(np.zeros(0), np.zeros(0, bool), 0))
    assert measures.average_precision(np.zeros(0), np.zeros(0, bool), 3) == 0


def test_descriptors_that_tell_points_apart_score_one_and_swapped_ones_lose():
    points = grid()
    assert measures.descriptor_map(features(points), features(points), np.eye(3)) == pytest.approx(1)
    swapped = np.eye(len(points), dtype=np.float32)
    swapped[[0, 1]] = swapped[[1, 0]]
    score = measures.descriptor_map(features(points), features(points, swapped), np.eye(3))
    assert 0.9 < score < 1


def test_matching_score_counts_over_the_shared_region():
    points = grid()
    assert measures.matching_score(len(points), features(points), features(points), np.eye(3)) == 1
    half = points[points[:, 0] < 95]
    score = measures.matching_score(len(half), features(points), features(half), np.eye(3))
    assert score == pytest.approx((len(half) / len(points) + 1) / 2)


def test_true_matches_and_how_many_of_them_are_found():
    points = grid()
    second = np.vstack([points[::-1] + np.float32([5, 0]), [[100, 2]]])
    truth = measures.true_matches(points, second, shift(5, 0))
    assert {tuple(pair) for pair in truth} == {(k, len(points) - 1 - k) for k in range(len(points))}
    # Two candidates within 3 px: the nearer one.
    close = np.float32([[10, 10]]), np.float32([[12, 10], [11, 10]])
    np.testing.assert_array_equal(measures.true_matches(*close, np.eye(3)), [[0, 1]])
    assert len(measures.true_matches(points, points[:0], np.eye(3))) == 0
    # 2 px here are 4 px there: too far.
    assert len(measures.true_matches(np.float32([[10, 10]]), np.float32([[24, 20]]), np.diag([2.0, 2, 1]))) == 0
    right = np.arange(len(truth)) < 30
    assert measures.recall(truth[:36], right[:36], truth) == pytest.approx(30 / len(points))
    assert measures.recall(truth[:0], right[:0], truth) == 0
    assert math.isnan(measures.recall(truth, right, truth[:0]))


@pytest.mark.parametrize('sign', [1, -1])
def test_direct_homography_is_exact_without_outliers_and_suffers_from_one(sign):
    H = sign * np.array([[1.1, 0.05, 4], [-0.02, 0.95, 8], [1e-4, -2e-4, 1]])
    first = grid()
    second = measures.warp(H * sign, first)
    assert measures.corner_error(measures.direct_homography(first, second), H * sign, SIZE) < 1e-4
    assert measures.corner_error(measures.direct_homography(first[[0, 17, -18, -1]], second[[0, 17, -18, -1]]),
                                 H * sign, SIZE) < 1e-4
    second[0] += 60
    assert measures.corner_error(measures.direct_homography(first, second), H * sign, SIZE) > 1
    for points in (first[:3], first[:5], np.zeros((6, 2))):          # too few, on a line, in one place
        assert measures.direct_homography(points, points) is None


def test_calibration_of_confidences():
    right = np.arange(100) % 10 < 8
    error, bins = measures.calibration(np.full(100, 0.8), right)
    assert error == pytest.approx(0) and bins == [
        {'matches': 100, 'confidence': pytest.approx(0.8), 'precision': pytest.approx(0.8)}]
    # Half are sure (1.0) of which all are right, half claim .3 and none is.
    confidences, right = np.repeat([1.0, 0.3], 50), np.repeat([True, False], 50)
    error, bins = measures.calibration(confidences, right)
    assert error == pytest.approx(0.15) and len(bins) == 2
    assert math.isnan(measures.calibration(np.zeros(0), np.zeros(0, bool))[0])


def test_homography_is_found_among_outliers_and_is_repeatable():
    H = np.array([[1.1, 0.05, 4], [-0.02, 0.95, 8], [1e-4, -2e-4, 1]])
    first = grid()
    second = measures.warp(H, first)
    second[::3] += np.random.default_rng(0).uniform(20, 60, second[::3].shape)
    right = measures.right_matches(first, second, H)
    assert right.sum() == len(first) - len(first[::3])
    found = measures.estimate_homography(first, second)
    assert measures.corner_error(found, H, SIZE) < 0.01
    assert (found == measures.estimate_homography(first, second)).all()
    assert measures.estimate_homography(first[:3], second[:3]) is None
    assert measures.corner_error(None, H, SIZE) == math.inf
    assert measures.corner_error(shift(3, 4), np.eye(3), SIZE) == pytest.approx(5)
