"""An IMU that vision looks at: its bias, and faults of mount, clock and units, which are said with their numbers."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.geometry.pose import compose, rotation_exp
from superslam_ros.slam.imu import Imu, ImuConfig

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, 0, 0])
RATE, SECONDS, SIGMA_RAD = 10.0, 16, 1e-3
LATE_NS = 30_000_000
QUARTER = compose(rotation_exp([0, 0, np.pi / 2]), np.zeros(3))


def seen(seed: int, mount: np.ndarray = MOUNT, late_ns: int = 0, scale: float | np.ndarray = 1.0,
         config: ImuConfig | None = None) -> tuple[Imu, np.ndarray]:
    """Return a unit that a camera has looked at on a walk, and the true bias (3,) of its gyroscope at the end.

    :param mount: that is believed; ``late_ns`` of its stamps, ``scale`` (3,) of its rates.
    """
    poses = worlds.demo_trajectory(round(SECONDS * RATE), RATE, seed)
    random, unit, told = np.random.default_rng(seed + 50), Imu(config, mount), 0
    measured = worlds.measure(poses, RATE, random, MOUNT)
    for stamp_ns, T in zip(worlds.stamps(len(poses), RATE).tolist(), poses):
        while told < len(measured.stamps_ns) and measured.stamps_ns[told] <= stamp_ns + 500_000_000:
            unit.add(int(measured.stamps_ns[told]) + late_ns, measured.angular_rad_s[told] * scale,
                     measured.linear_m_s2[told])
            told += 1
        T_seen = compose(rotation_exp(SIGMA_RAD * random.normal(size=3)) @ T[:3, :3], T[:3, 3])
        unit.see(stamp_ns, T_seen, np.eye(6) * SIGMA_RAD**2)
    return unit, measured.bias_rad_s[-1]


def test_vision_refines_the_bias_without_any_rest() -> None:
    squares = []
    for seed in range(4):
        unit, true = seen(seed)
        bias, covariance = unit.bias(unit.last_ns)
        assert unit.comparison.believed and not unit.comparison.disagreements
        assert np.linalg.norm(bias - true) < 0.004 and np.sqrt(np.trace(covariance)) < 0.004
        squares.append((bias - true) @ np.linalg.solve(covariance, bias - true))
    assert 0.3 < np.mean(squares) < 3 + 3.3 * np.sqrt(6 / 4)


def test_a_turn_that_was_taken_for_a_rest_is_unlearnt() -> None:
    """A robot that turns steadily looks like one at rest with a bias, until vision sees it turn."""
    unit, still = Imu(None, MOUNT), np.array([0.0, 0, 9.81])
    for i in range(1200):
        stamp_ns = i * 10_000_000
        unit.add(stamp_ns, np.array([0, 0, 0.1]), still)
        if i == 250:
            assert unit.bias(stamp_ns)[0][2] == pytest.approx(0.1, abs=1e-3)
        if i > 250 and i % 10 == 0:
            R = MOUNT[:3, :3].T @ rotation_exp([0, 0, 0.1 * stamp_ns * 1e-9]) @ MOUNT[:3, :3]
            unit.see(stamp_ns, compose(R, np.zeros(3)), np.eye(6) * SIGMA_RAD**2)
    assert np.abs(unit.bias(stamp_ns)[0]).max() < 0.01


def test_odom_that_begins_anew_is_no_turn() -> None:
    """After a reset the next pose is that of another odom; and images may begin anew without the IMU."""
    unit, rest, elsewhere = Imu(None, np.eye(4)), np.array([0.0, 0, 9.81]), rotation_exp([0, 0, 2.0])
    for i in range(800):
        unit.add(i * 10_000_000, np.zeros(3), rest)
    for T, stamps in ((np.eye(4), range(0, 40)), (compose(elsewhere, np.zeros(3)), range(40, 80)),
                      (np.eye(4), range(0, 80))):
        for i in stamps:
            unit.see(i * 100_000_000, T, np.eye(6) * SIGMA_RAD**2)
        unit.interrupt()
    assert not unit.comparison.disagreements and unit.comparison.inflation == 1


@pytest.mark.parametrize(('fault', 'said'), [
    ({'mount': MOUNT @ QUARTER}, ('(89|90|91).. degrees off', 'not believed')),
    ({'mount': MOUNT @ compose(rotation_exp([0, 0.2, 0]), np.zeros(3))}, ('11.. degrees off', '')),
    ({'late_ns': LATE_NS}, ('(29|30|31) ms late', 'imu.time_offset: -0.0(29|30|31)')),
    ({'late_ns': -LATE_NS}, ('(29|30|31) ms early', 'imu.time_offset: 0.0(29|30|31)')),
    ({'scale': 180 / np.pi}, ('5[5-9].* times', 'deg/s')),
    ({'scale': np.array([1, -1, 1])}, ('left-handed', 'not believed')),
    ({'late_ns': LATE_NS, 'config': ImuConfig(time_offset=-LATE_NS * 1e-9)}, None),
])
def test_faults_are_said_with_numbers(fault: dict, said: tuple[str, str] | None, caplog: pytest.LogCaptureFixture
                                      ) -> None:
    with caplog.at_level(logging.WARNING):
        unit, _ = seen(9, **fault)
    if said is None:
        assert not caplog.records and unit.comparison.believed
        return

    assert any(re.search(said[0], text) and re.search(said[1], text) for text in caplog.messages), caplog.messages
    assert len(caplog.records) <= 3
    if 'not believed' in said:
        assert unit.between(2_000_000_000, 2_100_000_000) is None
