"""A single camera gets metres from its height or its first baseline."""

from __future__ import annotations

import numpy as np
import pytest
from points import PointWorld, Walk, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose
from superslam_ros.slam.monocular import ground_distance

HEIGHT_M = 1.2


def corridor(ground: int) -> PointWorld:
    """Return walls on both sides and, ``HEIGHT_M`` below the camera, points on the ground."""
    random = np.random.default_rng(0)
    walls = random.uniform([2, -3, -1], [12, 3, 2], (700, 3))
    walls[:, 1] = np.where(random.random(700) < 0.5, -3, 3) + 0.3 * random.normal(size=700)
    floor = random.uniform([2, -2, 0], [9, 2, 0], (ground, 3))
    floor[:, 2] = -HEIGHT_M
    return PointWorld(np.concatenate([walls, floor]))


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
    assert states == {TrackingState.INITIALIZING} and 'camera_height' in caplog.text


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
