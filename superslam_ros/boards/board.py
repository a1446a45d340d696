"""A ChArUco board: its measures, its corners, and what is printed on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from numbers import Real
from typing import Any

import numpy as np

from superslam_ros.boards import dictionary as dictionaries

LARGEST_M = 5.0
"""Squares larger than this were given in another unit."""
SMALLEST_MARKER = 0.3
"""Of a square's side; below it the bits are too small to be told."""
ALIKE_BITS = 0.1
"""Part of the bits in which a board has to differ from itself turned round."""


@dataclass(frozen=True)
class Board:
    """A ChArUco board as OpenCV numbers it: squares row by row from the top left, markers on every second square.

    The board's frame is that of OpenCV 4.7 and newer: the origin is the outer corner of the top left square, x along
    the rows to the right, y along the columns downwards, z into the board, away from who looks at it; metres. Inner
    corner ``i`` lies at ``((i % (squares_x - 1) + 1), (i // (squares_x - 1) + 1)) * square_m``.

    :ivar dictionary: name of a predefined dictionary, or the path of a file (:func:`dictionary.read_codes`).
    :ivar first_id: of the first marker; the others follow.
    :ivar legacy: whether a board with an even number of rows begins with a white square, as drawn by OpenCV before
        4.6; 'auto' looks for both. With an odd number of rows there is no difference.
    :ivar inverted: printed with black and white exchanged.
    """

    name: str
    squares_x: int
    squares_y: int
    square_m: float
    marker_m: float
    dictionary: str
    first_id: int = 0
    legacy: bool | str = False
    inverted: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be a board, or not be found.

        :raises ValueError: naming board and key, with the remedy.
        """
        for key, wrong in _complaints(self):
            raise ValueError(f'board {self.name}: {key} {wrong}')

    @property
    def corner_shape(self) -> tuple[int, int]:
        """Columns and rows of inner corners."""
        return self.squares_x - 1, self.squares_y - 1

    @property
    def marker_count(self) -> int:
        """How many markers the board has."""
        return self.squares_x * self.squares_y // 2

    @property
    def layouts(self) -> tuple[bool, ...]:
        """The patterns to look for, as values of ``legacy``."""
        if self.squares_y % 2:
            return (False,)
        return (False, True) if self.legacy == 'auto' else (bool(self.legacy),)

    @cached_property
    def codes(self) -> np.ndarray:
        """(marker_count, n, n) bool: the codes of the board's markers, True where white."""
        every = dictionaries.codes(self.dictionary)
        return every[self.first_id:self.first_id + self.marker_count]

    def corners_m(self) -> np.ndarray:
        """Return the inner corners (N, 3) in the board's frame; the row is the id."""
        columns, rows = self.corner_shape
        y, x = np.mgrid[1:rows + 1, 1:columns + 1]
        return np.stack([x.ravel(), y.ravel(), np.zeros(columns * rows)], axis=1) * self.square_m

    def marker_squares(self, legacy: bool | None = None) -> np.ndarray:
        """Return (marker_count, 2) the column and row of the squares with markers, by marker.

        :param legacy: by default the first of :attr:`layouts`.
        """
        legacy = self.layouts[0] if legacy is None else legacy
        y, x = np.divmod(np.arange(self.squares_x * self.squares_y), self.squares_x)
        first = 1 if legacy and self.squares_y % 2 == 0 else 0
        marked = (x + y + first) % 2 == 1
        return np.stack([x[marked], y[marked]], axis=1)


def same_at(first: Board, second: Board) -> list[tuple[int, int]]:
    """Return the shifts (columns, rows) at which all of ``first`` is printed on ``second``, too."""
    a, b = (_squares(board, board.layouts[0]) for board in (first, second))
    if a.shape[2:] != b.shape[2:] or first.inverted != second.inverted:
        return []
    (rows, columns), spare = a.shape[:2], np.subtract(b.shape[:2], a.shape[:2])
    return [(x, y) for y in range(spare[0] + 1) for x in range(spare[1] + 1)
            if np.array_equal(a, b[y:y + rows, x:x + columns])]


@lru_cache(maxsize=64)
def _squares(board: Board, legacy: bool) -> np.ndarray:
    """Return (rows, columns, n, n) int8 codes by square, 1 white and 0 black, -1 on squares without a marker."""
    size = board.codes.shape[1]
    squares = np.full((board.squares_y, board.squares_x, size, size), -1, dtype=np.int8)
    x, y = board.marker_squares(legacy).T
    squares[y, x] = board.codes
    return squares


def _complaints(board: Board):
    """Yield (key, what is wrong and what to do) in the order of the fields."""
    for key in ('squares_x', 'squares_y'):
        value = getattr(board, key)
        if not _whole(value) or value < 3:
            yield key, f'is {value!r}; expected a whole number of squares, at least 3: fewer have no corners for a pose'
    for key in ('square_m', 'marker_m'):
        value = getattr(board, key)
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < np.inf:
            yield key, f'is {value!r}; expected a length in metres, such as 0.04'
        if value > LARGEST_M:
            yield key, f'is {value:g} metres; lengths are in metres: {value:g} mm are {value / 1000:g}'
    if board.marker_m >= board.square_m:
        yield 'marker_m', (f'{board.marker_m:g} is not smaller than square_m {board.square_m:g}; a marker lies in a '
                           'square with a white edge around it: exchange the two, if they are swapped')
    if board.marker_m < SMALLEST_MARKER * board.square_m:
        yield 'marker_m', (f'{board.marker_m:g} is less than {SMALLEST_MARKER:g} of square_m {board.square_m:g}; '
                           'give both in metres, and measure the black edge of a marker from outside to outside')
    if not isinstance(board.dictionary, str):
        yield 'dictionary', f'is {board.dictionary!r}; expected a name, such as DICT_5X5_100, or the path of a file'
    if not _whole(board.first_id) or board.first_id < 0:
        yield 'first_id', f'is {board.first_id!r}; expected the id of the first marker, a whole number from 0'
    if board.legacy not in (True, False, 'auto') or (isinstance(board.legacy, Real) and not _truth(board.legacy)):
        yield 'legacy', f'is {board.legacy!r}; expected true, false or auto'
    if not _truth(board.inverted):
        yield 'inverted', f'is {board.inverted!r}; expected true or false'
    yield from _complaints_of_codes(board)


def _complaints_of_codes(board: Board):
    try:
        count = len(dictionaries.codes(board.dictionary))
    except ValueError as error:
        yield 'dictionary:', str(error)
        return
    last = board.first_id + board.marker_count
    if last > count:
        yield 'dictionary', (
            f'{board.dictionary} has {count} markers, but {board.squares_x}x{board.squares_y} squares have '
            f'{board.marker_count}, from first_id {board.first_id} to {last - 1}: another dictionary, a smaller board '
            'or first_id')
        return
    for turn in (1, 2, 3):
        if turn % 2 and board.squares_x != board.squares_y:
            continue
        for legacy in board.layouts:
            squares = _squares(board, legacy)
            turned = np.rot90(np.rot90(squares, turn, (0, 1)), turn, (2, 3))
            if (turned != squares).mean() < ALIKE_BITS:
                yield 'dictionary', (f'{board.dictionary} makes a board that looks the same after {turn * 90} degrees; '
                                     'its pose would be ambiguous: use other codes, or another first_id')


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _truth(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))
