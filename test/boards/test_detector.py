"""Rendered boards whose corners and poses are known: all found, none that is not there."""

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import BoardDetector
from superslam_ros.geometry.pose import difference
from superslam_ros.worlds.boards import BoardView, Placed, facing, photograph, render_boards

SIX = Board('six', 5, 7, 0.04, 0.02, 'DICT_6X6_250')
FOUR = Board('four', 8, 8, 0.0254, 0.01905, 'DICT_4X4_1000', legacy=True)
NEGATIVE = Board('negative', 6, 6, 0.03, 0.022, 'DICT_5X5_100', inverted=True)
CAMERA = worlds.pinhole(320, 240, 260)


def view(*placed: Placed, background: float = 0.5) -> BoardView:
    return render_boards(CAMERA, placed, background, supersample=3)


def off(found, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found.pixels - truth[found.ids], axis=1)


@pytest.mark.parametrize('board', [SIX, FOUR, NEGATIVE], ids=lambda board: board.name)
@pytest.mark.parametrize(('sensor', 'noise_px', 'worst_px'), [
    ({}, 0.4, 0.25), ({'motion_px': (5.0, 4.0)}, 1.0, 0.3), ({'blur_px': 2.0}, 1.0, 0.3),
    ({'dark': 256, 'gain': 16}, 1.0, 0.5)], ids=['clean', 'motion', 'blur', 'dark'])
def test_a_board_is_found_with_its_corners_and_pose(found_corners, board, sensor, noise_px, worst_px) -> None:
    T = facing(board, 0.36, 0.5, 1.0, 2.0)
    scene = view(Placed(board, T))
    found = BoardDetector([board], found_corners(scene, noise_px)).detect(photograph(scene.image, **sensor), CAMERA)
    assert found.reason == ''
    (one,) = found.boards
    assert (one.board, one.legacy, one.reason) == (board.name, bool(board.legacy), '')
    assert len(one.ids) > 0.95 * len(board.corners_m())
    assert np.percentile(off(one, scene.pixels[0]), 95) < worst_px
    error = difference(one.T_camera_board, T)
    assert np.linalg.norm(error[:3]) < 0.01 * 0.36 and np.linalg.norm(error[3:]) < np.radians(1)
