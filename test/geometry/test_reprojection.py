"""Errors of landmarks: their derivatives and their noise."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, perturb, rotation_exp, transform
from superslam_ros.geometry.reprojection import Observations, linearise, whitening

CAMERA = Pinhole(300, 310, 320, 240)
T = compose(rotation_exp([0.3, -0.4, 0.2]), [1, -2, 3])
COUNT = 20


def observations(covariance: np.ndarray) -> Observations:
    """Return landmarks in front of the camera; every second has no measured depth."""
    random = np.random.default_rng(0)
    points = CAMERA.rays(random.uniform([0, 0], [640, 480], (COUNT, 2))) * random.uniform(2, 10, (COUNT, 1))
    w = np.where(np.arange(COUNT) % 2, 0.3, np.nan)
    return Observations(transform(T, points), np.tile(covariance, (COUNT, 1, 1)), CAMERA.project(points) + 1,
                        np.full(COUNT, 0.7), w, w * 0.01, 0.3)


def test_derivatives() -> None:
    """They are the differences of errors at poses near by."""
    seen, plain = observations(np.zeros((3, 3))), np.tile(np.eye(3), (COUNT, 1, 1))
    jacobian = linearise(seen, CAMERA, T, plain).jacobian
    for axis, step in enumerate(1e-6 * np.eye(6)):
        after, before = (linearise(seen, CAMERA, perturb(T, way), plain).residual for way in (step, -step))
        np.testing.assert_allclose(jacobian[:, :, axis], (after - before) / 2e-6, atol=1e-4)


def test_whitened_errors_have_unit_covariance() -> None:
    """Over many draws of landmarks and pixels, as they are said to be distributed."""
    covariance = np.diag([1e-4, 4e-4, 9e-4]) + 1e-4
    seen, random = observations(covariance), np.random.default_rng(1)
    whiten = whitening(seen, CAMERA, T)
    noise = np.array([[1, 0, 0.3], [0, 1, 0], [0.3, 0, 1]])
    drawn = []
    for _ in range(4000):
        points = seen.landmarks + random.multivariate_normal(np.zeros(3), covariance, COUNT)
        q = transform(inverse(T), points)
        error = random.multivariate_normal(np.zeros(3), noise, COUNT)
        error *= np.column_stack([seen.pixel_sigma, seen.pixel_sigma, seen.inverse_depth_sigma])
        drawn.append(np.column_stack([CAMERA.project(q), 1 / q[:, 2]]) + error)
    for one, measured in enumerate(np.isfinite(seen.inverse_depth)):
        of_one = np.array(drawn)[:, one]
        size = 3 if measured else 2
        white = (of_one - of_one.mean(0))[:, :size] @ whiten[one, :size, :size].T
        np.testing.assert_allclose(np.cov(white.T), np.eye(size), atol=0.12)


def test_what_is_all_but_unknown_is_no_error() -> None:
    """A landmark whose depth nobody knows, to within rounding."""
    away = (observations(np.eye(3)).landmarks[:, :, None] - T[:3, 3, None])
    seen = observations(np.eye(3))
    seen.landmark_covariance[:] = 1e9 * away @ away.transpose(0, 2, 1)
    assert np.isfinite(whitening(seen, CAMERA, T)).all()
