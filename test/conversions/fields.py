"""Messages of sensor_msgs, by their fields alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


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
    """Return a CompressedImage."""
    return SimpleNamespace(format=form, data=data)


def camera_info(**changes: object) -> SimpleNamespace:
    """Return a camera_info of 320x240 whose P differs from K, with some of its fields changed."""
    K = [300.0, 0, 160, 0, 310, 120, 0, 0, 1]
    fields = {
        'width': 320, 'height': 240, 'distortion_model': 'plumb_bob', 'd': [-0.2, 0.05, 0, 0, 0], 'k': K,
        'r': np.eye(3).ravel(), 'p': [250.0, 0, 158, -30, 0, 250, 118, 0, 0, 0, 1, 0],
        'header': SimpleNamespace(frame_id='optical'), **changes}
    return SimpleNamespace(**fields)
