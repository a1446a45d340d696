"""Video files: whatever the FFmpeg inside of OpenCV decodes, with the times of their frames."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.inputs.captured import CapturedFrames

log = logging.getLogger(__name__)

SUFFIXES = ('.mp4', '.mov', '.m4v', '.mkv', '.webm', '.avi', '.mpg', '.mpeg', '.ts', '.mts', '.m2ts', '.wmv', '.flv',
            '.3gp', '.h264', '.h265', '.hevc', '.mjpeg', '.mjpg', '.ogv', '.insv')
RATE_HZ = 30.0
"""Of a video that does not say it."""
_SHORT = 0.9
"""A video that ends before this part of the time that it says it has is damaged."""


class VideoFrames(CapturedFrames):
    """The frames of a video file; see ``Frames``."""

    kind = 'video'

    def __init__(self, path: Path, options: ReaderOptions) -> None:
        """Open it, and find the calibration.

        :raises BagError: when it cannot be decoded, or a file of the calibration cannot be used.
        """
        with _opened(path) as capture:
            there, first = capture.read()
            if not there:
                raise BagError(f'{path}: no frame of it can be decoded; copy it again, or convert it with ffmpeg')
            self._rate_hz = options.rate_hz
            self._own_rate_hz, count = (capture.get(name) for name in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.count = round(count) if count > 0 else None
        super().__init__(path, path.name, first.shape[1::-1], options)

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the times in the file, or at the rate that the user gives, and the images."""
        rate, number, last = self._rate_hz or self._own_rate_hz or RATE_HZ, 0, -1
        with _opened(self.path) as capture:
            while True:
                there, image = capture.read()
                if not there:
                    break
                stamp = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                if self._rate_hz:
                    stamp = round(number * 1e9 / rate)
                elif stamp <= last:
                    if number == 1:
                        log.warning('%s: has no times; %g frames a second are assumed; --rate HZ says it', self.path,
                                    rate)
                    stamp = last + round(1e9 / rate)
                yield stamp, image
                number, last = number + 1, stamp
        self._look_at_the_end(number, last)

    def _look_at_the_end(self, number: int, last_ns: int) -> None:
        """Say it, where frames are missing; their number is an estimate where the rate varies, the time is not."""
        if not self.count or not self._own_rate_hz:
            return
        told_s, covered_s = self.count / self._own_rate_hz, last_ns * 1e-9
        if number < _SHORT * self.count and (self._rate_hz or covered_s < _SHORT * told_s):
            damage = (f'it ends after {number} frames ({covered_s:.1f} s), and says that it has {self.count} '
                      f'({told_s:.1f} s): what was recorded last is lost')
            if damage not in self.damage:
                self.damage.append(damage)
                log.error('%s: %s', self.path, damage)
        else:
            self.count = number


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise BagError(f'{path}: cannot be decoded as a video: is it whole, and does this OpenCV have FFmpeg and '
                           'the codec? Copy it again, or convert it with ffmpeg')
        yield capture
    finally:
        capture.release()
