"""The odometry of wheels: exact without errors, and as wrong as it says with them."""

from __future__ import annotations

import numpy as np

from superslam_ros import worlds
from superslam_ros.geometry.pose import compose, difference, inverse, rotation_exp

RATE = 10.0
NONE = worlds.WheelErrors(0, 0, 0, 0, 0)


def path(count: int = 60) -> np.ndarray:
    """Return a drive along a bend."""
    T, step = [compose(rotation_exp([0, 0, 0.5]), [3.0, 1, 0])], compose(rotation_exp([0, 0, 0.03]), [0.1, 0, 0])
    for _ in range(count - 1):
        T.append(T[-1] @ step)
    return np.array(T)


def test_without_errors_it_is_the_path() -> None:
    bases = path()
    told = worlds.drive(bases, RATE, np.random.default_rng(0), NONE)
    np.testing.assert_allclose(told.poses, inverse(bases[0]) @ bases, atol=1e-9)
    assert not told.covariances.any() and np.diff(told.stamps_ns).tolist() == [100_000_000] * 59


def test_noise_is_what_the_covariance_says() -> None:
    bases, squares = path(), []
    true = inverse(bases[0]) @ bases[-1]
    for seed in range(200):
        told = worlds.drive(bases, RATE, np.random.default_rng(seed), worlds.WheelErrors(0, 0, 0))
        error = difference(told.poses[-1], true)[[0, 1, 5]]
        squares.append(error @ np.linalg.solve(told.covariances[-1][np.ix_((0, 1, 5), (0, 1, 5))], error))
    assert abs(np.mean(squares) - 3) < 3.3 * np.sqrt(6 / len(squares))


def test_wheels_that_spin_go_farther() -> None:
    bases = path()
    told = worlds.drive(bases, RATE, np.random.default_rng(0), NONE, [worlds.Slip(2.0, 3.0, 3.0, 0.4)])
    way = np.linalg.norm(np.diff(told.poses[:, :3, 3], axis=0), axis=1)
    assert ((way > 0.25).nonzero()[0] == range(20, 30)).all() and abs(way.sum() - 7.9) < 1e-6
    assert abs(difference(told.poses[-1], inverse(bases[0]) @ bases[-1])[5] - 0.4) < 1e-9


def test_a_steady_walk_is_in_a_plane() -> None:
    options = worlds.BuildingOptions(length_m=8.5, width_m=8.5, corridor_m=2.0, columns=1, rows=1)
    poses = worlds.walk(options, worlds.Walk(laps=0.3, visits=(), steady=True, height_m=0.6))
    assert np.ptp(poses[:, 2, 3]) == 0 and np.ptp(poses[:, 2, 2]) < 1e-12 and np.abs(poses[:, 2, 0]).max() < 1e-12
