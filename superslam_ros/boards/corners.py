"""Corners of chessboards in an image: found in a small copy first, then where they are, as large as need be."""

from __future__ import annotations

import math
import os

import cv2
import numpy as np
import torch
from torch import Tensor

from superslam_ros.boards.types import Corners
from superslam_ros.models import board_corners, board_refine, checkpoint
from superslam_ros.models.superpoint import CELL, score_map

FIRST_PIXELS, MOST_PIXELS = 480 * 320, 1280 * 720
"""The first look is at a copy of at most so many pixels; no look at all is at a copy, or part of one, of more."""
MOST_ENLARGED = 640 * 480
"""Pixels of a part that is enlarged, when it is."""
LARGEST = -1
"""Copies are 2**level times smaller than the image; the largest, of parts with small squares, are twice as large."""
CLEAR_PX = 16.0
"""Squares of so many pixels need no closer look."""
LIKELY = 0.4
"""Score that most corners of a board have in a copy of the right size, in darkness and blur, too, and few others."""
FEW = 4
"""Fewer likely corners say nothing of where a board is."""
_AROUND = 2.5       # squares around likely corners, and around those there, for the closer look
_SAME = 0.3         # of a square: within this, what two looks have found is one corner
_LONE_PX = 24.0     # the square of a corner alone
PATCH_SQUARES = 1.5
"""Side of the widest patch that a corner is refined in, in squares."""
SHARES = 1.0, 0.5, 0.25
"""Sides of the patches that a corner is refined in, one after the other, as parts of the first."""
STEPS = 0.5, 4.0
"""Least and most pixels of the image per pixel of a patch."""
SURE = 0.5
"""A patch with a corner in it is believed from this probability on."""


class CornerDetector:
    """Finds inner corners of chessboards and ChArUco boards, of any board."""

    def __init__(
        self, weights: str | os.PathLike | None = None, refine_weights: str | os.PathLike | None = None,
        device: str | torch.device = 'cpu',
    ) -> None:
        """Read the networks.

        :param weights: of the corner network; ``refine_weights``: of that for positions between pixels. By default
            those that come with the package.
        :raises FileNotFoundError, ValueError: when weights are missing, or not of such a network.
        """
        self.device = torch.device(device)
        self._corners, self._refine = (
            checkpoint.load_like(kind, checkpoint.locate(role, given or '')).to(
                self.device, memory_format=torch.channels_last)
            for kind, role, given in ((board_corners.BoardCorners, 'board_corners', weights),
                                      (board_refine.BoardRefine, 'board_refine', refine_weights)))

    def __call__(self, gray: np.ndarray, region: tuple[int, int, int, int] | None = None) -> Corners:
        """Find corners, to a pixel or so; :meth:`refine` has them more exactly.

        The first look is at a small copy, the next ones at copies twice as large each, of the part where corners have
        been found, until squares are large enough; where few are likely, at the whole image, as large as it is at most.

        :param gray: (H, W) uint8, or floating point in [0, 1].
        :param region: (left, top, right, bottom) in pixels: look nowhere else.
        :returns: the best first.
        :raises ValueError: when the image is no gray one, or nothing of the region is in it.
        """
        image = _unit(gray)
        box = (0, 0, image.shape[1], image.shape[0]) if region is None else _within(region, image.shape)
        area = (box[2] - box[0]) * (box[3] - box[1])
        level = LARGEST
        while area / 4**level > FIRST_PIXELS:
            level += 1
        found = self._look(image, box, level)
        while level > LARGEST:
            square = spacing(found.pixels)
            likely = found.pixels[found.scores >= LIKELY]
            if len(likely) >= FEW:
                if square >= CLEAR_PX * 2**level:
                    break
                apart = np.linalg.norm(found.pixels[:, None] - likely[None], axis=2).min(1)
                near = found.pixels[apart <= _AROUND * square]
                low, high = near.min(0) - _AROUND * square, near.max(0) + _AROUND * square
                box = _within((*np.floor(low), *np.ceil(high)), image.shape)
            elif level == 0:
                break
            level -= 1
            if (box[2] - box[0]) * (box[3] - box[1]) / 4**level > (MOST_PIXELS if level >= 0 else MOST_ENLARGED):
                break
            found = _joined(self._look(image, box, level), found, _SAME * square)
        return found

    @torch.inference_mode()
    def _look(self, image: np.ndarray, box: tuple[int, int, int, int], level: int) -> Corners:
        """Return the corners in a box, seen in a copy that is 2**level times smaller than the image."""
        left, top, right, bottom = box
        part = image[top:bottom, left:right]
        sides = [math.ceil(side / 2**level / CELL) * CELL for side in part.shape]
        if level >= 0:
            missing = [side * 2**level - given for side, given in zip(sides, part.shape)]
            part = cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
            part = cv2.resize(part, sides[::-1], interpolation=cv2.INTER_AREA) if level else part
        else:
            part = cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            missing = [side - given for side, given in zip(sides, part.shape)]
            part = cv2.copyMakeBorder(part, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        logits = self._corners(torch.from_numpy(part)[None, None].to(self.device))
        pixels, scores, sigma = board_corners.peaks(score_map(logits)[0].cpu().numpy())
        scale = 2.0**level
        pixels = (pixels + 0.5) * scale - 0.5 + (left, top)
        inside = ((pixels > (left - 0.5, top - 0.5)) & (pixels < (right - 0.5, bottom - 0.5))).all(1)
        return Corners(pixels[inside], scores[inside], sigma[inside] * scale)

    @torch.inference_mode()
    def refine(
        self, gray: np.ndarray, pixels: np.ndarray, square_px: float | np.ndarray | None = None,
        sigma_px: float | np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Place corners between pixels: in a patch of one square and a half, then in smaller ones.

        A place is taken from a patch only when there is a corner in it, and when it is more certain than before.

        :param pixels: (N, 2) where the corners are to about a sixth of a square; ``sigma_px`` (N,): how certainly.
        :param square_px: (N,) or one length of the squares around, by default by the distances between corners.
        :returns: (N, 2) float64 pixels, (N,) standard deviation of each coordinate.
        :raises ValueError: when the image is no gray one.
        """
        pixels = np.asarray(pixels, np.float64).reshape(-1, 2)
        square = np.broadcast_to(spacing(pixels) if square_px is None else square_px, len(pixels))
        sigma = np.broadcast_to(square / 8 if sigma_px is None else sigma_px, len(pixels)).astype(np.float64)
        if not len(pixels):
            return pixels, sigma
        levels = board_refine.pyramid(torch.from_numpy(_unit(gray)).to(self.device))
        steps = PATCH_SQUARES / board_refine.PATCH * square
        for share in SHARES:
            step = (steps * share).clip(*STEPS)
            patches = board_refine.cut(levels, self._tensor(pixels), self._tensor(step))
            offsets, spread, logits = (part.cpu().double().numpy() for part in self._refine(patches))
            found = np.exp(spread) * step
            better = (logits > np.log(SURE / (1 - SURE))) & (found < sigma) & (
                np.abs(offsets) < board_refine.REACH + 1).all(1)
            pixels = np.where(better[:, None], pixels + offsets * step[:, None], pixels)
            sigma = np.where(better, found, sigma)
        return pixels, sigma

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)


def spacing(pixels: np.ndarray) -> float:
    """Return the usual distance of corners (N, 2) to their nearest neighbours, in pixels."""
    if len(pixels) < 2:
        return _LONE_PX
    apart = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(1)))


def _joined(closer: Corners, found: Corners, same_px: float) -> Corners:
    """Return what a closer look has found, and of an earlier one what that has not; the best first.

    What both have found is as likely as in the look in which it is likelier: blur is hard to see through from near.
    """
    if len(closer.pixels) and len(found.pixels):
        apart = np.linalg.norm(found.pixels[:, None] - closer.pixels[None], axis=2)
        nearest, new = apart.argmin(1), apart.min(1) > same_px
        scores = closer.scores.copy()
        np.maximum.at(scores, nearest[~new], found.scores[~new])
        closer, found = closer._replace(scores=scores), Corners(*(part[new] for part in found))
    pixels, scores, sigma = (np.concatenate(parts) for parts in zip(closer, found))
    order = np.argsort(-scores, kind='stable')
    return Corners(pixels[order], scores[order], sigma[order])


def _unit(gray: np.ndarray) -> np.ndarray:
    """Return an image (H, W) as float32 in [0, 1]."""
    gray = np.asarray(gray)
    if gray.ndim != 2 or not gray.size or not (gray.dtype == np.uint8 or gray.dtype.kind == 'f'):
        raise ValueError(f'an image of shape {gray.shape} and type {gray.dtype}: expected (H, W), uint8 or floating '
                         'point in [0, 1]')
    return gray.astype(np.float32) / np.float32(255) if gray.dtype == np.uint8 else gray.astype(np.float32)


def _within(region: tuple[float, float, float, float], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the part of a box that is in an image."""
    left, top = (max(0, int(value)) for value in region[:2])
    right, bottom = (min(side, int(value)) for side, value in zip(shape[::-1], region[2:]))
    if left >= right or top >= bottom:
        raise ValueError(f'region {tuple(region)}: nothing of it is in an image of {shape[1]}x{shape[0]}; expected '
                         '(left, top, right, bottom) in pixels')
    return left, top, right, bottom
