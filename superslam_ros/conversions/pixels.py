"""The bytes of a raw image to an array of its pixels, in whatever encoding."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import cv2
import numpy as np

from superslam_ros.conversions.errors import ConversionError, UnknownEncodingError

# Name of the encoding without its depth -> channels, and how cv2 turns it gray (None: it is gray).
_COLOUR = {
    'mono': (1, None),
    'rgb': (3, cv2.COLOR_RGB2GRAY),
    'bgr': (3, cv2.COLOR_BGR2GRAY),
    'rgba': (4, cv2.COLOR_RGBA2GRAY),
    'bgra': (4, cv2.COLOR_BGRA2GRAY),
    # OpenCV names a Bayer pattern after the second row's second and third pixel, ROS after the first two rows.
    'bayer_rggb': (1, cv2.COLOR_BayerBG2GRAY),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2GRAY),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2GRAY),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2GRAY),
}
# 10, 12 and 14 bits are no encodings of sensor_msgs; drivers write them for levels of 16 bits that end there.
_NAMED = re.compile(r'(mono|rgba?|bgra?|bayer_(?:rggb|bggr|gbrg|grbg))(8|10|12|14|16)')
_GENERIC = re.compile(r'(8U|8S|16U|16S|32S|32F|64F)C([1-4])?')
_GENERIC_TYPES = {'8U': 'u1', '8S': 'i1', '16U': 'u2', '16S': 'i2', '32S': 'i4', '32F': 'f4', '64F': 'f8'}
# Packed 4:2:2, two bytes a pixel: which byte is the brightness.
_PACKED_YUV = {'yuv422': 1, 'uyvy': 1, 'yuv422_yuy2': 0, 'yuyv': 0, 'yuy2': 0}
# Planar: the brightness is the first height x width bytes.
_PLANAR_YUV = ('nv12', 'nv21', 'nv24', 'nv42', 'i420', 'yv12', 'yuv420')


class Layout(NamedTuple):
    """How an encoding stores a pixel.

    :ivar conversion: OpenCV's, to gray; None where it is gray.
    :ivar full: the levels that are black and white, None where the values themselves have to tell (floating point).
    :ivar brightness: which channel alone is taken.
    """

    dtype: np.dtype
    channels: int
    conversion: int | None = None
    full: tuple[float, float] | None = (0, 255)
    brightness: int | None = None


def layout(name: str) -> Layout:
    """Return how an encoding stores its pixels.

    :raises UnknownEncodingError: for one that is not known here.
    """
    lower = name.lower()
    if lower in _PACKED_YUV:
        return Layout(np.dtype('u1'), 2, brightness=_PACKED_YUV[lower])
    if lower in _PLANAR_YUV:
        return Layout(np.dtype('u1'), 1)
    if match := _NAMED.fullmatch(lower):
        channels, conversion = _COLOUR[match[1]]
        bits = int(match[2])
        return Layout(np.dtype('u1' if bits == 8 else 'u2'), channels, conversion, (0, 2**bits - 1))
    if match := _GENERIC.fullmatch(name.upper()):
        channels = int(match[2] or 1)
        if channels != 2:
            # Without a name the channels are taken in OpenCV's order, as cv_bridge does.
            conversion = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}[channels]
            dtype = np.dtype(_GENERIC_TYPES[match[1]])
            return Layout(dtype, channels, conversion, full_levels(dtype))
    raise UnknownEncodingError(f'unknown image encoding {name!r}')


def full_levels(dtype: np.dtype) -> tuple[float, float] | None:
    """Return the levels of a type that are black and white; None of floating point, whose values have to tell."""
    return None if dtype.kind == 'f' else (0, int(np.iinfo(dtype).max))


def buffer(data: Any) -> np.ndarray:
    """Return a message's data as (N,) uint8."""
    return np.frombuffer(data, dtype=np.uint8) if not isinstance(data, np.ndarray) else data.view(np.uint8)


def pixels(message: Any, wanted: Layout) -> np.ndarray:
    """Return the pixels as (H, W) or (H, W, C), native byte order, without the padding at the end of rows.

    :raises ConversionError: for a size of zero, and data or a step that contradict size and encoding.
    """
    width, height, step = int(message.width), int(message.height), int(message.step)
    if width < 1 or height < 1:
        raise ConversionError('image without pixels', f'its size is {width}x{height}')
    dtype, channels = wanted.dtype, wanted.channels
    row = width * channels * dtype.itemsize
    if step < row:
        raise ConversionError('step is shorter than a row of the image', f'step {step}; {width} pixels of '
                              f'{message.encoding} are {row} bytes')
    data = buffer(message.data)
    if len(data) < step * (height - 1) + row:
        raise ConversionError('image has too few bytes of data', f'{len(data)} bytes of data, {step * height} '
                              f'expected for {width}x{height} {message.encoding}')
    if len(data) < step * height:
        data = np.concatenate([data, np.zeros(step * height - len(data), np.uint8)])
    rows = data[:step * height].reshape(height, step)
    if step >= 2 * row and step % row == 0 and np.ptp(rows[height // 2, row:]):
        raise ConversionError('step is a multiple of a row of the image, and no padding lies between: the encoding is '
                              'another', f'step {step}; {width} pixels of {message.encoding} are {row} bytes')
    stored = dtype.newbyteorder('>' if message.is_bigendian else '<')
    array = np.ascontiguousarray(rows[:, :row]).view(stored).astype(dtype, copy=False)
    array = array.reshape((height, width) if channels == 1 else (height, width, channels))
    return array if wanted.brightness is None else np.ascontiguousarray(array[..., wanted.brightness])
