"""Pixels to ideal pixels and back, for every distortion model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from superslam_ros.data import Camera
from superslam_ros.geometry.camera import Pinhole, from_ideal, ideal, to_ideal
from superslam_ros.geometry.pose import rotation_exp

K = np.array([[320.0, 0, 330], [0, 315, 238], [0, 0, 1]])
P = np.array([[300.0, 0, 321, 0], [0, 300, 241, 0], [0, 0, 1, 0]])
R = rotation_exp([0.01, -0.02, 0.015])
MODELS = {
    'none': [],
    'plumb_bob': [-0.28, 0.07, 2e-4, 1e-4, 0.0],
    'rational_polynomial': [0.2, 0.05, 1e-4, -2e-4, 0.01, 0.35, 0.06, 0.01],
    'equidistant': [-0.01, 0.02, -0.01, 0.003],
}


def camera(model: str, **changes: object) -> Camera:
    """Return a raw camera of a stereo pair."""
    return Camera(**{'width': 640, 'height': 480, 'K': K, 'distortion': MODELS[model], 'distortion_model': model,
                     'R': R, 'P': P, **changes})


def grid() -> np.ndarray:
    """Return pixels all over the image."""
    x, y = np.meshgrid(np.linspace(20, 620, 13), np.linspace(20, 460, 11))
    return np.stack([x.ravel(), y.ravel()], 1)


@pytest.mark.parametrize('model', MODELS)
def test_round_trip(model: str) -> None:
    """Undistorted, rectified and back again is where one began."""
    pixels = grid()
    one = camera(model)
    there = to_ideal(one, pixels, rectified=False)
    assert np.abs(there - pixels).max() > 1
    np.testing.assert_allclose(from_ideal(one, there, rectified=False), pixels, atol=1e-3)


def distort(model: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distorted coordinates on the plane z = 1 by the models' definitions (REP-2008, OpenCV)."""
    d = np.zeros(8)
    d[:len(MODELS[model])] = MODELS[model]
    r = np.hypot(x, y)
    if model == 'equidistant':
        theta = np.arctan(r)
        scale = theta * (1 + d[0] * theta**2 + d[1] * theta**4 + d[2] * theta**6 + d[3] * theta**8) / r
        return x * scale, y * scale
    radial = (1 + d[0] * r**2 + d[1] * r**4 + d[4] * r**6) / (1 + d[5] * r**2 + d[6] * r**4 + d[7] * r**6)
    return (x * radial + 2 * d[2] * x * y + d[3] * (r**2 + 2 * x**2),
            y * radial + d[2] * (r**2 + 2 * y**2) + 2 * d[3] * x * y)


@pytest.mark.parametrize('model', MODELS)
def test_projects_by_the_definition(model: str) -> None:
    """A point in space: its raw pixel by the model's formula becomes its pixel of the ideal camera."""
    random = np.random.default_rng(0)
    points = random.uniform([-0.6, -0.5, 1], [0.6, 0.5, 1], (40, 3)) * random.uniform(1, 9, (40, 1))
    x, y = distort(model, points[:, 0] / points[:, 2], points[:, 1] / points[:, 2])
    raw = np.stack([K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]], 1)
    one = camera(model)
    expected = ideal(one, rectified=False).project(points @ R.T)
    np.testing.assert_allclose(to_ideal(one, raw, rectified=False), expected, atol=1e-3)
    np.testing.assert_allclose(from_ideal(one, expected, rectified=False), raw, atol=1e-6)


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial'])
def test_agrees_with_the_rectified_image(model: str) -> None:
    """OpenCV's rectification map says the same of pixels."""
    one = camera(model)
    map_x, map_y = cv2.initUndistortRectifyMap(K, one.distortion, R, P[:, :3], (640, 480), cv2.CV_32FC1)
    for x, y in ((320, 240), (100, 80), (560, 400)):
        raw = np.array([[map_x[y, x], map_y[y, x]]])
        np.testing.assert_allclose(to_ideal(one, raw, rectified=False), [[x, y]], atol=0.01)


@pytest.mark.parametrize('model', MODELS)
def test_rectified_images_stay(model: str) -> None:
    """A rectified image's pixels are ideal already; P is their camera."""
    one = camera(model)
    np.testing.assert_array_equal(to_ideal(one, grid(), rectified=True), grid())
    np.testing.assert_array_equal(from_ideal(one, grid(), rectified=True), grid())
    assert ideal(one, rectified=True) == Pinhole(300, 300, 321, 241)


@pytest.mark.parametrize('changes', [{'R': np.zeros((3, 3))}, {'P': np.zeros((3, 4))}])
def test_without_rectification_K_is_used(changes: dict) -> None:
    """A single camera's camera_info may have zeros in R or P."""
    one = camera('plumb_bob', **changes)
    assert ideal(one, rectified=False) == Pinhole(320, 315, 330, 238)
    np.testing.assert_allclose(
        to_ideal(one, grid(), rectified=False),
        to_ideal(camera('plumb_bob', R=np.eye(3), P=np.hstack([K, np.zeros((3, 1))])), grid(), False), atol=1e-9)


def test_few_fisheye_coefficients_and_no_points() -> None:
    """Missing coefficients are 0; no points are no points."""
    one = camera('equidistant', distortion=[])
    np.testing.assert_allclose(from_ideal(one, to_ideal(one, grid(), False), False), grid(), atol=1e-6)
    for model in MODELS:
        for rectified in (True, False):
            assert to_ideal(camera(model), np.zeros((0, 2)), rectified).shape == (0, 2)
            assert from_ideal(camera(model), np.zeros((0, 2)), rectified).shape == (0, 2)


def test_pinhole() -> None:
    """Rays go through pixels; what is behind the camera has none."""
    pinhole = Pinhole(300, 310, 320, 240)
    np.testing.assert_allclose(pinhole.project(pinhole.rays(grid()) * 4.2), grid())
    assert np.isnan(pinhole.project(np.array([[0.1, 0.2, -1.0], [0, 0, 0]]))).all()
    np.testing.assert_array_equal(pinhole.K, [[300, 0, 320], [0, 310, 240], [0, 0, 1]])


def test_an_equidistant_camera_sees_beside_itself_and_a_pinhole_does_not() -> None:
    """What lies at a right angle to the view and beyond has no ideal pixel."""
    camera = Camera(640, 480, np.array([[180.0, 0, 320], [0, 180, 240], [0, 0, 1]]), np.full(4, 1e-6), 'equidistant')
    angle = np.radians([10, 60, 80, 95, 110])
    pixels = to_ideal(camera, np.stack([320 + 180 * angle, np.full(5, 240.0)], 1), rectified=False)
    np.testing.assert_allclose(pixels[:3, 0], 320 + 180 * np.tan(angle[:3]), rtol=1e-3)
    assert np.isnan(pixels[3:]).all()
