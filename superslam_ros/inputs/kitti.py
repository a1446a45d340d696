"""KITTI odometry sequences as they are downloaded: image_0 to image_3, times.txt, calib.txt, poses/NN.txt.

Geiger et al., Are we ready for autonomous driving? (CVPR 2012). Images are rectified; ``P0`` to ``P3`` project points
in the frame of camera 0, of which the poses are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Camera
from superslam_ros.geometry import pose
from superslam_ros.inputs import tables
from superslam_ros.inputs.frames import Truth
from superslam_ros.inputs.listed import SUFFIXES, Files, Listing
from superslam_ros.inputs.options import named

LAYOUT = 'times.txt with image_0 or image_2 (KITTI odometry)'
PAIRS = {'image_0': 'image_1', 'image_2': 'image_3'}


def find(path: Path) -> Path | None:
    """Return the folder, None where it is no such data set."""
    return path if (path / 'times.txt').is_file() and _cameras_of(path) else None


def listing(path: Path, options: ReaderOptions) -> Listing:
    """Return what there is.

    :raises BagError: when a camera is named that is not there, or a file cannot be understood.
    """
    streams = named(path, options, _cameras_of(path), PAIRS)
    times = _times(path / 'times.txt')
    files, left_out = {}, []
    for role, name in streams.items():
        files[role], without = _numbered(path / name, times)
        left_out += [(role, 'times.txt has no line of this number', file.name) for file in without]
    projections = _projections(path / 'calib.txt') if (path / 'calib.txt').is_file() else {}
    number, truth = streams['image'][-1], _truth_file(path)

    def cameras(size: tuple[int, int]) -> dict[str, Camera]:
        roles = zip(('left', 'right'), (streams[role][-1] for role in streams))
        return {role: Camera(*size, projections[n][:, :3], P=projections[n]) for role, n in roles if n in projections}

    return Listing('KITTI', path, streams, files, rectified=True, cameras=cameras, calibration='calib.txt',
                   truth=None if truth is None else lambda: _truth(truth, times, projections.get(number)),
                   left_out=left_out)


def _cameras_of(path: Path) -> list[str]:
    return [name for name in ('image_0', 'image_1', 'image_2', 'image_3') if (path / name).is_dir()]


def _times(file: Path) -> list[int]:
    found = []
    for number, words in tables.rows(file):
        try:
            found.append(tables.seconds(words[0]))
        except ValueError as error:     # the lines are counted: one that is wrong moves all after it
            raise BagError(f'{file}, line {number}: {error}') from error
    return found


def _numbered(folder: Path, times: list[int]) -> tuple[Files, list[Path]]:
    """Return the images whose numbers have a time, in order, and the others."""
    found, without = [], []
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES and file.stem.isdigit():
            number = int(file.stem)
            if number < len(times):
                found.append((times[number], file))
            else:
                without.append(file)
    if not found:
        raise BagError(f'{folder}: no image in it has a number, as 000000.png, that times.txt has a line for')
    return sorted(found), without


def _projections(file: Path) -> dict[str, np.ndarray]:
    """Return number of the camera -> P (3, 4)."""
    found = {}
    for number, words in tables.rows(file):
        name = words[0].rstrip(':')
        if len(name) == 2 and name[0] == 'P' and name[1].isdigit():
            try:
                found[name[1]] = np.array([float(word) for word in words[1:]]).reshape(3, 4)
            except ValueError as error:
                raise BagError(f'{file}, line {number}: expected {name}: and 12 numbers') from error
    return found


def _truth_file(path: Path) -> Path | None:
    name = f'{path.resolve().name}.txt'
    places = (path / 'poses.txt', path.resolve().parent.parent / 'poses' / name, path.resolve().parent / 'poses' / name)
    return next((file for file in places if file.is_file()), None)


def _truth(file: Path, times: list[int], P: np.ndarray | None) -> Truth:
    table = tables.numbers(file, None, 12, '12 numbers, the rows of a pose')
    if len(table) > len(times):
        raise BagError(f'{file}: {len(table)} poses, and times.txt has {len(times)} lines: of another sequence?')
    T_first_camera = np.eye(4)
    if P is not None:
        T_first_camera[:3, 3] = -np.linalg.solve(P[:, :3], P[:, 3])
    poses = [pose.compose(row.reshape(3, 4)[:, :3], row.reshape(3, 4)[:, 3]) @ T_first_camera for row in table]
    return Truth(file, np.array(times[:len(table)], np.int64), np.array(poses))
