"""Motion from exact and noisy points with known poses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from points import (
    BASELINE_M,
    LEFT,
    PERIOD_NS,
    RIGHT,
    TURNED,
    PointWorld,
    Walk,
    errors,
    match_numbers,
    numbers_of,
    trajectory,
)

from superslam_ros.data import Camera, Features, TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse, rotation_exp
from superslam_ros.slam import MotionEstimator, OdometryConfig
from superslam_ros.slam.temporal import KeyframeMatcher


def test_stereo_is_exact_on_exact_points() -> None:
    """Without noise the poses are the true ones, over several keyframes."""
    walk = Walk(PointWorld.make())
    found = errors(walk, trajectory(50))
    assert walk.motion.map.total > 2
    assert np.abs(found).max() < 2e-5  # keypoints are float32


def test_first_pose_is_odoms_origin() -> None:
    """The camera looks along x; the state waits for a second frame."""
    first = Walk(PointWorld.make()).step(T_BODY_OPTICAL)
    np.testing.assert_array_equal(first.T_odom_camera, T_BODY_OPTICAL)
    assert first.state == TrackingState.INITIALIZING and first.keyframe and first.metric and first.inliers == 0
    assert (np.linalg.eigvalsh(first.covariance) > 0).all()


def test_velocity_is_that_of_the_camera() -> None:
    """Metres and radians per second in the optical frame; forward is z."""
    walk = Walk(PointWorld.make())
    step = compose(rotation_exp([0, 0, 0.01]), [0.05, 0, 0])
    T = np.eye(4)
    for _ in range(4):
        motion = walk.step(T @ T_BODY_OPTICAL)
        T = T @ step
    np.testing.assert_allclose(motion.velocity, [0, 0, 0.5, 0, -0.1, 0], atol=1e-3)


def test_pose_is_that_of_the_camera_of_the_images_not_of_the_rectified_one() -> None:
    """A stereo pair whose left camera is turned against the rectified pair, images as they came."""
    R = rotation_exp([0.03, -0.1, 0.05])        # of the left image's frame to the rectified one
    estimator = MotionEstimator(OdometryConfig(rectified=False))
    world, matcher = PointWorld.make(), KeyframeMatcher(match_numbers)
    step = compose(rotation_exp([0, 0, 0.01]), [0.05, 0, 0])
    T, found, true = np.eye(4), [], []
    for number in range(1, 12):
        true.append(T @ T_BODY_OPTICAL)
        parallel = true[-1] @ compose(R.T, np.zeros(3))
        left, right = world.features(true[-1]), world.features(parallel, BASELINE_M)
        stereo, temporal = matcher.with_stereo(left, right, number * PERIOD_NS)
        found.append(estimator.process(left, temporal, replace(LEFT, R=R), stereo, RIGHT))
        T = T @ step
    for motion, T_true in zip(found, true):
        assert np.abs(difference(motion.T_odom_camera, T_true)).max() < 1e-4
    np.testing.assert_allclose(found[-1].velocity, [0, 0, 0.5, 0, -0.1, 0], atol=2e-3)


@pytest.mark.parametrize('frames', [4, 20])
def test_errors_are_what_the_covariance_says(frames: int) -> None:
    """Normalised squared error over worlds: chi-square with 6 degrees has mean 6; here its 99.9 % band.

    After a few frames against one keyframe, and after several keyframes and adjustments.
    """
    squares = []
    for seed in range(12):
        walk = Walk(PointWorld.make(seed, noise_px=0.5, count=400), pixel_sigma=0.5)
        poses = trajectory(frames, step_m=0.1)
        for T in poses:
            motion = walk.step(T)
        error = difference(motion.T_odom_camera, poses[-1])
        squares.append(error @ np.linalg.solve(motion.covariance, error))
    band = 3.3 * np.sqrt(12 / len(squares))
    assert 6 - band < np.mean(squares) < 6 + band


@pytest.mark.parametrize('noise_px', [0.3, 2.0])
def test_the_noise_of_keypoints_is_measured(noise_px: float) -> None:
    """Told 1 px, it finds what they really have."""
    walk = Walk(PointWorld.make(noise_px=noise_px), pixel_sigma=1.0)
    for T in trajectory(20, step_m=0.03):
        walk.step(T)
    assert walk.motion.noise.sigma_px == pytest.approx(noise_px, rel=0.25)


@dataclass
class Drifting(PointWorld):
    """A third of the landmarks goes aside, 5 mm from image to image; features say so where it is ``stability``."""

    stability: bool = True

    def features(self, T_odom_camera: np.ndarray, offset_m: float = 0.0) -> Features:
        """Return what a camera sees, the left one first."""
        moving = np.arange(len(self.landmarks)) % 3 == 0
        if not offset_m:
            self.landmarks = self.landmarks + 0.005 * moving[:, None] * [0, 1, 0]
        found = super().features(T_odom_camera, offset_m)
        moves = moving[numbers_of(found, len(self.landmarks))]
        return Features(found.keypoints, found.scores, found.descriptors, found.image_size,
                        stability=np.where(moves, 0.01, 0.9) if self.stability else None)


def test_unstable_keypoints_weigh_less() -> None:
    """What slowly moves pulls the camera along, unless the keypoints say that it does."""
    error = {True: [], False: []}
    for seed in range(2):
        for told, found in error.items():
            world = Drifting(PointWorld.make(seed, 300).landmarks, 0.3, seed, stability=told)
            found.append(np.linalg.norm(errors(Walk(world), trajectory(20))[:, :3], axis=1).mean())
    assert np.mean(error[True]) < 0.75 * np.mean(error[False])


def test_coarse_keypoints_weigh_less() -> None:
    """Half of the keypoints are three times less exact: it helps to know which, and the covariance knows it, too."""
    error, squares = {True: [], False: []}, []
    for seed in range(4):
        for told in error:
            world = replace(PointWorld.make(seed=seed, count=200, noise_px=0.5), coarse=3.0, told=told)
            walk = Walk(world)
            for T in trajectory(12):
                motion = walk.step(T)
                away = difference(motion.T_odom_camera, T)
                error[told].append(np.linalg.norm(away[:3]))
                if told and walk.stamp_ns > PERIOD_NS:
                    squares.append(away @ np.linalg.solve(motion.covariance, away))
    assert np.mean(error[True]) < 0.8 * np.mean(error[False])
    assert 0.5 < np.mean(squares) < 8


def test_noisy_walk_stays_near() -> None:
    """One pixel of noise: centimetres after fifty frames."""
    found = errors(Walk(PointWorld.make(noise_px=1.0)), trajectory(50))
    assert np.linalg.norm(found[:, :3], axis=1).max() < 0.15


def test_wrong_matches_do_not_matter() -> None:
    """A third of the temporal matches are wrong."""
    random = np.random.default_rng(0)
    walk = Walk(PointWorld.make())

    def confused(first, second):
        matches = match_numbers(first, second)
        wrong = random.random(len(matches)) < 0.33
        matches.keypoints1[wrong] = random.uniform(0, 480, (wrong.sum(), 2))
        return matches

    walk.temporal.matcher = confused
    poses = trajectory(8)
    for T in poses:
        motion = walk.step(T)
    assert motion.state == TrackingState.TRACKING
    assert np.abs(difference(motion.T_odom_camera, poses[-1])).max() < 0.02


def test_lost_predicted_and_found_again() -> None:
    """In the dark the pose follows the last velocity, surer of less and less; then it is exact again."""
    walk = Walk(PointWorld.make())
    poses = [compose(np.eye(3), [0.05 * i, 0, 0]) @ T_BODY_OPTICAL for i in range(12)]
    seen = [walk.step(T) for T in poses[:5]]
    dark = [walk.step(T, dark=True) for T in poses[5:9]]
    again = [walk.step(T) for T in poses[9:]]
    assert [one.state for one in dark] == [TrackingState.LOST] * 4
    assert all(one.inliers == 0 for one in dark)
    for one, T in zip(dark, poses[5:9]):
        assert np.abs(difference(one.T_odom_camera, T)).max() < 1e-3
    traces = [np.trace(one.covariance) for one in (seen[-1], *dark)]
    assert (np.diff(traces) > 0).all() and (np.linalg.eigvalsh(dark[-1].covariance) > 0).all()
    assert [one.state for one in again] == [TrackingState.TRACKING] * 3
    assert np.abs(difference(again[0].T_odom_camera, poses[9])).max() < 1e-4
    assert np.trace(again[0].covariance) < traces[-1]


def test_found_again_after_long_darkness() -> None:
    """Nobody knows where the camera went meanwhile; a look at an old keyframe, and the pose is exact again."""
    walk = Walk(PointWorld.make())
    poses = trajectory(8)
    for T in poses:
        walk.step(T)
    dark = [walk.step(poses[-1], dark=True) for _ in range(30)]
    assert {one.state for one in dark} == {TrackingState.LOST}
    back = walk.step(poses[2])
    assert back.state == TrackingState.TRACKING
    assert np.abs(difference(back.T_odom_camera, poses[2])).max() < 1e-4
    assert np.trace(back.covariance) < 1e-3 * np.trace(dark[-1].covariance)


def test_a_place_never_seen_begins_a_new_segment() -> None:
    """Odom goes on from the predicted pose, and is as unsure as the prediction from then on."""
    walk = Walk(PointWorld.around())
    for T in trajectory(5):
        walk.step(T)
    away = compose(TURNED, [0, 0, 0])
    lost = [walk.step(away) for _ in range(6)]
    assert all(one.state == TrackingState.LOST for one in lost) and lost[-1].keyframe
    moved = compose(np.eye(3), [-0.2, 0, 0])
    after = [walk.step(moved @ away), walk.step(moved @ moved @ away)]
    assert all(one.state == TrackingState.TRACKING for one in after)
    assert np.trace(after[-1].covariance) > 0.9 * np.trace(lost[-1].covariance)
    true = inverse(away) @ moved @ moved @ away
    found = inverse(lost[-1].T_odom_camera) @ after[-1].T_odom_camera
    assert np.abs(difference(found, true)).max() < 1e-3


def test_prediction_ends() -> None:
    """The last velocity is not believed for ever."""
    walk = Walk(PointWorld.make(), prediction_s=0.3)
    poses = [compose(np.eye(3), [0.05 * i, 0, 0]) @ T_BODY_OPTICAL for i in range(20)]
    for T in poses[:4]:
        walk.step(T)
    for T in poses[4:]:
        motion = walk.step(T, dark=True)
    assert motion.T_odom_camera[0, 3] == pytest.approx(0.15 + 0.15, abs=1e-3)


def test_keyframes_inherit_landmarks() -> None:
    """The same landmark keeps its identity and place from keyframe to keyframe; the map lists it once."""
    walk = Walk(PointWorld.make())
    errors(walk, trajectory(40))
    first, second = walk.motion.map.keyframes[-2:]
    shared = np.intersect1d(first.landmark_ids, second.landmark_ids[second.landmark_ids > 0])
    assert len(shared) > 20
    table = walk.motion.map.landmarks
    assert (np.diff(table.ids) > 0).all() and dict(walk.motion.map.covisible(second))[first] == len(shared)
    landmarks = table.points
    nearest = np.linalg.norm(landmarks[:, None] - walk.world.landmarks[None], axis=2).min(1)
    assert np.isfinite(landmarks).all() and np.median(nearest) < 1e-3


def test_the_map_is_bounded() -> None:
    """Old keyframes go."""
    walk = Walk(PointWorld.make(), keyframes=1)
    errors(walk, trajectory(40))
    assert len(walk.motion.map.keyframes) == 1 < walk.motion.map.total


def scale_between(found: list[np.ndarray], true: list[np.ndarray]) -> np.ndarray:
    """Return the ratio of the distances from the first pose."""
    a, b = (np.linalg.norm([T[:3, 3] - one[0][:3, 3] for T in one], axis=1) for one in (found, true))
    return a[1:] / b[1:]


def test_mono_keeps_its_scale() -> None:
    """One camera: shape and direction are true, and the scale is the same at the end as at the beginning."""
    walk = Walk(PointWorld.make(count=1500), stereo=False)
    poses = trajectory(50)
    motions = [walk.step(T) for T in poses]
    assert not motions[-1].metric and motions[0].state == TrackingState.INITIALIZING
    tracked = [i for i, one in enumerate(motions) if one.state == TrackingState.TRACKING]
    assert tracked[0] < 15 and tracked == list(range(tracked[0], 50)) and walk.motion.map.total > 2
    kept = [0, *tracked]
    ratios = scale_between([motions[i].T_odom_camera for i in kept], [poses[i] for i in kept])
    assert ratios.max() / ratios.min() < 1.02
    for i in tracked:
        relative = motions[i].T_odom_camera[:3, :3].T @ poses[i][:3, :3]
        assert np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1)) < 0.01


@pytest.mark.parametrize('noise_px', [0.0, 0.5])
def test_mono_does_not_begin_by_rotation(noise_px: float) -> None:
    """Turning on the spot shows no depth; the odometry waits, and begins once the camera moves."""
    walk = Walk(PointWorld.make(count=1500, noise_px=noise_px), stereo=False)
    for i in range(10):
        motion = walk.step(compose(rotation_exp([0, 0, 0.02 * i]), np.zeros(3)) @ T_BODY_OPTICAL)
        assert motion.state == TrackingState.INITIALIZING
        assert np.isfinite(motion.T_odom_camera).all()
    for T in trajectory(30)[10:]:
        motion = walk.step(T)
    assert motion.state == TrackingState.TRACKING


def test_mono_survives_rotation_once_begun() -> None:
    """With a map, turning on the spot is tracked."""
    walk = Walk(PointWorld.make(count=1500), stereo=False)
    poses = trajectory(20)
    for T in poses:
        walk.step(T)
    for i in range(15):
        motion = walk.step(compose(rotation_exp([0, 0, 0.01 * i]), np.zeros(3)) @ poses[-1] if i == 0 else
                           poses[-1] @ compose(rotation_exp([0, 0.01 * i, 0]), np.zeros(3)))
        assert motion.state == TrackingState.TRACKING


def test_depth_image_gives_metres() -> None:
    """A wall with a known depth in every pixel: the motion is metric and exact."""
    motion = MotionEstimator()
    temporal = KeyframeMatcher(match_numbers)
    random = np.random.default_rng(0)
    wall = PointWorld(np.stack([np.full(400, 4.0), *random.uniform(-2.5, 2.5, (2, 400))], 1))
    for i in range(10):
        T = compose(np.eye(3), [0.05 * i, 0.03 * i, 0]) @ T_BODY_OPTICAL
        depth = np.full((480, 640), 4 - 0.05 * i, dtype=np.float32)
        features = wall.features(T)
        result = motion.process(features, temporal(features, i * PERIOD_NS), LEFT, depth_m=depth)
        assert result.metric
        assert np.abs(difference(result.T_odom_camera, T)).max() < 1e-4
    assert result.state == TrackingState.TRACKING


def test_bad_inputs_are_named() -> None:
    """A right camera without baseline, and a depth image of another size."""
    walk = Walk(PointWorld.make())
    walk.step(T_BODY_OPTICAL)
    features = walk.world.features(T_BODY_OPTICAL)
    stereo = match_numbers(features, walk.world.features(T_BODY_OPTICAL, BASELINE_M))
    temporal = walk.temporal(features, 2)
    with pytest.raises(ValueError, match='no stereo baseline'):
        walk.motion.process(features, temporal, LEFT, stereo, Camera(640, 480, LEFT.K))
    with pytest.raises(ValueError, match='registered to the image'):
        walk.motion.process(features, temporal, LEFT, depth_m=np.zeros((240, 320), dtype=np.float32))


def test_reset_begins_where_it_is_told() -> None:
    """Odometry may go on from a known pose."""
    walk = Walk(PointWorld.make())
    walk.step(T_BODY_OPTICAL)
    start = compose(rotation_exp([0, 0, 0.5]), [1, 2, 3]) @ T_BODY_OPTICAL
    walk.motion.begin_at(start)
    walk.temporal.reset()
    np.testing.assert_array_equal(walk.step(T_BODY_OPTICAL).T_odom_camera, start)
    moved = compose(np.eye(3), [0.1, 0, 0]) @ T_BODY_OPTICAL
    np.testing.assert_allclose(
        walk.step(moved).T_odom_camera, start @ inverse(T_BODY_OPTICAL) @ moved, atol=1e-4)


def test_far_points_do_not_lose_tracking() -> None:
    """Most points are too far for stereo: with 400 matches and more, tracking goes on."""
    random = np.random.default_rng(0)
    walk = Walk(PointWorld(random.uniform([2, -4, -2.5], [9, 4, 2.5], (600, 3)), noise_px=1.0))
    states = [walk.step(T).state for T in trajectory(40, turn_rad=0.01)]
    assert TrackingState.LOST not in states
