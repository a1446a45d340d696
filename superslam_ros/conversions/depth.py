"""Depth images to metres."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from superslam_ros.conversions.compressed import HEADER, decode, is_compressed, unpacked
from superslam_ros.conversions.errors import ConversionError
from superslam_ros.conversions.pixels import buffer, layout, pixels
from superslam_ros.conversions.rvl import decode_rvl

DEPTH_ENCODINGS = ('16UC1', '32FC1', 'mono16', '64FC1')
_PICTURES = (b'\x89PNG', b'II*\0', b'MM\0*')


def depth_m(message: Any) -> np.ndarray:
    """Return a depth Image or CompressedImage as (H, W) float32 metres, NaN for none.

    16-bit integers are millimetres, floating point is metres (REP-118); zero, negative and infinite depths are
    no depths.

    :raises ConversionError: as :func:`gray`, and for an encoding that is not a depth.
    """
    message = unpacked(message)
    if is_compressed(message):
        array = _decompress(message)
    elif message.encoding in DEPTH_ENCODINGS:
        array = pixels(message, layout(message.encoding))
    else:
        raise ConversionError('encoding is not a depth',
                              f'{message.encoding!r}; known: {", ".join(DEPTH_ENCODINGS)}')
    depth = array.astype(np.float32)
    if array.dtype.kind == 'u':
        depth *= np.float32(0.001)
    with np.errstate(invalid='ignore'):
        depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    return depth


def _decompress(message: Any) -> np.ndarray:
    """Decode a picture (png, tiff), or what compressed_depth_image_transport makes.

    That is a header of 12 bytes (format, two floats), then png or RVL.

    :returns: (H, W) millimetres as uint16, or metres as floating point.
    """
    data, form = buffer(message.data), message.format
    floats = form.upper().startswith('32FC1')
    if bytes(data[:4]) in _PICTURES:
        array = decode(message, cv2.IMREAD_UNCHANGED)
        if array.ndim != 2 or array.dtype not in ((np.float32, np.float64) if floats else (np.uint16,)):
            raise ConversionError('compressed image holds neither 16-bit nor floating-point depth',
                                  f'{form!r}: {array.dtype} {array.shape}')
        return array
    if 'rvl' in form.lower():
        array = decode_rvl(data[HEADER:])
    else:
        array = decode(message, cv2.IMREAD_UNCHANGED, HEADER)
        if array.ndim != 2 or array.dtype != np.uint16:
            raise ConversionError('compressedDepth does not hold 16 bits', f'{form!r}: {array.dtype} {array.shape}')
    return _dequantised(array, data[4:HEADER]) if floats else array


def _dequantised(levels: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Return metres: the transport stores quantised inverse depth, level = a / depth + b."""
    a, b = np.frombuffer(parameters.tobytes(), dtype='<f4')
    if not (np.isfinite([a, b]).all() and a > 0):
        raise ConversionError('compressedDepth of 32FC1 without its quantisation', f'a = {a:g}, b = {b:g}')
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(levels > 0, a / (levels.astype(np.float32) - b), np.float32(np.nan))
