"""RVL: run lengths of absent pixels, and differences of neighbours, in nibbles (A. D. Wilson, ISS 2017)."""

from __future__ import annotations

import numpy as np

from superslam_ros.conversions.errors import ConversionError

_MOST_PIXELS = 2**26
_MOST_NIBBLES = 11
"""Of a number of 32 bits, three bits in each."""


def decode_rvl(data: np.ndarray) -> np.ndarray:
    """Return the (H, W) uint16 image of compressed_depth_image_transport: width and height (uint32), then RVL.

    :param data: (N,) uint8.
    :raises ConversionError: when the data are cut off or make no image.
    """
    if len(data) < 8:
        raise ConversionError('RVL image is cut off', f'{len(data)} bytes')
    width, height = np.frombuffer(data[:8].tobytes(), '<u4').tolist()
    if not 0 < width * height <= _MOST_PIXELS:
        raise ConversionError('RVL image of an impossible size', f'{width}x{height}')
    numbers = _numbers(data[8:])
    image = np.zeros(width * height, np.uint16)
    found, runs, done = [], [], 0       # found: where in the image the pixels of a run go; runs: their numbers
    at = 0
    while done < len(image):
        if at >= len(numbers):
            raise ConversionError('RVL image is cut off', f'{done} of {width}x{height} pixels')
        done += int(numbers[at])                        # absent pixels, which stay zero
        count = int(numbers[at + 1]) if at + 1 < len(numbers) else 0
        if done + count > len(image) or at + 2 + count > len(numbers) + (count == 0):
            raise ConversionError('RVL image is damaged', f'at pixel {done} of {width}x{height}')
        found.append(slice(done, done + count))
        runs.append(numbers[at + 2:at + 2 + count])
        done, at = done + count, at + 2 + count
    differences = np.concatenate(runs)
    values = np.cumsum((differences >> 1) ^ -(differences & 1)).astype(np.uint16)
    start = 0
    for run in found:
        count = run.stop - run.start
        image[run] = values[start:start + count]
        start += count
    return image.reshape(height, width)


def _numbers(data: np.ndarray) -> np.ndarray:
    """Return the numbers in the data as int64: three bits in a nibble, the lowest first, a fourth while more follow."""
    words = np.frombuffer(data[:len(data) // 4 * 4].tobytes(), '<u4').astype('>u4')
    octets = words.view(np.uint8)
    nibbles = np.stack([octets >> 4, octets & 15], 1).reshape(-1)
    last = np.flatnonzero(nibbles < 8)
    if not len(last):
        return np.zeros(0, np.int64)
    nibbles = nibbles[:last[-1] + 1]
    starts = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(nibbles)) - np.repeat(starts, np.diff(np.append(starts, len(nibbles))))
    if place.max() >= _MOST_NIBBLES:
        raise ConversionError('RVL image is damaged', 'a number of more than 32 bits')
    return np.add.reduceat((nibbles & 7).astype(np.int64) << (3 * place), starts)
