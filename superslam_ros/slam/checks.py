"""What a frame must fulfil before it may touch the map."""

from __future__ import annotations

from superslam_ros.data import JUMP_BACK_NS, Camera

JUMP_AHEAD_NS = 10_000_000_000
"""A stamp so much newer than the last one is not believed before a second frame bears it out."""
SMALLEST_SIDE = 16


class SkippedFrame(ValueError):
    """A frame that odometry cannot use; the message says why, ``reason`` in a word or two."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason


class StampOrder:
    """Watches that stamps grow, and do not run away."""

    def __init__(self, jump_ahead_ns: float = JUMP_AHEAD_NS) -> None:
        """Begin without a past."""
        self._jump_ahead_ns = jump_ahead_ns
        self.reset()

    def reset(self) -> None:
        """Forget the last stamp."""
        self._last_ns: int | None = None
        self._ahead_ns: int | None = None

    def accept(self, stamp_ns: int) -> None:
        """Remember the stamp of a frame that was used."""
        self._last_ns, self._ahead_ns = stamp_ns, None

    def jumped_back(self, stamp_ns: int) -> bool:
        """Return whether time begins anew.

        :raises SkippedFrame: for a stamp that repeats, comes a little too late, or is the first far ahead.
        """
        behind = 0 if self._last_ns is None else self._last_ns - stamp_ns
        if behind >= JUMP_BACK_NS:
            return True
        if self._last_ns is not None and behind == 0:
            raise SkippedFrame('repeated stamp', 'its stamp is that of the frame before')
        if behind > 0:
            raise SkippedFrame('out of order', f'it is {behind * 1e-9:.3f} s older than the frame before')
        if -behind > self._jump_ahead_ns and (self._ahead_ns is None or stamp_ns < self._ahead_ns):
            self._ahead_ns = stamp_ns
            raise SkippedFrame('far ahead', f'it is {-behind * 1e-9:.0f} s newer than the frame before; the next one '
                               'will show whether that is so')
        return False


def camera_of(shape: tuple[int, ...], camera: Camera, what: str) -> Camera:
    """Return the camera of an image, binning and region of interest applied.

    :param shape: (height, width).
    :raises SkippedFrame: when the image is of no use, or the calibration does not belong to it.
    """
    if len(shape) != 2 or min(shape) < SMALLEST_SIDE:
        smallest = f'{SMALLEST_SIDE}x{SMALLEST_SIDE}'
        raise SkippedFrame('image too small', f'{what} of shape {shape} is smaller than {smallest}')
    try:
        return camera.of_image(shape[1], shape[0])
    except ValueError as error:
        raise SkippedFrame('calibration of another size', f'{what} {error}') from error
