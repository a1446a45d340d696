"""Which description a board fits that does not fit the one given: the usual mistakes, tried one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from superslam_ros.boards import decode
from superslam_ros.boards.board import Board
from superslam_ros.boards.dictionary import predefined
from superslam_ros.boards.seen import Seen

_KEYS = ('squares_x', 'squares_y', 'dictionary', 'first_id', 'legacy', 'inverted')
_MOST_VARIANTS = 500


def explain(seen: Seen, boards: list[Board]) -> str:
    """Return what to write instead in the description of one of the boards, empty where no usual mistake explains it.

    :param seen: the lattice of a board that none of the descriptions fits.
    """
    if seen.warp is None:
        return ''
    if seen.in_a_mirror(boards):
        return 'the image is a mirror image'
    columns, rows = (seen.lattice.cells.max(0) - seen.lattice.cells.min(0) + 2).tolist()
    for board in boards:
        for other in _variants(board, columns, rows):
            found = seen.hypotheses([other])
            if not found:
                continue
            best = found[0]
            sure = decode.nats(best.z, len(found) * _MOST_VARIANTS) > 0 and best.agreeing >= decode.MOST
            if sure and decode.inside(best.places(seen.lattice.cells, seen.region), other).all():
                told = other.squares_y % 2 == 0 and best.legacy not in board.layouts
                fits = replace(other, legacy=best.legacy if told else board.legacy)
                changes = [f'{key}: {_said(getattr(fits, key))}' for key in _KEYS
                           if getattr(fits, key) != getattr(board, key)]
                if changes:
                    return f'the board would fit {board.name} with {", ".join(changes)}'
    return ''


def _variants(board: Board, columns: int, rows: int) -> Iterator[Board]:
    """Yield boards with one or two mistakes, the likelier ones first; those of each dictionary only once."""
    given = board.squares_x, board.squares_y
    shapes = dict.fromkeys([given, given[::-1], (columns, rows), (rows, columns)])
    names = [name for name in predefined() if not name.endswith(('_50', '_100', '_250')) or 'MIP' in name]
    for dictionary in [board.dictionary, *names]:
        for inverted in (board.inverted, not board.inverted):
            for x, y in shapes:
                try:
                    yield replace(board, squares_x=x, squares_y=y, dictionary=dictionary, inverted=inverted,
                                  legacy='auto')
                except ValueError:      # too few markers, or squares
                    continue


def _said(value: object) -> str:
    return str(bool(value)).lower() if isinstance(value, (bool, np.bool_)) else str(value)
