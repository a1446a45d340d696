"""The corners that a drawing, laid over an image and blurred like it, has where it fits best.

Lucas and Kanade (IJCAI 1981) around every corner, with the drawing as the template; then each corner is drawn towards
where the others say it should be, the more the less its own surroundings tell (empirical Bayes).
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.boards.warp import Region, Warp

_LEVEL_SQUARES = 0.8
"""Standard deviation of the window in which brightness and contrast are taken to be even."""
_WINDOW_SQUARES = 0.4
"""Of the window around a corner that moves as one."""
_FARTHEST_SQUARES = 0.2
"""Of a step."""
_SMALLEST_BLUR, _LARGEST_BLUR = 0.02, 0.6
_SIGMA_FLOOR_PX, _BEND_FLOOR_PX = 0.02, 0.04
_PRIOR_SQUARES = 0.15
_SMALL_KERNEL = 5
"""Reach up to which filter2D is quick; beyond, its own Fourier transform takes ten times as long as this one."""


class Aligned(NamedTuple):
    """Where the corners of a board are, with how surely, and how well the drawing fits around each.

    :ivar pixels: (N, 2); ``sigma_px`` (N,) of each coordinate, NaN outside the image.
    :ivar own: (N, 2) by what is around each corner alone, whose errors are independent; ``own_sigma_px`` (N,).
    :ivar fit: (N,) correlation around the corner, NaN outside the image.
    :ivar blur: (2, 2) square root of the blur's covariance, in squares.
    :ivar seen: (rows * samples, columns * samples) float32, the image on the squares, levelled; ``drawn`` the drawing,
        blurred and levelled; ``mask`` bool, inside the image.
    """

    pixels: np.ndarray
    sigma_px: np.ndarray
    own: np.ndarray
    own_sigma_px: np.ndarray
    fit: np.ndarray
    blur: np.ndarray
    seen: np.ndarray
    drawn: np.ndarray
    mask: np.ndarray


class Leveller:
    """Gives images of one mask even brightness and contrast; zero outside the mask."""

    def __init__(self, mask: np.ndarray, samples: int) -> None:
        """Take the mask (H, W) bool, and how many samples a square has."""
        self.mask, self.samples = mask, samples
        self._weight = mask.astype(np.float32)
        self._window = self._blur(self._weight) + 1e-3
        self._wide = self._blur(self._weight, 1.5) + 1e-3

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return an image (H, W) float32, levelled."""
        away = (image - self._blur(image * self._weight) / self._window) * self._weight
        variance = self._blur(away * away, 1.5) / self._wide
        typical = float(np.median(variance[self.mask])) if self.mask.any() else 1.0
        return away / np.sqrt(variance + 0.02 * typical + 1e-9)

    def _blur(self, image: np.ndarray, times: float = 1.0) -> np.ndarray:
        return _blur(image, self.samples * _LEVEL_SQUARES * times)


class Look:
    """An image on the squares of a region: ``flat`` (rows * samples, columns * samples), levelled; ``level``, which
    does the same to a drawing of it.
    """

    def __init__(self, image: np.ndarray, warp: Warp, region: Region) -> None:
        """Look at an image (H, W) float32 with the squares where ``warp`` has them."""
        self._seen, mask = warp.rectify(image, region)
        self.level = Leveller(mask, region.samples)
        self.flat = self.level(self._seen)

    @cached_property
    def half(self) -> tuple[np.ndarray, Leveller]:
        """The same with half as many samples, and what levels a drawing of it."""
        mask = self.level.mask
        level = Leveller(np.ascontiguousarray(mask[::2, ::2] & mask[1::2, 1::2]), self.level.samples // 2)
        return level(_halved(self._seen)), level


def align(image: np.ndarray, warp: Warp, template: np.ndarray, region: Region, corners: np.ndarray,
          blur: np.ndarray | None = None, rounds: int = 2, look: Look | None = None) -> Aligned:
    """Lay a drawing over an image.

    :param image: (H, W) float32.
    :param warp: where the squares of the region are now.
    :param template: (rows * samples, columns * samples) float32, what is drawn on the region; ``samples`` is even.
    :param corners: (N, 2) places of the corners to find, in squares.
    :param blur: of the image as far as it is known, as :class:`Aligned` has it.
    :param look: at the image with this warp and region, where there is one already.
    """
    steps, blur = (4, np.eye(2) * _SMALLEST_BLUR) if blur is None else (1, blur)
    found = None
    for turn in range(rounds):
        if turn or look is None:
            look = Look(image, warp, region)
        if turn == 0:
            blur = _fit_blur(look, template, blur, steps)
        mask, drawn = look.level.mask, look.level(_blurred(template, blur, region.samples))
        found = Aligned(*_step(warp, look.flat, drawn, mask, region, corners), blur, look.flat, drawn, mask)
        usable = np.isfinite(found.sigma_px)
        if usable.sum() < 4 or turn == rounds - 1:
            break
        try:
            warp = Warp(corners[usable], found.pixels[usable], _weights(found.sigma_px[usable]))
        except ValueError:
            break
    return found


def _weights(sigma_px: np.ndarray) -> np.ndarray:
    weights = 1 / sigma_px**2
    return weights / weights.mean()


def _step(warp: Warp, seen: np.ndarray, drawn: np.ndarray, mask: np.ndarray, region: Region,
          corners: np.ndarray) -> tuple[np.ndarray, ...]:
    """Move every corner to where the drawing fits better, then towards where the others say.

    :returns: the first five fields of :class:`Aligned`.
    """
    samples = region.samples
    gain = float((seen * drawn * mask).sum() / max((drawn * drawn * mask).sum(), 1e-6))
    drawn = drawn * gain
    dx, dy = (cv2.Sobel(drawn, cv2.CV_32F, *axis, ksize=3, scale=samples / 8) * mask for axis in ((1, 0), (0, 1)))
    error = (seen - drawn) * mask
    place = ((corners - [region.x, region.y]) * samples - 0.5).astype(np.float32)

    def around(values: np.ndarray) -> np.ndarray:
        total = _blur(values, samples * _WINDOW_SQUARES) * (2 * np.pi * (samples * _WINDOW_SQUARES)**2)
        return cv2.remap(total, place[:, 0], place[:, 1], cv2.INTER_LINEAR).ravel().astype(np.float64)

    xx, xy, yy, xe, ye, ee, ss, dd, sd, mm = map(around, (
        dx * dx, dx * dy, dy * dy, dx * error, dy * error, error * error, seen * seen, drawn * drawn, seen * drawn,
        mask.astype(np.float32)))
    fit = np.where(mm > 0.5 * mm.max(), sd / np.sqrt(ss * dd + 1e-9), np.nan)
    along = warp.jacobian(corners)
    area = np.abs(along[:, 0, 0] * along[:, 1, 1] - along[:, 0, 1] * along[:, 1, 0])
    side = np.sqrt(area)
    # The pixels of the image are what is independent, not the samples taken between them.
    thinned = np.clip(area / samples**2, 1e-6, 1.0)
    variance = ee / np.maximum(mm, 1e-6) + 1e-4
    trace = xx + yy
    held = variance / thinned / _PRIOR_SQUARES**2
    determinant = (xx + held) * (yy + held) - xy * xy
    move = -np.stack([(yy + held) * xe - xy * ye, (xx + held) * ye - xy * xe], 1) / determinant[:, None]
    length = np.linalg.norm(move, axis=1, keepdims=True)
    move *= np.minimum(1, _FARTHEST_SQUARES / np.maximum(length, 1e-9))
    sigma = np.sqrt(variance / thinned * (trace + 2 * held) / determinant / 2) * side
    sigma = np.where(np.isfinite(fit), np.hypot(sigma, _SIGMA_FLOOR_PX), np.nan)
    own = warp(corners + move)
    return draw_together(own, sigma, fit, corners)


def draw_together(own: np.ndarray, sigma: np.ndarray, fit: np.ndarray,
                   corners: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weigh each corner's own place with the one that the others give it."""
    usable = np.isfinite(sigma) & np.isfinite(own).all(1)
    sigma = np.where(usable, sigma, np.nan)
    pixels, out = own.copy(), sigma.copy()
    none = own, sigma, own, sigma, fit
    if usable.sum() < 6:
        return none
    try:
        others = Warp(corners[usable], own[usable], _weights(sigma[usable]))
    except ValueError:
        return none
    smooth = others.without_own()
    away = ((own[usable] - smooth)**2).sum(1) / 2
    variance = sigma[usable]**2
    # What the corners differ from smoothness by, beyond their noise; that of the smooth ones is about a third of it.
    bend = max(float(np.median(away) / 0.69 - 1.35 * np.median(variance)), _BEND_FLOOR_PX**2)
    smooth_variance = bend + 0.35 * np.median(variance)
    share = smooth_variance / (smooth_variance + variance)
    pixels[usable] = smooth + share[:, None] * (own[usable] - smooth)
    out[usable] = np.sqrt(share * variance)
    return pixels, out, own, sigma, fit


def _fit_blur(look: Look, template: np.ndarray, blur: np.ndarray, rounds: int) -> np.ndarray:
    """Return the covariance of the Gaussian that makes the drawing most like the image.

    Gauss-Newton by the heat equation: a change S of the covariance adds half of trace(S Hessian) to what is blurred.
    Half the samples are enough.
    """
    seen, level = look.half
    template, mask, samples = _halved(template), level.mask, level.samples
    if not mask.any():
        return blur
    for _ in range(rounds):
        drawn = _blurred(template, blur, samples)
        flat = level(drawn)
        contrast = float(np.sqrt((drawn[mask]**2).mean() - drawn[mask].mean()**2) + 1e-6)
        xx, xy, yy = (cv2.Sobel(drawn, cv2.CV_32F, *axis, ksize=3) * scale / (2 * contrast)
                      for axis, scale in (((2, 0), samples**2 / 4), ((1, 1), samples**2 / 2), ((0, 2), samples**2 / 4)))
        columns = np.stack([part[mask] for part in (flat, xx, xy, yy)], 1).astype(np.float64)
        normal = columns.T @ columns
        solved = np.linalg.solve(normal + 1e-3 * np.diag(np.diag(normal)) + 1e-9 * np.eye(4),
                                 columns.T @ seen[mask])
        change = np.array([[solved[1], solved[2]], [solved[2], solved[3]]]) / max(solved[0], 0.2)
        values, vectors = np.linalg.eigh(blur @ blur + change * 1.0)
        values = np.sqrt(np.clip(values, _SMALLEST_BLUR**2, _LARGEST_BLUR**2))
        before, blur = blur, (vectors * values) @ vectors.T
        if np.abs(blur - before).max() < 0.01:
            break
    return blur


def _blurred(image: np.ndarray, root: np.ndarray, samples: int) -> np.ndarray:
    """Blur by a Gaussian whose covariance is the square of ``root`` (2, 2), in squares."""
    covariance = root @ root * samples**2
    reach = int(np.ceil(2.5 * np.sqrt(np.diag(covariance).max()))) or 1
    y, x = np.mgrid[-reach:reach + 1, -reach:reach + 1]
    xx, xy, yy = np.linalg.inv(covariance)[[0, 0, 1], [0, 1, 1]]
    kernel = np.exp(-(xx * x * x + 2 * xy * x * y + yy * y * y) / 2).astype(np.float32)
    kernel /= kernel.sum()
    if reach <= _SMALL_KERNEL:
        return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    image = cv2.copyMakeBorder(image, *[reach] * 4, cv2.BORDER_REPLICATE)
    shape = [cv2.getOptimalDFTSize(side) for side in image.shape]
    spectra = [cv2.dft(np.pad(part, [(0, side - own) for side, own in zip(shape, part.shape)]))
               for part in (image, kernel)]
    found = cv2.dft(cv2.mulSpectrums(*spectra, 0), flags=cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
    return np.ascontiguousarray(found[2 * reach:image.shape[0], 2 * reach:image.shape[1]])


def _halved(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by three boxes, almost a Gaussian and as quick for any width."""
    width = max(1, 2 * round((np.sqrt(4 * sigma * sigma + 1) - 1) / 2) + 1)
    for _ in range(3):
        image = cv2.blur(image, (width, width), borderType=cv2.BORDER_CONSTANT)
    return image
