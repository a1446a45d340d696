"""camera_info to cameras: what is understood, and what is refused by name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import ConversionError

from .fields import camera_info


def test_camera() -> None:
    camera = conversions.camera(camera_info())
    assert (camera.image_size, camera.distortion_model, camera.frame_id) == ((320, 240), 'plumb_bob', 'optical')
    assert camera.baseline_m == pytest.approx(0.12)
    assert camera.K[1, 1] == 310


def test_camera_of_the_rectified_image_is_that_of_P() -> None:
    camera = conversions.camera(camera_info(), rectified=True)
    assert camera.K[0].tolist() == [250, 0, 158]
    assert camera.distortion_model == 'none' and not camera.distortion.any()
    assert camera.baseline_m == pytest.approx(0.12)


def test_camera_with_ros1_names_and_without_rectification() -> None:
    info = camera_info(r=np.zeros(9), p=np.zeros(12), d=[])
    upper = SimpleNamespace(**{name.upper() if len(name) == 1 else name: value for name, value in vars(info).items()})
    camera = conversions.camera(upper)
    assert camera.distortion_model == 'none'
    np.testing.assert_array_equal(camera.R, np.eye(3))
    np.testing.assert_array_equal(camera.P[:, :3], camera.K)


@pytest.mark.parametrize('count, model', [(4, 'plumb_bob'), (5, 'plumb_bob'), (8, 'rational_polynomial')])
def test_coefficients_without_a_model_are_not_ignored(count: int, model: str) -> None:
    camera = conversions.camera(camera_info(distortion_model='', d=[-0.2] + [0.01] * (count - 1)))
    assert camera.distortion_model == model and len(camera.distortion) == count


@pytest.mark.parametrize('changes, reason', [
    ({'k': np.zeros(9)}, 'not calibrated'), ({'width': 0}, '0x240'), ({'k': np.full(9, np.nan)}, 'not calibrated'),
    ({'distortion_model': 'magic'}, 'magic'), ({'k': np.zeros(4)}, 'K has 4'), ({'d': [0.1, 0, 0]}, 'D has 3 values'),
])
def test_a_camera_info_that_is_none(changes: dict, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        conversions.camera(camera_info(**changes))


def window(**changes: int) -> SimpleNamespace:
    return SimpleNamespace(**{'x_offset': 0, 'y_offset': 0, 'width': 0, 'height': 0, 'do_rectify': False, **changes})


@pytest.mark.parametrize('rectified', [False, True])
def test_binning_and_region_of_interest_move_and_scale_K_and_P(rectified: bool) -> None:
    """As image_geometry: first the region, then the binning; the baseline stays."""
    info = camera_info(binning_x=2, binning_y=1, roi=window(x_offset=100, y_offset=40, width=160, height=120))
    camera = conversions.camera(info, rectified).of_image(80, 120)
    K = np.array([[150, 0, 30], [0, 310, 80], [0, 0, 1]])
    P = np.array([[125, 0, 29, -15], [0, 250, 78, 0], [0, 0, 1, 0]])
    np.testing.assert_allclose(camera.K, P[:, :3] if rectified else K)
    np.testing.assert_allclose(camera.P, P)
    assert camera.image_size == (80, 120) and camera.window is None
    assert camera.baseline_m == pytest.approx(conversions.camera(camera_info()).baseline_m)


@pytest.mark.parametrize('changes, size', [
    ({'binning_x': 0, 'binning_y': 0, 'roi': window()}, (320, 240)),
    ({'binning_x': 1, 'binning_y': 1, 'roi': window(width=320, height=240, do_rectify=True)}, (320, 240)),
    # A driver that has brought everything to the image, but says how it came about.
    ({'binning_x': 2, 'binning_y': 2}, (320, 240)),
    ({'roi': window(x_offset=500, y_offset=500, width=320, height=240)}, (320, 240)),
])
def test_K_of_the_image_itself_stays(changes: dict, size: tuple[int, int]) -> None:
    camera = conversions.camera(camera_info(**changes)).of_image(*size)
    np.testing.assert_array_equal(camera.K, conversions.camera(camera_info()).K)


def test_the_size_of_a_binned_image_is_rounded_up_or_down() -> None:
    camera = conversions.camera(camera_info(width=321, binning_x=2, binning_y=2))
    assert camera.of_image(160, 120).width == 160 and camera.of_image(161, 120).width == 161


@pytest.mark.parametrize('changes, size', [
    ({}, (160, 120)),
    ({'binning_x': 2, 'binning_y': 2}, (100, 75)),
    # K was scaled, size was not; size was scaled, K was not; the region lies outside.
    ({'binning_x': 2, 'binning_y': 2, 'k': [150.0, 0, 80, 0, 155, 60, 0, 0, 1]}, (160, 120)),
    ({'binning_x': 2, 'binning_y': 2, 'k': [600.0, 0, 320, 0, 620, 240, 0, 0, 1]}, (320, 240)),
    ({'roi': window(x_offset=200, width=160, height=240)}, (160, 240)),
])
def test_a_calibration_that_contradicts_the_image_is_refused(changes: dict, size: tuple[int, int]) -> None:
    camera = conversions.camera(camera_info(**changes))
    with pytest.raises(ValueError, match=f'is {size[0]}x{size[1]}, its calibration 320x240'):
        camera.of_image(*size)


def test_a_fisheye_without_coefficients_is_a_fisheye() -> None:
    """Zeros turn a polynomial off, but not the projection."""
    camera = conversions.camera(camera_info(distortion_model='equidistant', d=np.zeros(4)))
    assert camera.distortion_model == 'equidistant'


@pytest.mark.parametrize('changes, reason', [
    ({'distortion_model': 'none'}, 'none.*D is not zero'),
    ({'distortion_model': 'equidistant', 'd': []}, 'D has 0 values; equidistant has 4'),
    ({'distortion_model': 'equidistant', 'd': [0.1, 0, 0, 0, 0.2]}, 'D has 5 values; equidistant has 4'),
    ({'k': np.eye(3).ravel()}, 'not calibrated'),
    ({'k': [300.0, 0, 0, 0, 310, 0, 0, 0, 1]}, 'not calibrated.*cx 0'),
    ({'k': [300.0, 0, 160, 0, 310, 120, 0, 0, 0]}, 'K is no intrinsic matrix'),
    ({'r': np.eye(3).ravel() * 2}, 'R is no rotation'),
    ({'r': np.diag([1, 1, -1.0]).ravel()}, 'R is no rotation'),
    ({'p': np.eye(3, 4).ravel()}, 'P is no projection'),
    ({'p': [0.0, 0, 0, -30, 0, 0, 0, 0, 0, 0, 1, 0]}, 'P is no projection'),
    ({'p': [250.0, 0, 158, 0, 0, 250, 118, 0, 0, 0, 0, 0]}, 'P is no projection'),
])
def test_special_values_turn_nothing_off_silently(changes: dict, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        conversions.camera(camera_info(**changes))


def test_a_principal_point_far_from_the_middle_is_told() -> None:
    assert not conversions.off_centre(conversions.camera(camera_info()))
    K = [600.0, 0, 320, 0, 620, 240, 0, 0, 1]
    assert '(320, 240)' in conversions.off_centre(conversions.camera(camera_info(k=K)))


def test_a_leading_slash_of_the_frame_goes() -> None:
    assert conversions.camera(camera_info(header=SimpleNamespace(frame_id='/optical'))).frame_id == 'optical'
