"""What is not a board's corner but looks like one: other markers, codes, text; and what lies on a board."""

from __future__ import annotations

import math

import cv2
import numpy as np

from superslam_ros.training.data import boards


def other_print(rng: np.random.Generator) -> np.ndarray:
    """Return (H, W) uint8, 255 paper: one marker, a grid of markers apart, a code of random modules, or text."""
    kind = rng.random()
    if kind < 0.25:
        page = _marker_grid(rng, 1, 1)
    elif kind < 0.55:
        page = _marker_grid(rng, *(int(side) for side in rng.integers(2, 6, 2)))
    elif kind < 0.75:
        page = _code(rng)
    else:
        page = _text(rng)
    page = cv2.copyMakeBorder(page, *[int(rng.uniform(2, 40))] * 4, cv2.BORDER_CONSTANT, value=255)
    return 255 - page if rng.random() < 0.1 else page


def _marker_grid(rng: np.random.Generator, columns: int, rows: int) -> np.ndarray:
    size, gap = int(rng.integers(24, 64)), int(rng.integers(6, 40))
    page = np.full((rows * (size + gap), columns * (size + gap)), 255, np.uint8)
    markers = boards.random_markers(rng, columns * rows)
    for number, marker in enumerate(markers):
        y, x = (gap // 2 + place * (size + gap) for place in divmod(number, columns))
        page[y:y + size, x:x + size] = boards.marker_picture(marker, size)
    return page


def _code(rng: np.random.Generator) -> np.ndarray:
    """Return random modules with three finder squares, as in two-dimensional bar codes."""
    side, module = int(rng.integers(17, 40)), int(rng.integers(3, 7))
    code = rng.integers(0, 2, (side, side), dtype=np.uint8)
    finder = np.ones((8, 8), np.uint8)
    finder[:7, :7] = 0
    finder[1:6, 1:6] = 1
    finder[2:5, 2:5] = 0
    code[:8, :8], code[:8, -8:], code[-8:, :8] = finder, finder[:, ::-1], finder[::-1]
    return boards.marker_picture(code, side * module)


def _text(rng: np.random.Generator) -> np.ndarray:
    page = np.full((rng.integers(60, 240), rng.integers(100, 320)), 255, np.uint8)
    size, y = rng.uniform(0.3, 1.5), 4
    while y < page.shape[0]:
        y += int(28 * size)
        letters = ''.join(chr(letter) for letter in rng.integers(33, 127, rng.integers(3, 30)))
        cv2.putText(page, letters, (6, y), int(rng.integers(0, 8)), size, 0, int(rng.integers(1, 4)), cv2.LINE_AA)
    return page


def cover(light: np.ndarray, photo: np.ndarray, size_px: float, rng: np.random.Generator) -> np.ndarray:
    """Lay fingers, a hand, or shapes with or without texture over a scene, in place.

    :param light: (H, W) float32; ``photo`` of the same size.
    :param size_px: of a square of the board.
    :returns: (H, W) uint8, 255 where something lies.
    """
    mask = np.zeros(light.shape, np.uint8)
    middle = rng.uniform(0, 1, 2) * light.shape[::-1]
    kind = rng.random()
    if kind < 0.45:
        _hand(mask, middle, size_px * rng.uniform(0.3, 1.2), rng)
    elif kind < 0.8:
        shape = middle + rng.normal(0, 1, (rng.integers(3, 8), 2)) * rng.uniform(0.5, 2) * size_px
        cv2.fillPoly(mask, [cv2.convexHull(shape.astype(np.int32))], 255, cv2.LINE_AA)
    else:
        axes = rng.uniform(0.4, 2.5, 2) * size_px
        cv2.ellipse(mask, tuple(int(v) for v in middle), tuple(int(v) + 1 for v in axes), rng.uniform(0, 180), 0, 360,
                    255, -1, cv2.LINE_AA)
    tone = rng.uniform(0.02, 1) * (photo if rng.random() < 0.4 else _rounded(mask, rng))
    alpha = mask.astype(np.float32) / 255
    light += alpha * (tone - light)
    return mask


def _rounded(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return tones that fall off towards the outline, as skin's do."""
    depth = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 8)).astype(np.float32) / 255
    return 1 - rng.uniform(0, 0.9) * (1 - depth)


def _hand(mask: np.ndarray, tip: np.ndarray, width: float, rng: np.random.Generator) -> None:
    """Draw one to four fingers side by side, and the palm that they come from."""
    angle, length = rng.uniform(0, 2 * math.pi), width * rng.uniform(2, 5)
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    fingers = int(rng.integers(1, 5))
    for finger in range(fingers):
        end = tip + across * finger * width * 1.15 + along * rng.uniform(-0.4, 0.4) * width
        spread = along + across * rng.normal(0, 0.15)
        points = [tuple(int(v) for v in np.clip(point, -10**4, 10**4)) for point in (end, end + length * spread)]
        cv2.line(mask, *points, 255, max(1, int(width)), cv2.LINE_AA)
    palm = tip + along * (length + width) + across * (fingers - 1) * width * 0.6
    cv2.circle(mask, tuple(int(v) for v in palm), int(width * (0.6 + 0.6 * fingers)), 255, -1, cv2.LINE_AA)
