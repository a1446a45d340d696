"""EuRoC MAV data sets as they are downloaded: mav0/cam0, cam1, imu0, state_groundtruth_estimate0.

Burri et al., The EuRoC micro aerial vehicle datasets (IJRR 2016). ``T_BS`` of a sensor.yaml maps points of the sensor
to the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from superslam_ros.bags.calibration import kalibr
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Camera
from superslam_ros.geometry import pose
from superslam_ros.geometry.calibration import rectify
from superslam_ros.inputs import tables
from superslam_ros.inputs.frames import Imu, Truth
from superslam_ros.inputs.listed import Listing
from superslam_ros.inputs.options import named

LAYOUT = 'mav0/cam0/data.csv (EuRoC)'
TRUTH, IMU = 'state_groundtruth_estimate0', 'imu0'


def find(path: Path) -> Path | None:
    """Return the folder of the sensors, None where it is no such data set."""
    return next((folder for folder in (path / 'mav0', path) if (folder / 'cam0' / 'data.csv').is_file()), None)


def listing(path: Path, mav: Path, options: ReaderOptions) -> Listing:
    """Return what there is.

    :raises BagError: when a camera is named that is not there, or a file of it cannot be understood.
    """
    cameras = sorted(folder.parent.name for folder in mav.glob('cam*/data.csv'))
    streams = named(path, options, cameras, {'cam0': 'cam1'})
    files, left_out = {}, []
    for role, name in streams.items():
        files[role], problems = tables.stamped_files(
            mav / name / 'data.csv', mav / name / 'data', ',', tables.nanoseconds)
        left_out += [(role, *problem) for problem in problems]
    left = streams['image']
    return Listing(
        'EuRoC', path, streams, files, rectified=False,
        cameras=lambda size: _cameras(mav, streams, 'right image' in streams), calibration='sensor.yaml',
        truth=(lambda: _truth(mav, left)) if (mav / TRUTH / 'data.csv').is_file() else None,
        imu=(lambda: _imu(mav, left)) if (mav / IMU / 'data.csv').is_file() else None, left_out=left_out)


def _cameras(mav: Path, streams: Mapping[str, str], pair: bool) -> dict[str, Camera]:
    names = [streams['image'], *([streams['right image']] if pair else [])]
    fields = [_fields(mav / name / 'sensor.yaml') for name in names if (mav / name / 'sensor.yaml').is_file()]
    if len(fields) < len(names):
        return {}
    found = []
    for name, one in zip(names, fields):
        try:
            found.append(kalibr.camera(one, name))
        except (KeyError, TypeError, ValueError) as error:
            raise BagError(f'{mav / name / "sensor.yaml"}: {error}') from error
    if not pair:
        return {'left': found[0]}
    T_body_left, T_body_right = (_T_body(mav / name / 'sensor.yaml') for name in names)
    return dict(zip(('left', 'right'), rectify(*found, pose.inverse(T_body_right) @ T_body_left)))


def _truth(mav: Path, camera: str) -> Truth:
    file = mav / TRUTH / 'data.csv'
    stamps, table = tables.timed_numbers(file, ',', 8, 'time, p_x, p_y, p_z, q_w, q_x, q_y, q_z')
    T_body_camera = _T_body(mav / camera / 'sensor.yaml')
    poses = [pose.compose(pose.rotation(row[[5, 6, 7, 4]]), row[1:4]) @ T_body_camera for row in table]
    return Truth(file, stamps, np.array(poses))


def _imu(mav: Path, camera: str) -> Imu:
    file = mav / IMU / 'data.csv'
    stamps, table = tables.timed_numbers(file, ',', 7, 'time, w_x, w_y, w_z, a_x, a_y, a_z')
    T_imu_camera = pose.inverse(_T_body(mav / IMU / 'sensor.yaml')) @ _T_body(mav / camera / 'sensor.yaml')
    return Imu(stamps, table[:, 1:4], table[:, 4:7], T_imu_camera)


def _T_body(file: Path) -> np.ndarray:
    """Return T_body_sensor (4, 4)."""
    try:
        T = np.asarray(_fields(file)['T_BS']['data'], np.float64).reshape(4, 4)
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(f'{file}: T_BS with data of 16 numbers is missing') from error
    return T


def _fields(file: Path) -> dict[str, Any]:
    try:
        # The files begin with "%YAML:1.0", which is OpenCV's and not YAML's.
        text = file.read_text(encoding='utf-8')
        fields = yaml.safe_load('\n'.join(line for line in text.splitlines() if not line.startswith('%')))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f'{file}: cannot be read ({str(error).splitlines()[0]})') from error
    if not isinstance(fields, dict):
        raise BagError(f'{file}: is no description of a sensor')
    return fields
