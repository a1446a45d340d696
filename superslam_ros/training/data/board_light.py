"""What light, lens and sensor make of a scene: (H, W) float32 light in, a gray image of 8 bits out."""

from __future__ import annotations

import math

import cv2
import numpy as np

GAMMA = 2.2
_BLINDS_PX = (8, 130)
_DARKEST = 9.5      # stops
_WELL = (3.3, 4.3)  # powers of ten: electrons at white


def illuminate(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shade a scene of reflectances: fall-off, vignetting, shadows with or without soft edges, glare."""
    height, width = light.shape
    y, x = np.ogrid[-0.5:0.5:height * 1j, -0.5:0.5:width * 1j]
    angle, steep = rng.uniform(0, 2 * math.pi), rng.uniform(0, 2.0)
    light = light * np.exp(steep * np.cos(angle) * x) * np.exp(steep * np.sin(angle) * y)
    if rng.random() < 0.3:
        light *= 1 - rng.uniform(0, 1.2) * (x * x + y * y)
    if rng.random() < 0.4:
        light *= _shadows(height, width, rng)
    for _ in range(int(rng.random() < 0.2) * rng.integers(1, 3)):
        at, size = rng.uniform(-0.5, 0.5, 2), rng.uniform(0.02, 0.3, 2)
        spot = np.exp(-((x - at[0]) / size[0]) ** 2) * np.exp(-((y - at[1]) / size[1]) ** 2)
        light += rng.uniform(0.1, 2.5) * spot
    return light.astype(np.float32)


def _shadows(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return what part of the light arrives, (H, W): blinds, an edge, blobs or cast shapes."""
    kind, lit = rng.random(), np.ones((height, width), np.float32)
    dark = rng.uniform(0.02, 0.6)
    if kind < 0.35:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        angle, period = rng.uniform(0, math.pi), math.exp(rng.uniform(*np.log(_BLINDS_PX)))
        across = (x * math.cos(angle) + y * math.sin(angle)) / period + rng.random()
        lit[across % 1 < rng.uniform(0.25, 0.75)] = dark
    elif kind < 0.55:
        coarse = rng.standard_normal((4, 5), np.float32)
        lit[cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) > 0] = dark
    else:
        for _ in range(rng.integers(1, 4)):
            shape = rng.uniform(-0.4, 1.4, (rng.integers(3, 6), 2)) * [width, height]
            cv2.fillPoly(lit, [shape.astype(np.int32)], dark)
    return cv2.GaussianBlur(lit, (0, 0), math.exp(rng.uniform(-1, 2)))


def focus(light: np.ndarray, square_px: float, rng: np.random.Generator) -> np.ndarray:
    """Blur by defocus, motion, both or neither, in proportion to the squares: what is gone teaches nothing."""
    if rng.random() < 0.4:
        sigma = rng.uniform(0.3, min(5.0, max(0.8, 0.2 * square_px)))
        light = _disc(light, 2 * sigma) if rng.random() < 0.3 else cv2.GaussianBlur(light, (0, 0), sigma)
    if rng.random() < 0.35:
        kernel = motion(rng.uniform(2, min(32.0, max(5.0, 0.8 * square_px))), rng.uniform(0, math.pi),
                        rng.uniform(-0.15, 0.15) * (rng.random() < 0.3))
        light = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT)
    if rng.random() < 0.15:     # a camera that sharpens
        light = np.clip(light + rng.uniform(0.3, 1.5) * (light - cv2.GaussianBlur(light, (0, 0), 1.0)), 0, None)
    return light


def _disc(light: np.ndarray, radius: float) -> np.ndarray:
    reach = math.ceil(radius)
    y, x = np.ogrid[-reach:reach + 1, -reach:reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def motion(length: float, angle: float, bend: float = 0.0) -> np.ndarray:
    """Return the kernel of a motion along ``angle``, its centre of mass in the middle.

    :param bend: how far the path leaves the straight line, as part of its length.
    """
    along = np.linspace(-0.5, 0.5, 8 * math.ceil(length) + 1)
    across = bend * (4 * along**2 - 1 / 3)
    x = length * (along * math.cos(angle) - across * math.sin(angle))
    y = length * (along * math.sin(angle) + across * math.cos(angle))
    reach = math.ceil(max(np.abs(x).max(), np.abs(y).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right in (0, 1):
        for below in (0, 1):
            weight = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
            np.add.at(kernel, (top + below + reach, left + right + reach), weight.astype(np.float32))
    return kernel / kernel.sum()


def expose(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) uint8: exposure, photons, read noise, gain, black level, gamma, and 8 bits of it.

    Where the gain does not make up for the darkness, few gray levels are left.
    """
    light = light * (rng.uniform(0.4, 1.6) / max(float(np.percentile(light[::4, ::4], 95)), 0.02))
    dark = 2 ** rng.uniform(0, _DARKEST) if rng.random() < 0.55 else 1.0
    well, read = 10 ** rng.uniform(*_WELL) / dark, rng.uniform(1, 8)
    electrons = np.clip(light, 0, 4) * np.float32(well)
    noise = rng.standard_normal(light.shape, np.float32)
    electrons = electrons + noise * np.sqrt(electrons + np.float32(read * read))
    gain = dark ** rng.choice([0.0, 1.0, rng.random()])
    gain = max(gain, dark / 100)        # below two levels of gray nothing is left to learn
    signal = electrons * np.float32(gain / (well * dark)) + np.float32(rng.uniform(0, 0.03))
    if gain * 4 > dark or rng.random() < 0.5:
        signal = np.clip(signal, 0, 1) ** np.float32(1 / GAMMA)
    return _quantised(signal * 255)


def develop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Do to an image of 8 bits what happens to it afterwards: contrast, noise, salt and pepper, JPEG, negatives."""
    if rng.random() < 0.2:
        image = _quantised((image - np.float32(128)) * np.float32(rng.uniform(0.15, 1.4)) + rng.uniform(60, 200))
    if rng.random() < 0.12:
        image = _quantised(image + rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(5, 80)))
    if rng.random() < 0.12:
        grain, part = rng.random(image.shape, np.float32), rng.uniform(0, 0.13)
        image = np.where(grain < part, 0, np.where(grain > 1 - part, 255, image)).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(4, 90))]
        image = cv2.imdecode(cv2.imencode('.jpg', image, quality)[1], cv2.IMREAD_GRAYSCALE)
    if rng.random() < 0.04:
        image = 255 - image
    return image


def _quantised(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
