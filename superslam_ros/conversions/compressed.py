"""What image transports make of an image: pictures (jpeg, png, tiff), and compressed pixels (zstd, zlib)."""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from superslam_ros.conversions.errors import ConversionError
from superslam_ros.conversions.pixels import buffer

HEADER = 12
"""Bytes that compressed_depth_image_transport puts before its picture."""
_PIXELS = struct.Struct('<IIBII')
"""What zstd_image_transport and zlib_image_transport put before theirs: height, width, is_bigendian, step, and the
length of the name of the encoding, which follows."""
_ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
_VIDEO = ('h264', 'h265', 'hevc', 'av1', 'vp8', 'vp9', 'theora')
_START, _END = b'\xff\xda', b'\xff\xd9'


@dataclass(frozen=True)
class _Unpacked:
    """The fields of a sensor_msgs/Image that was compressed as a whole."""

    header: Any
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: bytes


def is_compressed(message: Any) -> bool:
    """Say whether a message is a sensor_msgs/CompressedImage."""
    return hasattr(message, 'format') and not hasattr(message, 'encoding')


def encoding(message: Any) -> str:
    """Return the pixel encoding of an Image, or the format of a CompressedImage, with the encoding where it has one."""
    if not is_compressed(message):
        return message.encoding
    if message.format.lower() not in ('zstd', 'zlib'):
        return message.format
    try:
        return f'{_fields(buffer(message.data))[-1]}; {message.format}'
    except ConversionError:
        return message.format


def unpacked(message: Any) -> Any:
    """Return the Image in a CompressedImage of zstd_image_transport or zlib_image_transport, else the message itself.

    :raises ConversionError: when it is damaged, or zstd is not installed.
    """
    if not is_compressed(message) or message.format.lower() not in ('zstd', 'zlib'):
        return message
    data = buffer(message.data)
    height, width, is_bigendian, step, name = _fields(data)
    packed, size = data[_PIXELS.size + len(name):].tobytes(), height * step
    try:
        pixels = _inflate(packed, size)
    except (zlib.error, EOFError) as error:
        raise ConversionError('compressed pixels are damaged', str(error)) from error
    return _Unpacked(getattr(message, 'header', None), height, width, name, is_bigendian, step, pixels)


def decode(message: Any, flags: int, skip: int = 0) -> np.ndarray:
    """Return the picture of a CompressedImage, its pixels where they are stored.

    :param flags: of ``cv2.imdecode``.
    :param skip: bytes before the picture.
    :raises ConversionError: for a damaged picture, and for a video.
    """
    data, form = buffer(message.data)[skip:], message.format
    if any(name in form.lower() for name in _VIDEO):
        raise ConversionError('a video cannot be read image by image: have image_transport republish it as raw, and '
                              'take that', repr(form))
    # Where its end is missing, some versions of OpenCV make up the rest of a picture.
    octets = data.tobytes()
    whole = octets[:2] != b'\xff\xd8' or octets.rfind(_END) > octets.rfind(_START)
    try:
        array = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if octets and whole else None
    except cv2.error:       # a header that promises an impossible size
        array = None
    if array is None:
        raise ConversionError('compressed image cannot be decoded', f'{form!r}, {len(data)} bytes')
    return array


def _fields(data: np.ndarray) -> tuple[int, int, int, int, str]:
    """Return height, width, is_bigendian, step and encoding of compressed pixels."""
    if len(data) < _PIXELS.size:
        raise ConversionError('compressed pixels are cut off', f'{len(data)} bytes')
    *fields, length = _PIXELS.unpack(data[:_PIXELS.size].tobytes())
    name = data[_PIXELS.size:_PIXELS.size + length].tobytes()
    if len(name) < length or not name.isascii():
        raise ConversionError('compressed pixels are cut off', f'{len(data)} bytes')
    return (*fields, name.decode())


def _inflate(packed: bytes, size: int) -> bytes:
    """Return at most ``size`` bytes: what calls itself zstd is gzip, up to Kilted's version of the plugin."""
    if packed[:4] != _ZSTD_MAGIC:
        return zlib.decompressobj(wbits=47).decompress(packed, max(size, 1))
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ImportError as error:
        raise ConversionError('images compressed with zstd need `pip install backports.zstd`') from error
    try:
        return zstd.ZstdDecompressor().decompress(packed, size)
    except zstd.ZstdError as error:
        raise ConversionError('compressed pixels are damaged', str(error)) from error
