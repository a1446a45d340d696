"""Procedural textures: corners at every scale and nowhere the same pattern twice.

Every painter takes ``(size_m, texels_per_metre, rng)`` and returns a (H, W) uint8 picture of that area. Only
polygons and interpolated noise are drawn, so that the bytes do not depend on the fonts of an OpenCV version.
"""

from __future__ import annotations

import cv2
import numpy as np

_SHIFT = 6


class Canvas:
    """A gray picture of an area, painted in metres from its top left."""

    def __init__(self, size_m: tuple[float, float], texels_per_metre: float, gray: float) -> None:
        """Begin with an even gray level."""
        width, height = (max(8, round(side * texels_per_metre)) for side in size_m)
        self.size_m = size_m
        self.scale = np.array([width / size_m[0], height / size_m[1]])
        self.image = np.full((height, width), np.clip(gray, 0, 255), dtype=np.uint8)

    def polygon(self, points: np.ndarray, gray: float) -> None:
        """Fill a polygon of (N, 2) metres."""
        self.polygons(points[None], gray)

    def polygons(self, points: np.ndarray, gray: float) -> None:
        """Fill polygons that do not overlap, (K, N, 2) metres."""
        texels = np.rint((points * self.scale - 0.5) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, list(texels), float(min(max(gray, 0), 255)), cv2.LINE_AA, _SHIFT)

    def add_noise(self, rng: np.random.Generator, amplitude: float, finest_m: float = 0.015) -> None:
        """Add octaves of smooth noise, from the whole area down to ``finest_m``."""
        height, width = self.image.shape
        total = np.zeros((height, width), dtype=np.float32)
        cell, weight = max(self.size_m), 1.0
        while cell > finest_m:
            cells = [max(2, round(side / cell) + 1) for side in self.size_m]
            octave = rng.standard_normal((cells[1], cells[0]), dtype=np.float32)
            total += weight * cv2.resize(octave, (width, height), interpolation=cv2.INTER_LINEAR)
            cell, weight = cell / 2.7, weight * 0.75
        self.image = np.rint(self.image + amplitude * total).clip(0, 255).astype(np.uint8)


def wall(size_m: tuple[float, float], texels_per_metre: float, rng: np.random.Generator) -> np.ndarray:
    """Plaster with posters, notices, and a skirting board."""
    canvas = Canvas(size_m, texels_per_metre, rng.uniform(150, 190))
    canvas.add_noise(rng, 5.0)
    _scatter(canvas, rng, per_square_metre=5.0, sizes_m=(0.02, 0.25))
    for _ in range(int(size_m[0] * size_m[1] * 0.9)):
        size = rng.uniform(0.35, 1.0, 2)
        _poster(canvas, rng, rng.uniform(0, 1, 2) * size_m, size, rng.normal(0, 0.04))
    low = size_m[1] - 0.12
    canvas.polygon(_corners(0, low, size_m[0], 0.12), rng.uniform(50, 90))
    return canvas.image


def floor(size_m: tuple[float, float], texels_per_metre: float, rng: np.random.Generator) -> np.ndarray:
    """Tiles of changing size and gray, some with a pattern, and what fell on them."""
    canvas = Canvas(size_m, texels_per_metre, 70)
    y = 0.0
    while y < size_m[1]:
        depth = rng.uniform(0.25, 0.5)
        x = -rng.uniform(0, 0.4)
        while x < size_m[0]:
            length = rng.uniform(0.25, 0.7)
            canvas.polygon(
                _corners(x + 0.006, y + 0.006, length - 0.012, depth - 0.012), rng.uniform(80, 160)
            )
            x += length
        y += depth
    canvas.add_noise(rng, 4.0)
    _scatter(canvas, rng, per_square_metre=14.0, sizes_m=(0.015, 0.35))
    return canvas.image


def ceiling(size_m: tuple[float, float], texels_per_metre: float, rng: np.random.Generator) -> np.ndarray:
    """Bright panels with lamps, vents and marks."""
    canvas = Canvas(size_m, texels_per_metre, 120)
    for y in np.arange(0, size_m[1], 0.6):
        for x in np.arange(0, size_m[0], 0.6):
            canvas.polygon(_corners(x + 0.01, y + 0.01, 0.58, 0.58), rng.uniform(165, 215))
    canvas.add_noise(rng, 3.0)
    _scatter(canvas, rng, per_square_metre=6.0, sizes_m=(0.02, 0.3))
    return canvas.image


def crate(size_m: tuple[float, float], texels_per_metre: float, rng: np.random.Generator) -> np.ndarray:
    """Planks in a frame, with labels."""
    frame = rng.uniform(60, 130)
    canvas = Canvas(size_m, texels_per_metre, frame)
    inner = 0.05
    y = inner
    while y < size_m[1] - inner:
        depth = min(rng.uniform(0.09, 0.2), size_m[1] - inner - y)
        canvas.polygon(_corners(inner, y, size_m[0] - 2 * inner, depth - 0.006), frame + rng.uniform(15, 85))
        y += depth
    canvas.add_noise(rng, 4.0, finest_m=0.01)
    for _ in range(1 + int(size_m[0] * size_m[1] * 4)):
        size = rng.uniform(0.18, 0.42, 2) * min(1.0, min(size_m) / 0.6)
        _poster(canvas, rng, rng.uniform(0.15, 0.85, 2) * size_m, size, rng.normal(0, 0.12))
    _scatter(canvas, rng, per_square_metre=20.0, sizes_m=(0.01, 0.08))
    return canvas.image


def _corners(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]])


def _turn(points: np.ndarray, centre: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return points @ np.array([[c, s], [-s, c]]) + centre


def _scatter(
    canvas: Canvas, rng: np.random.Generator, per_square_metre: float, sizes_m: tuple[float, float]
) -> None:
    """Strew motifs at random places and angles, their sizes spread evenly over the scales."""
    count = int(per_square_metre * canvas.size_m[0] * canvas.size_m[1])
    for _ in range(count):
        size = float(np.exp(rng.uniform(np.log(sizes_m[0]), np.log(sizes_m[1]))))
        place = rng.uniform(0, 1, 2) * canvas.size_m
        motif = _MOTIFS[rng.integers(len(_MOTIFS))]
        motif(canvas, rng, place, size, rng.uniform(0, 2 * np.pi), _two_grays(rng))


def _two_grays(rng: np.random.Generator) -> tuple[float, float]:
    """Return two gray levels that differ visibly."""
    first = rng.uniform(10, 245)
    gap = rng.uniform(60, 150)
    return first, first + gap if first + gap < 250 and (
        rng.uniform() < 0.5 or first - gap < 5
    ) else first - gap


def _poster(
    canvas: Canvas, rng: np.random.Generator, centre: np.ndarray, size: np.ndarray, angle: float
) -> None:
    """A sheet with a frame, a picture made of motifs, and lines of writing."""
    paper, ink = _two_grays(rng)
    half = size / 2
    canvas.polygon(_turn(_corners(*-half, *size), centre, angle), ink)
    canvas.polygon(_turn(_corners(*(-half + 0.012), *(size - 0.024)), centre, angle), paper)
    for _ in range(int(rng.integers(2, 6))):
        place = _turn(rng.uniform(-0.3, 0.3, (1, 2)) * size - [0, 0.1 * size[1]], centre, angle)[0]
        motif = _MOTIFS[rng.integers(len(_MOTIFS))]
        motif(
            canvas,
            rng,
            place,
            float(rng.uniform(0.15, 0.4) * size.min()),
            angle + rng.normal(0, 0.3),
            _two_grays(rng),
        )
    line = rng.uniform(0.05, 0.09) * size[1]
    for row in range(int(rng.integers(1, 4))):
        start = _turn(np.array([[-0.42 * size[0], 0.22 * size[1] + 1.5 * row * line]]), centre, angle)[0]
        _writing(canvas, rng, start, line, 0.84 * size[0], angle, ink)


def _writing(
    canvas: Canvas,
    rng: np.random.Generator,
    start: np.ndarray,
    height: float,
    length: float,
    angle: float,
    gray: float,
) -> None:
    """Glyphs on a 3 x 5 grid, in words, like a stencil alphabet nobody can read."""
    cell = height / 5
    characters = max(0, int((length / cell - 3) // 4) + 1)
    filled = rng.uniform(size=(characters, 5, 3)) < 0.55
    filled &= rng.uniform(size=(characters, 1, 1)) > 0.18
    _cells(canvas, filled.transpose(1, 0, 2), cell, start, angle, gray)


def _cells(
    canvas: Canvas, filled: np.ndarray, cell: float, start: np.ndarray, angle: float, gray: float
) -> None:
    """Fill cells of a grid (rows, groups, columns); groups stand one column apart."""
    row, group, column = np.nonzero(filled)
    if len(row):
        place = np.stack([group * (filled.shape[2] + 1) + column, row], axis=-1)[:, None] * cell
        canvas.polygons(_turn(place + _corners(0, 0, cell, cell), start, angle), gray)


def _checkers(canvas, rng, centre, size, angle, grays) -> None:
    """A checkerboard patch of uneven cells."""
    columns, rows = rng.integers(2, 6, 2)
    x = np.concatenate([[0], np.cumsum(rng.uniform(0.6, 1.4, columns))])
    y = np.concatenate([[0], np.cumsum(rng.uniform(0.6, 1.4, rows))])
    scale = size / max(x[-1], y[-1])
    x, y = (x - x[-1] / 2) * scale, (y - y[-1] / 2) * scale
    odd = np.add.outer(np.arange(rows), np.arange(columns)) % 2
    for parity in (0, 1):
        row, column = np.nonzero(odd == parity)
        cells = np.stack([
            np.stack([x[column + i], y[row + j]], axis=-1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=1)
        canvas.polygons(_turn(cells, centre, angle), grays[parity])


def _convex(canvas, rng, centre, size, angle, grays) -> None:
    """A polygon with a smaller one inside."""
    count = int(rng.integers(3, 8))
    around = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * (2 * np.pi / count)
    ring = np.stack([np.cos(around), np.sin(around) * rng.uniform(0.5, 1.0)], axis=-1) * size / 2
    canvas.polygon(_turn(ring, centre, angle), grays[0])
    canvas.polygon(_turn(ring * rng.uniform(0.3, 0.7), centre, angle), grays[1])


def _star(canvas, rng, centre, size, angle, grays) -> None:
    """A star of three to eight points."""
    count = 2 * int(rng.integers(3, 9))
    radius = np.where(np.arange(count) % 2, rng.uniform(0.3, 0.6), 1.0) * size / 2
    around = np.arange(count) * (2 * np.pi / count)
    canvas.polygon(
        _turn(np.stack([np.cos(around), np.sin(around)], -1) * radius[:, None], centre, angle), grays[0]
    )


def _code(canvas, rng, centre, size, angle, grays) -> None:
    """A square code like those on parcels."""
    cells = int(rng.integers(4, 9))
    canvas.polygon(_turn(_corners(-size / 2, -size / 2, size, size), centre, angle), grays[0])
    cell = size / (cells + 1)
    start = _turn(np.full((1, 2), cell / 2 - size / 2), centre, angle)[0]
    _cells(canvas, rng.uniform(size=(cells, 1, cells)) < 0.5, cell, start, angle, grays[1])


def _bars(canvas, rng, centre, size, angle, grays) -> None:
    """A bar code on its label."""
    canvas.polygon(_turn(_corners(-size / 2, -size / 3, size, size / 1.5), centre, angle), grays[0])
    x = -0.45 * size
    while x < 0.4 * size:
        width = rng.uniform(0.02, 0.08) * size
        canvas.polygon(_turn(_corners(x, -size / 4, width, size / 2), centre, angle), grays[1])
        x += width + rng.uniform(0.02, 0.08) * size


def _word(canvas, rng, centre, size, angle, grays) -> None:
    """A word on the bare surface."""
    _writing(canvas, rng, centre, size / 4, size, angle, grays[0])


_MOTIFS = (_checkers, _convex, _convex, _star, _code, _bars, _word)
