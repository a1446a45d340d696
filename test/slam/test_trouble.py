"""What goes wrong on real robots: nothing crashes, and nothing lies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from points import BASELINE_M, LEFT, PERIOD_NS, RIGHT, PointWorld, Walk, match_numbers, trajectory

from superslam_ros.data import Camera, Features, Motion, TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse
from superslam_ros.slam import KeyframeMatcher, MotionEstimator


def straight(count: int, step_m: float = 0.05) -> list[np.ndarray]:
    """Return poses of a camera that walks along x."""
    return [compose(np.eye(3), [step_m * i, 0, 0]) @ T_BODY_OPTICAL for i in range(count)]


def squared(motion: Motion, T: np.ndarray) -> float:
    """Return the normalised squared error."""
    error = difference(motion.T_odom_camera, T)
    return float(error @ np.linalg.solve(motion.covariance, error))


def test_dropped_frames_do_not_matter() -> None:
    """Every other frame, then a gap of a second, are missing."""
    walk, poses = Walk(PointWorld.make()), trajectory(40)
    for i in [*range(0, 20, 2), *range(30, 40)]:
        walk.stamp_ns = i * PERIOD_NS
        motion = walk.step(poses[i])
    assert motion.state == TrackingState.TRACKING
    assert np.abs(difference(motion.T_odom_camera, poses[-1])).max() < 1e-4


def test_a_depth_topic_that_stops_leaves_metres() -> None:
    """Tracking goes on against the map, and new landmarks are triangulated."""
    world, poses = PointWorld.make(), trajectory(60)
    walk = Walk(world)
    for T in poses[:10]:
        walk.step(T)
    walk.stereo = False
    for T in poses[10:]:
        motion = walk.step(T)
        assert motion.metric and motion.state == TrackingState.TRACKING
    assert np.isnan(walk.motion.map.keyframes[-1].inverse_depth).all() and len(walk.motion.map.landmarks)
    assert np.abs(difference(motion.T_odom_camera, poses[-1])).max() < 0.02


def test_depth_that_comes_late_gives_metres_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    """A map without scale is given up for one in metres; what was guessed until it began, the covariance owns up to."""
    walk, poses = Walk(PointWorld.make(), stereo=False), trajectory(40)
    for T in poses[:20]:
        motion = walk.step(T)
    assert motion.state == TrackingState.TRACKING and not motion.metric
    walk.stereo = True
    motions = [walk.step(T) for T in poses[20:]]
    assert all(one.metric for one in motions) and 'without scale' in caplog.text
    assert {one.state for one in motions[3:]} == {TrackingState.TRACKING}
    for start, within in ((0, 0.1), (3, 0.003)):
        origins = inverse(motions[start].T_odom_camera), inverse(poses[20 + start])
        error = difference(origins[0] @ motions[-1].T_odom_camera, origins[1] @ poses[-1])
        assert np.abs(error).max() < within
        assert error @ np.linalg.solve(motions[-1].covariance, error) < 22.5


def test_images_that_freeze_are_told_of_and_trusted_less_and_less() -> None:
    """The camera walks on while the driver repeats an image: said at once; found again when it thaws."""
    walk, poses = Walk(PointWorld.make()), straight(30)
    for T in poses[:6]:
        before = walk.step(T)
    frozen = [walk.step(poses[5]) for _ in range(10)]
    assert all(one.repeated and one.still for one in frozen) and not before.repeated
    traces = np.array([np.trace(one.covariance) for one in frozen])
    assert (np.diff(traces) > 0).all()
    # Meanwhile the camera was in truth here: within what the covariance allows.
    assert squared(frozen[-1], poses[15]) < 22.5     # 99.9 % of chi-square
    after = walk.step(poses[16])
    assert not after.repeated and after.state == TrackingState.TRACKING
    assert np.abs(difference(after.T_odom_camera, poses[16])).max() < 1e-3
    assert np.trace(after.covariance) < traces[-1]


def test_a_camera_at_rest_does_not_drift() -> None:
    """Four seconds of noise: not a micrometre; then it moves, and is followed at once."""
    walk, poses = Walk(PointWorld.make(noise_px=0.25)), straight(12, 0.1)
    walk.step(poses[0])
    rest = [walk.step(poses[0]) for _ in range(40)]
    assert all(one.still and not one.repeated for one in rest[2:])
    assert not np.ptp([one.T_odom_camera[:3, 3] for one in rest[2:]], axis=0).any()
    assert not rest[-1].velocity.any() and (np.linalg.eigvalsh(rest[-1].velocity_covariance) > 0).all()
    for T in poses[1:]:
        motion = walk.step(T)
        assert not motion.still and np.abs(difference(motion.T_odom_camera, T)).max() < 0.03


def test_a_slow_motion_is_no_rest() -> None:
    """A tenth of a pixel per frame adds up, and meanwhile the covariance owns up to it."""
    walk, poses = Walk(PointWorld.make()), straight(100, 0.002)
    motions = [walk.step(T) for T in poses]
    assert any(one.still for one in motions) and not all(one.still for one in motions[2:])
    assert max(squared(one, T) for one, T in zip(motions[1:], poses[1:])) < 22.5
    assert np.abs(difference(motions[-1].T_odom_camera, poses[-1])[:3]).max() < 0.02


def test_a_hand_over_the_lens_for_two_seconds() -> None:
    """Lost is said, the covariance covers what happened, and the map is still there afterwards."""
    walk, poses = Walk(PointWorld.make(noise_px=0.5)), trajectory(40)
    for T in poses[:10]:
        walk.step(T)
    keyframes = walk.motion.map.total
    dark = [walk.step(T, dark=True) for T in poses[10:30]]
    assert {one.state for one in dark} == {TrackingState.LOST} and not any(one.repeated for one in dark)
    assert max(squared(one, T) for one, T in zip(dark, poses[10:30])) < 22.5
    assert np.isfinite([one.T_odom_camera for one in dark]).all() and walk.motion.map.total == keyframes
    found = [walk.step(T) for T in poses[30:]]
    assert {one.state for one in found} == {TrackingState.TRACKING}
    assert np.abs(difference(found[-1].T_odom_camera, poses[-1])[:3]).max() < 0.03


def test_an_object_that_moves_over_half_of_the_image() -> None:
    """Nearly half of the landmarks are carried away: the others are believed."""
    world, poses = PointWorld.make(noise_px=0.5), trajectory(40)
    carried = np.random.default_rng(3).random(len(world.landmarks)) < 0.45
    walk = Walk(world)
    for i, T in enumerate(poses):
        if i >= 10:
            world.landmarks[carried] += [0.0, 0.04, 0.0]
        motion = walk.step(T)
        assert motion.state == (TrackingState.TRACKING if i else TrackingState.INITIALIZING)
    assert np.abs(difference(motion.T_odom_camera, poses[-1])[:3]).max() < 0.05


def test_a_calibration_that_changes_in_mid_run() -> None:
    """A zoom, with its camera_info: the map in metres stays."""
    world, poses = PointWorld.make(), trajectory(30)
    motion, temporal = MotionEstimator(), KeyframeMatcher(match_numbers)
    for i, T in enumerate(poses):
        K, zoom = LEFT.K.copy(), 1.15 if i >= 15 else 1.0
        K[:2, :2] *= zoom
        left, right = world.features(T), world.features(T, BASELINE_M)
        for features in (left, right):
            features.keypoints = ((features.keypoints - K[:2, 2]) * zoom + K[:2, 2]).astype(np.float32)
        cameras = (Camera(640, 480, K), Camera(640, 480, K, P=np.hstack([K, [[-K[0, 0] * BASELINE_M], [0], [0]]])))
        stereo, matches = temporal.with_stereo(left, right, (i + 1) * PERIOD_NS)
        found = motion.process(left, matches, cameras[0], stereo, cameras[1])
    assert found.state == TrackingState.TRACKING
    assert np.abs(difference(found.T_odom_camera, poses[-1])).max() < 1e-3


def test_swapped_stereo_images_give_no_depth_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing metric comes out of points behind the cameras."""
    world, motion, temporal = PointWorld.make(), MotionEstimator(), KeyframeMatcher(match_numbers)
    for i, T in enumerate(trajectory(12)):
        left, right = world.features(T, BASELINE_M), world.features(T)
        stereo, matches = temporal.with_stereo(left, right, i * PERIOD_NS)
        found = motion.process(left, matches, LEFT, stereo, RIGHT)
    assert caplog.text.count('swapped') == 1 and not found.metric


@pytest.mark.parametrize('factor', [0.5, 2.0])
def test_a_wrong_baseline_scales_the_world_and_nothing_else(factor: float) -> None:
    """No image can tell: the shape is right, tracking goes on, and metres are off by that factor."""
    world, poses = PointWorld.make(), trajectory(20)
    motion, temporal = MotionEstimator(), KeyframeMatcher(match_numbers)
    P = RIGHT.P.copy()
    P[0, 3] *= factor
    for i, T in enumerate(poses):
        left, right = world.features(T), world.features(T, BASELINE_M)
        stereo, matches = temporal.with_stereo(left, right, i * PERIOD_NS)
        found = motion.process(left, matches, LEFT, stereo, dataclasses.replace(RIGHT, P=P))
    np.testing.assert_allclose(found.T_odom_camera[:3, 3], factor * poses[-1][:3, 3], atol=1e-3)
    assert found.state == TrackingState.TRACKING


def test_too_few_keypoints_are_lost_not_guessed() -> None:
    """Eleven keypoints, one fewer than min_inliers."""
    walk, poses = Walk(PointWorld.make()), straight(8)
    for T in poses[:6]:
        before = walk.step(T)
    plain = walk.world.features
    walk.world.features = lambda T, offset_m=0.0: _first(plain(T, offset_m), 11)
    motion = walk.step(poses[6])
    assert motion.state == TrackingState.LOST and np.trace(motion.covariance) > np.trace(before.covariance)


def _first(features: Features, count: int) -> Features:
    return Features(features.keypoints[:count], features.scores[:count], features.descriptors[:count],
                    features.image_size)
