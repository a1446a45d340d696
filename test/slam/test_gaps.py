"""What comes after a gap: velocities, turns on the spot, windows without landmarks, points without a place."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PointWorld, Walk, match_numbers, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, rotation_exp
from superslam_ros.geometry.turn import rotation_between
from superslam_ros.slam import MotionEstimator, OdometryConfig, SmootherConfig
from superslam_ros.slam.mapping.map import _within
from superslam_ros.slam.temporal import KeyframeMatcher, TemporalConfig

SPEED = 0.5     # m/s along z of the camera


def straight(count: int) -> list[np.ndarray]:
    """Return a walk at ``SPEED``."""
    return [compose(np.eye(3), [0.1 * SPEED * i, 0, 0]) @ T_BODY_OPTICAL for i in range(count)]


def sphere(noise_px: float) -> PointWorld:
    """Return points all around."""
    random = np.random.default_rng(0)
    away = random.normal(size=(6000, 3)) * [1, 1, 0.3]
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return PointWorld(away * random.uniform(3, 8, (6000, 1)), noise_px)


@pytest.mark.parametrize('dark', [True, False])
def test_the_first_velocity_after_a_gap_is_that_of_the_whole_gap(dark: bool) -> None:
    """After a covered lens, and after images that were repeated to the last bit: what happened then is not known."""
    walk, poses = Walk(PointWorld.make(noise_px=0.3 if dark else 0.0)), straight(34)
    for T in poses[:10]:
        before = walk.step(T)
    for T in poses[10:30]:
        walk.step(T if dark else poses[9], dark=dark)
    first, second = walk.step(poses[30]), walk.step(poses[31])
    for motion in (before, first, second):
        assert motion.velocity[:3] == pytest.approx([0, 0, SPEED], abs=0.1)
    sigma = [np.sqrt(motion.velocity_covariance[2, 2]) for motion in (before, first, second)]
    assert sigma[1] > 1 and sigma[1] > 10 * max(sigma[0], sigma[2])


def test_who_turns_on_the_spot_and_stops_stays_there() -> None:
    """With one camera, out of sight of its map."""
    walk = Walk(sphere(0.1), stereo=False, first_baseline=0.15)
    poses = [compose(np.eye(3), [0, 0.05 * i, 0]) @ T_BODY_OPTICAL for i in range(25)]
    for T in poses:
        walk.step(T)
    for i in range(1, 40):
        T = compose(rotation_exp([0, 0, 0.1 * i]), poses[-1][:3, 3]) @ T_BODY_OPTICAL
        turning = walk.step(T)
    assert turning.inliers == 0 and turning.velocity[:3] == pytest.approx(0)
    assert np.linalg.norm(turning.velocity[3:]) == pytest.approx(1, abs=0.05)
    standing = [walk.step(T) for _ in range(20)]
    moved = np.linalg.norm(standing[-1].T_odom_camera[:3, 3] - turning.T_odom_camera[:3, 3])
    assert moved < 1e-6 and np.abs(standing[-1].velocity).max() < 0.02


def test_a_window_that_was_never_solved_is_begun_anew() -> None:
    """One camera that turns for long has keyframes without a landmark, more than the window holds."""
    walk = Walk(PointWorld.make(noise_px=0.3))
    for T in trajectory(5):
        walk.step(T)
    smoother, newest = walk.motion.smoother, walk.motion.map.keyframes[-1]
    smoother._begin(newest)
    newest.number += 2 * smoother.config.window
    smoother.update(walk.motion.map, metric=True)
    assert smoother.failures == 0 and smoother._first == newest.number


def test_the_window_is_no_longer_than_the_map() -> None:
    keyframes = 5
    walk = Walk(PointWorld.make(noise_px=0.5, count=4000))
    walk.motion = MotionEstimator(OdometryConfig(keyframes=keyframes), SmootherConfig(window=10))
    walk.temporal = KeyframeMatcher(match_numbers, TemporalConfig(displacement=0.03))
    for T in trajectory(45):
        walk.step(T)
    assert walk.motion.map.total > keyframes + 2 and walk.motion.smoother.failures == 0


@pytest.mark.parametrize('noise_px', [0.3, 2.0])
def test_noise_is_measured_of_one_camera_in_metres(noise_px: float) -> None:
    walk = Walk(PointWorld.make(noise_px=noise_px), stereo=False, first_baseline=0.5)
    for T in trajectory(50):
        walk.step(T)
    assert walk.motion.noise.sigma_px == pytest.approx(noise_px, rel=0.25)


def test_a_point_whose_rays_hardly_cross_costs_no_window(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    walk = Walk(PointWorld.make(noise_px=1.0, seed=3, count=3000), stereo=False)
    poses = [compose(rotation_exp([0, 0, 0.01 * i]), [0.03 * i, 0.03 * i, 0.05 * np.sin(i / 6)]) @ T_BODY_OPTICAL
             for i in range(90)]
    for i, T in enumerate(poses):
        if i == 3:
            walk.temporal.config = TemporalConfig(displacement=0.08)
        walk.step(T)
    assert walk.motion.map.total > 5 and walk.motion.smoother.failures == 0, caplog.text


def test_pixels_that_an_ideal_camera_has_not_are_left_out() -> None:
    rays = np.random.default_rng(0).uniform([-1, -1, 2], [1, 1, 4], (50, 3))
    R_0_1 = rotation_exp([0.1, -0.2, 0.05])
    turned = rays @ R_0_1
    turned[:3] = np.nan
    found, agree = rotation_between(rays, turned, 1e-3)
    assert np.abs(found - R_0_1).max() < 1e-9 and agree.tolist() == [False] * 3 + [True] * 47


def test_a_wide_lens_begins_a_map_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from superslam_ros.slam import motion

    def with_gaps(camera, keypoints, rectified):
        pixels = np.array(keypoints, np.float64)
        pixels[::9] = np.nan
        return pixels

    monkeypatch.setattr(motion, 'to_ideal', with_gaps)
    walk = Walk(PointWorld.make(noise_px=0.2), stereo=False)
    assert [walk.step(T) for T in trajectory(25)][-1].state == TrackingState.TRACKING


def test_pairs_within_a_radius_are_those_of_all_distances() -> None:
    random = np.random.default_rng(0)
    points0, points1 = random.uniform(0, 50, (80, 2)), random.uniform(0, 50, (60, 2))
    points1[7] = np.nan
    expected = np.nonzero(((points1[None] - points0[:, None])**2).sum(2) < 36)
    assert all(map(np.array_equal, _within(points0, points1, 6.0), expected))
