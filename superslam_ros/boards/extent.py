"""Whether a board is as large as it is described: one with other rows of the same squares has the same markers."""

from __future__ import annotations

import cv2
import numpy as np

from superslam_ros.boards.align import Aligned
from superslam_ros.boards.board import Board
from superslam_ros.boards.warp import Warp

ENDS, GOES_ON = 'ends before its edge', 'goes on beyond its edge'
_STRIP = 0.35
"""Of a square: what is looked at on either side of a line between rows."""
_THERE, _GONE = 0.5, 0.3
"""How much of a strip's drawing is in the image: of what is on the whole board, and on the other side of the line."""
_NOTHING = 0.06
"""Of the factor: less than any shadow leaves."""
_UNREAD, _READ = 0.4, 0.75
"""How much of a marker's bits is in the image, as part of those of the whole board: by chance, and really."""
_SURE = 0.85
"""Of one marker in a row alone, as part of those of the markers that are read well."""
_FEWEST_SQUARES = 2.0
"""Length along which a line has to be in the image."""
BEYOND = 3
"""Corners beyond a board's edge, from which on it may be another, larger one."""
_LIKE_CHESS, _SOMEWHAT = 0.5, 0.2
"""How much the squares beyond a line alternate, as part of those before it: as a chessboard's, and less than those."""
_REACHES = np.array([0.12, 0.22, 0.32])
_DARK = 0.02


def differs(image: np.ndarray, found: Aligned, places: np.ndarray, board: Board, legacy: bool) -> str:
    """Say how a board in an image differs in size from the one described that was laid over it; empty if it does not.

    :param image: (H, W) float32.
    :param places: (K, 2) of all corners of chessboards in line with the board's, in squares.
    :param legacy: which pattern was found.
    """
    if _ends(found, board) or _lacks_markers(found, board, legacy):
        return ENDS
    return GOES_ON if _goes_on(image, found, places, board) else ''


def _ends(found: Aligned, board: Board) -> bool:
    """Say whether the drawing stops at a line between two rows or columns of squares, all along it.

    What lies over a board ends at such a line only by rare chance; another board does so always.
    """
    samples = found.seen.shape[0] // board.squares_y
    whole = _share(found.seen[found.mask], found.drawn[found.mask])
    if not (whole > 0).all():
        return False
    strip = max(2, round(_STRIP * samples))
    for turn, size in enumerate((board.squares_y, board.squares_x) * 2):
        seen, drawn, mask = (np.rot90(part, turn) for part in (found.seen, found.drawn, found.mask))
        for line in range(1, size):
            at = line * samples
            both = mask[at - strip:at + strip].all(axis=0)
            if both.sum() < _FEWEST_SQUARES * samples:
                continue
            inner, outer = (_share(seen[part][:, both], drawn[part][:, both])
                            for part in (slice(at, at + strip), slice(at - strip, at)))
            if (inner > _THERE * whole).all():
                gone = outer < _GONE * inner
                if gone.all() or outer[0] < _NOTHING * inner[0]:
                    return True
                break
    return False


def _lacks_markers(found: Aligned, board: Board, legacy: bool) -> bool:
    """Say whether rows or columns of squares at an edge have none of their markers, and the next one has all.

    Stripes may look like squares, but not like markers.
    """
    samples, size = found.seen.shape[0] // board.squares_y, board.codes.shape[1]
    squares = board.marker_squares(legacy)
    reach = board.marker_m / board.square_m * size / (size + 2) / 2
    bits = slice(int((0.5 - reach) * samples), samples - int((0.5 - reach) * samples))

    def cut(values: np.ndarray) -> np.ndarray:
        parts = values.reshape(board.squares_y, samples, board.squares_x, samples)[:, bits, :, bits]
        return parts.transpose(0, 2, 1, 3)[squares[:, 1], squares[:, 0]].reshape(len(squares), -1)

    seen, drawn, inside = (cut(part) for part in (found.seen, found.drawn, found.mask))
    seen, drawn = (part - part.mean(axis=1, keepdims=True) for part in (seen, drawn))
    inside = inside.all(axis=1)
    powers = (seen * seen).sum(axis=1), (drawn * drawn).sum(axis=1)
    both = (seen * drawn).sum(axis=1)
    if not inside.any():
        return False
    whole = both[inside].sum() / np.sqrt(powers[0][inside].sum() * powers[1][inside].sum() + 1e-9)
    each = both / np.sqrt(powers[0] * powers[1] + 1e-9) / whole
    sure = max(_READ, _SURE * np.percentile(each[inside], 75))
    for axis, count in enumerate((board.squares_x, board.squares_y)):
        for inwards in (range(count), range(count - 1, -1, -1)):
            rows = (each[inside & (squares[:, axis] == row)] for row in inwards)
            rows = [row for row in rows if len(row) > 1]
            first = next((number for number, row in enumerate(rows) if row.mean() > _UNREAD or row.max() > sure), 0)
            if first and rows[first].mean() > _READ:
                return True
    return False


def _goes_on(image: np.ndarray, found: Aligned, places: np.ndarray, board: Board) -> bool:
    """Say whether the chessboard goes on beyond the edge that the board is described to have.

    Corners beyond it are not enough: a shadow that ends there, or the edge itself, makes some.
    """
    size = np.array([board.squares_x, board.squares_y])
    if ((places <= 0) | (places >= size)).any(axis=1).sum() < BEYOND:
        return False
    lines = _Lines(image, found, board)
    for axis in (0, 1):
        for edge, out in ((0, -1), (size[axis], 1)):
            there = int((places[:, axis] == edge).sum())
            alike, count = lines.alternate(axis, edge, out)
            if there and count > 1 and (alike > _LIKE_CHESS or (alike > _SOMEWHAT and there >= max(2, count / 2))):
                return True
    return False


class _Lines:
    """Lines between rows or columns of squares: whether there is a chessboard on either side.

    Brightness is compared by its logarithm, so that the border of a shadow is little beside that of a square.
    """

    def __init__(self, image: np.ndarray, found: Aligned, board: Board) -> None:
        self.squares = board.squares_x, board.squares_y
        self.image = np.log(cv2.GaussianBlur(image, (0, 0), 1.0) + _DARK)
        known = np.isfinite(found.pixels).all(axis=1)
        self.warp = Warp((board.corners_m()[:, :2] / board.square_m)[known], found.pixels[known])

    def alternate(self, axis: int, line: int, out: int) -> tuple[float, int]:
        """Return how much the squares beyond a line alternate, those before it being 1, and at how many corners.

        :param axis: 0 for a line x = ``line``, 1 for y; ``out``: -1 or 1, the way beyond it.
        """
        along = np.arange(1.0, self.squares[1 - axis])
        middle = np.stack([np.full_like(along, line), along][::1 if axis == 0 else -1], axis=1)
        beyond, aside = np.roll([out, 0.0], axis), np.roll([0.0, 1.0], axis)
        quadrants = np.array([aside + beyond, beyond - aside, aside - beyond, -aside - beyond])
        at = self.warp(middle[:, None, None] + quadrants[:, None] * _REACHES[:, None])
        height, width = self.image.shape
        at = at[((at >= 0) & (at <= [width - 1, height - 1])).all(axis=(1, 2, 3))].astype(np.float32)
        if not len(at):
            return 0.0, 0
        at = at.reshape(len(at), -1, 2)
        seen = cv2.remap(self.image, at[..., 0], at[..., 1], cv2.INTER_LINEAR).reshape(len(at), 4, -1).mean(axis=2)
        after, before = seen[:, 0] - seen[:, 1], seen[:, 2] - seen[:, 3]
        return float(-(after * before).sum() / max((before * before).sum(), 1e-9)), len(at)


def _share(seen: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the factor by which a drawing is in an image, and their correlation.

    A shadow makes the factor small, noise the correlation; where there is something else, both are.
    """
    there, drawn = (part - part.mean() for part in (seen, drawn))
    both, own = (there * drawn).sum(), max((drawn * drawn).sum(), 1e-6)
    return np.array([both / own, both / np.sqrt(own * max((there * there).sum(), 1e-6))])
