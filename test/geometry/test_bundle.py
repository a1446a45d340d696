"""Bundle adjustment over a window, against worlds with known answers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('gtsam', reason='GTSAM is not installed; there is no wheel for this Python')

from superslam_ros.geometry import bundle
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp, transform

CAMERA = Pinhole(300, 300, 320, 240)
START = np.eye(6) * 1e-8


def world(seed: int, frames: int = 5, points: int = 60, noise_px: float = 0.5, depth: bool = True):
    """Return true poses, true points, and noisy sightings of all points by all frames."""
    random = np.random.default_rng(seed)
    landmarks = random.uniform([-2, -1.5, 4], [2, 1.5, 8], (points, 3))
    poses = {n: compose(rotation_exp([0.01 * n, -0.02 * n, 0.01 * n]), [0.1 * n, 0.02 * n, 0.05 * n])
             for n in range(frames)}
    parts = []
    for number, T in poses.items():
        q = transform(inverse(T), landmarks)
        pixels = CAMERA.project(q) + noise_px * random.normal(size=(points, 2))
        w = 1 / q[:, 2] + 0.002 * random.normal(size=points) if depth else np.full(points, np.nan)
        parts.append((np.full(points, number), np.arange(points), pixels, w))
    keyframes, numbers, pixels, w = (np.concatenate(column) for column in zip(*parts))
    count = len(w)
    seen = bundle.Sightings(keyframes, numbers, pixels, np.full(count, max(noise_px, 0.1)), w, np.full(count, 0.002))
    return poses, landmarks, seen


def disturbed(poses: dict[int, np.ndarray], landmarks: np.ndarray, seed: int):
    """Return poses (but the first) and points somewhat off."""
    random = np.random.default_rng(seed)
    moved = {n: perturb(T, random.normal(size=6) * 0.01 * (n > 0)) for n, T in poses.items()}
    return moved, landmarks + random.normal(size=landmarks.shape) * 0.05


def solve(window: bundle.Window, poses, landmarks, seen, seed: int = 9) -> bundle.Solution:
    """Solve from a disturbed start."""
    start, points = disturbed(poses, landmarks, seed)
    return window.solve(start, dict.fromkeys(poses, CAMERA), np.arange(len(landmarks)), points, seen, 20)


@pytest.mark.parametrize('depth', [True, False])
def test_exact_observations_give_exact_poses_and_points(depth: bool) -> None:
    """Without depth, the distance between two keyframes gives the scale."""
    poses, landmarks, seen = world(0, noise_px=0.0, depth=depth)
    if depth:
        exact = [1 / transform(inverse(poses[k]), landmarks[n:n + 1])[0, 2]
                 for k, n in zip(seen.keyframes, seen.landmarks)]
        seen.inverse_depth[:] = exact
    window = bundle.Window(0, poses[0], START)
    if not depth:
        window.hold_distance(0, 1, float(np.linalg.norm(poses[1][:3, 3])), 1e-4)
    found = solve(window, poses, landmarks, seen)
    assert max(np.abs(difference(found.poses[n], T)).max() for n, T in poses.items()) < 1e-5
    assert np.abs(found.points - landmarks).max() < 1e-3


def test_covariance_is_what_errors_are() -> None:
    """Normalised squared error of the newest pose over worlds: chi-square with 6 degrees of freedom."""
    squares = []
    for seed in range(20):
        poses, landmarks, seen = world(seed)
        found = solve(bundle.Window(0, poses[0], START), poses, landmarks, seen)
        error = difference(found.poses[4], poses[4])
        squares.append(error @ np.linalg.solve(found.covariance, error))
    band = 3.3 * np.sqrt(12 / len(squares))
    assert 6 - band < np.mean(squares) < 6 + band


def test_wrong_observations_are_resisted() -> None:
    """One in ten is anywhere in the image."""
    poses, landmarks, seen = world(1)
    random = np.random.default_rng(5)
    wrong = random.random(len(seen.pixels)) < 0.1
    seen.pixels[wrong] = random.uniform(0, 480, (wrong.sum(), 2))
    found = solve(bundle.Window(0, poses[0], START), poses, landmarks, seen)
    assert max(np.linalg.norm(difference(found.poses[n], T)[:3]) for n, T in poses.items()) < 0.03


def test_what_is_marginalised_is_remembered() -> None:
    """A window that lost its first keyframe knows the others as well as one that kept it."""
    poses, landmarks, seen = world(2)
    window = bundle.Window(0, poses[0], START)
    whole = solve(window, poses, landmarks, seen)
    gone = window.marginalise(0, set())
    assert sorted(gone) == list(range(len(landmarks)))
    kept = {n: whole.poses[n] for n in range(1, 5)}
    nothing = bundle.Sightings(*(np.zeros(0, int),) * 2, np.zeros((0, 2)), *(np.zeros(0),) * 3)
    again = window.solve(kept, dict.fromkeys(kept, CAMERA), np.zeros(0, int), np.zeros((0, 3)), nothing)
    for n, T in kept.items():
        assert np.abs(difference(again.poses[n], T)).max() < 1e-4
    np.testing.assert_allclose(np.sqrt(np.diag(again.covariance)), np.sqrt(np.diag(whole.covariance)), rtol=0.05)


def test_landmarks_that_stay_are_not_counted_twice() -> None:
    """Where half of the landmarks stay in the window, the sum of both is never surer than the whole."""
    poses, landmarks, seen = world(3)
    window = bundle.Window(0, poses[0], START)
    whole = solve(window, poses, landmarks, seen)
    staying = set(range(0, len(landmarks), 2))
    assert sorted(window.marginalise(0, staying)) == list(range(1, len(landmarks), 2))
    later = (seen.keyframes > 0) & (seen.landmarks % 2 == 0)
    rest = bundle.Sightings(*(getattr(seen, name)[later] for name in (
        'keyframes', 'landmarks', 'pixels', 'pixel_sigma', 'inverse_depth', 'inverse_depth_sigma')))
    numbers = np.arange(0, len(landmarks), 2)
    kept = {n: whole.poses[n] for n in range(1, 5)}
    again = window.solve(kept, dict.fromkeys(kept, CAMERA), numbers, whole.points[numbers], rest)
    assert np.trace(again.covariance) > 0.95 * np.trace(whole.covariance)
    assert np.abs(difference(again.poses[4], poses[4])).max() < 0.03


def test_the_same_twice() -> None:
    """To the last bit."""
    results = [solve(bundle.Window(0, poses[0], START), poses, landmarks, seen)
               for poses, landmarks, seen in (world(4), world(4))]
    np.testing.assert_array_equal(results[0].points, results[1].points)
    np.testing.assert_array_equal(results[0].covariance, results[1].covariance)


def test_what_is_not_determined_is_an_error_of_its_own() -> None:
    """A keyframe that nothing ties to the others."""
    poses, landmarks, seen = world(5, frames=2)
    alone = seen.keyframes == 0
    few = bundle.Sightings(*(getattr(seen, name)[alone] for name in (
        'keyframes', 'landmarks', 'pixels', 'pixel_sigma', 'inverse_depth', 'inverse_depth_sigma')))
    with pytest.raises(bundle.BundleError):
        solve(bundle.Window(0, poses[0], START), poses, landmarks, few)
