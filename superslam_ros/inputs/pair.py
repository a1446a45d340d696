"""Images of a stereo pair in two folders: beside one another in a folder, or each given by itself."""

from __future__ import annotations

import re
from pathlib import Path

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.inputs import folder
from superslam_ros.inputs.listed import Files, Listing
from superslam_ros.inputs.options import named

PAIRS = {'left': 'right', 'image_left': 'image_right', 'image_0': 'image_1', 'image_2': 'image_3', 'cam0': 'cam1'}
LAYOUT = ' or '.join(f'{left} and {right}' for left, right in PAIRS.items()) + ' with images'

_Problems = list[tuple[str, str, str]]


def find(path: Path) -> list[str]:
    """Return the folders of cameras in a folder, none where no two of them are a pair."""
    there = [name for pair in PAIRS.items() if all(_holds_images(path / name) for name in pair) for name in pair]
    return list(dict.fromkeys(there))


def listing(path: Path, options: ReaderOptions) -> Listing:
    """Return the images of two folders in a folder: those that the user names, or the first pair.

    :raises BagError: when a camera is named that is not there, or what belongs together is not known.
    """
    streams = named(path, options, find(path), PAIRS)
    left = folder.listing(path / streams['image'], folder.images(path / streams['image']), options)
    return _paired(left, path / streams['right image'], options) if 'right image' in streams else left


def listing_of_two(path: Path, options: ReaderOptions) -> Listing:
    """Return the images of a folder with those of ``options.right_image``: a folder, from here or in or beside it.

    :raises BagError: when there is no such folder with images, or what belongs together is not known.
    """
    places = [Path(options.right_image), path / options.right_image, path.parent / options.right_image]
    right = next((place for place in places if _holds_images(place)), None)
    if right is None:
        raise BagError(f'--right-image {options.right_image}: is no folder with images')
    if right.resolve() == path.resolve():
        raise BagError(f'--right-image {options.right_image}: is the folder of the left images')
    return _paired(folder.listing(path, folder.images(path), options), right, options)


def _paired(left: Listing, right: Path, options: ReaderOptions) -> Listing:
    images = folder.images(right)
    names = [one.resolve().name for one in (left.path, right)]
    if names[0] == names[1]:
        names = ['_'.join(one.resolve().parts[-2:]) for one in (left.path, right)]
    times = None if options.rate_hz else folder.times_of(images)
    if times is not None and folder.times_of([file for _, file in left.files['image']]) is not None:
        files, left_out = sorted(zip(times, images)), []
    else:
        files, left_out = _partners(left, right, images)
    return Listing(left.kind, left.path, {'image': names[0], 'right image': names[1]},
                   {**left.files, 'right image': files}, rectified=False, left_out=left_out)


def _partners(left: Listing, right: Path, images: list[Path]) -> tuple[Files, _Problems]:
    """Return the right images with the times of the left ones: of the same name, or else in order."""
    times = {_key(file): stamp for stamp, file in left.files['image']}
    known = [(times[_key(file)], file) for file in images if _key(file) in times]
    if known:
        return sorted(known), [('right image', 'there is no left image of its name', file.name)
                               for file in images if _key(file) not in times]
    if len(images) != len(left.files['image']):
        raise BagError(f'{left.path} holds {len(left.files["image"])} images and {right} {len(images)}, and no names '
                       'are the same: which belong together is not known; give those of a pair the same name')
    return [(stamp, file) for (stamp, _), file in zip(left.files['image'], images)], []


def _key(file: Path) -> str:
    return re.sub('left|right', '', file.stem.lower())


def _holds_images(path: Path) -> bool:
    return path.is_dir() and bool(folder.images(path))
