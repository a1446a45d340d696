"""Pose from landmarks: exact, robust, and as sure as it says."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pnp import Observations, estimate_pose, refine_pose, rough_pose
from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp, transform

CAMERA = Pinhole(300, 310, 320, 240)
TRUTH = compose(rotation_exp([0.3, -0.4, 0.2]), [1, -2, 3])


def observations(seed: int, count: int = 60, sigma_px: float = 0.0, depth: bool = False) -> Observations:
    """Return landmarks seen from ``TRUTH``, with noise."""
    random = np.random.default_rng(seed)
    points = CAMERA.rays(random.uniform([0, 0], [640, 480], (count, 2))) * random.uniform(2, 10, (count, 1))
    pixels = CAMERA.project(points) + sigma_px * random.normal(size=(count, 2))
    sigma_w = np.full(count, 0.005)
    w = 1 / points[:, 2] + (0.005 * random.normal(size=count) if sigma_px else 0)
    return Observations(
        transform(TRUTH, points), np.zeros((count, 3, 3)), pixels, np.full(count, max(sigma_px, 0.5)),
        w if depth else np.full(count, np.nan), sigma_w if depth else np.full(count, np.nan))


@pytest.mark.parametrize('depth', [False, True])
def test_exact(depth: bool) -> None:
    """Exact pixels give the exact pose, from a poor prediction."""
    found = estimate_pose(observations(0, depth=depth), CAMERA, perturb(TRUTH, np.full(6, 0.2)))
    assert np.abs(difference(found.T_world_camera, TRUTH)).max() < 1e-7 and found.inliers.all()


def test_outliers() -> None:
    """Half of the pixels are wrong: the pose is right and the mask says which."""
    seen = observations(1, count=100)
    seen.pixels[:50] += np.random.default_rng(0).uniform(20, 200, (50, 2))
    found = estimate_pose(seen, CAMERA, np.eye(4))
    assert np.abs(difference(found.T_world_camera, TRUTH)).max() < 1e-3
    assert found.inliers[50:].all() and not found.inliers[:50].any()


def test_points_too_far_to_tell_the_position() -> None:
    """They tell the rotation, and nothing fails."""
    seen = observations(2)
    away = transform(inverse(TRUTH), seen.landmarks) * 1e9
    found = rough_pose(replace(seen, landmarks=transform(TRUTH, away)), CAMERA, perturb(TRUTH, [0, 0, 0, 0.02, 0, 0]))
    assert found is not None and np.abs(difference(found, TRUTH)[3:]).max() < 1e-3


@pytest.fixture
def no_ransac(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn at random."""
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError('RANSAC is not needed here')

    monkeypatch.setattr(cv2, 'solvePnPRansac', refuse)


@pytest.mark.usefixtures('no_ransac')
def test_a_prediction_finds_to_the_pixels() -> None:
    """Forty pixels off, with a third of gross errors: no RANSAC is needed."""
    seen = observations(1, count=100, sigma_px=1.0)
    seen.pixels[:33] += np.random.default_rng(0).uniform(-300, 300, (33, 2))
    prediction = perturb(TRUTH, [0.1, -0.1, 0.1, 0.1, -0.05, 0.05])
    found = rough_pose(seen, CAMERA, prediction)
    assert np.abs(difference(found, TRUTH)).max() < 0.02


@pytest.mark.usefixtures('no_ransac')
def test_the_motion_near_the_prediction_is_taken() -> None:
    """Of what is seen, the greater part moves by itself: the camera's motion is still that which goes on."""
    seen = observations(2, count=100)
    moved = perturb(TRUTH, [0.5, 0.2, 0, 0, 0, 0.05])
    seen.pixels[:55] = CAMERA.project(transform(inverse(moved), seen.landmarks[:55]))
    found = estimate_pose(seen, CAMERA, perturb(TRUTH, np.full(6, 0.002)))
    assert np.abs(difference(found.T_world_camera, TRUTH)).max() < 1e-3
    assert found.inliers[55:].all()


def test_without_a_prediction_ransac_finds_it() -> None:
    """From the wrong side of the room."""
    seen = observations(4, count=100, sigma_px=0.5)
    seen.pixels[:50] += np.random.default_rng(0).uniform(20, 200, (50, 2))
    found = rough_pose(seen, CAMERA, perturb(TRUTH, [5, 0, 0, 0, 3, 0]))
    assert np.abs(difference(found, TRUTH)).max() < 0.05


def test_keypoints_outside_of_the_ideal_camera() -> None:
    """They have no pixel, and no say."""
    seen = observations(5)
    seen.pixels[:20] = np.nan
    found = estimate_pose(seen, CAMERA, perturb(TRUTH, np.full(6, 0.05)))
    assert np.abs(difference(found.T_world_camera, TRUTH)).max() < 1e-7
    assert found.inliers[20:].all() and not found.inliers[:20].any()


@pytest.mark.parametrize('depth', [False, True])
def test_covariance_is_that_of_many_runs(depth: bool) -> None:
    """The normalised error squared has mean 6, and the spread over runs is the covariance's."""
    errors, squares, covariances = [], [], []
    for seed in range(120):
        found = estimate_pose(observations(seed, sigma_px=1.0, depth=depth), CAMERA, TRUTH)
        errors.append(difference(found.T_world_camera, TRUTH))
        squares.append(errors[-1] @ np.linalg.solve(found.covariance, errors[-1]))
        covariances.append(found.covariance)
    assert 4.5 < np.mean(squares) < 8
    ratio = np.std(errors, axis=0) / np.sqrt(np.diag(np.mean(covariances, axis=0)))
    assert (ratio > 0.75).all() and (ratio < 1.3).all()


def test_uncertain_landmarks_make_an_uncertain_pose() -> None:
    """A landmark's covariance goes into the pose's."""
    seen = observations(2)
    sure = refine_pose(seen, CAMERA, TRUTH)
    seen.landmark_covariance[:] = 0.05**2 * np.eye(3)
    unsure = refine_pose(seen, CAMERA, TRUTH)
    assert np.trace(unsure.covariance) > 3 * np.trace(sure.covariance)


def test_too_few_or_no_agreement() -> None:
    """None, not a guess."""
    assert estimate_pose(observations(0, count=7), CAMERA, TRUTH) is None
    seen = observations(0, count=30)
    seen.pixels[:] = np.random.default_rng(0).uniform(0, 480, seen.pixels.shape)
    assert estimate_pose(seen, CAMERA, inverse(TRUTH), minimum=15) is None


def test_the_same_twice() -> None:
    """RANSAC draws the same samples every time."""
    one, two = (estimate_pose(observations(3, sigma_px=1.0), CAMERA, np.eye(4)) for _ in range(2))
    np.testing.assert_array_equal(one.T_world_camera, two.T_world_camera)
