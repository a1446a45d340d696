"""Gravity: what is up while the camera accelerates, and poses that are held by it."""

from __future__ import annotations

import numpy as np
import pytest
from points import PointWorld, Walk

from superslam_ros import worlds
from superslam_ros.geometry.pose import compose, perturb, rotation_exp
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.tracking.upright import Upright

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.2, 0, -0.1])
RATE = 10.0
DOWN = rotation_exp([0.1, 0.2, 0.5])
UP = DOWN.T @ np.array([0, 0, 1.0])


def measured(seed: int, metric: bool = True, T_odom_world: np.ndarray | None = None) -> list[tuple[float, float]]:
    """Return the errors of what is up on a walk, rad, and their sigmas, five times a second."""
    T_odom_world = np.eye(4) if T_odom_world is None else T_odom_world
    poses, random = worlds.demo_trajectory(100, RATE, seed), np.random.default_rng(seed)
    data, found, unit, told = worlds.measure(poses, RATE, random, MOUNT), [], Imu(None, MOUNT), 0
    for stamp_ns, T in zip(worlds.stamps(len(poses), RATE).tolist(), poses):
        while told < len(data.stamps_ns) and data.stamps_ns[told] <= stamp_ns:
            unit.add(int(data.stamps_ns[told]), data.angular_rad_s[told], data.linear_m_s2[told])
            told += 1
        noisy = perturb(T_odom_world @ T, np.repeat([2e-3, 5e-4], 3) * random.normal(size=6))
        unit.see(stamp_ns, noisy, np.diag(np.repeat([4e-6, 2.5e-7], 3)))
        up = unit.up(metric)
        if up is not None:
            found.append((float(np.arccos(min(1.0, up[0] @ T[2, :3]))), up[1]))
    return found


def test_up_is_known_although_the_camera_accelerates() -> None:
    errors = np.concatenate([measured(seed) for seed in range(4)])
    assert len(errors) > 4 * 70
    assert np.degrees(errors[:, 0]).max() < 0.9 and np.degrees(errors[:, 1]).max() < 0.6
    assert 0.2 < np.mean((errors[:, 0] / errors[:, 1])**2) < 2 + 3.3 * np.sqrt(4 / 4)      # two degrees of freedom


def test_without_scale_it_is_less_sure() -> None:
    errors = np.array(measured(1, metric=False))
    assert errors[:, 1].min() > 0.04 and ((errors[:, 0] / errors[:, 1])**2).mean() < 2


def test_odom_need_not_be_level_for_it() -> None:
    tilted = compose(rotation_exp([0.3, 0, 0]), np.zeros(3))
    assert measured(2, T_odom_world=tilted)[-1][0] == pytest.approx(measured(2)[-1][0], abs=2e-3)


def test_odom_that_began_while_the_camera_accelerated_becomes_level() -> None:
    """The first second alone, without vision, tells little."""
    poses, random = worlds.demo_trajectory(70, RATE, 3), np.random.default_rng(3)
    data, unit = worlds.measure(poses, RATE, random, MOUNT, start_ns=100_000_000), Imu(None, MOUNT)
    for at, stamp_ns in enumerate(data.stamps_ns.tolist()):
        unit.add(stamp_ns, data.angular_rad_s[at], data.linear_m_s2[at])
    walk = Walk(PointWorld(random.uniform([-4, -3, 0], [4, 3, 3], (700, 3)), noise_px=0.3))
    walk.motion.imu = unit
    tilts = []
    for T in poses:
        motion = walk.step(T)
        error = motion.T_odom_camera[2, :3] @ T[2, :3]
        tilts.append((np.degrees(np.arccos(min(1.0, error))), np.degrees(np.sqrt(motion.covariance[3, 3]))))
    assert tilts[0][1] > 1.5 and tilts[0][0] < 3 * tilts[0][1]
    assert tilts[-1][1] < 0.7 and tilts[-1][0] < 0.7 and tilts[-1][0] < tilts[0][0] / 2


def test_what_is_less_sure_than_the_accelerometer_is_held_and_nothing_else() -> None:
    true, sigma = compose(DOWN, [1, 2, 3]), 0.005
    upright, wrong = Upright(UP, sigma, sigma / 2), perturb(true, np.array([0, 0, 0, 0.03, -0.02, 0.2]))
    np.testing.assert_allclose(upright.away(wrong), [0.03, -0.02], atol=5e-3)
    T, covariance = upright.hold(wrong, np.diag([0.01] * 3 + [0.02**2] * 2 + [0.3**2]))
    assert np.linalg.norm(upright.away(T)) < 0.25 * np.linalg.norm(upright.away(wrong))
    assert np.sqrt(covariance[[3, 4], [3, 4]]) == pytest.approx(np.sqrt(2) * sigma, rel=0.1)
    assert covariance[5, 5] == pytest.approx(0.09) and np.array_equal(T[:3, 3], wrong[:3, 3])
    sure = np.eye(6) * 1e-6
    np.testing.assert_allclose(upright.hold(true, sure)[0], true, atol=1e-9)
    assert upright.hold(wrong, sure) is None
    assert np.sqrt(upright.at_least(sure)[[3, 4, 5], [3, 4, 5]]) == pytest.approx(
        [sigma / np.sqrt(2)] * 2 + [1e-3])


def test_the_prior_of_a_keyframe_is_upright_and_leaves_the_rest_free() -> None:
    upright = Upright(UP, 0.01, 0.01)
    T = perturb(compose(DOWN, [1, 2, 3]), np.array([0, 0, 0, 0.02, 0.01, 0.3]))
    held, covariance = upright.prior(T)
    assert np.linalg.norm(upright.away(held)) < 1e-3 and np.array_equal(held[:3, 3], T[:3, 3])
    assert covariance[5, 5] > 1e3 and covariance[3, 3] < 1e-3
    assert upright.prior(perturb(T, np.array([0, 0, 0, 0.3, 0, 0]))) is None
