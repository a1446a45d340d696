"""Levels of more than 8 bits to 8: cameras that use few of them keep their contrast, image after image."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import Levels

from .fields import image

GRAY = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))


def stored(encoding: str, scale: float, offset: float, gray: np.ndarray = GRAY) -> object:
    """Return an image whose levels are ``offset + scale * gray``."""
    dtype = {'16S': 'i2', '32S': 'i4', '32F': 'f4', '64F': 'f8', '8SC': 'i1'}.get(encoding[:3], 'u2')
    return image((offset + scale * gray.astype(float)).astype(dtype), encoding)


@pytest.mark.parametrize('encoding, scale, offset', [
    ('mono16', 3, 7500), ('16UC1', 3, 7500), ('mono16', 4, 0), ('16SC1', 3, -400), ('32SC1', 1000, 10**6),
    ('32FC1', 0.05, 290), ('64FC1', 0.05, -10), ('8SC1', 0.05, 5), ('mono12', 1, 1000), ('bayer_rggb16', 16, 0),
])
def test_few_levels_are_stretched_and_that_is_said(encoding: str, scale: float, offset: float, caplog) -> None:
    levels = Levels()
    gray = conversions.gray(stored(encoding, scale, offset), levels)
    assert gray.dtype == np.uint8 and np.ptp(gray) > 180
    assert levels.range is not None and 'extractor.black_level' in caplog.text
    assert np.abs(np.diff(gray[10].astype(int))).max() < 32     # nothing is cut off


@pytest.mark.parametrize('encoding, scale', [
    ('mono16', 257), ('16SC1', 128), ('mono10', 4), ('mono14', 64), ('32FC1', 1)])
def test_levels_that_an_encoding_is_made_for_stay(encoding: str, scale: float, caplog) -> None:
    levels = Levels()
    gray = conversions.gray(stored(encoding, scale, 0), levels)
    assert levels.range is None and not caplog.text
    np.testing.assert_allclose(gray.astype(int), GRAY, atol=1)


def test_a_thing_keeps_its_brightness_from_image_to_image() -> None:
    """The range is that of the first image, though the second uses less; one that goes beyond it widens it, once."""
    levels = Levels()
    first = conversions.gray(stored('mono16', 3, 7500), levels)
    range_of_first = levels.range
    half = conversions.gray(stored('mono16', 3, 7500, np.minimum(GRAY, 128)), levels)
    np.testing.assert_array_equal(half[:, :30], first[:, :30])
    assert levels.range == range_of_first
    brighter = conversions.gray(stored('mono16', 6, 7500), levels)
    assert levels.range[0] <= range_of_first[0] and levels.range[1] > range_of_first[1] and np.ptp(brighter) > 180
    again = Levels()
    repeated = [conversions.gray(stored('mono16', scale, 7500), again) for scale in (3, 6)]
    np.testing.assert_array_equal(repeated[1], brighter)


def test_noise_and_broken_pixels_do_not_set_the_range() -> None:
    gray = stored('mono16', 3, 7500)
    pixels = np.frombuffer(gray.data, '<u2').reshape(48, 64).copy()
    pixels[5, 5], pixels[7, 9] = 0, 65535
    levels = Levels()
    assert np.ptp(conversions.gray(image(pixels, 'mono16'), levels)[20]) > 180


def test_the_range_that_is_given_counts() -> None:
    levels = Levels(7000, 8000)
    gray = conversions.gray(stored('mono16', 3, 7500), levels)
    assert gray[0, 0] == round(500 * 255 / 1000) and levels.range == (7000, 8000)
    levels.set(7500, 0)     # one of two that are set one by one
    assert levels.range == (7000, 8000)
    levels.set(7500, 8265)
    assert conversions.gray(stored('mono16', 3, 7500), levels)[0].tolist() == GRAY[0].tolist()
    with pytest.raises(ValueError, match='black_level 9, white_level 3'):
        Levels(9, 3)


@pytest.mark.parametrize('given, message', [
    (Levels(0, 65535), stored('mono16', 3, 7500)), (Levels(), image(np.full((48, 64), 9, np.uint8), 'mono8'))])
def test_images_without_contrast_are_told_of_once(given: Levels, message: object, caplog) -> None:
    for _ in range(12):
        conversions.gray(message, given)
    assert caplog.text.count('in a row have no contrast') == 1


def test_a_single_image_is_read_by_its_encoding_alone(caplog) -> None:
    assert np.ptp(conversions.gray(stored('mono16', 3, 7500))) <= 3 and not caplog.text


@pytest.mark.parametrize('dtype', ['u2', 'f4'])
def test_large_images_are_scaled_in_strips(dtype: str, monkeypatch) -> None:
    """Every row as if it were alone."""
    stored = np.arange(48 * 64).reshape(48, 64).astype(dtype)
    levels = Levels(100, 2000)
    whole = levels.to_bytes(stored, (0, 65535))
    monkeypatch.setattr('superslam_ros.conversions.levels._STRIP', 5 * 64 + 1)
    np.testing.assert_array_equal(levels.to_bytes(stored, (0, 65535)), whole)
    assert len(np.unique(whole)) > 1 and (np.diff(whole.reshape(-1).astype(int)) >= 0).all()
