"""What a unit measures on a path: integrated, it is the path; its errors are those that were asked for."""

from __future__ import annotations

import numpy as np

from superslam_ros import worlds
from superslam_ros.geometry.pose import compose, difference, inverse, rotation_exp

NONE = worlds.ImuErrors(0, 0, 0, 0, 0, 0)
MOUNT = compose(rotation_exp([0.4, -1.0, 0.3]), [0.1, -0.05, 0.02])
RATE = 20.0


def test_the_path_comes_out_again() -> None:
    poses = worlds.demo_trajectory(60, RATE)
    stamps, angular, linear, _ = worlds.measure(poses, RATE, np.random.default_rng(0), MOUNT, 1000.0, errors=NONE)
    assert stamps[0] == 1_000_000_000 and stamps[-1] == stamps[0] + round(59e9 / RATE)
    T_world_imu, dt = poses @ inverse(MOUNT), 1e-3
    R, p = T_world_imu[0, :3, :3], T_world_imu[0, :3, 3]
    middle = T_world_imu[30, :3, 3]
    found = []
    for k in range(len(stamps) - 1):
        found.append(compose(R, p))
        # Positions without a speed at the start: that is known from the pose at the middle.
        R = R @ rotation_exp((angular[k] + angular[k + 1]) / 2 * dt)
    forces = np.array([T[:3, :3] @ f for T, f in zip(found, linear)]) - [0, 0, 9.81]
    moved = np.cumsum(np.cumsum(forces, 0) * dt, 0) * dt
    speed = (middle - p - moved[1500]) / 1.5
    assert np.linalg.norm(difference(compose(R, p), T_world_imu[-1])[3:]) < 1e-3
    at = 58 * 50
    np.testing.assert_allclose(p + moved[at] + speed * at * dt, T_world_imu[58, :3, 3], atol=5e-3)


def test_errors_are_those_of_the_unit_and_of_a_seed() -> None:
    poses = np.repeat(worlds.demo_trajectory(2)[:1], 400, 0)
    first, again, other = (worlds.measure(poses, RATE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again)) and not np.array_equal(first.angular_rad_s, other.angular_rad_s)
    white = (first.angular_rad_s - first.bias_rad_s).std() / np.sqrt(200)
    assert abs(white / worlds.ImuErrors().gyroscope_noise - 1) < 0.1
    assert abs(np.linalg.norm(first.linear_m_s2.mean(0)) - 9.81) < 0.2


def test_a_walk_may_begin_with_a_rest() -> None:
    small = worlds.BuildingOptions(length_m=11.0, width_m=9.0, corridor_m=2.0, columns=1, rows=1)
    how = worlds.Walk(visits=(0,), laps=0.1, rest_s=1.0)
    poses = worlds.walk(small, how)
    assert (poses[:11] == poses[0]).all() and not (poses[11:] == poses[0]).all(1).all(1).any()
    speed = np.linalg.norm(np.diff(poses[:, :2, 3], axis=0), axis=1) * how.rate_hz
    assert speed[:12].max() < 0.1 and np.allclose(speed[21:].mean(), how.speed, atol=0.1)
    force = worlds.measure(poses, how.rate_hz, np.random.default_rng(0), errors=NONE).linear_m_s2
    assert np.abs(np.linalg.norm(force, axis=1) - 9.81).max() < 6
