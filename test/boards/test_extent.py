"""Rows that have none of their markers are not there, even if one place looks like its marker."""

from types import SimpleNamespace

import numpy as np
import pytest

from superslam_ros.boards import extent
from superslam_ros.boards.board import Board
from superslam_ros.boards.drawing import draw

BOARD, SAMPLES = Board('six', 5, 7, 0.04, 0.02, 'DICT_6X6_250'), 16


@pytest.mark.parametrize(('likeness', 'lacks'), [(0.0, True), (0.7, True), (4.0, False)])
def test_one_place_that_looks_like_its_marker_is_no_row(likeness: float, lacks: bool) -> None:
    drawn = draw(BOARD, SAMPLES)
    seen = drawn.copy()
    seen[4 * SAMPLES:] = np.random.default_rng(0).normal(0, 0.3, seen[4 * SAMPLES:].shape)
    x, y = next(square for square in BOARD.marker_squares().tolist() if square[1] == 5)
    place = slice(y * SAMPLES, (y + 1) * SAMPLES), slice(x * SAMPLES, (x + 1) * SAMPLES)
    seen[place] += likeness * drawn[place]
    found = SimpleNamespace(seen=seen, drawn=drawn, mask=np.ones(seen.shape, bool))
    assert extent._lacks_markers(found, BOARD, False) is lacks
