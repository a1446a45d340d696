"""Two views: relative pose, triangulation, and what shows no depth."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, rotation_exp, transform
from superslam_ros.geometry.two_view import reconstruct, relative_pose, triangulate

CAMERA = Pinhole(300, 300, 320, 240)
T_0_1 = compose(rotation_exp([0.02, -0.05, 0.01]), np.array([0.8, 0.0, 0.6]))


def views(T: np.ndarray, count: int = 100, noise_px: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points in the first camera, and their pixels in both."""
    random = np.random.default_rng(0)
    points = random.uniform([-3, -2, 4], [3, 2, 10], (count, 3))
    noise = noise_px * random.normal(size=(2, count, 2))
    return points, CAMERA.project(points) + noise[0], CAMERA.project(transform(inverse(T), points)) + noise[1]


def test_reconstructs_exactly() -> None:
    """Pose with a baseline of 1, and the points."""
    points, pixels0, pixels1 = views(T_0_1)
    found = reconstruct(pixels0, pixels1, CAMERA)
    np.testing.assert_allclose(found.T_0_1, T_0_1, atol=1e-5)
    good = np.isfinite(found.points[:, 0])
    assert good.mean() > 0.9 and found.inliers.all()
    np.testing.assert_allclose(found.points[good], points[good], rtol=1e-3)


def test_outliers_do_not_matter() -> None:
    """A third is wrong, with noise on the rest."""
    _, pixels0, pixels1 = views(T_0_1, 150, noise_px=0.3)
    pixels1[:50] = np.random.default_rng(1).uniform(0, 480, (50, 2))
    T, inliers = relative_pose(pixels0, pixels1, CAMERA, CAMERA)
    assert np.arccos(T[:3, 3] @ T_0_1[:3, 3]) < 0.05
    assert inliers[50:].mean() > 0.8 and inliers[:50].mean() < 0.2


def test_rotation_alone_shows_nothing() -> None:
    """No depth from turning on the spot, with and without noise."""
    for noise_px in (0.0, 0.5):
        _, pixels0, pixels1 = views(compose(rotation_exp([0.0, 0.15, 0.02]), np.zeros(3)), noise_px=noise_px)
        assert reconstruct(pixels0, pixels1, CAMERA) is None
        assert reconstruct(pixels0, pixels0, CAMERA) is None


def test_too_few_pairs() -> None:
    """None, not an error."""
    for count in (0, 3, 7):
        _, pixels0, pixels1 = views(T_0_1, count)
        assert relative_pose(pixels0, pixels1, CAMERA, CAMERA) is None


def test_triangulation_refuses_what_does_not_meet() -> None:
    """Wrong pixels, and points too far for the baseline, are NaN; none in gives none out."""
    points, pixels0, pixels1 = views(T_0_1)
    pixels1[0] += [0, 30]
    far = np.array([[10.0, 5, 5000]])
    pixels0 = np.vstack([pixels0, CAMERA.project(far)])
    pixels1 = np.vstack([pixels1, CAMERA.project(transform(inverse(T_0_1), far))])
    found = triangulate(pixels0, pixels1, CAMERA, T_0_1)
    assert np.isnan(found[0]).all() and np.isnan(found[-1]).all()
    good = np.isfinite(found[:, 0])
    np.testing.assert_allclose(found[good], points[good[:-1]], rtol=1e-6)
    assert triangulate(np.zeros((0, 2)), np.zeros((0, 2)), CAMERA, T_0_1).shape == (0, 3)
