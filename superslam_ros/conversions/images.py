"""Images of every encoding to gray levels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from superslam_ros import bridge
from superslam_ros.conversions.compressed import decode, is_compressed, unpacked
from superslam_ros.conversions.errors import ConversionError, UnknownEncodingError
from superslam_ros.conversions.levels import Levels
from superslam_ros.conversions.pixels import full_levels, layout, pixels


def gray(message: Any, levels: Levels | None = None) -> np.ndarray:
    """Return an Image or CompressedImage as (H, W) uint8, the pixels where they are stored.

    Colour is weighted as OpenCV does. Levels of more than 8 bits are brought to 8 by ``levels``; without it, by what
    the encoding can hold: floating-point images are taken as 0 to 1, or 0 to 255 where values are beyond 1, NaN as
    black. What a file says of how its picture should be turned (EXIF) is not looked at: camera_info and depth belong
    to the pixels as they are stored.

    An encoding that is not known here is left to cv_bridge, where that is installed and works.

    :param levels: of the camera, kept from image to image.
    :raises ConversionError: for an unknown encoding, a size of zero, or data that contradict it.
    """
    levels = levels or Levels.all()
    message = unpacked(message)
    if is_compressed(message):
        return _of_compressed(message, levels)
    try:
        wanted = layout(message.encoding)
    except UnknownEncodingError:
        array = bridge.gray(message)
        if array is None:
            raise
        return array
    array = levels.to_bytes(pixels(message, wanted), wanted.full)
    return _to_gray(array, message.encoding.lower(), wanted.conversion)


def _of_compressed(message: Any, levels: Levels) -> np.ndarray:
    source, _, stored = message.format.lower().partition(';')
    # A picture whose colours were stored in the other order, as compressed_image_transport may.
    swapped = 'compressed rgb' in stored
    array = decode(message, (cv2.IMREAD_COLOR if swapped else cv2.IMREAD_GRAYSCALE) | cv2.IMREAD_ANYDEPTH)
    array = levels.to_bytes(array, full_levels(array.dtype))
    if swapped:
        return _to_gray(array, source, cv2.COLOR_RGB2GRAY)
    # "bayer_rggb8; png compressed " is the mosaic; "...; jpeg compressed bgr8" was made a colour image first.
    bayer = source.startswith('bayer') and 'bgr' not in stored
    return _to_gray(array, source, layout(source).conversion) if bayer else array


def _to_gray(array: np.ndarray, name: str, conversion: int | None) -> np.ndarray:
    if conversion is None:
        return np.ascontiguousarray(array)
    if name.startswith('bayer') and min(array.shape) < 2:
        raise ConversionError('Bayer image without a full 2x2 cell', f'{name} of {array.shape[1]}x{array.shape[0]}')
    return cv2.cvtColor(array, conversion)
