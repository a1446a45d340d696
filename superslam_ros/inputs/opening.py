"""One door for every input: which kind a path is, and its frames."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from superslam_ros.bags import bag, files
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.inputs import euroc, folder, kitti, pair, tum, video, webcam
from superslam_ros.inputs.frames import Frames
from superslam_ros.inputs.listed import ListedFrames, Listing
from superslam_ros.inputs.options import refuse
from superslam_ros.inputs.video import VideoFrames
from superslam_ros.inputs.webcam import WebcamFrames

EXPECTED = (f'{files.EXPECTED}, a video, a folder of images, a camera ({webcam.PREFIX}0), or a data set: EuRoC, TUM '
            'RGB-D, KITTI odometry')


ARCHIVES = ('.zip', '.tgz', '.gz', '.tar', '.bz2', '.xz', '.7z', '.rar')
_DEEP, _MANY = 3, 100
"""So many folders up and down, and side by side, are looked at to say what may be meant."""

log = logging.getLogger(__name__)


def is_camera(path: Path) -> bool:
    """Say whether a path is that of a camera of this machine."""
    return str(path).startswith(webcam.PREFIX)


def is_bag(path: Path) -> bool:
    """Say whether a path is that of a bag, by its name or by how its file begins."""
    return path.exists() and (files.is_bag(path) or (path.is_file() and files.is_one_inside(path)))


def is_video(path: Path) -> bool:
    """Say whether a path is that of a video, by its name."""
    return path.suffix.lower() in video.SUFFIXES and not path.is_dir()


def is_data_set(path: Path) -> bool:
    """Say whether a path is that of a data set, by what is in the folder."""
    return path.is_dir() and any(kind.find(path) for kind in (euroc, tum, kitti, pair))


@contextlib.contextmanager
def open_frames(path: Path | str, options: ReaderOptions | None = None) -> Iterator[Frames]:
    """Open an input, whichever it is.

    :raises BagError: when there is none, it is of no kind that is known, or it cannot be used; with what was looked
        for.
    """
    path, options = Path(path), options or ReaderOptions()
    if is_camera(path):
        refuse(path, options, 'a camera', (), ('mono',))
        camera = WebcamFrames(path, options)
        with contextlib.closing(camera):
            yield camera
    elif not path.exists():
        camera = f'; a camera is {webcam.PREFIX}{path}' if path.parent == Path('/dev') or path.name.isdigit() else ''
        raise BagError(f'{path}: no such recording{camera}; give {EXPECTED}')
    elif is_bag(path):
        with bag.open_bag(path) as reader:
            yield BagFrames(reader, options)
    elif path.is_dir():
        yield ListedFrames(_listing(path, options), options)
    elif is_video(path):
        refuse(path, options, 'a video', ('rate_hz',), ('mono',))
        yield VideoFrames(path, options)
    elif path.suffix.lower() in ARCHIVES:
        raise BagError(f'{path}: is an archive; unpack it, and give the folder')
    else:
        one = '; of a single image, give the folder' if path.suffix.lower() in folder.SUFFIXES else ''
        raise BagError(f'{path}: neither a bag nor a video ({", ".join(video.SUFFIXES)}){one}; expected {EXPECTED}')


def _listing(path: Path, options: ReaderOptions) -> Listing:
    of_pair = 'image', 'right_image', 'right_camera_file', 'tolerance_s'
    mav = euroc.find(path)
    if mav is not None:
        refuse(path, options, 'an EuRoC data set', of_pair, ('mono', 'stereo'))
        return euroc.listing(path, mav, options)
    if kitti.find(path):
        refuse(path, options, 'a KITTI sequence', of_pair, ('mono', 'stereo'))
        return kitti.listing(path, options)
    if tum.find(path):
        refuse(path, options, 'a TUM RGB-D data set', ('tolerance_s',), ('mono', 'rgbd'))
        return tum.listing(path)
    images = folder.images(path)
    if not images and pair.find(path):
        refuse(path, options, 'a folder of stereo images', (*of_pair, 'rate_hz'), ('mono', 'stereo'))
        return pair.listing(path, options)
    if not images:
        looked = '; '.join(kind.LAYOUT for kind in (euroc, tum, kitti, pair, folder))
        raise BagError(f'{path}: nothing in this folder is known{_near(path)}; looked for: metadata.yaml or a file of '
                       f'a bag; {looked}')
    whole = _data_set_around(path)
    if whole is not None:
        log.warning('%s: is a part of the data set %s, whose times and calibration are not used', path, whole)
    if options.right_image:
        refuse(path, options, 'a folder of images', (*of_pair[1:], 'rate_hz'), ('mono', 'stereo'))
        return pair.listing_of_two(path, options)
    refuse(path, options, 'a folder of images without --right-image FOLDER', ('rate_hz',), ('mono',))
    return folder.listing(path, images, options)


def _near(path: Path) -> str:
    """Return where a recording is that may be meant, in words: around a folder, or in it."""
    whole = _data_set_around(path)
    if whole is not None:
        return f'; it is a part of the data set {whole}: give that'
    inside = [path]
    with contextlib.suppress(OSError):      # of folders that may not be read, nothing is said
        for _ in range(_DEEP):
            inside = sorted(one for outer in inside for one in outer.iterdir() if one.is_dir())[:_MANY]
            found = next((one for one in inside if is_bag(one) or is_data_set(one) or folder.images(one)), None)
            if found is not None:
                return f'; there is {found}: give that'
    return ''


def _data_set_around(path: Path) -> Path | None:
    around = path.resolve().parents[:_DEEP]
    return next((one for one in around if any(kind.find(one) for kind in (euroc, tum, kitti))), None)
