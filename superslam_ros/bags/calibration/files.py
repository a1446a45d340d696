"""Which format a camera file has, and which of its cameras belong to the images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from superslam_ros.bags.calibration import colmap, kalibr, opencv, ros
from superslam_ros.bags.calibration.entry import Entry
from superslam_ros.bags.files import BagError
from superslam_ros.data import Camera
from superslam_ros.geometry.calibration import rectify
from superslam_ros.geometry.pose import inverse

log = logging.getLogger(__name__)

FORMATS = ('the format of camera_calibration (ROS), a camera chain of Kalibr, a FileStorage of OpenCV, or '
           "COLMAP's cameras.txt")
_RAW = ('is of raw images, and these are taken for rectified, by --rectified or the name of the topic: give the '
        'calibration of the rectified ones, or --rectified no where they are raw')
_LONGEST = 2**22
_ALIKE = 1e-6


def read_camera(path: Path, rectified: bool = False, size: tuple[int, int] | None = None, name: str = '') -> Camera:
    """Read a camera; of a file with several, the one called ``name``, or the first.

    :param rectified: the images are rectified already.
    :param size: (width, height) of the images, where it is known.
    :raises BagError: when the file is missing or of another format, or a field is missing or wrong.
    """
    found = _read(Path(path), rectified, size)
    return _chosen(Path(path), found, name, 0, size).camera


def cameras_of_files(
    left: Path | None, right: Path | None, stereo: bool, rectified: bool, size: tuple[int, int] | None = None,
    names: Mapping[str, str] = {},
) -> dict[str, Camera]:
    """Return what files say of the cameras ``left`` and ``right``, of the latter in stereo alone.

    A file of a pair serves for both.

    :param size: (width, height) of the images, where it is known.
    :param names: what the images are called where they come from, by role.
    :raises BagError: as :func:`read_camera`; or when a file of two cameras does not say where they are.
    """
    files = {'left': left, **({'right': right or left} if stereo else {})}
    entries = {role: _read(Path(file), rectified, size) for role, file in files.items() if file is not None}
    if right is None and len(entries.get('right', ())) < 2:
        entries.pop('right', None)
    chosen = {role: _chosen(Path(files[role]), found, names.get(role, ''), int(role == 'right'), size)
              for role, found in entries.items()}
    if len(chosen) == 2 and files['left'] == files['right'] and len(entries['left']) > 1:
        return _pair(Path(left), rectified, chosen['left'], chosen['right'])
    return {role: one.camera for role, one in chosen.items()}


def check_pair(cameras: Mapping[str, Camera], name: str) -> None:
    """Refuse a right camera that is not to the right of the left one.

    :param name: of what says so.
    :raises BagError: when it is not.
    """
    if 'right' in cameras and not cameras['right'].baseline_to(cameras['left']) > 1e-6:
        raise BagError(f'{name}: the stereo baseline is not positive (-P[3] / P[0] of the right camera, less that of '
                       'the left); calibrate the pair, give the left camera as the left one, or use --mode mono')


def _pair(path: Path, rectified: bool, left: Entry, right: Entry) -> dict[str, Camera]:
    if left.T_camera_first is None or right.T_camera_first is None:
        raise BagError(f'{path}: where the right camera is, is not in it (T_cn_cnm1 of Kalibr; R and T of OpenCV)')
    if left.camera.image_size != right.camera.image_size:
        raise BagError(f'{path}: the two cameras of a pair must have one size')
    T_right_left = right.T_camera_first @ inverse(left.T_camera_first)
    if rectified and not np.allclose(T_right_left[:3, :3], np.eye(3), atol=_ALIKE):
        raise BagError(f'{path}: {_RAW}')
    return dict(zip(('left', 'right'), rectify(left.camera, right.camera, T_right_left)))


def _chosen(path: Path, found: list[Entry], name: str, number: int, size: tuple[int, int] | None) -> Entry:
    """Return the camera of a name, else the only one of the images' size, else that of the number."""
    named = [one for one in found if name and name in (one.name, one.topic)]
    if named or len(found) == 1:
        return (named or found)[0]
    if all(one.T_camera_first is None for one in found):
        fitting = [one for one in found if one.camera.image_size == size]
        if len(fitting) != 1:
            raise BagError(f'{path}: has {len(found)} cameras ({", ".join(one.name for one in found)}), and it is not '
                           'clear which is meant; leave one in it')
        return fitting[0]
    if name and number == 0:
        log.warning('%s: none of its cameras (%s) is called %s; %s is taken for it', path,
                    ', '.join(one.name for one in found), name, found[0].name)
    return found[number]


def _read(path: Path, rectified: bool, size: tuple[int, int] | None) -> list[Entry]:
    try:
        if path.stat().st_size > _LONGEST:
            raise BagError(f'{path}: is too long for a camera file; expected {FORMATS}')
        text = path.read_text(encoding='utf-8')
        found = _entries(path, text, rectified, size)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f'{path}: cannot be read as a camera file ({str(error).splitlines()[0]})') from error
    except KeyError as error:
        raise BagError(f'{path}: {error.args[0]} is missing') from error
    except (TypeError, ValueError, AttributeError, cv2.error) as error:
        raise BagError(f'{path}: {" ".join(str(error).split())}') from error
    if rectified and any(one.camera.distortion_model != 'none' for one in found):
        raise BagError(f'{path}: {_RAW}')
    return found


def _entries(path: Path, text: str, rectified: bool, size: tuple[int, int] | None) -> list[Entry]:
    if text.startswith('%YAML') or 'opencv-matrix' in text or '<opencv_storage>' in text:
        return opencv.entries(path, size)
    if colmap.is_one(text):
        return colmap.entries(text)
    fields: Any = yaml.safe_load(text)
    if isinstance(fields, dict) and isinstance(fields.get('cam0'), dict):
        return kalibr.entries(fields)
    if isinstance(fields, dict) and 'intrinsics' in fields:
        return [Entry('cam0', kalibr.camera(fields, path.stem))]
    if not isinstance(fields, dict):
        raise BagError(f'{path}: not a camera file; expected {FORMATS}')
    return ros.entries(fields, rectified)
