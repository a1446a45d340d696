"""A camera of this machine, live: always the newest image."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.inputs.captured import CapturedFrames

log = logging.getLogger(__name__)

PREFIX = 'camera:'
OVERTAKEN = 'a newer image came while the one before was worked on'


class WebcamFrames(CapturedFrames):
    """The images of a camera until it is interrupted, or they end; see ``Frames``. It can be iterated over once."""

    kind = 'camera'
    count = None

    def __init__(self, path: Path, options: ReaderOptions) -> None:
        """Open ``camera:0`` or ``camera:/dev/video0``, and find the calibration.

        :raises BagError: when it cannot be opened, or gives no image.
        """
        name = str(path).removeprefix(PREFIX)
        self._capture = cv2.VideoCapture(int(name) if name.isdigit() else name)
        there, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not there:
            self._capture.release()
            raise BagError(f'{path}: gives no image: is it plugged in, free, and may you read it (/dev/video{name})?')
        super().__init__(path, str(path), first.shape[1::-1], options)
        self._newest: tuple[int, np.ndarray] | None = None
        self._arrived, self._ended = threading.Condition(), False
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield times of receipt in nanoseconds, and images; those that are overtaken are left out, and counted."""
        self._thread.start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._newest is not None or self._ended)
                newest, self._newest = self._newest, None
            if newest is None:
                log.warning('%s: gives no more images', self.path)
                return
            yield newest

    def close(self) -> None:
        """Let the camera go."""
        self._ended = True
        if self._thread.ident is not None:
            self._thread.join()
        self._capture.release()

    def _receive(self) -> None:
        while not self._ended:
            there, image = self._capture.read()
            with self._arrived:
                if there and self._newest is not None:
                    self._assembler.leave_out(OVERTAKEN, 'image')
                self._newest, self._ended = (time.time_ns(), image) if there else self._newest, not there
                self._arrived.notify()
