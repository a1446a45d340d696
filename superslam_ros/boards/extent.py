"""Whether a board goes as far as it is described to: one with fewer rows of the same squares has the same markers."""

from __future__ import annotations

import numpy as np

from superslam_ros.boards.align import Aligned
from superslam_ros.boards.board import Board

_STRIP = 0.35
"""Of a square: what is looked at on either side of a line between rows."""
_THERE, _GONE = 0.5, 0.3
"""How much of a strip's drawing is in the image: of what is on the whole board, and on the other side of the line."""
_NOTHING = 0.06
"""Of the factor: less than any shadow leaves."""
_SEEN = 0.7


def ends_early(found: Aligned, board: Board) -> bool:
    """Say whether the drawing stops at a line between two rows or columns of squares, all along it.

    What lies over a board ends at such a line only by rare chance; another board does so always.
    """
    samples = found.seen.shape[0] // board.squares_y
    whole = _share(found.seen, found.drawn, found.mask)
    if whole is None or not (whole > 0).all():
        return False
    for turn, rows in enumerate((board.squares_y, board.squares_x, board.squares_y, board.squares_x)):
        seen, drawn, mask = (np.rot90(part, turn) for part in (found.seen, found.drawn, found.mask))
        strip = max(2, round(_STRIP * samples))
        for line in range(1, rows):
            at = line * samples
            inner, outer = (_share(seen[part], drawn[part], mask[part])
                            for part in (slice(at, at + strip), slice(at - strip, at)))
            if inner is not None and outer is not None and (inner > _THERE * whole).all():
                gone = outer < _GONE * inner
                if gone.all() or outer[0] < _NOTHING * inner[0]:
                    return True
                break
    return False


def _share(seen: np.ndarray, drawn: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Return the factor by which a drawing is in an image, and their correlation; None where most of it is outside.

    A shadow makes the factor small, noise the correlation; where there is something else, both are.
    """
    if mask.mean() < _SEEN:
        return None
    there, drawn = (part[mask] - part[mask].mean() for part in (seen, drawn))
    both, own = (there * drawn).sum(), max((drawn * drawn).sum(), 1e-6)
    return np.array([both / own, both / np.sqrt(own * max((there * there).sum(), 1e-6))])
