"""Camera files as written by camera_calibration and read by camera_info_manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from superslam_ros import conversions
from superslam_ros.bags.calibration.entry import Entry
from superslam_ros.data import Camera


def entries(fields: dict[str, Any], rectified: bool) -> list[Entry]:
    """Return the camera of a file with image_width, image_height, camera_matrix, ...

    :param rectified: the images are rectified already.
    :raises KeyError, TypeError, ValueError: for a field that is missing or wrong.
    """
    name = str(fields.get('camera_name') or 'camera')
    return [Entry(name, conversions.make_camera(
        int(fields['image_width']),
        int(fields['image_height']),
        _matrix(fields, 'camera_matrix'),
        _matrix(fields, 'distortion_coefficients', optional=True),
        str(fields.get('distortion_model', '')),
        _matrix(fields, 'rectification_matrix', optional=True),
        _matrix(fields, 'projection_matrix', optional=True),
        name,
        rectified,
    ))]


def _matrix(fields: dict[str, Any], name: str, optional: bool = False) -> np.ndarray:
    if optional and name not in fields:
        return np.zeros(0)
    value = fields[name]
    return np.asarray(value['data'] if isinstance(value, dict) else value, dtype=np.float64).reshape(-1)


def write_camera(path: Path, camera: Camera) -> None:
    """Write a camera so that camera_info_manager reads it, too; its frame is the camera's name."""
    def matrix(value: np.ndarray, rows: int) -> dict[str, Any]:
        flat = np.ravel(value).tolist()
        return {'rows': rows, 'cols': len(flat) // rows, 'data': flat}

    distorted = camera.distortion_model != 'none'
    fields = {
        'image_width': camera.width, 'image_height': camera.height, 'camera_name': camera.frame_id,
        'camera_matrix': matrix(camera.K, 3),
        'distortion_model': camera.distortion_model if distorted else 'plumb_bob',
        'distortion_coefficients': matrix(camera.distortion if distorted else np.zeros(5), 1),
        'rectification_matrix': matrix(camera.R, 3), 'projection_matrix': matrix(camera.P, 3)}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(yaml.safe_dump(fields, sort_keys=False, default_flow_style=None), encoding='utf-8')
