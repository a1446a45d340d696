"""Two views: relative pose, triangulation, and what shows no depth."""

from __future__ import annotations

import cv2
import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, rotation_exp, transform
from superslam_ros.geometry.two_view import LOCALLY_OPTIMISED, pose_from_rays, reconstruct, relative_pose, triangulate

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


def test_more_exact_than_the_best_sample_and_steadier() -> None:
    """Against plain RANSAC on pixels with noise: over orders of the pairs, errors of the mean and of luck."""
    _, pixels0, pixels1 = views(T_0_1, 200, noise_px=0.5)
    rays0, rays1 = (CAMERA.rays(pixels)[:, :2] for pixels in (pixels0, pixels1))
    true = inverse(T_0_1)[:3, 3]
    random = np.random.default_rng(2)
    errors: dict[int, list[float]] = {cv2.RANSAC: [], LOCALLY_OPTIMISED: []}
    for _ in range(12):
        order = random.permutation(len(rays0))
        for method, found in errors.items():
            _, t, _ = pose_from_rays(rays0[order], rays1[order], 1 / 300, method)
            found.append(np.degrees(np.arccos(t @ true)))
    assert np.mean(errors[LOCALLY_OPTIMISED]) < 0.8 * np.mean(errors[cv2.RANSAC])
    assert np.std(errors[LOCALLY_OPTIMISED]) < 0.8 * np.std(errors[cv2.RANSAC])


def test_degenerate_pairs_are_no_error() -> None:
    """Nothing moved, all on one spot or on one line, for any number of pairs."""
    random = np.random.default_rng(0)
    for count in (*range(12), 300):
        line = np.stack([np.linspace(-0.5, 0.5, count), np.zeros(count)], 1)
        for rays0 in (random.uniform(-0.5, 0.5, (count, 2)), np.full((count, 2), 0.1), line):
            for rays1 in (rays0, np.full((count, 2), 0.1), line, random.uniform(-0.5, 0.5, (count, 2))):
                found = pose_from_rays(rays0, rays1, 1 / 300)
                assert found is None or (np.isfinite(found[0]).all() and len(found[2]) == count)


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
