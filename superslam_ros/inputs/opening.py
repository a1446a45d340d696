"""One door for every input: which kind a path is, and its frames."""

from __future__ import annotations

import contextlib
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
        raise BagError(f'{path}: no such recording; give {EXPECTED}')
    elif is_bag(path):
        with bag.open_bag(path) as reader:
            yield BagFrames(reader, options)
    elif path.is_dir():
        yield ListedFrames(_listing(path, options), options)
    elif is_video(path):
        refuse(path, options, 'a video', ('rate_hz',), ('mono',))
        yield VideoFrames(path, options)
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
        raise BagError(f'{path}: nothing in this folder is known; looked for: metadata.yaml or a file of a bag; '
                       f'{looked}')
    if options.right_image:
        refuse(path, options, 'a folder of images', (*of_pair[1:], 'rate_hz'), ('mono', 'stereo'))
        return pair.listing_of_two(path, options)
    refuse(path, options, 'a folder of images without --right-image FOLDER', ('rate_hz',), ('mono',))
    return folder.listing(path, images, options)
