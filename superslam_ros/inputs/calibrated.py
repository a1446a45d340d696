"""The cameras of an input that is no bag: from files that the user gives, else from the data set, else a guess."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from superslam_ros.bags.calibration import cameras_of_files, check_pair
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Camera

log = logging.getLogger(__name__)

FIELD_OF_VIEW_DEG = 65.0
"""Along the longer side of the image, where nothing is known: between those of telephones, webcams and action cams."""


@dataclass(frozen=True)
class Calibrated:
    """Cameras by role, ``left`` and ``right``, and where they are from: see ``Frames``."""

    cameras: dict[str, Camera]
    calibration: str
    guessed: str = ''


def calibrate(
    path: Path, options: ReaderOptions, rectified: bool, size: tuple[int, int], names: Mapping[str, str],
    own: Mapping[str, Camera], own_name: str = '',
) -> Calibrated:
    """Return the cameras of images of a size (width, height).

    :param names: what the images are called, by role; the roles say whether there is a right camera.
    :param own: what the data set says of them; ``own_name`` where.
    :raises BagError: when a file cannot be used, is of images of another size, or a pair has no calibration.
    """
    stereo, files = 'right' in names, [file for file in (options.camera_file, options.right_camera_file) if file]
    if options.right_camera_file and not stereo:
        raise BagError(f'--right-camera-info {options.right_camera_file}: {path} is used without a right image')
    given = cameras_of_files(options.camera_file, options.right_camera_file, stereo, rectified, size, names)
    if stereo and not rectified and len(given) == 1 and own:
        raise BagError(f'{path}: the raw images of a pair are rectified together: give --camera-info and '
                       '--right-camera-info, or a file of both')
    cameras = {role: {**own, **given}[role] for role in names if role in own or role in given}
    if stereo and len(cameras) < 2:
        flag = '--right-camera-info' if 'left' in cameras else '--camera-info'
        raise BagError(f'{path}: nothing says what the {"right" if "left" in cameras else "left"} camera is; give '
                       f'{flag} FILE, or --mode mono')
    bent = [role for role in cameras if role not in given and cameras[role].distortion_model != 'none']
    if rectified and bent:
        raise BagError(f'{path}: --rectified yes, and the calibration ({own_name}) is of images that are not; '
                       '--camera-info FILE gives that of the rectified ones')
    guessed = ''
    if not cameras and options.uncalibrated:
        return Calibrated({}, '')
    if not cameras:
        cameras['left'], guessed = _guess(path, size)
    for role, camera in cameras.items():
        _check_size(path, camera, size, str(files[-1]) if role in given else own_name)
        cameras[role] = replace(camera, frame_id=f'{names[role]}_optical')
    calibration = [Path(file).name for file in dict.fromkeys(files)] if given else [own_name]
    calibration += [own_name] if given and set(given) != set(cameras) else []
    check_pair(cameras, ', '.join(calibration))
    return Calibrated(cameras, 'guessed' if guessed else ', '.join(calibration), guessed)


def _guess(path: Path, size: tuple[int, int]) -> tuple[Camera, str]:
    """Return a camera without distortion, and what to say of it."""
    focal_px = max(size) / (2 * np.tan(np.deg2rad(FIELD_OF_VIEW_DEG) / 2))
    K = np.array([[focal_px, 0, (size[0] - 1) / 2], [0, focal_px, (size[1] - 1) / 2], [0, 0, 1]])
    guessed = (f'the focal length is a guess ({focal_px:.0f} px, a field of view of {FIELD_OF_VIEW_DEG:g} degrees, no '
               'distortion): the trajectory may be bent and wrong in shape; --camera-info FILE gives the calibration')
    log.warning('%s: %s', path, guessed)
    return Camera(*size, K), guessed


def _check_size(path: Path, camera: Camera, size: tuple[int, int], name: str) -> None:
    try:
        camera.of_image(*size)
    except ValueError as error:
        raise BagError(f'{path}: the first image {error} ({name}); calibrate the camera at the size of the images') \
            from error
