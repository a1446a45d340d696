"""An IMU: rotations with their covariance, the bias, gravity, and what the odometry makes of them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PERIOD_NS, PointWorld, Walk, trajectory

from superslam_ros.data import TrackingState
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse, rotation_exp, rotation_log
from superslam_ros.slam.guess import OdometryGuess
from superslam_ros.slam.imu import Imu, ImuConfig

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, 0, 0])
BIAS = np.array([0.01, -0.02, 0.03])
SUB = 10
START_NS = 3 * 1_000_000_000
NOISE = ImuConfig().gyroscope_noise


def measured(poses: list[np.ndarray], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return stamps (N,), rates and forces (N, 3) of a unit at MOUNT.

    Its camera rests for three seconds and then takes ``poses``, of z up, every PERIOD_NS.
    """
    random, dt = np.random.default_rng(seed), PERIOD_NS * 1e-9 / SUB
    rates, ups = [], []
    resting = [poses[0]] * (START_NS // PERIOD_NS)
    for a, b in zip(resting + poses, (resting + poses)[1:] + poses[-1:]):
        step = rotation_log(a[:3, :3].T @ b[:3, :3])
        for k in range(SUB):
            rates.append(MOUNT[:3, :3] @ step / (SUB * dt))
            R = a[:3, :3] @ rotation_exp(step * k / SUB)
            ups.append(MOUNT[:3, :3] @ R.T @ [0, 0, 9.81])
    stamps = np.arange(len(rates)) * (PERIOD_NS // SUB) + PERIOD_NS - START_NS + PERIOD_NS // SUB // 2
    angular = np.array(rates) + BIAS + NOISE / np.sqrt(dt) * random.normal(size=(len(rates), 3))
    return stamps, angular, np.array(ups) + 0.02 * random.normal(size=(len(rates), 3))


def imu(poses: list[np.ndarray], seed: int = 0, mount: np.ndarray | None = MOUNT) -> Imu:
    """Return the unit after all that has been measured."""
    return fed(Imu(None, mount), *measured(poses, seed))


def fed(unit: Imu, stamps: np.ndarray, angular: np.ndarray, linear: np.ndarray) -> Imu:
    """Return a unit to which messages have come."""
    for stamp, rate, force in zip(stamps.tolist(), angular, linear):
        unit.add(stamp, rate, force)
    return unit


def test_the_bias_is_found_at_rest_and_before_it_is_unsure() -> None:
    samples, unit = measured(trajectory(5)), Imu(None, MOUNT)
    assert np.sqrt(unit.bias(0)[1].diagonal()).min() > np.abs(BIAS).max()
    found, covariance = fed(unit, *samples).bias(PERIOD_NS)
    sigma = np.sqrt(covariance.diagonal())
    assert (np.abs(found - BIAS) < 4 * sigma).all() and sigma.max() < 0.002


def test_errors_of_a_rotation_are_within_its_covariance() -> None:
    """The covariance holds errors of axes and scale, too, which there are none of here: it may be too large."""
    poses, squares = trajectory(12), []
    for seed in range(30):
        found = imu(poses, seed).between(2 * PERIOD_NS, 11 * PERIOD_NS)
        error = difference(found.T_0_1, inverse(poses[1]) @ poses[10])[3:]
        assert found.rotation_only and np.degrees(np.linalg.norm(error)) < 0.5
        squares.append(error @ np.linalg.solve(found.covariance[3:, 3:], error))
    assert 0.1 < np.mean(squares) < 3 + 3.3 * np.sqrt(6 / len(squares))


def test_up_is_known_from_the_first_frame_on() -> None:
    tilted = [compose(rotation_exp([0.2, -0.4, 0]), np.zeros(3)) @ T_BODY_OPTICAL] * 15
    up, sigma = imu(tilted).level(PERIOD_NS)
    true = tilted[0][:3, :3].T @ [0, 0, 1]
    assert np.degrees(np.arccos(min(1.0, up @ true))) < 0.5 and np.degrees(sigma) < 0.5
    walk = Walk(PointWorld.make(noise_px=0.3), stereo=True)
    walk.motion.imu = imu(tilted)
    first = walk.step(tilted[0])
    assert np.degrees(np.arccos(min(1.0, first.T_odom_camera[2, :3] @ true))) < 0.5
    assert first.T_odom_camera[0, 2] > 0.9 and np.linalg.det(first.T_odom_camera) == pytest.approx(1)
    assert np.sqrt(first.covariance[[3, 4], [3, 4]]) == pytest.approx(sigma, rel=0.1)
    assert np.sqrt(first.covariance[5, 5]) < sigma / 10


def test_a_blackout_with_a_fast_turn_is_survived() -> None:
    poses = trajectory(12)
    for i in range(14):
        turn = rotation_exp([0, 0, 0.12 * min(i + 1, 10)])
        poses.append(compose(turn @ poses[11][:3, :3], poses[11][:3, 3]))
    rotations = {}
    for unit in (None, imu(poses)):
        walk = Walk(PointWorld.make(noise_px=0.3), stereo=True)
        walk.motion.imu = unit
        dark = [walk.step(T, dark=12 <= i < 22) for i, T in enumerate(poses)][21]
        assert dark.state == TrackingState.LOST
        rotations[unit is None] = np.linalg.norm(difference(dark.T_odom_camera, poses[21])[3:])
    assert np.degrees(rotations[False]) < 2 and rotations[True] > 10 * rotations[False]


def test_nothing_is_told_where_samples_are_missing_or_the_mount_is_not_known() -> None:
    stamps, angular, linear = samples = measured(trajectory(12))
    whole, keep = fed(Imu(None, MOUNT), *samples), np.ones(len(stamps), bool)
    keep[-60:-60 + round(2 * ImuConfig().max_gap / (PERIOD_NS * 1e-9 / SUB))] = False
    holed = fed(Imu(None, MOUNT), stamps[keep], angular[keep], linear[keep])
    assert whole.between(4 * PERIOD_NS, 11 * PERIOD_NS) and holed.between(4 * PERIOD_NS, 11 * PERIOD_NS) is None
    assert whole.between(4 * PERIOD_NS, 30 * PERIOD_NS) is None
    lost = fed(Imu(), *samples)
    assert lost.between(4 * PERIOD_NS, 11 * PERIOD_NS) is None and lost.level(PERIOD_NS) is None
    lost.T_imu_camera = MOUNT
    assert np.array_equal(lost.between(0, PERIOD_NS).T_0_1, whole.between(0, PERIOD_NS).T_0_1)


def test_messages_that_make_no_sense_are_said_once_and_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    unit, up = Imu(None, MOUNT), np.array([0, 0, 9.81])
    bad = [(10, [0, 0, np.nan], up), (10, [0, 0, 0], np.array([0, 0, np.inf])), (0, [0, 0, 0], up),
           (10, [900, 0, 0], up), (10, [0, 0, 0], up * 100)]
    unit.add(0, np.zeros(3), up)
    with caplog.at_level(logging.WARNING):
        for stamp, rate, force in bad * 2:
            unit.add(stamp, np.array(rate), np.array(force))
    assert unit.refused == {'no number': 4, 'stamp out of order': 2, 'too fast': 2, 'too strong': 2}
    assert len(caplog.records) == 4 and unit.last_ns == 0


def test_units_of_g_give_no_level(caplog: pytest.LogCaptureFixture) -> None:
    stamps, angular, linear = measured(trajectory(3))
    unit = fed(Imu(None, MOUNT), stamps, angular, linear / 9.81)
    assert unit.level(PERIOD_NS) is None and 'units of g' in caplog.text and unit.refused['no gravity']


def test_a_jump_back_in_time_begins_anew_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('superslam_ros.slam.imu.samples.MOST', 500)
    unit = Imu(None, MOUNT)
    for i in range(5000):
        unit.add(i * 1_000_000, np.zeros(3), np.array([0, 0, 9.81]))
    stamps, _, count = unit._samples._held
    assert count <= len(stamps) <= 1024 and unit.between(4_600_000_000, unit.last_ns)
    unit.add(1_000_000_000, np.zeros(3), np.array([0, 0, 9.81]))
    assert unit.last_ns == 1_000_000_000 and unit.between(4_600_000_000, 4_700_000_000) is None


def test_the_offset_of_stamps_is_taken_off() -> None:
    stamps, *values = measured(trajectory(12))
    late = fed(Imu(ImuConfig(time_offset=-0.03), MOUNT), stamps + 30_000_000, *values)
    span = 2 * PERIOD_NS, 11 * PERIOD_NS
    assert np.array_equal(late.between(*span).T_0_1, imu(trajectory(12)).between(*span).T_0_1)


def test_wheels_that_turn_wrongly_in_the_dark_are_put_right_by_the_gyroscope() -> None:
    """Half a radian of slip while the lens is covered: position by the wheels, heading by the gyroscope."""
    poses, dark = trajectory(30, step_m=0.04), range(12, 24)
    ends = {}
    for turning in (False, True):
        walk = Walk(PointWorld.make(noise_px=0.3), stereo=True)
        guess = walk.motion.predictor = OdometryGuess(None, T_BODY_OPTICAL)
        for i, T in enumerate(poses):
            slip = rotation_exp([0, 0, 0.5 * np.clip((i - 14) / 8, 0, 1)])
            guess.add((i + 1) * PERIOD_NS, compose(slip, np.zeros(3)) @ T @ inverse(T_BODY_OPTICAL), np.zeros((6, 6)))
        walk.motion.imu = imu(poses) if turning else None
        motions = [walk.step(T, dark=i in dark) for i, T in enumerate(poses)]
        assert [one.guessed for one in motions] == [i in dark for i in range(30)]
        ends[turning] = difference(motions[23].T_odom_camera, poses[23])
    assert np.linalg.norm(ends[False][3:]) > 0.3 and np.linalg.norm(ends[True][3:]) < 0.03


def test_what_odom_is_corrected_by_is_no_motion():
    """Poses that were seen before go along: gravity and turns are compared within one odom."""
    rng = np.random.default_rng(3)
    correction = compose(rotation_exp([0.05, -0.03, 0.0]), [0.1, 0.0, 0.02])
    found = []
    for T_correction in (np.eye(4), correction):
        unit = Imu(T_imu_camera=np.eye(4))
        for stamp_ns in range(0, 4_000_000_000, 5_000_000):
            unit.add(stamp_ns, np.zeros(3), np.array([0.0, 0, 9.81]) + rng.normal(0, 1e-6, 3))
        T = np.eye(4)
        for stamp_ns in range(0, 3_000_000_001, 100_000_000):
            unit.see(stamp_ns, T, np.eye(6) * 1e-8)
            if stamp_ns == 2_000_000_000:
                unit.moved(T_correction)
                T = T_correction @ T
        found.append(unit)
    for unit in found:
        assert unit.comparison.disagreements == 0 and unit.comparison.believed
        up, sigma = unit.up(metric=True)
        np.testing.assert_allclose(up, [0, 0, 1], atol=1e-4)
        assert sigma < 0.02
