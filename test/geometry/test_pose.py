"""Rigid motions and their covariance."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry import pose


def random_pose(random: np.random.Generator, angle: float = np.pi) -> np.ndarray:
    """Return a pose turned by up to ``angle``."""
    axis = random.normal(size=3)
    return pose.compose(
        pose.rotation_exp(axis / np.linalg.norm(axis) * random.uniform(0, angle)), random.normal(size=3))


def test_inverse_and_transform() -> None:
    """Poses chain and undo each other on points."""
    random = np.random.default_rng(0)
    T, points = random_pose(random), random.normal(size=(5, 3))
    np.testing.assert_allclose(pose.inverse(T) @ T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(pose.transform(pose.inverse(T), pose.transform(T, points)), points, atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-12, 1e-6, 0.3, 3.0, np.pi - 1e-5])
def test_exp_and_log(angle: float) -> None:
    """Log undoes exp from no turn to half a turn."""
    vector = np.array([0.6, -0.64, 0.48]) * angle
    R = pose.rotation_exp(vector)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose.rotation_log(R), vector, atol=1e-8)


def test_perturb_and_difference() -> None:
    """``difference`` is what ``perturb`` did."""
    random = np.random.default_rng(1)
    T, error = random_pose(random), random.normal(size=6) * 0.3
    np.testing.assert_allclose(pose.difference(pose.perturb(T, error), T), error, atol=1e-9)


def test_quaternions() -> None:
    """Round trips, unit length, w not negative; half turns, where w is 0, included."""
    random = np.random.default_rng(2)
    rotations = [random_pose(random)[:3, :3] for _ in range(50)]
    rotations += [np.diag(d).astype(float) for d in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    for R in rotations:
        q = pose.quaternion(R)
        assert abs(np.linalg.norm(q) - 1) < 1e-12 and q[3] >= 0
        np.testing.assert_allclose(pose.rotation(q), R, atol=1e-12)
        np.testing.assert_allclose(pose.rotation(-3 * q), R, atol=1e-12)
    np.testing.assert_allclose(pose.quaternion(pose.rotation_exp([0, 0, np.pi / 2])), [0, 0, 0.5**0.5, 0.5**0.5])


@pytest.mark.parametrize('q', [np.zeros(4), np.full(4, np.nan)])
def test_no_quaternion(q: np.ndarray) -> None:
    """Zeros, as an unset message has them, and NaN are refused."""
    with pytest.raises(ValueError, match='zero length'):
        pose.rotation(q)


def test_skew() -> None:
    """It is the cross product, for one and for many."""
    random = np.random.default_rng(3)
    v, w = random.normal(size=(2, 4, 3))
    np.testing.assert_allclose((pose.skew(v) @ w[..., None])[..., 0], np.cross(v, w), atol=1e-15)
    np.testing.assert_allclose(pose.skew(v[0]) @ w[0], np.cross(v[0], w[0]), atol=1e-15)


def test_optical_to_body() -> None:
    """Forward, right and down of the camera are x, -y and -z of the body (REP-103)."""
    np.testing.assert_array_equal(pose.T_BODY_OPTICAL[:3, :3].T, [[0, -1, 0], [0, 0, -1], [1, 0, 0]])
    assert np.linalg.det(pose.T_BODY_OPTICAL) == pytest.approx(1)


def test_carried_covariance_is_that_of_samples() -> None:
    """A frame rigidly behind another moves with its errors: by Monte Carlo."""
    random = np.random.default_rng(4)
    T, T_b_c = random_pose(random), random_pose(random)
    root = random.normal(size=(6, 6)) * 1e-3
    errors = random.normal(size=(20000, 6)) @ root.T
    samples = np.array([pose.difference(pose.perturb(T, e) @ T_b_c, T @ T_b_c) for e in errors[:4000]])
    offset = (T @ T_b_c)[:3, 3] - T[:3, 3]
    expected = pose.carry_covariance(np.cov(errors[:4000].T), offset)
    np.testing.assert_allclose(np.cov(samples.T), expected, atol=0.02 * np.abs(expected).max())


def test_rotated_covariance_is_that_of_rotated_errors() -> None:
    """Both halves turn."""
    random = np.random.default_rng(5)
    R, errors = random_pose(random)[:3, :3], random.normal(size=(50, 6))
    turned = np.hstack([errors[:, :3] @ R.T, errors[:, 3:] @ R.T])
    np.testing.assert_allclose(np.cov(turned.T), pose.rotate_covariance(R, np.cov(errors.T)), atol=1e-12)


def test_a_pose_of_text() -> None:
    """Angles about fixed axes: roll first, as in a static transform."""
    T = pose.read_pose('1, 2 3 0.1 -0.2 0.3')
    expected = pose.rotation_exp([0, 0, 0.3]) @ pose.rotation_exp([0, -0.2, 0]) @ pose.rotation_exp([0.1, 0, 0])
    np.testing.assert_allclose(T, pose.compose(expected, [1, 2, 3]))
    np.testing.assert_allclose(pose.read_pose(' '.join(map(str, [1, 2, 3, *pose.quaternion(expected)]))), T)
    for text in ('1 2 3', '1 2 3 nan 0 0', 'here'):
        with pytest.raises(ValueError, match='is no pose'):
            pose.read_pose(text)


def test_a_covariance_is_raised_where_it_is_too_small() -> None:
    random = np.random.default_rng(0).normal(size=(6, 6))
    small = random @ random.T * 1e-6
    raised = pose.at_least(small, 0.1, 0.02)
    scale = np.repeat([0.1, 0.02], 3)
    assert np.linalg.eigvalsh(raised / np.outer(scale, scale))[0] == pytest.approx(1)
    assert np.linalg.eigvalsh(raised - small)[0] > -1e-12
    np.testing.assert_array_equal(pose.at_least(small, 0.0, 0.0), small)
