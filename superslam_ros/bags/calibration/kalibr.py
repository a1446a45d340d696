"""Camera chains of Kalibr (cam0, cam1, ...); EuRoC's sensor.yaml has the same fields of a camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from superslam_ros.bags.calibration.entry import Entry, plain_camera
from superslam_ros.data import Camera


def entries(fields: dict[str, Any]) -> list[Entry]:
    """Return the cameras of a chain, in order.

    :raises KeyError, TypeError, ValueError: for a field that is missing or wrong.
    """
    found, T_camera_first = [], np.eye(4)
    for name in sorted((name for name in fields if name[:3] == 'cam' and name[3:].isdigit()),
                       key=lambda name: int(name[3:])):
        one = fields[name]
        if found:
            T_camera_first = _transform(one, name) @ T_camera_first if T_camera_first is not None and \
                'T_cn_cnm1' in one else None
        found.append(Entry(name, camera(one, name), T_camera_first, str(one.get('rostopic') or '')))
    return found


def camera(fields: dict[str, Any], name: str) -> Camera:
    """Return a camera by its fields camera_model, intrinsics, distortion_model, distortion_coeffs and resolution.

    :raises KeyError, TypeError, ValueError: for a field that is missing or wrong.
    """
    model = str(fields.get('camera_model', 'pinhole'))
    if model != 'pinhole':
        raise ValueError(f'{name}: camera_model {model} is not supported; calibrate with pinhole-radtan or '
                         'pinhole-equi')
    size = [int(side) for side in fields['resolution']]
    coefficients = fields.get('distortion_coeffs', fields.get('distortion_coefficients', ()))
    if len(size) != 2 or len(fields['intrinsics']) != 4:
        raise ValueError(f'{name}: resolution must have 2 values and intrinsics 4 (fu, fv, pu, pv)')
    return plain_camera((size[0], size[1]), fields['intrinsics'], coefficients, str(fields.get('distortion_model', '')),
                        name)


def _transform(fields: dict[str, Any], name: str) -> np.ndarray:
    T = np.asarray(fields['T_cn_cnm1'], np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all():
        raise ValueError(f'{name}: T_cn_cnm1 must be a matrix of 4 rows of 4 numbers')
    return T
