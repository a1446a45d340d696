"""Corners from what is next to them alone: where the edges that meet there cross.

Foerstner and Guelch, A Fast Operator for Detection and Precise Location of Distinct Points (1987): the point from
which all gradients around are seen at a right angle. It knows nothing of a drawing, so a print that is not true to it
does no harm; in noise and blur its covariance says how little it tells.
"""

from __future__ import annotations

import cv2
import numpy as np

from superslam_ros.boards.align import Aligned

PRINT_PX, SADDLE_PX = 0.12, 0.08
"""Errors that do not come from noise: of prints that are not true to the drawing, and of this method in itself.

Rendered boards of :func:`worlds.boards.render_boards` at 640x480 whose print is off by 0.2 mm (random, smooth over a
square of 25 to 40 mm) have median errors of 0.062 px with these, 0.061 with 0.06 and 0.08, 0.067 with 0.2 and 0.08,
0.060 with 0.12 twice: it matters little. Of prints that are exact, the drawing alone would tell more: 0.011 px, not
0.047. So rendered boards alone would not choose these values: they come from photographs of OpenCV's and
PhotonVision's, where 0.12 twice gives 0.110 px on PhotonVision's, and these 0.099.
"""
_ROUNDS = 4
_FARTHEST = 0.6
"""Of the window's radius: corners that move farther are not to be believed."""


def cross(image: np.ndarray, pixels: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (N, 2) and a standard deviation (N,) of each coordinate, infinite where there is none.

    The deviation counts as noise what the blur of the edges does, and is too large where there is little noise.

    :param image: (H, W) float32.
    :param pixels: (N, 2) where to begin.
    :param radius: of the square window around each, in pixels; no other edges may be in it.
    """
    y, x = np.mgrid[-radius - 1:radius + 2, -radius - 1:radius + 2].astype(np.float64)
    inner = slice(1, -1), slice(1, -1)
    offset = np.stack([x[inner].ravel(), y[inner].ravel()], axis=1)
    weight = np.exp(-(offset**2).sum(1) / (2 * (0.6 * radius)**2))
    at = pixels.copy()
    sigma = np.full(len(pixels), np.inf)
    height, width = image.shape
    for turn in range(_ROUNDS):
        place = (at[:, None] + np.stack([x.ravel(), y.ravel()], 1)).astype(np.float32)
        patch = cv2.remap(image, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        patch = patch.reshape(len(at), *x.shape).astype(np.float64)
        gx = ((patch[:, 1:-1, 2:] - patch[:, 1:-1, :-2]) / 2).reshape(len(at), -1)
        gy = ((patch[:, 2:, 1:-1] - patch[:, :-2, 1:-1]) / 2).reshape(len(at), -1)
        xx, xy, yy = (gx * gx) @ weight, (gx * gy) @ weight, (gy * gy) @ weight
        across = gx * offset[:, 0] + gy * offset[:, 1]
        bx, by = (gx * across) @ weight, (gy * across) @ weight
        determinant = np.maximum(xx * yy - xy * xy, 1e-20)
        move = np.stack([yy * bx - xy * by, xx * by - xy * bx], 1) / determinant[:, None]
        if turn == _ROUNDS - 1:
            break
        at += np.clip(move, -1, 1)
    residual = across - gx * move[:, :1] - gy * move[:, 1:]
    variance = (residual**2) @ weight / weight.sum() * (weight**2).sum() / weight.sum()
    sigma = np.sqrt(variance * (xx + yy) / determinant / 2)
    near = np.linalg.norm(at - pixels, axis=1) < _FARTHEST * radius
    inside = ((at > radius) & (at < np.array([width, height]) - 1 - radius)).all(axis=1)
    return at, np.where(near & inside & np.isfinite(sigma), sigma, np.inf)


def join(image: np.ndarray, found: Aligned, radius: int) -> Aligned:
    """Take the mean of where a drawing fits best and where the edges cross, weighted by their variances.

    What the two differ by more than their own errors is taken to be what noise does to the latter.
    """
    crossing, sigma = cross(image, np.where(np.isfinite(found.own), found.own, 0.0), radius)
    apart = ((crossing - found.own)**2).sum(1)
    usable = np.isfinite(sigma) & np.isfinite(found.own_sigma_px)
    if not usable.any():
        return found
    typical = float(np.median(apart[usable])) / (2 * np.log(2))
    alone = SADDLE_PX**2 + max(0.0, typical - PRINT_PX**2 - SADDLE_PX**2)
    usable &= apart < 9 * typical + PRINT_PX**2

    def mean(pixels: np.ndarray, sigma_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        variance = sigma_px**2 + PRINT_PX**2
        share = np.where(usable, variance / (variance + alone), 0.0)[:, None]
        return pixels + share * np.where(usable[:, None], crossing - pixels, 0), np.sqrt((1 - share[:, 0]) * variance)

    pixels, sigma_px = mean(found.pixels, found.sigma_px)
    own, own_sigma_px = mean(found.own, found.own_sigma_px)
    return found._replace(pixels=pixels, sigma_px=sigma_px, own=own, own_sigma_px=own_sigma_px)
