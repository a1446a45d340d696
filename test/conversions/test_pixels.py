"""Images of every encoding to arrays, and calibrations."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import ConversionError

RNG = np.random.default_rng(7)


def image(
    array: np.ndarray, encoding: str, big_endian: bool = False, padding: int = 0, height: int | None = None
) -> SimpleNamespace:
    """Return the message of an array (H, W[, C]), rows padded with 0xAA."""
    rows = array.reshape(array.shape[0], -1)
    stored = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder('>' if big_endian else '<')))
    data = stored.view(np.uint8).reshape(array.shape[0], -1)
    data = np.pad(data, ((0, 0), (0, padding)), constant_values=0xAA)
    return SimpleNamespace(
        width=array.shape[1], height=height or array.shape[0], encoding=encoding, is_bigendian=int(big_endian),
        step=data.shape[1], data=data.tobytes())


def compressed(data: bytes, form: str) -> SimpleNamespace:
    return SimpleNamespace(format=form, data=data)


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


def camera_info(**changes: object) -> SimpleNamespace:
    K = [300.0, 0, 160, 0, 310, 120, 0, 0, 1]
    fields = {
        'width': 320, 'height': 240, 'distortion_model': 'plumb_bob', 'd': [-0.2, 0.05, 0, 0, 0], 'k': K,
        'r': np.eye(3).ravel(), 'p': [250.0, 0, 158, -30, 0, 250, 118, 0, 0, 0, 1, 0],
        'header': SimpleNamespace(frame_id='optical'), **changes}
    return SimpleNamespace(**fields)


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


def test_stamps_of_both_ros_versions() -> None:
    assert conversions.stamp_ns(SimpleNamespace(sec=3, nanosec=5)) == 3_000_000_005
    assert conversions.stamp_ns(SimpleNamespace(sec=3, nsec=5)) == 3_000_000_005
    assert conversions.split_stamp(3_000_000_005) == (3, 5)
