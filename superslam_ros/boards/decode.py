"""Which board a lattice of corners belongs to, by the bits of its markers.

How sure is that? Let x_k be any readings of an image where a hypothesis (board, turn, shift) has its bits, s_k = 1 for
white and -1 for black. Were the image not of that board, its readings would have nothing to do with the codes; taking
the codes for random, Hoeffding's inequality (JASA 1963, theorem 2) bounds the chance that they agree as well, whatever
the readings are: P(sum s_k x_k >= z |x|) <= exp(-z^2 / 2). With H hypotheses looked at, the chance that any of them is
believed wrongly is at most H exp(-z^2 / 2), so z^2 / 2 - log H nats are required to exceed ``REQUIRED``. Blur lowers z
by itself: bits that run together agree no better than chance.

That protects from what is not of these codes at all. Against other boards of the same dictionary, which may have some
markers at the same places, most of the markers that are seen have to agree (``MOST``), each one counting once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from superslam_ros.boards.align import Look
from superslam_ros.boards.board import Board
from superslam_ros.boards.warp import Region, Warp

SAMPLES = 32
"""To a square, of the image that bits are read in."""
REQUIRED = 18.0
"""Nats: one wrong board in 65 million lattices."""
MOST = 0.7
FEWEST_MARKERS = 3
_CLIP = 2.5
_OWN = 0.6
"""Part of a lattice's corners that are a board's."""


class Reading(NamedTuple):
    """What the squares of a region hold, in the lattice's coordinates.

    ``bits`` (rows, columns, n, n) brightness of each bit against its square, ``known`` (rows, columns) bool: squares
    that are seen, and ``bright`` (rows, columns) bool: those that chess puts markers on.
    """

    bits: np.ndarray
    known: np.ndarray
    bright: np.ndarray


class Hypothesis(NamedTuple):
    """A board laid on a lattice: turned by ``turn`` quarters, then shifted by ``shift`` squares.

    ``z``: agreement of the bits; ``agreeing``: part of the markers seen that agree; ``markers``: how many are seen.
    """

    board: Board
    legacy: bool
    turn: int
    shift: tuple[int, int]
    z: float
    agreeing: float
    markers: int

    def turned(self, matrix: np.ndarray) -> np.ndarray:
        """Return a symmetric (2, 2) matrix in the lattice's axes in those of the board."""
        return matrix if self.turn % 2 == 0 else np.array([[matrix[1, 1], -matrix[0, 1]],
                                                           [-matrix[1, 0], matrix[0, 0]]])

    def places(self, cells: np.ndarray, region: Region) -> np.ndarray:
        """Return where points (N, 2) of the lattice are on the board, in squares."""
        return _turned(cells - [region.x, region.y], region, self.turn) + self.shift


def read(image: np.ndarray, warp: Warp, cells: np.ndarray, region: Region, even_bright: bool, board: Board) -> Reading:
    """Read the bits of every square of a region, as large as those of ``board``.

    :param cells: (M, 2) lattice corners that are seen; squares with two of them are.
    """
    size = board.codes.shape[1]
    look = Look(image, warp, region)
    rows, columns, samples = region.rows, region.columns, region.samples
    mean = _mean_of_bits(size, board.marker_m / board.square_m, samples)
    flat = look.flat.reshape(rows, samples, columns, samples)
    bits = np.einsum('ai,yixj,bj->yxab', mean, flat, mean, optimize=True)
    inside = look.level.mask.reshape(rows, samples, columns, samples).all((1, 3))
    known, bright = squares(region, cells, even_bright != board.inverted)
    known &= inside
    if board.inverted:
        bits = -bits
    bits = bits - bits.mean((2, 3), keepdims=True)
    if (known & bright).any():
        bits = bits - np.median(bits[known & bright], axis=0)
    spread = np.sqrt((bits**2).mean((2, 3), keepdims=True))
    typical = np.median(spread[known & bright]) if (known & bright).any() else 1.0
    return Reading(np.clip(bits / (spread + 0.5 * typical + 1e-6), -_CLIP, _CLIP), known, bright)


def squares(region: Region, cells: np.ndarray, even_marked: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, columns) bool twice: squares of a region that two of the corners are at, and those with markers.

    :param cells: (M, 2) lattice corners that are seen.
    :param even_marked: whether the markers are on squares whose coordinates have an even sum.
    """
    corner = np.zeros((region.rows + 1, region.columns + 1), dtype=int)
    corner[cells[:, 1] - region.y, cells[:, 0] - region.x] = 1
    around = corner[:-1, :-1] + corner[:-1, 1:] + corner[1:, :-1] + corner[1:, 1:]
    y, x = np.mgrid[:region.rows, :region.columns]
    return around >= 2, ((x + region.x + y + region.y) % 2 == 0) == even_marked


def hypotheses(reading: Reading, region: Region, cells: np.ndarray, board: Board) -> list[Hypothesis]:
    """Return every way to lay a board on a lattice such that most corners are its own, the most agreeing first."""
    found = []
    size = board.codes.shape[1]
    codes = board.codes.reshape(len(board.codes), -1) * 2.0 - 1
    for turn in range(4):
        bits, known, bright = (np.rot90(part, turn, (0, 1)) for part in reading)
        bits = np.rot90(bits, turn, (2, 3)).reshape(*known.shape, size * size)
        agree = bits @ codes.T
        power = (bits**2).sum(-1)
        corners = _turned(cells - [region.x, region.y], region, turn)
        for layout in board.layouts:
            markers = np.full((board.squares_y, board.squares_x), -1)
            x, y = board.marker_squares(layout).T
            markers[y, x] = np.arange(len(x))
            shifts = _shifts(corners, board)
            if len(shifts):
                which, *figures = _weigh(agree, power, known, bright, markers, shifts)
                found += [Hypothesis(board, layout, turn, (x, y), *one)
                          for (x, y), *one in zip(shifts[which].tolist(), *(part.tolist() for part in figures))]
    return sorted(found, key=lambda one: -one.z)


def fits(cells: np.ndarray, region: Region, board: Board) -> bool:
    """Say whether most corners of a lattice (M, 2) may be a board's, by their number along either side."""
    return any(len(_shifts(_turned(cells - [region.x, region.y], region, turn), board)) for turn in (0, 1))


def nats(z: float, tried: int) -> float:
    """Return how much more the bits say than what is required, when so many hypotheses were looked at."""
    return max(z, 0.0)**2 / 2 - np.log(max(tried, 1)) - REQUIRED


def inside(places: np.ndarray, board: Board) -> np.ndarray:
    """Say which places (N, 2) of corners are inner corners of a board."""
    return ((places >= 1) & (places <= board.corner_shape)).all(axis=1)


def _shifts(corners: np.ndarray, board: Board) -> np.ndarray:
    """Return the shifts (S, 2) at which most corners (N, 2), of coordinates from 0, are the board's."""
    count = np.zeros(corners.max(0)[::-1] + 2, dtype=int)
    np.add.at(count, (corners[:, 1] + 1, corners[:, 0] + 1), 1)
    count = count.cumsum(0).cumsum(1)       # (y, x): of the corners above and left of (x, y)
    ends = []
    for axis, last in enumerate(board.corner_shape):
        shift = np.arange(1 - corners[:, axis].max(), last - corners[:, axis].min() + 1)
        ends.append((shift, *np.clip([1 - shift, last + 1 - shift], 0, count.shape[1 - axis] - 1)))
    (x, left, right), (y, top, bottom) = ends
    own = count[np.ix_(bottom, right)] - count[np.ix_(top, right)] - count[np.ix_(bottom, left)] + count[
        np.ix_(top, left)]
    rows, columns = np.nonzero(own > _OWN * len(corners))
    return np.stack([x[columns], y[rows]], axis=1)


def _weigh(agree: np.ndarray, power: np.ndarray, known: np.ndarray, bright: np.ndarray, markers: np.ndarray,
           shifts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return which of the shifts (S, 2) chess allows; of those z, the part of the markers that agree, their number.

    :param agree: (R, C, M) of each square with each marker; ``power``, ``known``, ``bright`` (R, C).
    :param markers: (Y, X) the marker on each square of the board, -1 for none.
    """
    (rows, columns), (height, width) = known.shape, markers.shape
    x, y = np.arange(columns) + shifts[:, :1], np.arange(rows) + shifts[:, 1:]
    on = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    which = markers[y.clip(0, height - 1)[:, :, None], x.clip(0, width - 1)[:, None]]
    marked = on & (which >= 0)
    seen = marked & known
    allowed = np.flatnonzero(~(on & (marked != bright)).any((1, 2)) & seen.any((1, 2)))
    seen, which = (part[allowed].reshape(len(allowed), rows * columns) for part in (seen, which))
    sums = np.where(seen, agree.reshape(rows * columns, -1)[np.arange(rows * columns), which], 0)
    powers, count = power.ravel(), seen.sum(1)
    z = sums.sum(1) / np.sqrt((seen * powers).sum(1) + 1e-9)
    each = np.where(seen, sums / np.sqrt(powers + 1e-9), -np.inf)
    # The median of the better half.
    ordered, half = -np.sort(-each, axis=1), count // 2
    row = np.arange(len(allowed))
    typical = (ordered[row, half // 2] + ordered[row, (half + 1) // 2]) / 2
    return allowed, z, (each > 0.45 * typical[:, None]).sum(1) / count, count


def _turned(corners: np.ndarray, region: Region, turn: int) -> np.ndarray:
    """Return grid points (N, 2) of a region after so many quarter turns of it, as np.rot90 turns its squares."""
    width, height = region.columns, region.rows
    for _ in range(turn):
        corners = np.stack([corners[:, 1], width - corners[:, 0]], axis=1)
        width, height = height, width
    return corners


def _mean_of_bits(size: int, marker: float, samples: int) -> np.ndarray:
    """Return (size, samples): the mean over the middle of each bit, along one side of a square."""
    bit = marker / (size + 2)
    first = (1 - marker) / 2 + bit * (np.arange(size) + 1)
    low, high = (first + part * bit for part in (0.12, 0.88))
    edges = np.arange(samples + 1) / samples
    lengths = np.maximum(np.minimum(edges[None, 1:], high[:, None]) - np.maximum(edges[None, :-1], low[:, None]), 0)
    return (lengths / lengths.sum(1, keepdims=True)).astype(np.float32)
