"""A camera of this machine, live: always the newest image, until Ctrl-C."""

from __future__ import annotations

import logging
import signal
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
    """The images of a camera until Ctrl-C, which ends them as a video ends; see ``Frames``.

    It can be iterated over once. A second Ctrl-C is that of every program.
    """

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
        self._arrived, self._ended, self._stopped = threading.Condition(), False, False
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._before: signal.Handlers | None = None

    def images(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield times of receipt in nanoseconds, and images; those that are overtaken are left out, and counted."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._stop)
        self._thread.start()
        while True:
            with self._arrived:
                self._arrived.wait_for(lambda: self._newest is not None or self._ended)
                newest, self._newest = self._newest, None
            if newest is None or self._stopped:
                if not self._stopped:
                    log.warning('%s: gives no more images', self.path)
                return
            yield newest

    def close(self) -> None:
        """Let the camera go."""
        self._restore()
        self._ended = True
        if self._thread.ident is not None:
            self._thread.join()
        self._capture.release()

    def _stop(self, *_: object) -> None:
        """End the images; the lock may be held by the very thread that is interrupted."""
        self._restore()
        self._ended = self._stopped = True

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _receive(self) -> None:
        while not self._ended:
            there, image = self._capture.read()
            now_ns = time.time_ns()
            with self._arrived:
                if there and self._newest is not None:
                    self._assembler.leave_out(OVERTAKEN, 'image')
                if there:
                    self._newest = now_ns, image
                self._ended |= not there
                self._arrived.notify()
        with self._arrived:     # it may have been ended by Ctrl-C just now
            self._arrived.notify()
