"""What OpenCV's VideoCapture delivers: what videos and cameras have in common.

OpenCV, and not PyAV: it decodes as fast (1.3 ms a frame of 1280x720 on one core, PyAV 1.5 ms), has the times of frames
at a variable rate as exactly from 4.5 on, and is there wherever this package is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.assembly import Assembled, Assembler, Recorded
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.conversions import Levels
from superslam_ros.inputs.calibrated import calibrate
from superslam_ros.sync import Bundle, Stamped

log = logging.getLogger(__name__)


class CapturedFrames(Assembled):
    """Frames of one camera; see ``Frames``. A subclass yields the images."""

    mode = 'mono'

    def __init__(self, path: Path, name: str, size: tuple[int, int], options: ReaderOptions) -> None:
        """Find the calibration of images of a size (width, height).

        :raises BagError: when a file of it cannot be used.
        """
        self.path, self.streams, self.damage = path, {'image': name}, []
        self.rectified = options.rectified == 'yes'
        self.levels = Levels(options.black_level, options.white_level)
        found = calibrate(path, options, self.rectified, size, {'left': 'camera'}, {})
        self.calibration, self.guessed = found.calibration, found.guessed
        self._assembler = Assembler({'image': str(path)}, 0.0, lambda role, item: self._gray(item.item))
        self._assembler.cameras.update(found.cameras)

    def truth(self) -> None:
        """Nothing: there is none."""

    def imu(self) -> None:
        """Nothing: there is none."""

    def __iter__(self) -> Iterator[Recorded]:
        """Yield every frame that can be used."""
        for stamp_ns, image in self.images():
            frame = self._assembler.frame(Bundle(Stamped(stamp_ns, stamp_ns, image), {}, []))
            if frame is not None:
                yield Recorded(frame, [])

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield times in nanoseconds, and images as OpenCV gives them."""
        raise NotImplementedError

    def _gray(self, image: np.ndarray) -> np.ndarray:
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return self.levels.to_bytes(gray, (0, 255))
