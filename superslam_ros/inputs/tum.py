"""TUM RGB-D data sets as they are downloaded: rgb.txt, depth.txt, groundtruth.txt.

Sturm et al., A benchmark for the evaluation of RGB-D SLAM systems (IROS 2012). Depth is registered to the colour image,
and 5000 is a metre. The calibration is not among the files: the authors publish it by camera, freiburg1 to 3.
"""

from __future__ import annotations

import re
from pathlib import Path

from superslam_ros.bags.calibration.entry import plain_camera
from superslam_ros.bags.files import BagError
from superslam_ros.data import Camera
from superslam_ros.geometry import tum
from superslam_ros.inputs import tables
from superslam_ros.inputs.frames import Truth
from superslam_ros.inputs.listed import Listing

LAYOUT = 'rgb.txt (TUM RGB-D)'
FACTOR = 5000.0
SIZE = 640, 480
# fx, fy, cx, cy; k1, k2, p1, p2, k3.
CAMERAS = {
    '1': ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    '2': ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    '3': ((535.4, 539.2, 320.1, 247.6), (0.0, 0.0, 0.0, 0.0, 0.0))}


def find(path: Path) -> Path | None:
    """Return the folder, None where it is no such data set."""
    return path if (path / 'rgb.txt').is_file() else None


def listing(path: Path) -> Listing:
    """Return what there is.

    :raises BagError: when a table has no line that can be used.
    """
    streams = {'image': 'rgb', **({'depth': 'depth'} if (path / 'depth.txt').is_file() else {})}
    files, left_out = {}, []
    for role, name in streams.items():
        files[role], problems = tables.stamped_files(path / f'{name}.txt', path, None, tables.seconds)
        left_out += [(role, *problem) for problem in problems]
    camera = re.search(r'(?:freiburg|fr)_?([123])(?!\d)', path.resolve().name.lower())
    truth = path / 'groundtruth.txt'
    return Listing(
        'TUM RGB-D', path, streams, files, rectified=False,
        cameras=lambda size: {'left': _camera(camera[1])} if camera else {},
        calibration=f'that of freiburg{camera[1]}, by the name of the folder' if camera else '', depth_factor=FACTOR,
        truth=(lambda: _truth(truth)) if truth.is_file() else None, left_out=left_out)


def _camera(number: str) -> Camera:
    intrinsics, coefficients = CAMERAS[number]
    return plain_camera(SIZE, intrinsics, coefficients, 'plumb_bob', f'freiburg{number}')


def _truth(file: Path) -> Truth:
    try:
        return Truth(file, *tum.read_tum(file))
    except (OSError, ValueError) as error:
        raise BagError(str(error)) from error
