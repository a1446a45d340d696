"""What Kalibr says of an inertial unit: camchain-imucam.yaml (where it is, and its clock) and imu.yaml (its noise)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from superslam_ros.bags.files import BagError
from superslam_ros.geometry.pose import inverse

NOISES = {'gyroscope_noise_density': 'gyroscope_noise', 'gyroscope_random_walk': 'gyroscope_walk',
          'accelerometer_noise_density': 'accelerometer_noise'}
"""Key of imu.yaml -> field of ``ImuConfig``; the others, accelerometer_random_walk and update_rate, are not needed."""
log = logging.getLogger(__name__)
_LONGEST = 2**22
_TURN = 1e-3


class Inertial(NamedTuple):
    """What files say; ``T_imu_camera`` (4, 4) None, and ``options`` of ``ImuConfig`` without what they do not say."""

    T_imu_camera: np.ndarray | None
    options: dict[str, float]


def read_inertial(
    paths: Sequence[Path], image: str = '', size: tuple[int, int] | None = None, right: str = '',
) -> Inertial:
    """Read files of Kalibr, camera chains with an IMU or noises of an IMU, in any order.

    :param image: topic of the left, or only, image, by which its camera is known; ``size`` (width, height) of it.
    :param right: topic of the right image: a chain whose first camera is that one is not of this left camera.
    :raises BagError: naming file and key, where it is missing, wrong, or of another camera.
    """
    T, options = None, {}
    for path in paths:
        fields = _fields(path)
        if any(_is_camera(name, one) for name, one in fields.items()):
            name = _camera(path, fields, image, size, right)
            T = inverse(_transform(path, f'{name}: T_cam_imu', fields[name].get('T_cam_imu')))
            if 'timeshift_cam_imu' in fields[name]:
                # t_imu = t_cam + shift (Kalibr): what is added to stamps of the IMU is the opposite.
                shift = _number(path, f'{name}: timeshift_cam_imu', fields[name]['timeshift_cam_imu'])
                if abs(shift) > 1:
                    raise BagError(f'{path}: {name}: timeshift_cam_imu is {shift:g} s; 1 s at most')
                options['time_offset'] = -shift
            continue
        unit = fields['imu0'] if isinstance(fields.get('imu0'), dict) else fields
        if not any(key in unit for key in NOISES):
            raise BagError(f'{path}: neither cameras (cam0: T_cam_imu) nor noises of an IMU '
                           f'({", ".join(NOISES)}); expected camchain-imucam.yaml or imu.yaml of Kalibr')
        for key, name in NOISES.items():
            options[name] = _number(path, key, unit.get(key))
            if not 0 < options[name] < 10:
                raise BagError(f'{path}: {key}: {options[name]:g} is no density of noise')
    return Inertial(T, options)


def has_imu(path: Path) -> bool:
    """Return whether a file is a camera chain that says where an IMU is."""
    try:
        fields = _fields(path)
    except BagError:        # of another format, such as OpenCV's
        return False
    return any(_is_camera(name, one) and 'T_cam_imu' in one for name, one in fields.items())


def _fields(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST:
            raise BagError(f'{path}: is too long for a calibration of an IMU')
        fields = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f'{path}: cannot be read as a calibration of an IMU ({str(error).splitlines()[0]})') from error
    if not isinstance(fields, dict):
        raise BagError(f'{path}: is no camchain-imucam.yaml or imu.yaml of Kalibr')
    return fields


def _is_camera(name: Any, fields: Any) -> bool:
    return str(name)[:3] == 'cam' and str(name)[3:].isdigit() and isinstance(fields, dict)


def _camera(path: Path, fields: dict[str, Any], image: str, size: tuple[int, int] | None, right: str) -> str:
    """Return the name of the camera of an image: by its topic, else the first one, of whose size it must be."""
    cameras = sorted((name for name, one in fields.items() if _is_camera(name, one)), key=lambda name: int(name[3:]))
    topics = {name: str(fields[name].get('rostopic') or '') for name in cameras}
    named = [name for name in cameras if image and image in (name, topics[name])]
    name = (named or cameras)[0]
    if not named and right and right == topics[name]:
        raise BagError(f'{path}: {name} is the right camera ({right}), and where the IMU is from the left one, '
                       f'{image}, is not in it')
    if image and not named and len(cameras) > 1:
        log.warning('%s: none of its cameras (%s) is called %s; %s is taken for it', path, ', '.join(cameras), image,
                    name)
    there = fields[name].get('resolution')
    if size is not None and there is not None and list(size) != there:
        raise BagError(f'{path}: {name}: resolution {there} is of another camera: the images of {image} have '
                       f'{list(size)}')
    return name


def _transform(path: Path, key: str, value: Any) -> np.ndarray:
    if value is None:
        raise BagError(f'{path}: {key} is missing; expected camchain-imucam.yaml of kalibr_calibrate_imu_camera')
    try:
        T = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        T = np.zeros(0)
    if T.shape != (4, 4) or not np.isfinite(T).all() or not np.allclose(
            T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=_TURN) or np.linalg.det(T[:3, :3]) < 0:
        raise BagError(f'{path}: {key} must be 4 rows of 4 numbers, of a rotation and a translation')
    return T


def _number(path: Path, key: str, value: Any) -> float:
    if value is None:
        raise BagError(f'{path}: {key} is missing')
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise BagError(f'{path}: {key}: {value!r} is no number')
    return number
