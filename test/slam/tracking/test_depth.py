"""Inverse depths from stereo matches and depth images."""

from __future__ import annotations

import re

import numpy as np
import pytest
from points import BASELINE_M, LEFT, RIGHT, PointWorld, match_numbers, numbers_of

from superslam_ros.geometry.pose import T_BODY_OPTICAL, inverse, transform
from superslam_ros.slam.tracking.depth import ImageDepth, NoDepth, StereoDepth, unusable


def test_stereo_is_exact() -> None:
    """Disparity gives the landmark's depth, twice as unsure at twice the scale; unmatched keypoints have none."""
    world = PointWorld.make()
    left, right = world.features(T_BODY_OPTICAL), world.features(T_BODY_OPTICAL, BASELINE_M)
    matches = match_numbers(left, right)
    ones = np.ones(len(left))
    depth = StereoDepth(matches, LEFT, RIGHT, True, ones)
    index = matches.indices[:, 0]
    w, sigma = depth.inverse_depth(index, left.keypoints[index])
    numbers = numbers_of(left, len(world.landmarks))[index]
    true = transform(inverse(T_BODY_OPTICAL), world.landmarks[numbers])[:, 2]
    np.testing.assert_allclose(1 / w, true, rtol=1e-4)
    np.testing.assert_allclose(sigma, np.sqrt(2) / (300 * BASELINE_M))
    coarse = np.where(np.arange(len(left)) % 2, 2.0, 1.0)
    unsure = StereoDepth(matches, LEFT, RIGHT, True, coarse).inverse_depth(index, left.keypoints[index])[1]
    np.testing.assert_allclose(unsure, sigma * coarse[index])
    alone = StereoDepth(matches.select(np.arange(5)), LEFT, RIGHT, True, ones)
    assert np.isnan(alone.inverse_depth(index[5:], left.keypoints[index[5:]])).all()
    wrong = match_numbers(left, right)
    wrong.keypoints1 = np.add(wrong.keypoints1, [0, 5])
    assert np.isnan(StereoDepth(wrong, LEFT, RIGHT, True, ones).inverse_depth(index, left.keypoints[index])[0]).all()


def test_depth_image_of_a_slanted_plane_is_exact() -> None:
    """Inverse depth is linear in pixels; holes, edges and the limits give NaN."""
    y, x = np.mgrid[:40, :50]
    depth_m = (1 / (0.3 + 0.001 * x + 0.002 * y)).astype(np.float32)
    depth_m[20, 20], depth_m[:, 30:] = np.nan, 9.0
    source = ImageDepth(depth_m, 0.003, 0.1, 20.0)
    pixels = np.array([[5.3, 7.6], [0, 0], [20.2, 20.2], [29.5, 10], [45, 10]])
    w, sigma = source.inverse_depth(np.arange(5), pixels)
    np.testing.assert_allclose(w[:2], [0.3 + 0.0053 + 0.0152, 0.3], rtol=1e-5)
    assert np.isnan(w[2:4]).all() and np.isnan(sigma[2:4]).all() and np.isclose(w[4], 1 / 9)
    assert np.isnan(NoDepth().inverse_depth(np.arange(2), pixels[:2])[0]).all()


@pytest.mark.parametrize('depth_m, reason', [
    (2000.0, 'millimetres'), (0.002, 'are these metres'),
    (50000.0, r'median is 5e\+04 m$'), (np.nan, 'no pixel'), (2.0, ''),
])
def test_a_depth_image_that_contributes_nothing_is_told_of(depth_m: float, reason: str) -> None:
    image = np.full((40, 50), depth_m, np.float32)
    image[0, 0] = 5.0       # a single pixel is noise
    if reason == 'no pixel':
        image[0, 0] = np.nan
    problem = unusable(image, 0.1, 20.0)
    assert (re.search(reason, problem) is not None) if reason else not problem
    assert ImageDepth(image, 0.003, 0.1, 20.0).problem == problem
