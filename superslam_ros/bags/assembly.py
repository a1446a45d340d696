"""What was recorded at one instant to a frame; what cannot be used is left out, counted, and said once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from superslam_ros.data import Camera, Frame
from superslam_ros.sync import Bundle, Requirements, Stamped, apart

log = logging.getLogger(__name__)

SMALLEST_SIDE = 16


class Skip(Exception):
    """This frame cannot be used: the reason, which is counted, and what was found in this one."""

    def __init__(self, reason: str, detail: str = '') -> None:
        """Keep both."""
        super().__init__(reason)
        self.reason, self.detail = reason, detail


class Recorded(NamedTuple):
    """A frame, and the messages it was made of, (connection, bytes), as they were recorded: none where it is no bag."""

    frame: Frame
    messages: list[tuple[Any, bytes]]


class Assembler:
    """Makes frames of what belongs together.

    :ivar cameras: calibrations by role, ``left`` and ``right``; where there is none, frames have none.
    :ivar skipped: reason, with what was found in the first such frame -> how many frames were left out for it.
    :ivar without_depth: how many frames of a camera with depth had none.
    """

    def __init__(
        self, streams: Mapping[str, str], tolerance_s: float, read: Callable[[str, Stamped], np.ndarray],
    ) -> None:
        """Begin.

        :param streams: what ``image``, ``right image``, ``depth`` and ``mask`` are called where they come from.
        :param tolerance_s: within which they were brought together, for what is said.
        :param read: returns the pixels of a role, or raises :class:`Skip`.
        """
        self._streams, self._tolerance_s, self._read = streams, tolerance_s, read
        self.cameras: dict[str, Camera] = {}
        self.skipped: Counter[str] = Counter()
        self.without_depth, self._requirements = 0, Requirements()
        self._said: dict[str, str] = {}

    def frame(self, bundle: Bundle) -> Frame | None:
        """Return the frame of a bundle; None, when it is left out."""
        try:
            return self._frame(bundle)
        except Skip as skip:
            self.leave_out(skip.reason, 'image', skip.detail)
            return None

    def leave_out(self, reason: str, role: str, detail: str = '') -> None:
        """Count a frame, or a part of one, that is left out."""
        if reason not in self._said:
            self._said[reason] = f'{reason} (first: {detail})' if detail else reason
            log.warning('%s: frame left out: %s (said once, counted in the summary)', self._streams.get(role, role),
                        self._said[reason])
        self.skipped[self._said[reason]] += 1

    def _frame(self, bundle: Bundle) -> Frame:
        lacking = self._requirements.lacking(bundle)
        if lacking:
            off_ns = bundle.off_ns.get(lacking[0])
            raise Skip(f'no {lacking[0]} within {self._tolerance_s * 1e3:g} ms of the image',
                       '' if off_ns is None else f'the nearest is {apart(off_ns)}')
        if bundle.missing:
            self.without_depth += 1
            if self.without_depth == 1:
                log.warning('%s: a frame has no depth and is tracked without (said once, counted in the summary)',
                            self._streams['depth'])
        frame = Frame(bundle.main.stamp_ns, self._read('image', bundle.main), self.cameras.get('left'))
        if min(frame.image.shape) < SMALLEST_SIDE:
            raise Skip(f'image with a side below {SMALLEST_SIDE} pixels', size_of(frame.image))
        frame.camera = _camera_of('image', frame.image, frame.camera)
        if 'right image' in bundle.companions:
            frame.right_image = self._read('right image', bundle.companions['right image'])
            if frame.right_image.shape != frame.image.shape:
                raise Skip('left and right image are of different size',
                           f'{size_of(frame.image)}, {size_of(frame.right_image)}')
            frame.right_camera = _camera_of('right image', frame.right_image, self.cameras.get('right'))
        if 'depth' in bundle.companions:
            frame.depth_m = self._read('depth', bundle.companions['depth'])
            if frame.depth_m.shape != frame.image.shape:
                raise Skip('depth and image are of different size: register the depth to the image '
                           '(depth_image_proc)', f'{size_of(frame.depth_m)}, {size_of(frame.image)}')
        if 'mask' in bundle.companions:
            frame.mask = self._read('mask', bundle.companions['mask'])
        return frame


def _camera_of(role: str, image: np.ndarray, camera: Camera | None) -> Camera | None:
    """Return the camera of an image, binning and region of interest applied."""
    try:
        return camera and camera.of_image(image.shape[1], image.shape[0])
    except ValueError as error:
        raise Skip(f'{role} and its calibration do not belong together', f'the {role} {error}') from error


def size_of(image: np.ndarray) -> str:
    """Return the size of an image in words."""
    return f'{image.shape[1]}x{image.shape[0]}'


class Assembled:
    """Frames of an :class:`Assembler`, ``_assembler``, and what it has left out."""

    _assembler: Assembler

    @property
    def skipped(self) -> Counter[str]:
        """Reason, with what was found in the first such frame -> how many frames were left out for it."""
        return self._assembler.skipped

    @property
    def without_depth(self) -> int:
        """How many frames of a camera with depth had none."""
        return self._assembler.without_depth
