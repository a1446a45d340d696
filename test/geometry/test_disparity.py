"""The offset of disparities from what near and far points say of one motion."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.disparity import StereoPoints, offset
from superslam_ros.geometry.pose import compose, inverse, perturb, rotation_exp, transform

CAMERA = Pinhole(600, 600, 320, 240)
SCALE = 600 * 0.5
"""Focal length times baseline, px m."""
T_0_1 = compose(rotation_exp([0.01, 0.03, -0.01]), np.array([0.1, 0.0, 1.2]))


def seen(offset_px: float, noise_px: float, random: np.random.Generator, count: int = 250) -> StereoPoints:
    """Return points at 4 to 60 m whose disparities are too large by ``offset_px``; a tenth is wrong in the second."""
    inverse_depth = random.uniform(1 / 60, 1 / 4, count)
    pixels = random.uniform([0, 0], [639, 479], (count, 2))
    rays = np.column_stack([(pixels - [320, 240]) / 600, np.ones(count)])
    there = transform(inverse(T_0_1), rays / inverse_depth[:, None])
    measured = np.column_stack([inverse_depth, 1 / there[:, 2]]) + offset_px / SCALE
    measured += 2**0.5 * noise_px / SCALE * random.normal(size=(count, 2))
    pixels1 = CAMERA.project(there) + noise_px * random.normal(size=(count, 2))
    pixels1[::10] += random.uniform(-100, 100, (len(pixels1[::10]), 2))
    sigma = max(noise_px, 0.3)
    return StereoPoints(rays, pixels1, np.full(count, sigma), measured, np.full((count, 2), 2**0.5 * sigma / SCALE))


@pytest.mark.parametrize('offset_px', [0.0, 0.8, -1.4])
def test_exact_points_give_the_exact_offset(offset_px: float) -> None:
    """From a motion that is off, with wrong matches."""
    start = perturb(inverse(T_0_1), np.array([0.01, 0, -0.02, 0.001, 0, 0.0005]))
    found = offset(seen(offset_px, 0.0, np.random.default_rng(0)), CAMERA, start)
    np.testing.assert_allclose(found.inverse_depth * SCALE, offset_px, atol=1e-3)
    np.testing.assert_allclose(found.length, np.linalg.norm(T_0_1[:3, 3]), rtol=1e-3)


def test_the_uncertainty_is_that_of_the_errors() -> None:
    """Over 60 pairs of frames, the mean is the true one within its error, and the scatter is what it says it is."""
    random = np.random.default_rng(1)
    found = [offset(seen(0.5, 0.4, random), CAMERA, inverse(T_0_1)) for _ in range(60)]
    px, sigma = np.array([[one.inverse_depth, one.sigma] for one in found]).T * SCALE
    assert abs(px.mean() - 0.5) < 4 * px.std() / 60**0.5 + 0.02
    assert 0.7 < px.std() / sigma.mean() < 1.4


def test_no_answer_where_there_is_none() -> None:
    """Too few points; a camera that has not moved."""
    random = np.random.default_rng(2)
    assert offset(seen(0.5, 0.4, random, 20), CAMERA, inverse(T_0_1)) is None
    points = seen(0.0, 0.0, random)
    still = StereoPoints(points.rays, points.rays[:, :2] * 600 + [320, 240], points.pixel_sigma,
                         points.inverse_depth[:, :1].repeat(2, 1), points.inverse_depth_sigma)
    found = offset(still, CAMERA, np.eye(4))
    assert found is None or found.sigma * SCALE > 10
