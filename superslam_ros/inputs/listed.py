"""Frames of image files whose times are known: what data sets and folders have in common."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.assembly import Assembled, Assembler, Recorded, Skip
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.conversions import Levels
from superslam_ros.conversions.pixels import full_levels
from superslam_ros.data import Camera
from superslam_ros.inputs.calibrated import calibrate
from superslam_ros.inputs.frames import Imu, Truth
from superslam_ros.sync import Bundle, Stamped, Synchronizer, tolerance_s

log = logging.getLogger(__name__)

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.pgm', '.ppm', '.webp')
_ROLES = {'image': 'left', 'right image': 'right'}

Files = list[tuple[int, Path]]
"""Stamps in nanoseconds and files, in order."""


@dataclass
class Listing:
    """What a data set, or a folder, holds.

    :ivar streams: what the roles ``image``, ``right image`` and ``depth`` are called in it.
    :ivar cameras: returns the calibrations ``left`` and ``right`` of images of a size (width, height), as far as the
        data set has them; ``calibration`` says where.
    :ivar depth_factor: of stored depths for a metre.
    :ivar truth: reads the true trajectory, ``imu`` what was measured of the motion.
    :ivar left_out: role, reason and detail of entries that cannot be used.
    """

    kind: str
    path: Path
    streams: dict[str, str]
    files: dict[str, Files]
    rectified: bool
    cameras: Callable[[tuple[int, int]], Mapping[str, Camera]] = lambda size: {}
    calibration: str = ''
    depth_factor: float = 1000.0
    truth: Callable[[], Truth] | None = None
    imu: Callable[[], Imu] | None = None
    left_out: list[tuple[str, str, str]] = field(default_factory=list)


class ListedFrames(Assembled):
    """Iterates over the frames of a listing; see ``Frames``. Images are read one by one."""

    def __init__(self, listing: Listing, options: ReaderOptions) -> None:
        """Choose what is used, look at the first image, and find the calibration.

        :raises BagError: when the mode cannot be had, no image can be read, or there is no calibration.
        """
        self._listing, self.kind = listing, listing.kind
        self._roles = _chosen(listing, options)
        self.mode = mode_of(self._roles)
        self.rectified = listing.rectified if options.rectified == 'auto' else options.rectified == 'yes'
        self.levels = Levels(options.black_level, options.white_level)
        self._tolerance_s = tolerance_s(options.tolerance_s, self.mode)
        self._assembler = Assembler(listing.streams, self._tolerance_s, self._read)
        for role, reason, detail in listing.left_out:
            if role in self._roles:
                self._assembler.leave_out(f'{role}: {reason}', role, detail)
        size = self._first().shape[1::-1]
        names = {_ROLES[role]: listing.streams[role] for role in self._roles if role in _ROLES}
        found = calibrate(listing.path, options, self.rectified, size, names, listing.cameras(size),
                          listing.calibration)
        self._assembler.cameras.update(found.cameras)
        self.calibration, self.guessed = found.calibration, found.guessed
        self.damage: list[str] = []

    @property
    def streams(self) -> dict[str, str]:
        """Role -> folder in use."""
        return {role.replace(' ', '_'): self._listing.streams[role] for role in self._roles}

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self._listing.files['image'])

    def truth(self) -> Truth | None:
        """Return the true trajectory, where the data set has one."""
        return self._listing.truth() if self._listing.truth else None

    def imu(self) -> Imu | None:
        """Return what an inertial unit has measured, where the data set has one."""
        return self._listing.imu() if self._listing.imu else None

    def __iter__(self) -> Iterator[Recorded]:
        """Yield every frame that can be used, in order of time."""
        companions = self._roles[1:]
        synchronizer = Synchronizer(companions, round(self._tolerance_s * 1e9))
        # The image last, so that what has its very stamp is there.
        order = sorted(self._roles, key=lambda role: role == 'image')
        queues = ([(stamp, place, file) for stamp, file in self._listing.files[role]]
                  for place, role in enumerate(order))
        for stamp, place, file in heapq.merge(*queues):
            item = Stamped(stamp, stamp, file)
            ready = synchronizer.add_main(item) if order[place] == 'image' else \
                synchronizer.add_companion(order[place], item)
            for bundle in ready:
                yield from self._frames(bundle)
        for bundle in synchronizer.flush():
            yield from self._frames(bundle)

    def _frames(self, bundle: Bundle) -> Iterator[Recorded]:
        frame = self._assembler.frame(bundle)
        if frame is not None:
            yield Recorded(frame, [])

    def _first(self) -> np.ndarray:
        """Return the first image that can be read.

        :raises BagError: when there is none.
        """
        for _, file in self._listing.files['image']:
            image = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None:
                return image
        raise BagError(f'{self._listing.path}: none of its {self.count} images can be read '
                       f'(in {self._listing.streams["image"]})')

    def _read(self, role: str, item: Stamped) -> np.ndarray:
        if role == 'depth':
            return read_depth(item.item, self._listing.depth_factor)
        return read_image(role, item.item, self.levels)


def read_image(role: str, file: Path, levels: Levels) -> np.ndarray:
    """Return an image as (H, W) uint8, the pixels where they are stored.

    :raises Skip: when it cannot be read.
    """
    image = _pixels(role, file, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    return levels.to_bytes(image, full_levels(image.dtype))


def read_depth(file: Path, factor: float) -> np.ndarray:
    """Return a depth image as (H, W) float32 metres, NaN where it is 0.

    :raises Skip: when it cannot be read, or is none.
    """
    image = _pixels('depth', file, cv2.IMREAD_UNCHANGED)
    if image.ndim != 2 or image.dtype != np.uint16:
        raise Skip('depth: is no image of one channel of 16 bits', file.name)
    return np.where(image > 0, image / np.float32(factor), np.nan).astype(np.float32)


def _pixels(role: str, file: Path, flags: int) -> np.ndarray:
    if not file.is_file():
        raise Skip(f'{role}: the file is missing', file.name)
    try:
        image = cv2.imread(str(file), flags)
    except cv2.error:           # more pixels than OpenCV takes
        image = None
    if image is None:
        raise Skip(f'{role}: the file cannot be read as an image', file.name)
    return image


def mode_of(roles: list[str]) -> str:
    """Return mono, stereo or rgbd."""
    return 'stereo' if 'right image' in roles else 'rgbd' if 'depth' in roles else 'mono'


def _chosen(listing: Listing, options: ReaderOptions) -> list[str]:
    """Return the roles that are used, ``image`` first."""
    there = [role for role in ('image', 'right image', 'depth') if listing.files.get(role)]
    needed = {'mono': [], 'stereo': ['right image'], 'rgbd': ['depth'], 'auto': there[1:2]}[options.mode]
    for role in needed:
        if role not in there:
            raise BagError(f'{listing.path}: --mode {options.mode}: {listing.kind} without {role}s; there are '
                           f'{", ".join(listing.streams[role] for role in there)}')
    return ['image', *needed]
