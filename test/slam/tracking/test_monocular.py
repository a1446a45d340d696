"""A single camera gets metres from its height or its first baseline."""

from __future__ import annotations

import numpy as np
import pytest
from points import TURNED, PointWorld, Walk, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference
from superslam_ros.slam.tracking.monocular import DEPTH_CHANGE, ScaleDoubt, ground_distance

HEIGHT_M = 1.2


def corridor(ground: int, noise_px: float = 0.0, seed: int = 0) -> PointWorld:
    """Return walls on both sides and, ``HEIGHT_M`` below the camera, points on the ground."""
    random = np.random.default_rng(0)
    walls = random.uniform([2, -3, -1], [12, 3, 2], (700, 3))
    walls[:, 1] = np.where(random.random(700) < 0.5, -3, 3) + 0.3 * random.normal(size=700)
    floor = random.uniform([2, -2, 0], [9, 2, 0], (ground, 3))
    floor[:, 2] = -HEIGHT_M
    return PointWorld(np.concatenate([walls, floor]), noise_px, seed)


def straight(count: int) -> list[np.ndarray]:
    """Return a walk of 5 cm per frame, with a sway that shows depth."""
    return [compose(np.eye(3), [0.05 * i, 0.15 * np.sin(i / 3), 0]) @ T_BODY_OPTICAL for i in range(count)]


def scale(walk: Walk, poses: list[np.ndarray]) -> float:
    """Return found distance over true distance, from the first frame to the last."""
    motions = [walk.step(T) for T in poses]
    assert motions[-1].state == TrackingState.TRACKING and motions[-1].metric
    return float(np.linalg.norm(motions[-1].T_odom_camera[:3, 3]) / np.linalg.norm(poses[-1][:3, 3]))


def test_camera_height_gives_metres() -> None:
    assert scale(Walk(corridor(300), stereo=False, camera_height=HEIGHT_M), straight(30)) == pytest.approx(1, abs=0.02)


def test_without_a_ground_in_sight_it_waits_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    walk = Walk(corridor(0), stereo=False, camera_height=HEIGHT_M)
    states = {walk.step(T).state for T in straight(12)}
    assert states == {TrackingState.INITIALIZING} and caplog.text.count('camera_height') == 1


def test_first_baseline_gives_metres() -> None:
    """Of the frame at which tracking begins, wherever that is."""
    poses = trajectory(30)
    plain = Walk(PointWorld.make(), stereo=False)
    first = next(i for i, T in enumerate(poses) if plain.step(T).state == TrackingState.TRACKING)
    baseline_m = float(np.linalg.norm(poses[first][:3, 3]))
    assert scale(Walk(PointWorld.make(), stereo=False, first_baseline=baseline_m), poses) == pytest.approx(1, abs=0.02)


def test_ground_distance_is_that_of_the_level_plane() -> None:
    """Among points above it; walls and slopes are no ground."""
    random = np.random.default_rng(1)
    clutter = random.uniform([-5, -5, -1], [5, 5, 2], (200, 3))
    plane = random.uniform([-5, -5, -1.7], [5, 5, -1.7], (150, 3))
    assert ground_distance(np.concatenate([clutter, plane])) == pytest.approx(1.7, abs=0.02)
    slope = np.column_stack([plane[:, :2], -1.7 + plane[:, 0]])
    assert ground_distance(slope) is None and ground_distance(clutter[:10]) is None


@pytest.mark.parametrize('noise_px', [0.5, 1.0])
def test_a_map_begins_with_the_right_scale_whatever_the_noise(noise_px: float) -> None:
    """Not as soon as noise looks like parallax, which would bring the points, and so the motion, too near."""
    scales = []
    for seed in range(2):
        poses, plain = straight(30), Walk(corridor(300, noise_px, seed), stereo=False)
        first = next(i for i, T in enumerate(poses) if plain.step(T).state == TrackingState.TRACKING)
        walk = Walk(corridor(300, noise_px, seed), stereo=False,
                    first_baseline=float(np.linalg.norm(poses[first][:3, 3])))
        scales.append(scale(walk, poses[:first + 4]))
    np.testing.assert_allclose(scales, 1, atol=0.01)


def test_covariance_knows_how_uncertain_the_scale_of_the_ground_is() -> None:
    """NEES of the poses of all walks (Bar-Shalom, Estimation, section 5.4): 6 when covariances are honest."""
    nees = []
    for seed in range(3):
        walk, poses = Walk(corridor(300, 0.5, seed), stereo=False, camera_height=HEIGHT_M), straight(30)
        motions = [walk.step(T) for T in poses]
        for motion, T in zip(motions, poses):
            if motion.state == TrackingState.TRACKING:
                error = difference(motion.T_odom_camera, T)
                nees.append(error @ np.linalg.solve(motion.covariance, error))
    assert 1 < np.mean(nees) < 15


def test_scale_of_a_second_map_is_a_guess_and_the_covariance_says_so() -> None:
    """It is made of the median depth of the first map, which may have changed."""
    walk = Walk(PointWorld.around(), stereo=False)
    before = [walk.step(T) for T in trajectory(12)][-1]
    back = [compose(TURNED, [-0.05 * i, 0.1 * np.sin(i / 3), 0]) for i in range(40)]
    after = [walk.step(T) for T in back]
    first = next(i for i, motion in enumerate(after) if motion.state == TrackingState.TRACKING)
    way = np.linalg.norm(after[-1].T_odom_camera[:3, 3] - after[first].T_odom_camera[:3, 3])
    grown = after[-1].covariance[:3, :3] - before.covariance[:3, :3]
    assert np.linalg.eigvalsh(grown).max() > (0.9 * DEPTH_CHANGE * way)**2
    speed = np.linalg.norm(after[-1].velocity[:3])
    assert np.linalg.eigvalsh(after[-1].velocity_covariance[:3, :3]).max() > (0.9 * DEPTH_CHANGE * speed)**2


def test_doubt_of_the_scale_grows_with_the_way_and_stays_when_it_is_settled() -> None:
    doubt = ScaleDoubt()
    assert not doubt.of_position(np.ones(3)).any() and not doubt.of_velocity(np.ones(6)).any()
    doubt.begin(0.1, np.array([1.0, 0, 0]))
    doubt.begin(0.2, np.array([3.0, 0, 0]))
    assert doubt.of_position(np.array([4.0, 0, 0]))[0, 0] == pytest.approx(0.3**2 + 0.2**2)
    assert doubt.of_velocity(np.array([2.0, 0, 0, 1, 1, 1])).sum() == pytest.approx(0.2**2 + 0.4**2)
    doubt.settle(np.array([4.0, 0, 0]))
    assert doubt.of_position(np.array([9.0, 0, 0]))[0, 0] == pytest.approx(0.3**2 + 0.2**2)
    assert not doubt.of_velocity(np.ones(6)).any()
