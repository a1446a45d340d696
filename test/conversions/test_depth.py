"""Depth images of every encoding to metres."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import ConversionError

from .fields import compressed, image

RNG = np.random.default_rng(7)


@pytest.mark.parametrize('big_endian', [False, True])
def test_depth_in_millimetres(big_endian: bool) -> None:
    depth = conversions.depth_m(image(np.array([[0, 1, 65535, 2500]], np.uint16), '16UC1', big_endian, padding=4))
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, [[np.nan, 0.001, 65.535, 2.5]], rtol=1e-6)


def test_depth_in_metres() -> None:
    depth = conversions.depth_m(image(np.array([[np.nan, 0, -1, np.inf, 2.5]], np.float32), '32FC1'))
    np.testing.assert_array_equal(depth, np.array([[np.nan, np.nan, np.nan, np.nan, 2.5]], np.float32))


def test_compressed_depth() -> None:
    millimetres = RNG.integers(0, 9000, (20, 30)).astype(np.uint16)
    png = cv2.imencode('.png', millimetres)[1].tobytes()
    expected = np.where(millimetres == 0, np.nan, millimetres / 1000)
    for message in (
        compressed(png, '16UC1; png compressed'),
        compressed(bytes(12) + png, '16UC1; compressedDepth png'),
    ):
        np.testing.assert_allclose(conversions.depth_m(message), expected, rtol=1e-5)


def test_compressed_depth_of_floats_is_quantised_inverse_depth() -> None:
    a, b = 1000.0, -50.0
    depth = RNG.uniform(0.5, 8, (20, 30)).astype(np.float32)
    levels = np.rint(a / depth + b).clip(1, 65535).astype(np.uint16)
    header = np.array([0], '<i4').tobytes() + np.array([a, b], '<f4').tobytes()
    data = header + cv2.imencode('.png', levels)[1].tobytes()
    np.testing.assert_allclose(
        conversions.depth_m(compressed(data, '32FC1; compressedDepth png')), depth, rtol=0.01)


@pytest.mark.parametrize('message, reason', [
    (image(np.zeros((2, 2, 3), np.uint8), 'rgb8'), 'not a depth.*rgb8'),
    (compressed(cv2.imencode('.png', np.zeros((4, 4), np.uint8))[1].tobytes(), 'png'), 'neither 16-bit'),
    (compressed(bytes(40), '16UC1; compressedDepth rvl'), 'RVL'),
    (compressed(bytes(6), '16UC1; compressedDepth png'), 'cannot be decoded'),
])
def test_depth_that_cannot_be_read(message: SimpleNamespace, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        conversions.depth_m(message)
