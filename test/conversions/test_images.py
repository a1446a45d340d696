"""Images of every encoding to gray levels."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import ConversionError

from .fields import compressed, image

RNG = np.random.default_rng(7)


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding, conversion', [
    ('rgb8', cv2.COLOR_RGB2GRAY), ('bgr8', cv2.COLOR_BGR2GRAY), ('rgba8', cv2.COLOR_RGBA2GRAY),
    ('bgra8', cv2.COLOR_BGRA2GRAY), ('8UC3', cv2.COLOR_BGR2GRAY), ('8UC4', cv2.COLOR_BGRA2GRAY),
    ('rgb16', cv2.COLOR_RGB2GRAY), ('bgr16', cv2.COLOR_BGR2GRAY), ('bgra16', cv2.COLOR_BGRA2GRAY),
    ('16UC3', cv2.COLOR_BGR2GRAY),
])
@pytest.mark.parametrize('big_endian', [False, True])
def test_colour(encoding: str, conversion: int, padding: int, big_endian: bool) -> None:
    channels = 4 if 'a' in encoding or encoding.endswith('4') else 3
    levels = RNG.integers(0, 256, (6, 7, channels), dtype=np.uint8)
    stored = levels.astype(np.uint16) * 256 + 99 if '16' in encoding else levels
    assert np.array_equal(
        conversions.gray(image(stored, encoding, big_endian, padding)), cv2.cvtColor(levels, conversion))


@pytest.mark.parametrize('encoding', ['mono8', '8UC1', 'MONO8', '8UC'])
def test_gray_with_padding(encoding: str) -> None:
    levels = RNG.integers(0, 256, (5, 9), dtype=np.uint8)
    assert np.array_equal(conversions.gray(image(levels, encoding, padding=3)), levels)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('big_endian', [False, True])
def test_gray_of_16_bits(encoding: str, big_endian: bool) -> None:
    levels = RNG.integers(0, 65536, (5, 9)).astype(np.uint16)
    assert np.array_equal(conversions.gray(image(levels, encoding, big_endian, padding=1)), levels >> 8)


@pytest.mark.parametrize('pattern, where', [
    ('rggb', (0, 0)), ('bggr', (1, 1)), ('gbrg', (1, 0)), ('grbg', (0, 1)),
])
@pytest.mark.parametrize('bits', [8, 16])
def test_bayer_puts_red_where_it_is(pattern: str, where: tuple[int, int], bits: int) -> None:
    """A scene of pure red: only red cells are bright, and gray is red's weight."""
    cells = np.zeros((16, 16), np.uint8)
    cells[where[0]::2, where[1]::2] = 200
    stored = cells if bits == 8 else cells.astype(np.uint16) * 256
    gray = conversions.gray(image(stored, f'bayer_{pattern}{bits}'))
    assert gray[4:12, 4:12].mean() == pytest.approx(0.299 * 200, abs=2)


@pytest.mark.parametrize('encoding, brightness', [
    ('yuv422', 1), ('uyvy', 1), ('yuv422_yuy2', 0), ('yuyv', 0),
])
def test_packed_yuv(encoding: str, brightness: int) -> None:
    pixels = RNG.integers(0, 256, (4, 6, 2), dtype=np.uint8)
    assert np.array_equal(conversions.gray(image(pixels, encoding, padding=2)), pixels[..., brightness])


@pytest.mark.parametrize('encoding, rows', [('nv12', 1.5), ('nv21', 1.5), ('nv24', 3)])
def test_planar_yuv(encoding: str, rows: float) -> None:
    planes = RNG.integers(0, 256, (int(4 * rows), 6), dtype=np.uint8)
    assert np.array_equal(conversions.gray(image(planes, encoding, height=4)), planes[:4])


def test_float_images() -> None:
    levels = np.array([[0.0, 0.5, 1.0], [np.nan, np.inf, 0.25]], np.float32)
    assert conversions.gray(image(levels, '32FC1')).tolist() == [[0, 128, 255], [0, 0, 64]]
    assert conversions.gray(image(levels * 100, '32FC1')).tolist()[0] == [0, 50, 100]


@pytest.mark.parametrize('suffix, form', [('.png', 'png'), ('.jpg', 'bgr8; jpeg compressed bgr8')])
def test_compressed(suffix: str, form: str) -> None:
    levels = cv2.GaussianBlur(RNG.integers(0, 256, (40, 50), dtype=np.uint8), (0, 0), 4)
    message = compressed(cv2.imencode(suffix, levels)[1].tobytes(), form)
    assert np.abs(conversions.gray(message).astype(int) - levels).max() <= 4


def test_a_compressed_mosaic_is_read_as_a_raw_one() -> None:
    """But not what was made a colour image before it was compressed."""
    cells = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    png = cv2.imencode('.png', cells)[1].tobytes()
    raw = conversions.gray(image(cells, 'bayer_grbg8'))
    assert np.array_equal(conversions.gray(compressed(png, 'bayer_grbg8; png compressed ')), raw)
    assert np.array_equal(conversions.gray(compressed(png, 'bayer_grbg8; png compressed bgr8')), cells)


@pytest.mark.parametrize('message, reason', [
    (image(np.zeros((2, 2), np.uint8), 'no_such_encoding'), 'no_such_encoding'),
    (image(np.zeros((2, 2), np.uint8), '8UC7'), '8UC7'),
    (image(np.zeros((2, 2, 2), np.uint8), '8UC2'), '8UC2'),
    (SimpleNamespace(width=0, height=4, encoding='mono8', is_bigendian=0, step=0, data=b''), 'size is 0x4'),
    (SimpleNamespace(width=4, height=0, encoding='mono8', is_bigendian=0, step=4, data=b''), 'size is 4x0'),
    (SimpleNamespace(width=4, height=2, encoding='mono8', is_bigendian=0, step=3, data=bytes(8)), 'step 3'),
    (SimpleNamespace(width=4, height=2, encoding='rgb8', is_bigendian=0, step=12, data=bytes(20)), '20 bytes'),
    (image(np.zeros((1, 1), np.uint8), 'bayer_rggb8'), '2x2'),
    (compressed(b'', 'jpeg'), 'jpeg'),
    (compressed(b'\xff\xd8 not a picture', 'jpeg'), 'cannot be decoded'),
    (compressed(b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR' + b'\x7f\xff\xff\xff' * 2 + b'\x08\0\0\0\0' + bytes(99), 'png'),
     'cannot be decoded'),
])
def test_what_cannot_be_read_is_refused_with_the_reason(message: SimpleNamespace, reason: str) -> None:
    with pytest.raises(ConversionError, match=reason):
        conversions.gray(message)


def test_the_last_row_may_come_without_padding() -> None:
    message = image(np.arange(6, dtype=np.uint8).reshape(2, 3), 'mono8', padding=2)
    message.data = message.data[:-2]
    assert conversions.gray(message).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_one_pixel() -> None:
    assert conversions.gray(image(np.array([[9]], np.uint8), 'mono8')).tolist() == [[9]]


@pytest.mark.parametrize('encoding, bits', [('mono10', 10), ('mono12', 12), ('mono14', 14), ('MONO12', 12)])
def test_bits_between_8_and_16_fill_their_own_range(encoding: str, bits: int) -> None:
    levels = RNG.integers(0, 256, (5, 9)).astype(np.uint16)
    assert np.array_equal(conversions.gray(image(levels << (bits - 8), encoding)), levels)


def test_signed_levels_are_not_cut_off() -> None:
    levels = np.array([[-5, 0, 12800, 32767]], np.int16)
    assert conversions.gray(image(levels, '16SC1')).tolist() == [[0, 0, 100, 255]]


def test_an_encoding_that_the_step_contradicts_is_refused() -> None:
    colour = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    message = image(colour, 'rgb8')
    message.encoding = 'mono8'
    with pytest.raises(ConversionError, match='step is a multiple'):
        conversions.gray(message)
    padded = np.pad(np.ascontiguousarray(colour[..., 0]), ((0, 0), (0, 16)))
    message = image(padded, 'mono8')
    message.width = 8
    assert np.array_equal(conversions.gray(message), colour[..., 0])


def test_every_encoding_of_sensor_msgs_is_read() -> None:
    """The list of sensor_msgs/image_encodings, apart from two channels of which nobody says what they are."""
    names = [f'{name}{bits}' for bits in (8, 16) for name in (
        'mono', 'rgb', 'bgr', 'rgba', 'bgra', 'bayer_rggb', 'bayer_bggr', 'bayer_gbrg', 'bayer_grbg')]
    names += [f'{kind}C{count}' for kind in ('8U', '8S', '16U', '16S', '32S', '32F', '64F') for count in (1, 3, 4)]
    names += ['uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24']
    data = RNG.integers(0, 100, 6 * 8 * 64, dtype=np.uint8).tobytes()
    for name in names:
        message = SimpleNamespace(width=8, height=6, encoding=name, is_bigendian=0, step=8 * 8 * 4 + 1, data=data)
        assert conversions.gray(message).shape == (6, 8), name
