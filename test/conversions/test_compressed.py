"""What image transports write: pictures with their pixels where they are stored, compressed pixels, RVL depth."""

from __future__ import annotations

import struct
import sys
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from superslam_ros import conversions
from superslam_ros.conversions import ConversionError, Levels

from .fields import compressed, image

RNG = np.random.default_rng(3)
SMOOTH = cv2.GaussianBlur(RNG.integers(0, 256, (40, 60), dtype=np.uint8), (0, 0), 3)
GZIP, ZLIB = 31, 15


def jpeg(orientation: int) -> bytes:
    """Return a JPEG that says how it should be turned (EXIF)."""
    plain = cv2.imencode('.jpg', SMOOTH)[1].tobytes()
    exif = b'Exif\0\0II*\0' + struct.pack('<IHHHIII', 8, 1, 0x112, 3, 1, orientation, 0)
    return plain[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + plain[2:]


def png(orientation: int) -> bytes:
    """Return a PNG with an eXIf chunk."""
    plain = cv2.imencode('.png', SMOOTH)[1].tobytes()
    exif = b'II*\0' + struct.pack('<IHHHIII', 8, 1, 0x112, 3, 1, orientation, 0)
    chunk = struct.pack('>I', len(exif)) + b'eXIf' + exif + struct.pack('>I', zlib.crc32(b'eXIf' + exif))
    return plain[:33] + chunk + plain[33:]     # behind IHDR


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('make, form', [
    (jpeg, 'jpeg'), (jpeg, 'bgr8; jpeg compressed bgr8'), (jpeg, 'rgb8; jpeg compressed rgb8'), (png, 'png')])
def test_pixels_are_where_they_are_stored_whatever_exif_says(make, form: str, orientation: int) -> None:
    plain = conversions.gray(compressed(make(1), form))
    np.testing.assert_array_equal(conversions.gray(compressed(make(orientation), form)), plain)
    assert np.abs(plain.astype(int) - SMOOTH).max() < 12


def test_a_picture_whose_end_is_missing_is_refused_with_one_reason() -> None:
    whole, reasons = jpeg(1), set()
    for part in (0.5, 0.7, 0.9, 0.999):
        with pytest.raises(ConversionError, match='cannot be decoded') as found:
            conversions.gray(compressed(whole[:int(part * len(whole))], 'jpeg'))
        reasons.add(found.value.reason)
    assert len(reasons) == 1


def test_colours_in_the_other_order_have_their_own_weights() -> None:
    colour = np.zeros((20, 20, 3), np.uint8)
    colour[..., 0] = 200            # red in RGB
    data = cv2.imencode('.png', colour)[1].tobytes()
    assert conversions.gray(compressed(data, 'rgb8; png compressed rgb8'))[0, 0] == pytest.approx(0.299 * 200, abs=1)
    assert conversions.gray(compressed(data, 'bgr8; png compressed bgr8'))[0, 0] == pytest.approx(0.114 * 200, abs=1)


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_pictures_of_16_bits_keep_their_contrast(suffix: str) -> None:
    levels = 7500 + 3 * SMOOTH.astype(np.uint16)
    message = compressed(cv2.imencode(suffix, levels)[1].tobytes(), f'mono16; {suffix[1:]} compressed ')
    assert np.array_equal(conversions.gray(message), (levels >> 8).astype(np.uint8))
    raw, own = Levels(), Levels()
    assert np.array_equal(conversions.gray(message, own), conversions.gray(image(levels, 'mono16'), raw))
    assert raw.range == own.range is not None


def zstd_message(message: SimpleNamespace, packed: bytes, form: str = 'zstd') -> SimpleNamespace:
    name = message.encoding.encode()
    header = struct.pack('<IIBII', message.height, message.width, message.is_bigendian, message.step, len(name))
    return compressed(header + name + packed, form)


def deflated(data: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize('form, wbits', [('zstd', GZIP), ('zlib', ZLIB)])
def test_compressed_pixels_are_read_as_raw_ones(form: str, wbits: int) -> None:
    """What zstd_image_transport wrote at first was gzip."""
    colour = image(RNG.integers(0, 256, (6, 7, 3), dtype=np.uint8), 'rgb8', padding=2)
    message = zstd_message(colour, deflated(colour.data, wbits), form)
    np.testing.assert_array_equal(conversions.gray(message), conversions.gray(colour))
    assert conversions.encoding(message) == f'rgb8; {form}'
    depth = image(RNG.integers(0, 9000, (6, 7)).astype(np.uint16), '16UC1', big_endian=True)
    np.testing.assert_array_equal(
        conversions.depth_m(zstd_message(depth, deflated(depth.data, wbits), form)), conversions.depth_m(depth))


def test_zstd_proper() -> None:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    raw = image(SMOOTH, 'mono8')
    np.testing.assert_array_equal(conversions.gray(zstd_message(raw, zstd.compress(raw.data))), SMOOTH)
    with pytest.raises(ConversionError, match=r'damaged|too few bytes'):
        conversions.gray(zstd_message(raw, zstd.compress(raw.data)[:40]))


@pytest.mark.parametrize('packed', [b'', b'\x1f\x8b nonsense', b'\x28\xb5\x2f\xfd nonsense'])
def test_damaged_pixels_are_refused(packed: bytes) -> None:
    with pytest.raises(ConversionError, match=r'damaged|too few bytes'):
        conversions.gray(zstd_message(image(SMOOTH, 'mono8'), packed))
    with pytest.raises(ConversionError, match='cut off'):
        conversions.gray(compressed(packed, 'zstd'))


def test_no_more_is_unpacked_than_the_size_says() -> None:
    raw = image(SMOOTH, 'mono8')
    np.testing.assert_array_equal(
        conversions.gray(zstd_message(raw, deflated(raw.data + bytes(10**7), GZIP))), SMOOTH)


@pytest.mark.parametrize('form', ['h264', 'hevc', 'av1', 'theora'])
def test_videos_are_refused_with_a_remedy(form: str) -> None:
    with pytest.raises(ConversionError, match='republish'):
        conversions.gray(compressed(b'\0\0\0\1g', form))


def rvl(pixels: np.ndarray) -> bytes:
    """Return an image as RVL, with the width and height before it: by its definition, number by number."""
    flat, nibbles = pixels.ravel().tolist(), []

    def put(number: int) -> None:
        while number > 7:
            nibbles.append(number & 7 | 8)
            number >>= 3
        nibbles.append(number)

    at = previous = 0
    while at < len(flat):
        for absent in (True, False):
            end = at
            while end < len(flat) and (flat[end] == 0) == absent:
                end += 1
            put(end - at)
            for pixel in flat[at:end] if not absent else []:
                put(2 * (pixel - previous) if pixel >= previous else 2 * (previous - pixel) - 1)
                previous = pixel
            at = end
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int(''.join(f'{nibble:x}' for nibble in nibbles[i:i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack('<II', pixels.shape[1], pixels.shape[0]) + struct.pack(f'<{len(words)}I', *words)


def depth_pixels(shape: tuple[int, int] = (30, 41)) -> np.ndarray:
    """Return depths with holes, at the edges as well, and jumps from one end of the range to the other."""
    pixels = RNG.integers(400, 9000, shape).astype(np.uint16)
    pixels[RNG.random(shape) < 0.3] = 0
    pixels[:2], pixels[-1, -5:], pixels[4, 3:6] = 0, 0, (65535, 1, 65535)
    return pixels


@pytest.mark.parametrize('pixels', [
    depth_pixels(), np.zeros((480, 640), np.uint16), np.full((3, 5), 7, np.uint16), np.array([[1]], np.uint16)])
def test_rvl_in_millimetres(pixels: np.ndarray) -> None:
    expected = np.where(pixels == 0, np.nan, pixels / 1000)
    message = compressed(bytes(12) + rvl(pixels), '16UC1; compressedDepth rvl')
    np.testing.assert_allclose(conversions.depth_m(message), expected, rtol=1e-6)


def test_rvl_of_floats_is_quantised_like_png() -> None:
    levels, header = depth_pixels(), struct.pack('<iff', 0, 1000, -50)
    by_png = conversions.depth_m(compressed(
        header + cv2.imencode('.png', levels)[1].tobytes(), '32FC1; compressedDepth png'))
    by_rvl = conversions.depth_m(compressed(header + rvl(levels), '32FC1; compressedDepth rvl'))
    np.testing.assert_array_equal(by_rvl, by_png)


def test_damaged_rvl_is_refused() -> None:
    whole = bytes(12) + rvl(depth_pixels())
    for length in (0, 10, 16, 20, 24, len(whole) // 2, len(whole) - 8):
        with pytest.raises(ConversionError, match='RVL'):
            conversions.depth_m(compressed(whole[:length], '16UC1; compressedDepth rvl'))
    for seed in range(50):
        broken = bytearray(whole)
        for place in np.random.default_rng(seed).integers(12, len(whole), 6):
            broken[place] ^= 0xff
        try:
            conversions.depth_m(compressed(bytes(broken), '16UC1; compressedDepth rvl'))
        except ConversionError as error:
            assert 'RVL' in str(error)


@pytest.mark.parametrize('depths, form', [
    (np.array([[0, 1.5], [np.nan, 3]], np.float32), '32FC1; tiff compressed '),
    (np.array([[0, 1500], [0, 3000]], np.uint16), '16UC1; tiff compressed '),
])
def test_depth_as_tiff(depths: np.ndarray, form: str) -> None:
    message = compressed(cv2.imencode('.tiff', depths)[1].tobytes(), form)
    np.testing.assert_allclose(conversions.depth_m(message), [[np.nan, 1.5], [np.nan, 3]])


@pytest.mark.parametrize('header, form', [
    (struct.pack('<iff', 0, 0, 0), '32FC1; compressedDepth png'),
    (struct.pack('<iff', 0, np.nan, 1), '32FC1; compressedDepth png'),
    (b'', '32FC1; png compressed '),        # 16 bits of what?
])
def test_quantised_depth_without_its_parameters_is_refused(header: bytes, form: str) -> None:
    data = header + cv2.imencode('.png', depth_pixels())[1].tobytes()
    with pytest.raises(ConversionError, match=r'quantisation|neither'):
        conversions.depth_m(compressed(data, form))


def test_a_format_that_is_empty_is_told_from_the_data() -> None:
    depths = depth_pixels()
    data = cv2.imencode('.png', depths)[1].tobytes()
    for header in (b'', bytes(12)):
        np.testing.assert_allclose(
            conversions.depth_m(compressed(header + data, '')), np.where(depths == 0, np.nan, depths / 1000), rtol=1e-6)
