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

from superslam_ros.boards.align import level
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
    seen, mask = warp.rectify(image, region)
    flat = level(seen, mask, region.samples)
    rows, columns, samples = region.rows, region.columns, region.samples
    mean = _mean_of_bits(size, board.marker_m / board.square_m, samples)
    flat = flat.reshape(rows, samples, columns, samples)
    bits = np.einsum('ai,yixj,bj->yxab', mean, flat, mean, optimize=True)
    inside = mask.reshape(rows, samples, columns, samples).all((1, 3))
    corner = np.zeros((rows + 1, columns + 1), dtype=int)
    corner[cells[:, 1] - region.y, cells[:, 0] - region.x] = 1
    around = corner[:-1, :-1] + corner[:-1, 1:] + corner[1:, :-1] + corner[1:, 1:]
    y, x = np.mgrid[:rows, :columns]
    bright = ((x + region.x + y + region.y) % 2 == 0) == even_bright
    known = inside & (around >= 2)
    if board.inverted:
        bits, bright = -bits, ~bright
    bits = bits - bits.mean((2, 3), keepdims=True)
    if (known & bright).any():
        bits = bits - np.median(bits[known & bright], axis=0)
    spread = np.sqrt((bits**2).mean((2, 3), keepdims=True))
    typical = np.median(spread[known & bright]) if (known & bright).any() else 1.0
    return Reading(np.clip(bits / (spread + 0.5 * typical + 1e-6), -_CLIP, _CLIP), known, bright)


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
            for shift in _shifts(corners, board):
                one = _weigh(agree, power, known, bright, markers, shift)
                if one is not None:
                    found.append(Hypothesis(board, layout, turn, shift, *one))
    return sorted(found, key=lambda one: -one.z)


def nats(z: float, tried: int) -> float:
    """Return how much more the bits say than what is required, when so many hypotheses were looked at."""
    return max(z, 0.0)**2 / 2 - np.log(max(tried, 1)) - REQUIRED


def inside(places: np.ndarray, board: Board) -> np.ndarray:
    """Say which places (N, 2) of corners are inner corners of a board."""
    return ((places >= 1) & (places <= board.corner_shape)).all(axis=1)


def _shifts(corners: np.ndarray, board: Board) -> list[tuple[int, int]]:
    """Return the shifts at which most corners are the board's."""
    lowest, highest = 1 - corners.max(0), np.array(board.corner_shape) - corners.min(0)
    x, y = np.meshgrid(np.arange(lowest[0], highest[0] + 1), np.arange(lowest[1], highest[1] + 1))
    shifts = np.stack([x.ravel(), y.ravel()], axis=1)
    own = inside((corners[None] + shifts[:, None]).reshape(-1, 2), board).reshape(len(shifts), len(corners))
    return [tuple(shift) for shift in shifts[own.mean(axis=1) > _OWN].tolist()]


def _weigh(agree: np.ndarray, power: np.ndarray, known: np.ndarray, bright: np.ndarray, markers: np.ndarray,
           shift: tuple[int, int]) -> tuple[float, float, int] | None:
    """Return z, the part of the markers that agree, and their number; None where chess says otherwise."""
    rows, columns = known.shape
    height, width = markers.shape
    left, top = max(0, -shift[0]), max(0, -shift[1])
    right, bottom = min(columns, width - shift[0]), min(rows, height - shift[1])
    if right <= left or bottom <= top:
        return None
    here = slice(top, bottom), slice(left, right)
    there = markers[top + shift[1]:bottom + shift[1], left + shift[0]:right + shift[0]]
    marked = there >= 0
    if (marked != bright[here]).any():
        return None
    marked = marked & known[here]
    count = int(marked.sum())
    if count == 0:
        return None
    sums = agree[here][marked, there[marked]]
    powers = power[here][marked]
    z = sums.sum() / np.sqrt(powers.sum() + 1e-9)
    each = sums / np.sqrt(powers + 1e-9)
    typical = np.median(np.sort(each)[-(len(each) // 2 + 1):])
    return float(z), float((each > 0.45 * typical).mean()), count


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
