"""A motion of wheels whose rotation a gyroscope knows as well."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry.pose import carry_covariance, compose, difference, perturb, rotation_exp
from superslam_ros.slam.tracking.prediction import Relative, fused

TRUE = compose(rotation_exp([0.02, 0.1, 0.4]), [1.0, 0.4, 0.1])
STEP = np.diag([0.02, 0.01, 0.005, 0.01, 0.01, 0.05])**2
GYROSCOPE = np.diag([0.004, 0.006, 0.005])**2


def wheels(rng: np.random.Generator) -> Relative:
    """Return ``TRUE`` with an error whose heading has moved the position."""
    covariance = carry_covariance(STEP, TRUE[:3, 3] / 2)
    return Relative(perturb(TRUE, rng.multivariate_normal(np.zeros(6), covariance)), covariance)


def gyroscope(rng: np.random.Generator) -> Relative:
    covariance = np.eye(6)
    covariance[3:, 3:] = GYROSCOPE
    error = rng.multivariate_normal(np.zeros(3), GYROSCOPE)
    return Relative(compose(rotation_exp(error) @ TRUE[:3, :3], np.zeros(3)), covariance, rotation_only=True)


def test_both_together_are_better_than_either_and_know_how_good() -> None:
    """Mean of the normalised squared errors within its 99.9 % band, and the position gains, too."""
    rng, squares, errors, alone = np.random.default_rng(0), [], [], []
    for _ in range(400):
        told = wheels(rng)
        found = fused(told, gyroscope(rng))
        error = difference(found.T_0_1, TRUE)
        squares.append(error @ np.linalg.solve(found.covariance, error))
        errors.append(error)
        alone.append(difference(told.T_0_1, TRUE))
    band = 3.3 * np.sqrt(12 / len(squares))
    assert 6 - band < np.mean(squares) < 6 + band and not found.rotation_only
    rms, before = (np.sqrt(np.mean(np.square(one), axis=0)) for one in (errors, alone))
    assert rms[5] < 0.2 * before[5] and rms[1] < 0.6 * before[1]


def test_a_slip_in_turning_is_no_certainty() -> None:
    """The surer one counts, with a covariance that admits the disagreement."""
    rng = np.random.default_rng(1)
    told = wheels(rng)
    slipped = told._replace(T_0_1=perturb(told.T_0_1, np.array([0, 0, 0, 0, 0, 0.5])))
    found, agreed = fused(slipped, gyroscope(rng)), fused(told, gyroscope(rng))
    assert abs(difference(found.T_0_1, TRUE)[5]) < 0.03
    assert 10 < np.trace(found.covariance) / np.trace(agreed.covariance) < 100


@pytest.mark.parametrize('rotation_only', [True, False])
def test_what_only_one_knows_is_taken_from_it(rotation_only: bool) -> None:
    rng = np.random.default_rng(2)
    told, turned = wheels(rng)._replace(rotation_only=rotation_only), gyroscope(rng)
    assert fused(told, None) is told and fused(None, turned) is turned and fused(None, None) is None
    assert fused(told, turned).rotation_only == rotation_only
