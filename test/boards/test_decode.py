"""Bits that have nothing to do with a board's do not agree with it, whatever they look like."""

import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.decode import Reading, fits, hypotheses, nats
from superslam_ros.boards.warp import Region

BOARD = Board('b', 5, 7, 0.04, 0.02, 'DICT_6X6_250')
REGION = Region(0, 0, 5, 7, 8)
CELLS = np.stack(np.meshgrid(np.arange(1, 5), np.arange(1, 7)), -1).reshape(-1, 2)
Y, X = np.mgrid[:7, :5]


def reading(bits: np.ndarray) -> Reading:
    return Reading(bits - bits.mean((2, 3), keepdims=True), np.ones((7, 5), bool), (X + Y) % 2 == 1)


def test_the_boards_own_bits_speak_for_it() -> None:
    bits = np.zeros((7, 5, 6, 6))
    x, y = BOARD.marker_squares().T
    bits[y, x] = BOARD.codes
    found = hypotheses(reading(bits), REGION, CELLS, BOARD)
    assert (found[0].turn, found[0].shift, found[0].agreeing, found[0].markers) == (0, (0, 0), 1, 17)
    assert nats(found[0].z, len(found)) > 200 > 0 > nats(found[1].z, len(found))
    np.testing.assert_array_equal(found[0].places(CELLS, REGION), CELLS)


def test_other_bits_of_any_kind_do_not() -> None:
    rng = np.random.default_rng(0)
    smooth = np.linspace(-1, 1, 6)
    for index in range(60):
        bits = (rng.normal(0, 1, (7, 5, 6, 6)), rng.integers(0, 2, (7, 5, 6, 6)).astype(float),
                np.add.outer(smooth * rng.normal(), smooth) * rng.normal(0, 1, (7, 5, 1, 1)))[index % 3]
        found = hypotheses(reading(bits), REGION, CELLS, BOARD)
        assert all(nats(one.z, len(found)) < -5 for one in found)


def test_a_lattice_of_another_size_is_known_before_its_bits_are_read() -> None:
    for columns, rows, right in ((4, 6, True), (6, 4, True), (3, 2, True), (5, 7, True), (8, 8, False), (2, 20, False)):
        cells = np.stack(np.meshgrid(np.arange(3, columns + 3), np.arange(-2, rows - 2)), -1).reshape(-1, 2)
        assert fits(cells, Region(2, -3, columns + 1, rows + 1, 8), BOARD) is right
