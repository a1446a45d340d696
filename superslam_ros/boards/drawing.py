"""What is printed on a board: as areas, as an image, as outlines for vector graphics."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from superslam_ros.boards.board import Board


class Print(NamedTuple):
    """A board as black and white areas of a grid whose lines are not evenly spaced.

    :ivar white: (R, C) bool, row 0 at the top.
    :ivar x: (C + 1,) the grid's lines from left to right, in squares from the board's left edge; ``y`` (R + 1,).
    """

    white: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return (...) float32, 1 white and 0 black, at places (..., 2) in squares; outside the board NaN."""
        column = np.searchsorted(self.x, places[..., 0], side='right') - 1
        row = np.searchsorted(self.y, places[..., 1], side='right') - 1
        rows, columns = self.white.shape
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        found = self.white[row.clip(0, rows - 1), column.clip(0, columns - 1)].astype(np.float32)
        return np.where(inside, found, np.float32(np.nan))


@lru_cache(maxsize=32)
def printed(board: Board, legacy: bool | None = None) -> Print:
    """Return what is printed on a board.

    :param legacy: by default the first of ``board.layouts``.
    """
    codes, squares = board.codes, board.marker_squares(legacy)
    size = codes.shape[1]
    k = size + 4            # the lines of a square: its edge, the white gap, the black border, the bits, and so on
    white = np.zeros((board.squares_y * k, board.squares_x * k), dtype=bool)
    for code, (x, y) in zip(codes, squares):
        square = white[y * k:(y + 1) * k, x * k:(x + 1) * k]
        square[:] = True
        square[1:-1, 1:-1] = False
        square[2:-2, 2:-2] = code
    gap = (1 - board.marker_m / board.square_m) / 2
    lines = np.concatenate([[0], np.linspace(gap, 1 - gap, size + 3)])
    x, y = (np.append(np.add.outer(np.arange(count), lines).ravel(), count)
            for count in (board.squares_x, board.squares_y))
    return Print(white ^ board.inverted, x, y)


def draw(board: Board, pixels_per_square: float, margin_squares: float = 0.0, legacy: bool | None = None) -> np.ndarray:
    """Draw a board: each pixel is the part of its area that is white.

    With margin m and s pixels a square, the board's point (x, y) in squares lies at pixel ``(x + m) * s - 0.5``.

    :returns: (H, W) float32 in [0, 1].
    """
    areas = printed(board, legacy)
    white = np.pad(areas.white.astype(np.float32), 1, constant_values=0.0 if board.inverted else 1.0)
    parts = []
    for lines, count in ((areas.y, board.squares_y), (areas.x, board.squares_x)):
        edges = np.concatenate([[-margin_squares - 1], lines, [count + margin_squares + 1]])
        length = max(1, round((count + 2 * margin_squares) * pixels_per_square))
        parts.append(_overlaps(edges, np.arange(length + 1) / pixels_per_square - margin_squares))
    return np.clip(parts[0] @ white @ parts[1].T, 0, 1).astype(np.float32)


def without_bits(board: Board, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a square with a marker, gray where its bits would be, and one without: (samples, samples) float32 each."""
    size = board.codes.shape[1]
    lines = printed(board).x[:size + 5]
    levels = np.full((size + 4, size + 4), 0.5)
    levels[[1, -2], 1:-1] = levels[1:-1, [1, -2]] = 0
    levels[[0, -1]] = levels[:, [0, -1]] = 1
    parts = _overlaps(lines, np.arange(samples + 1) / samples)
    marked = (parts @ levels @ parts.T).astype(np.float32)
    plain = np.zeros_like(marked)
    return (1 - marked, 1 - plain) if board.inverted else (marked, plain)


def outlines(board: Board, legacy: bool | None = None) -> list[np.ndarray]:
    """Return closed polygons (K, 2) in metres in the board's frame; filled by the even-odd rule, they are its black.

    Areas that touch along an edge are one, so that no hairlines show between them.
    """
    areas = printed(board, legacy)
    loops = _loops(~areas.white)
    return [np.stack([areas.x[loop[:, 0]], areas.y[loop[:, 1]]], axis=1) * board.square_m for loop in loops]


def _overlaps(edges: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return (P, E) which part of each pixel's length, given by its borders (P + 1,), lies in each interval."""
    low = np.maximum(pixels[:-1, None], edges[None, :-1])
    high = np.minimum(pixels[1:, None], edges[None, 1:])
    return np.maximum(high - low, 0) / np.diff(pixels)[:, None]


def _loops(black: np.ndarray) -> list[np.ndarray]:
    """Return the borders of black cells as loops of grid points (K, 2), columns first, black to the right."""
    cell = np.pad(black, 1)
    follow: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def add(mask: np.ndarray, start: tuple[int, int], end: tuple[int, int]) -> None:
        for row, column in np.argwhere(mask).tolist():
            follow.setdefault((column + start[0], row + start[1]), []).append((column + end[0], row + end[1]))

    inner = cell[1:-1, 1:-1]
    add(inner & ~cell[:-2, 1:-1], (0, 0), (1, 0))
    add(inner & ~cell[1:-1, 2:], (1, 0), (1, 1))
    add(inner & ~cell[2:, 1:-1], (1, 1), (0, 1))
    add(inner & ~cell[1:-1, :-2], (0, 1), (0, 0))
    loops = []
    while follow:
        start = point = next(iter(follow))
        way = []
        while not way or point != start:
            way.append(point)
            ends = follow[point]
            point = ends.pop()
            if not ends:
                del follow[way[-1]]
        corners = np.array(way)
        turn = np.roll(corners, 1, axis=0) - corners, corners - np.roll(corners, -1, axis=0)
        loops.append(corners[(turn[0] != turn[1]).any(axis=1)])
    return loops
