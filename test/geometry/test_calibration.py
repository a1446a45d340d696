"""Cameras from views of a board whose camera is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from superslam_ros.data import Camera
from superslam_ros.geometry import calibration
from superslam_ros.geometry.camera import from_ideal, ideal, to_ideal
from superslam_ros.geometry.pose import compose, rotation_exp, transform

SIZE = 640, 480
K = np.array([[450.0, 0, 322], [0, 455, 236], [0, 0, 1]])
LENSES = {
    'plumb_bob': [-0.25, 0.08, 0.001, -0.0005, 0],
    'rational_polynomial': [0.3, -0.1, 0.0005, 0, 0.02, 0.6, -0.05, 0.03],
    'equidistant': [0.02, -0.01, 0.003, -0.001]}
NOISE_PX = 0.1
CORNERS = np.array([[x, y, 0] for y in range(1, 6) for x in range(1, 6)]) * 0.04


def views(camera: Camera, count: int, tilt: float = 0.5, T_right_left: np.ndarray | None = None,
          seed: int = 0) -> list[calibration.View]:
    """Return what a camera sees of boards, of those beyond its border a part; or the other camera of a pair."""
    rng, noise, found = np.random.default_rng(seed), np.random.default_rng(seed + 100 * (T_right_left is not None)), []
    for number in range(count):
        R = rotation_exp(rng.uniform(-tilt, tilt, 3))
        centre = np.array([*rng.uniform(-0.12, 0.12, 2), rng.uniform(0.3, 0.45)])
        T = compose(R, centre - R @ CORNERS.mean(0))
        if T_right_left is not None:
            T = T_right_left @ T
        pixels = from_ideal(camera, ideal(camera, False).project(transform(T, CORNERS)), False)
        pixels += noise.normal(0, NOISE_PX, pixels.shape)
        seen = ((pixels >= 0) & (pixels < np.array(SIZE) - 1)).all(1)
        view = calibration.View(f'{number}', CORNERS[seen], pixels[seen], np.flatnonzero(seen))
        if not calibration.why_unusable(view):
            found.append(view)
    return found


@pytest.fixture(params=LENSES)
def camera(request) -> Camera:
    return Camera(*SIZE, K, LENSES[request.param], request.param)


def test_the_camera_is_found(camera: Camera) -> None:
    found = calibration.calibrate(views(camera, 14), SIZE, camera.distortion_model)
    assert found.rms_px < 1.2 * np.sqrt(2) * NOISE_PX and found.held_out_px < 1.4 * np.sqrt(2) * NOISE_PX
    assert found.focal_sigma_px < 3 and found.outliers < 5
    # What counts is where rays lie, since coefficients make up for each other.
    pixels = np.stack(np.meshgrid(np.linspace(100, 540, 9), np.linspace(80, 400, 7)), -1).reshape(-1, 2)
    straight = [to_ideal(replace(one, R=np.eye(3), P=None), pixels, False) for one in (camera, found.camera)]
    rays = [ideal(one, False).rays(px) for one, px in zip((camera, found.camera), straight)]
    assert np.abs(rays[0] - rays[1]).max() < 2 / 450


def test_wrong_corners_are_left_out() -> None:
    camera = Camera(*SIZE, K, LENSES['plumb_bob'], 'plumb_bob')
    good = views(camera, 10)
    for number in (1, 4):
        good[number].pixels[3] += 15
    found = calibration.calibrate(good, SIZE)
    assert 2 <= found.outliers < 8 and abs(found.camera.K[0, 0] - 450) < 4


@pytest.mark.parametrize('count, tilt, complaint', [(3, 0.5, 'usable views'), (12, 0.0, 'same tilt')])
def test_views_that_say_too_little_are_refused(count: int, tilt: float, complaint: str) -> None:
    camera = Camera(*SIZE, K, LENSES['plumb_bob'], 'plumb_bob')
    with pytest.raises(ValueError, match=complaint):
        calibration.calibrate(views(camera, count, tilt), SIZE)


def test_corners_on_a_line_and_few_corners_say_nothing() -> None:
    view = calibration.View('a', CORNERS, CORNERS[:, :2], np.arange(len(CORNERS)))
    assert not calibration.why_unusable(view)
    assert 'on a line' in calibration.why_unusable(view.select(np.arange(5, 10).repeat(2)))
    assert '5 corners' in calibration.why_unusable(view.select(np.arange(5)))


@pytest.mark.parametrize('model', ['plumb_bob', 'equidistant'])
def test_a_pair(model: str) -> None:
    camera = Camera(*SIZE, K, LENSES[model], model)
    T_right_left = compose(rotation_exp([0.01, -0.02, 0.015]), [-0.1, 0.002, 0.001])
    sides = [calibration.calibrate(views(camera, 10, T_right_left=T), SIZE, model) for T in (None, T_right_left)]
    pair = calibration.calibrate_pair(*sides)
    assert abs(calibration.baseline_m(pair) - 0.1) < 0.0005 and pair.vertical_px < 3 * NOISE_PX
    assert abs(pair.right.baseline_m - calibration.baseline_m(pair)) < 1e-6
    with pytest.raises(ValueError, match='exchange left and right'):
        calibration.calibrate_pair(*sides[::-1])
    with pytest.raises(ValueError, match='at the same place'):
        calibration.calibrate_pair(sides[0], sides[0])
    with pytest.raises(ValueError, match='must have one size'):
        calibration.calibrate_pair(sides[0], replace(sides[1], camera=replace(sides[1].camera, width=320)))


def test_a_single_camera_gets_a_projection_without_distortion(camera: Camera) -> None:
    projected = calibration.with_projection(camera)
    assert not cv2.norm(projected.R, np.eye(3)) and 0.3 < projected.P[0, 0] / camera.K[0, 0] < 2
