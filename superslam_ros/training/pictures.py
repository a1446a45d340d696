"""Pictures of what a network has learnt, for ``validation.png`` and ``superslam train label``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

RIGHT, WRONG, FOUND = (60, 220, 90), (240, 70, 60), (255, 200, 40)
_SCALE = 3


def write(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture.

    :raises OSError: naming the file, when it cannot be written.
    """
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise OSError(f'{path} cannot be written: is the disk full?')


def corners(
    images: Tensor, labelled: Sequence[Tensor], found: Sequence[Tensor], columns: int = 4, scale: int = _SCALE,
) -> np.ndarray:
    """Draw labels as circles and detections as dots.

    :param images: (B, 1, h, w) in [0, 1]; ``labelled`` and ``found`` (N, 2) pixels of each.
    :returns: RGB.
    """
    panels = []
    for image, circles, dots in zip(images, labelled, found):
        panel = _enlarged(image, scale)
        for point in _places(circles, scale):
            cv2.circle(panel, point, 5, RIGHT, 1, cv2.LINE_AA)
        for point in _places(dots, scale):
            cv2.circle(panel, point, 2, FOUND, -1, cv2.LINE_AA)
        panels.append(panel)
    return grid(panels, columns)


def matches(
    images0: Tensor, images1: Tensor, points0: Sequence[Tensor], points1: Sequence[Tensor], right: Sequence[Tensor],
    columns: int = 2, scale: int = _SCALE,
) -> np.ndarray:
    """Draw pairs of images side by side, with lines between matches, green where they are right.

    :param images0: (B, 1, h, w) in [0, 1]; ``points0`` (M, 2) pixels of each, ``right`` (M,) bool.
    :returns: RGB.
    """
    panels = []
    for image0, image1, here, there, good in zip(images0, images1, points0, points1, right):
        both = np.hstack([_enlarged(image0, scale), _enlarged(image1, scale)])
        shift = image0.shape[-1] * scale
        for start, (x, y), fine in zip(_places(here, scale), _places(there, scale), good.tolist()):
            cv2.line(both, start, (x + shift, y), RIGHT if fine else WRONG, 1, cv2.LINE_AA)
        panels.append(both)
    return grid(panels, columns)


def grid(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Put pictures of one size side by side and below each other, with a black line between them."""
    framed = [cv2.copyMakeBorder(panel, 0, 4, 0, 4, cv2.BORDER_CONSTANT) for panel in panels]
    framed += [np.zeros_like(framed[0])] * (-len(framed) % columns)
    return np.vstack([np.hstack(framed[start:start + columns]) for start in range(0, len(framed), columns)])


def _enlarged(image: Tensor, scale: int) -> np.ndarray:
    gray = (255 * image[0].clamp(0, 1)).byte().cpu().numpy()
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def _places(points: Tensor, scale: int) -> list[tuple[int, int]]:
    return [(round(x), round(y)) for x, y in ((points + 0.5) * scale - 0.5).tolist()]
