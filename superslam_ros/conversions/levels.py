"""Gray levels of more than 8 bits to 8, without losing the contrast of cameras that use few of them."""

from __future__ import annotations

import logging

import numpy as np

log = logging.getLogger(__name__)

ENOUGH = 32
"""Gray levels of 256 that an image should keep, from its darkest to its brightest."""
TOO_FEW = 8
"""Of an image with so few, nothing can be found in it."""
_EXTREMES = 0.5
"""Percent of the pixels at either end that are not looked at: noise and broken pixels."""
_MARGIN = 0.1
_BEYOND = 0.02
"""Part of the pixels beyond the range from which on it is widened."""
_SAMPLES = 20_000
_STRIP = 2**18
"""Pixels that are scaled at a time: in floating point they take up to eight times their memory."""
_PATIENCE = 5
"""Images without contrast before that is said."""


class Levels:
    """Which stored levels of one camera are black and white.

    Unless they are given: all that the encoding can hold, or, where so few are used that less than ``ENOUGH`` gray
    levels would remain (thermal cameras, 10 and 12 bits stored in 16), those in use in the first such image. That
    range is only ever widened, when an image goes beyond it, so that the brightness of things stays the same from
    image to image, and the same images in the same order give the same result.

    :ivar range: (black, white) in stored levels, where it is not all that the encoding can hold.
    """

    def __init__(self, black: float = 0.0, white: float = 0.0, watched: bool = True) -> None:
        """Take the levels of black and white; 0 and 0: find them.

        :param watched: False: take all that the encoding can hold, and say nothing.
        :raises ValueError: when white is not above black.
        """
        if (black or white) and not white > black:
            raise ValueError(f'black_level {black:g}, white_level {white:g}: white must be above black, or both 0')
        self._watched, self._flat, self._said = watched, 0, False
        self._given = 0.0, 0.0
        self.range: tuple[float, float] | None = None
        self.set(black, white)

    @classmethod
    def all(cls) -> Levels:
        """Return the levels that an encoding can hold, for a single image."""
        return cls(watched=False)

    def set(self, black: float, white: float) -> None:
        """Take other levels from now on; white that is not above black (yet: they are set one by one) does nothing."""
        if (black, white) != self._given and (white > black or not (black or white)):
            self._given = black, white
            self.range = (black, white) if white > black else None

    def to_bytes(self, array: np.ndarray, full: tuple[float, float] | None) -> np.ndarray:
        """Return pixels of any type as uint8.

        :param full: black and white of the encoding; None: 0 to 1, or to 255 where a value is beyond 1.
        """
        if array.dtype == np.uint8 and full == (0, 255):
            self._look(array, array, (0, 255))
            return array
        if array.dtype.kind == 'f':
            array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
            full = full or (0, 1 if array.max() <= 1 else 255)
        if self._watched and self._given == (0, 0):
            self._find(_sample(array), full)
        result = _scale(array, *(self.range or full))
        self._look(result, array, full)
        return result

    def _find(self, sample: np.ndarray, full: tuple[float, float]) -> None:
        """Take, or widen, the range, where a sample of pixels asks for it."""
        low, high = np.percentile(sample, (_EXTREMES, 100 - _EXTREMES)).tolist()
        if self.range is None:
            kept = np.ptp(_scale(np.array([low, high]), *full).astype(int))
            if kept >= ENOUGH or not high > low:
                return
            margin = _MARGIN * (high - low)
            self.range = low - margin, high + margin
            log.warning('the image uses the levels %g to %g of %g to %g, of which %d of 256 gray levels would remain: '
                        'they are stretched; extractor.black_level and extractor.white_level set the range', low, high,
                        *full, kept + 1)
            return
        black, white = self.range
        if max((sample < black).mean(), (sample > white).mean()) > _BEYOND:
            margin = _MARGIN * (high - low)
            self.range = min(black, low - margin), max(white, high + margin)
            log.warning('the image goes beyond the levels %g to %g: %g to %g from now on', black, white, *self.range)

    def _look(self, result: np.ndarray, array: np.ndarray, full: tuple[float, float]) -> None:
        """Say so, once, when image after image has no contrast."""
        if self._said or not self._watched:
            return
        low, high = np.percentile(_sample(result), (_EXTREMES, 100 - _EXTREMES))
        self._flat = self._flat + 1 if high - low < TOO_FEW else 0
        if self._flat < _PATIENCE:
            return
        self._said = True
        stored = np.percentile(_sample(array), (_EXTREMES, 100 - _EXTREMES))
        remedy = ('look at extractor.black_level and extractor.white_level' if self.range
                  else 'look at the exposure, the gain and the lens cap')
        log.warning('%d images in a row have no contrast: %d of 256 gray levels, from stored levels %g to %g (%g to %g '
                    'can be stored): %s', _PATIENCE, high - low + 1, *stored, *full, remedy)


def _sample(array: np.ndarray) -> np.ndarray:
    """Return some of the pixels, evenly: with an odd stride, so that a mosaic gives all of its colours."""
    flat = array.reshape(-1)
    return flat[::max(1, len(flat) // _SAMPLES) | 1]


def _scale(array: np.ndarray, black: float, white: float) -> np.ndarray:
    """Bring levels from black to white to 0 to 255, what is beyond to the ends."""
    result = np.empty(array.shape, np.uint8)
    rows = max(1, _STRIP * len(array) // array.size)
    for top in range(0, len(array), rows):
        result[top:top + rows] = _scaled(array[top:top + rows], black, white)
    return result


def _scaled(array: np.ndarray, black: float, white: float) -> np.ndarray:
    if array.dtype.kind == 'u' and black == 0 and (white + 1) % 256 == 0:   # a power of two: 2^n levels become one
        return np.minimum(array // np.array((white + 1) // 256, array.dtype), 255)
    scaled = (array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64) - black) * (255 / (white - black))
    return np.rint(scaled).clip(0, 255)
