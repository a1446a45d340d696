"""A robot on a level floor: what holding it in the plane does to drift, and what is said on a ramp."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from points import PointWorld, Walk

from superslam_ros.geometry.pose import (
    T_BODY_OPTICAL,
    carry_covariance,
    compose,
    difference,
    inverse,
    perturb,
    rotation_exp,
)
from superslam_ros.slam.tracking.ground import Ground

MOUNT = compose(rotation_exp([0.05, 0.3, 0.1]), [0.3, -0.1, 0.5]) @ T_BODY_OPTICAL
"""A camera that is tilted by 17 degrees."""


def in_plane(count: int, slope: float = 0.0) -> list[np.ndarray]:
    """Return T_odom_base along an arc; from half of it on up a ramp of this slope (rad)."""
    poses = []
    for i in range(count):
        up = slope * (i > count // 2)
        poses.append(compose(rotation_exp([0, 0, 0.01 * i]) @ rotation_exp([0, -up, 0]),
                             [0.06 * i, 0.1 * np.sin(i / 8), max(0, i - count // 2) * 0.06 * np.tan(up)]))
    return poses


def walk_errors(two_d: bool, bases: list[np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the camera's errors (N, 6) in odom, and their squares (N,) by the covariance."""
    walk = Walk(PointWorld.make(seed, 300, 0.5), two_d=two_d, two_d_sigma_m=0.0014, two_d_sigma_rad=7e-4, keyframes=4)
    walk.motion.T_base_camera = MOUNT
    walk.motion.begin_at(bases[0] @ MOUNT)
    errors, squares = [], []
    for T in bases:
        motion = walk.step(T @ MOUNT)
        errors.append(difference(motion.T_odom_camera, T @ MOUNT))
        squares.append(errors[-1] @ np.linalg.solve(motion.covariance, errors[-1]))
    return np.array(errors), np.array(squares)


def test_a_seen_walk_in_a_plane() -> None:
    """The height drifts less, nothing else more, and the covariance stays honest."""
    bases = in_plane(30)
    free = [walk_errors(False, bases, seed)[0] for seed in range(3)]
    held, squares = zip(*(walk_errors(True, bases, seed) for seed in range(3)))
    free, held = (np.sqrt(np.mean(np.square(one), (0, 1))) for one in (free, held))
    assert held[2] < 0.7 * free[2]
    assert (held < 1.1 * free + 1e-4).all()
    assert 1 < np.mean(squares) < 9


@pytest.mark.parametrize('two_d', [False, True])
def test_a_noisy_walk(two_d: bool) -> None:
    """Steps with errors in all directions drift; held, only in the plane, and NEES is in its 99.9 % band either way.

    The floor is off its plane by what the sigmas say, the same all the way.
    """
    random, walks = np.random.default_rng(1), 60
    sigma, floor = np.array([0.01] * 3 + [0.004] * 3), np.array([0, 0, 0.02, 0.01, 0.01, 0])
    squares, last = [], []
    for _ in range(walks):
        ground = Ground(MOUNT, MOUNT, 0.02, 0.01)
        off = floor * random.normal(size=6)
        true = [perturb(T @ MOUNT, off * (i > 0)) for i, T in enumerate(in_plane(60))]
        T, covariance = true[0], np.eye(6) * 1e-8
        for before, after in zip(true, true[1:]):
            moved = T @ inverse(before) @ after
            covariance = carry_covariance(covariance, moved[:3, 3] - T[:3, 3]) + np.diag(sigma**2)
            T = perturb(moved, sigma * random.normal(size=6))
            if two_d:
                T, covariance = ground.hold(T, covariance)
            assert np.linalg.eigvalsh(covariance)[0] > 0
        last.append(np.append(ground.away(T), 0))
        error = difference(T, true[-1])
        squares.append(error @ np.linalg.solve(covariance, error))
    assert abs(np.mean(squares) - 6) < 3.3 * np.sqrt(12 / walks)
    tilt, height = np.sqrt(np.mean(np.square(last), 0))[[0, 2]]
    assert (tilt < 0.015 and height < 0.03) == two_d


def test_a_pose_far_from_the_plane_is_left() -> None:
    """A certain pose on a ramp stays as it is; an uncertain one is brought back, and surer than the floor it is not."""
    ground = Ground(MOUNT, MOUNT, 0.02, 0.01)
    up = perturb(MOUNT, np.array([0.5, 0.1, 0.3, 0.02, -0.2, 0.4]))
    T, covariance = ground.hold(up, np.eye(6) * 1e-4)
    assert T is up
    assert ground.beyond == 1
    assert ground.prior(up) is None
    T, covariance = ground.hold(up, np.eye(6))
    assert np.abs(ground.away(T)).max() < 0.01
    np.testing.assert_allclose(np.diag(covariance)[2:5], [8e-4, 2e-4, 2e-4], rtol=1e-6)
    held, _ = ground.prior(T)
    np.testing.assert_allclose(ground.away(held), 0, atol=1e-6)
    np.testing.assert_allclose(held[:2, 3], T[:2, 3], atol=1e-9)
    assert np.diag(ground.at_least(np.eye(6) * 1e-12))[2:5] == pytest.approx([8e-4, 2e-4, 2e-4])


def test_a_ramp_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the number; the pose is left as vision has it."""
    bases = in_plane(14, slope=0.12)
    with caplog.at_level(logging.WARNING):
        errors, _ = walk_errors(True, bases, 0)
    said = [record.getMessage() for record in caplog.records if 'two_d' in record.getMessage()]
    assert len(said) == 1
    assert 'degrees tilted' in said[0]
    assert np.abs(errors[-1]).max() < 0.03
