"""Photographs made dark, blurred, shadowed, noisy, compressed or small, the same way every time.

A degradation is named KIND-AMOUNT, as ``dark-64`` or ``motion-15``; several are joined by '+', and applied in the
order in which light, lens and sensor would. Every random draw follows from the name and a number, so the same
photograph gives the same picture.

``dark-N`` is a camera with automatic gain in a scene with 1 / N of the light: the photograph is taken as display
values (gamma 2.2), its linear light becomes photoelectrons (:data:`FULL_WELL` at white of the photograph, divided by
N) with Poisson noise, :data:`READ_NOISE` is added and a gain of N, at most :data:`MOST_GAIN`, applied. ``raw-dark-N``
is without gain and without gamma: few gray levels remain.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import cv2
import numpy as np

SEED = 20250
GAMMA = 2.2
FULL_WELL = 10_000.0
"""Electrons at white: a pixel of 3 um."""
READ_NOISE = 4.0
"""Electrons, standard deviation."""
BLACK = 0.01
"""Black level, a part of the range of 8 bits."""
MOST_GAIN = 16.0
SHADE = 0.06
"""What part of the light arrives in a shadow."""

NAMES = (
    'original', *(f'dark-{n}' for n in (64, 128, 512)), *(f'raw-dark-{n}' for n in (16, 32, 64)),
    *(f'blur-{n}' for n in (2, 3, 4)), *(f'motion-{n}' for n in (7, 15, 23)), *(f'noise-{n}' for n in (20, 60)),
    'shadow-edge', 'shadow-blinds', *(f'salt-{n}' for n in (5, 20)), 'jpeg-10',
    *(f'downscale-{n}' for n in (2, 4)), 'dark-64+blur-2', 'dark-64+motion-15', 'shadow-edge+blur-2')
"""What an evaluation goes through unless others are named."""


def degrade(image: np.ndarray, name: str, draw: int = 0) -> np.ndarray:
    """Return a (H, W) uint8 photograph degraded; ``downscale`` changes its size.

    :param draw: number of the random draw.
    :raises ValueError: for a name that is none.
    """
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), draw])
    for kind, amount in sorted(parts(name), key=lambda part: _ORDER.index(part[0])):
        image = _KINDS[kind](image, amount, rng)
    return image


def parts(name: str) -> list[tuple[str, str]]:
    """Return kind and amount of every part of a name.

    :raises ValueError: naming the part that is none.
    """
    found = []
    for part in name.split('+'):
        kind, _, amount = part.rpartition('-')
        kind = kind or part
        right = amount in _SHADOWS if kind == 'shadow' else kind == 'original' or _is_amount(kind, amount)
        if kind not in _KINDS or not right:
            known = ', '.join(name for name in _ORDER if name not in ('shadow', 'original'))
            shadows = ', '.join(f'shadow-{name}' for name in _SHADOWS)
            raise ValueError(f'degradation {part!r}: expected original, {shadows}, or KIND-N with KIND one of {known}')
        found.append((kind, amount))
    return found


def move(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return where pixels (N, 2) of the photograph lie in the degraded picture, (0, 0) being a pixel's centre."""
    factor = 1.0
    for kind, amount in parts(name):
        factor /= float(amount) if kind == 'downscale' else 1.0
    return (np.asarray(pixels, np.float64) + 0.5) * factor - 0.5


def _is_amount(kind: str, text: str) -> bool:
    try:
        return float(text) > 0 and not (kind in ('motion', 'jpeg') and not float(text).is_integer())
    except ValueError:
        return False


def _original(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return image


def _downscale(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return cv2.resize(image, None, fx=1 / float(amount), fy=1 / float(amount), interpolation=cv2.INTER_AREA)


def _blur(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), float(amount))


def _motion(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    kernel = motion_kernel(int(float(amount)), rng.uniform(0, np.pi))
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT)


def motion_kernel(length: int, angle: float) -> np.ndarray:
    """Return the kernel, of sum 1, of a straight motion of ``length`` pixels at ``angle`` (radians)."""
    fine, size = 8, length | 1
    canvas = np.zeros((size * fine, size * fine), np.float32)
    middle, half = (size * fine - 1) / 2, np.array([np.cos(angle), np.sin(angle)]) * fine * length / 2
    start, end = (tuple(round(float(v)) for v in middle + side * half) for side in (-1, 1))
    cv2.line(canvas, start, end, 1.0, fine)
    kernel = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()


def _shadow(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    across = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
    lit = cv2.GaussianBlur(_SHADOWS[kind](across, rng).astype(np.float32), (0, 0), 1.0)
    return _rounded(_encoded(_light(image) * (SHADE + (1 - SHADE) * lit)) * 255)


def _edge(across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return across > rng.uniform(-0.1, 0.1) * across.shape[1]


def _blinds(across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (across / (across.shape[1] / rng.uniform(9, 12))) % 1 > 0.5


def _soft(across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    coarse = rng.normal(0, 1, (4, 5)).astype(np.float32)
    blobs = cv2.resize(coarse, across.shape[::-1], interpolation=cv2.INTER_CUBIC) > 0
    return cv2.GaussianBlur(blobs.astype(np.float32), (0, 0), 8)


def _raw_dark(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return _rounded(_signal(image, float(amount), 1.0, rng) * 255)


def _dark(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return _rounded(_encoded(_signal(image, float(amount), min(float(amount), MOST_GAIN), rng)) * 255)


def _signal(image: np.ndarray, factor: float, gain: float, rng: np.random.Generator) -> np.ndarray:
    """Return what a sensor makes of 1 / ``factor`` of the light, 1 being white."""
    electrons = rng.poisson(_light(image) * (FULL_WELL / factor)) + rng.normal(0, READ_NOISE, image.shape)
    return electrons / FULL_WELL * gain + BLACK


def _noise(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    return _rounded(image + rng.normal(0, float(amount), image.shape))


def _salt(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    grain, part = rng.uniform(0, 1, image.shape), float(amount) / 200      # half black, half white
    return np.where(grain < part, 0, np.where(grain > 1 - part, 255, image)).astype(np.uint8)


def _jpeg(image: np.ndarray, amount: str, rng: np.random.Generator) -> np.ndarray:
    stored = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, int(float(amount))])[1]
    return cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)


def _light(image: np.ndarray) -> np.ndarray:
    return (image.astype(np.float64) / 255) ** GAMMA


def _encoded(light: np.ndarray) -> np.ndarray:
    return np.clip(light, 0, 1) ** (1 / GAMMA)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


_SHADOWS = {'edge': _edge, 'blinds': _blinds, 'soft': _soft}
_KINDS: dict[str, Callable[[np.ndarray, str, np.random.Generator], np.ndarray]] = {
    'original': _original, 'downscale': _downscale, 'blur': _blur, 'motion': _motion, 'shadow': _shadow,
    'raw-dark': _raw_dark, 'dark': _dark, 'noise': _noise, 'salt': _salt, 'jpeg': _jpeg}
_ORDER = tuple(_KINDS)
