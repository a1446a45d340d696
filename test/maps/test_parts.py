"""Edges joined and turned round: their errors have the same chi-square, whichever way they are told."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp
from superslam_ros.maps.parts import LOOP, Edge

FIRST = compose(rotation_exp([0.3, -0.8, 0.5]), [2.0, -1, 3])
SECOND = compose(rotation_exp([-0.6, 0.2, 1.0]), [-1.0, 4, 0.5])


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def chi2(error: np.ndarray, covariance: np.ndarray) -> float:
    return float(error @ np.linalg.solve(covariance, error))


def covariance(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a covariance (6, 6), and a small error that it may well have."""
    root = 1e-5 * random.normal(size=(6, 6))
    return root @ root.T, root @ random.normal(size=6)


def test_an_edge_from_its_other_end(random: np.random.Generator) -> None:
    spread, error = covariance(random)
    back = Edge(4, 7, FIRST, spread, LOOP).reversed()
    assert (back.start, back.end, back.kind) == (7, 4, LOOP)
    np.testing.assert_allclose(back.T_start_end, inverse(FIRST), atol=1e-12)
    found = difference(inverse(perturb(FIRST, error)), inverse(FIRST))
    assert chi2(found, back.covariance) == pytest.approx(chi2(error, spread), rel=1e-2)
    np.testing.assert_allclose(back.reversed().covariance, spread, rtol=1e-6, atol=1e-16)


def test_one_edge_after_another(random: np.random.Generator) -> None:
    """Of the errors of either, the other one being exact; together the covariances add up."""
    (spread0, error0), (spread1, error1) = covariance(random), covariance(random)
    exact = np.zeros((6, 6))
    both = Edge(1, 2, FIRST, spread0).then(Edge(2, 5, SECOND, spread1, LOOP))
    assert (both.start, both.end, both.kind) == (1, 5, LOOP)
    np.testing.assert_allclose(both.T_start_end, FIRST @ SECOND, atol=1e-12)
    of_first = Edge(1, 2, FIRST, spread0).then(Edge(2, 5, SECOND, exact)).covariance
    of_second = Edge(1, 2, FIRST, exact).then(Edge(2, 5, SECOND, spread1)).covariance
    found = difference(perturb(FIRST, error0) @ SECOND, FIRST @ SECOND)
    assert chi2(found, of_first) == pytest.approx(chi2(error0, spread0), rel=1e-2)
    found = difference(FIRST @ perturb(SECOND, error1), FIRST @ SECOND)
    assert chi2(found, of_second) == pytest.approx(chi2(error1, spread1), rel=1e-2)
    np.testing.assert_allclose(both.covariance, of_first + of_second, rtol=1e-9, atol=1e-20)
