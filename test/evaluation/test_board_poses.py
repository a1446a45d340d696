"""The measure of poses, on mistakes that are known; and poses and covariances of rendered boards."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.evaluation import board_poses, boards
from superslam_ros.evaluation.board_poses import Errors
from superslam_ros.evaluation.boards import OPENCV, OURS
from superslam_ros.evaluation.opencv_boards import available
from superslam_ros.worlds.boards import facing

BOARD = Board('dock', 5, 7, 0.04, 0.03, 'DICT_6X6_250')


def test_errors_are_of_the_boards_middle_and_flips_are_counted() -> None:
    middle, truth, errors = np.array([0.1, 0.14, 0]), facing(BOARD, 1.0, 0.3), Errors()
    moved = truth.copy()
    moved[2, 3] += 0.01
    errors.add(0, moved, truth, middle, np.eye(6) * 1e-4)
    errors.add(1, facing(BOARD, 1.0, -0.3), truth, middle, np.eye(6))
    errors.add(1, truth, truth, middle, np.eye(6))
    assert errors.percent == pytest.approx([1, 0, 0], abs=1e-9)
    assert errors.nees[0] == pytest.approx(1) and errors.degrees[1] == pytest.approx(np.degrees(0.6))
    assert errors.figures()['poses'] == 3 and errors.figures()['flips'] == 1
    assert errors.figures([0]) == {'poses': 1, 'percent': 1, 'degrees': 0, 'nees': 1, 'flips': 0}
    assert errors.figures([7])['percent'] is None


def test_poses_of_rendered_boards_are_as_near_as_their_covariances_say() -> None:
    pictures = list(boards.rendered(BOARD, 5, 1, (320, 240)))
    names = ['original', 'dark-64', 'blur-2', 'motion-7', 'downscale-2']
    done = list(board_poses.compare(BOARD, pictures, names, 1))
    squares = np.concatenate([errors[OURS].nees for _, _, errors in done])
    assert len(squares) >= 24 and 1 < np.mean(squares) < 12
    for name, number, errors in done:
        ours = errors[OURS].figures()
        assert number == 5 and ours['flips'] == 0, name
        assert ours['percent'] < 0.3 and ours['degrees'] < 1, name
    columns, rows = board_poses.as_rows(done)
    assert [row[0] for row in rows] == names and {len(row) for row in rows} == {len(columns)}
    if available(BOARD):
        found = board_poses.figures(done[0][2])
        assert found[OPENCV]['poses'] == 5 and found[OPENCV]['percent'] < 0.3 and found[OPENCV]['nees'] is None
