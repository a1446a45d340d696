"""Motions between frames: what is measured, with what other sensors tell."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry.pose import compose, difference, perturb, rotation_exp
from superslam_ros.slam.tracking.dynamics import Dynamics
from superslam_ros.slam.tracking.prediction import Relative


def test_a_weak_measurement_is_turned_to_what_the_gyroscope_told_and_an_excluded_one_refused() -> None:
    turn = rotation_exp([0.0, 0.3, 0.0])
    told = Relative(compose(turn, np.zeros(3)), np.diag([1.0] * 3 + [1e-3**2] * 3), rotation_only=True)
    dynamics = Dynamics(np.eye(4), 1.0, 1.0, lambda stamp0_ns, stamp1_ns: told)
    dynamics.measure(1, np.eye(4), np.eye(6) * 1e-6, np.eye(6) * 1e-6)
    dynamics.predict(100_000_001)
    weak = np.diag([0.01] * 3 + [0.05**2] * 3)
    weak[0, 4] = weak[4, 0] = 0.9 * np.sqrt(weak[0, 0] * weak[4, 4])
    wrong = perturb(compose(turn, [1.0, 0, 0]), np.array([0, 0, 0, 0, 0.06, 0]))
    T, covariance = dynamics.turned_to(wrong, weak)
    assert np.linalg.norm(difference(T, compose(turn, T[:3, 3]))[3:]) < 1e-3
    # The position comes along with the rotation that it is correlated with.
    assert T[0, 3] == pytest.approx(1 - 0.9 * 0.1 / 0.05 * 0.06, abs=1e-3)
    assert np.sqrt(covariance[4, 4]) < 2e-3 and covariance[0, 0] < weak[0, 0] / 4
    assert dynamics.turned_to(perturb(wrong, np.array([0, 0, 0, 0.3, 0, 0])), weak)[0] is None
    sure = np.eye(6) * 1e-10
    np.testing.assert_allclose(dynamics.turned_to(compose(turn, [1.0, 0, 0]), sure)[0], compose(turn, [1.0, 0, 0]))
    alone = Dynamics(np.eye(4), 1.0, 1.0)
    assert np.array_equal(alone.turned_to(wrong, weak)[0], wrong)
