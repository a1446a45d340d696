"""An IMU: rotations with their covariance, the bias, gravity, and what the odometry makes of them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PERIOD_NS, PointWorld, Walk, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse, rotation_exp, rotation_log
from superslam_ros.slam.imu import MAX_GAP_S, NOISE, Gyroscope

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, 0, 0])
BIAS = np.array([0.01, -0.02, 0.03])
SUB = 10
START_NS = 3 * 1_000_000_000


def imu(poses: list[np.ndarray], seed: int = 0, mount: np.ndarray = MOUNT) -> Gyroscope:
    """Return the unit of a camera that rests for three seconds and then takes ``poses``, of z up, every PERIOD_NS."""
    random, dt = np.random.default_rng(seed), PERIOD_NS * 1e-9 / SUB
    T_imu_camera, rates, ups = MOUNT, [], []
    resting = [poses[0]] * (START_NS // PERIOD_NS)
    for a, b in zip(resting + poses, (resting + poses)[1:] + poses[-1:]):
        step = rotation_log(a[:3, :3].T @ b[:3, :3])
        for k in range(SUB):
            rates.append(T_imu_camera[:3, :3] @ step / (SUB * dt))
            R = a[:3, :3] @ rotation_exp(step * k / SUB)
            ups.append(T_imu_camera[:3, :3] @ R.T @ [0, 0, 9.81])
    stamps = np.arange(len(rates)) * (PERIOD_NS // SUB) + PERIOD_NS - START_NS + PERIOD_NS // SUB // 2
    angular = np.array(rates) + BIAS + NOISE / np.sqrt(dt) * random.normal(size=(len(rates), 3))
    return Gyroscope(stamps, angular, np.array(ups) + 0.02 * random.normal(size=(len(rates), 3)), mount)


def test_the_bias_is_found_at_rest_and_before_it_is_unsure() -> None:
    unit = imu(trajectory(5))
    found, sigma = unit.bias(PERIOD_NS)
    assert np.abs(found - BIAS).max() < 4 * sigma and sigma < 0.002
    assert unit.bias(PERIOD_NS - START_NS)[1] > np.abs(BIAS).max()


def test_errors_of_a_rotation_are_within_its_covariance() -> None:
    """The covariance holds errors of axes and scale, too, which there are none of here: it may be too large."""
    poses, squares = trajectory(12), []
    for seed in range(30):
        found = imu(poses, seed).between(2 * PERIOD_NS, 11 * PERIOD_NS)
        error = difference(found.T_0_1, inverse(poses[1]) @ poses[10])[3:]
        assert found.rotation_only and np.degrees(np.linalg.norm(error)) < 0.5
        squares.append(error @ np.linalg.solve(found.covariance[3:, 3:], error))
    assert 0.1 < np.mean(squares) < 3 + 3.3 * np.sqrt(6 / len(squares))


def test_z_is_up_from_the_first_frame_on() -> None:
    tilted = [compose(rotation_exp([0.2, -0.4, 0]), np.zeros(3)) @ T_BODY_OPTICAL] * 15
    found, sigma = imu(tilted).level(PERIOD_NS)
    up = found[:3, :3].T @ [0, 0, 1]
    true = tilted[0][:3, :3].T @ [0, 0, 1]
    assert np.degrees(np.arccos(min(1.0, up @ true))) < 0.5 and np.degrees(sigma) < 0.5
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)
    assert found[1, 2] == pytest.approx(0, abs=1e-9) and found[0, 2] > 0


def test_a_blackout_with_a_fast_turn_is_survived() -> None:
    poses = trajectory(12)
    for i in range(14):
        turn = rotation_exp([0, 0, 0.12 * min(i + 1, 10)])
        poses.append(compose(turn @ poses[11][:3, :3], poses[11][:3, 3]))
    rotations = {}
    for unit in (None, imu(poses)):
        walk = Walk(PointWorld.make(noise_px=0.3), stereo=True)
        walk.motion.predictor = unit
        dark = [walk.step(T, dark=12 <= i < 22) for i, T in enumerate(poses)][21]
        assert dark.state == TrackingState.LOST
        rotations[unit is None] = np.linalg.norm(difference(dark.T_odom_camera, poses[21])[3:])
    assert np.degrees(rotations[False]) < 2 and rotations[True] > 10 * rotations[False]


def test_wrong_extrinsics_are_said(caplog: pytest.LogCaptureFixture) -> None:
    poses = trajectory(45, turn_rad=0.05)
    told = {}
    for name, mount in (('right', MOUNT), ('wrong', compose(np.eye(3), np.zeros(3)))):
        caplog.clear()
        walk = Walk(PointWorld.make(noise_px=0.3), stereo=True)
        walk.motion.predictor = imu(poses, mount=mount)
        with caplog.at_level(logging.WARNING):
            for T in poses[:25]:
                walk.step(T)
        told[name] = 'disagrees with vision' in caplog.text
    assert told == {'right': False, 'wrong': True}


def test_nothing_is_told_where_samples_are_missing() -> None:
    poses = trajectory(12)
    whole = imu(poses)
    keep = np.ones(len(whole._stamps), bool)
    keep[-60:-60 + round(2 * MAX_GAP_S / (PERIOD_NS * 1e-9 / SUB))] = False
    holed = Gyroscope(whole._stamps[keep], whole._angular[keep], whole._linear[keep], MOUNT)
    assert whole.between(4 * PERIOD_NS, 11 * PERIOD_NS) and holed.between(4 * PERIOD_NS, 11 * PERIOD_NS) is None
    assert whole.between(4 * PERIOD_NS, 30 * PERIOD_NS) is None
    with pytest.raises(ValueError, match='not in order'):
        Gyroscope(whole._stamps[::-1], whole._angular, whole._linear, MOUNT)
