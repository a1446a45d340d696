"""Rotation between two views of a camera that only turned."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import rotation_exp
from superslam_ros.geometry.turn import rotation_between


def test_exact_among_wrong_pairs() -> None:
    """A third of the rays point anywhere."""
    random = np.random.default_rng(0)
    R = rotation_exp([0.1, -0.3, 0.2])
    rays1 = np.column_stack([random.uniform(-1, 1, (90, 2)), np.ones(90)])
    rays0 = rays1 @ R.T * random.uniform(0.5, 3, (90, 1))
    rays0[:30] = np.column_stack([random.uniform(-1, 1, (30, 2)), np.ones(30)])
    found, agree = rotation_between(rays0, rays1, 0.005)
    np.testing.assert_allclose(found, R, atol=1e-9)
    assert agree[30:].all() and agree[:30].sum() < 3


def test_a_translation_finds_little_agreement() -> None:
    """Near and far points move differently."""
    random = np.random.default_rng(1)
    points = random.uniform([-2, -2, 2], [2, 2, 9], (100, 3))
    assert rotation_between(points, points - [0.5, 0, 0], 0.005)[1].sum() < 40


def test_too_few_rays() -> None:
    """Two rays agree with whatever: the identity is returned, and who agrees with it."""
    rays = np.array([[0, 0, 1.0], [1, 0, 1]])
    found, agree = rotation_between(rays, rays, 0.005)
    np.testing.assert_array_equal(found, np.eye(3))
    assert agree.all()
