"""The measure of corners, on detectors whose mistakes are known; and OpenCV's bias."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.boards.drawing import draw
from superslam_ros.evaluation import boards
from superslam_ros.evaluation.boards import Picture, Score, judge
from superslam_ros.evaluation.opencv_boards import OpenCvDetector, available, bias_px

BOARD = Board('dock', 5, 7, 0.04, 0.03, 'DICT_6X6_250')


@pytest.fixture(scope='module')
def picture() -> Picture:
    return next(boards.rendered(BOARD, 1, 0, (320, 240)))


def test_rendered_pictures_are_the_same_every_time(picture: Picture) -> None:
    again = next(boards.rendered(BOARD, 1, 0, (320, 240)))
    assert np.array_equal(picture.image, again.image) and np.array_equal(picture.pixels, again.pixels)
    assert len(picture.ids) == 24 and picture.image.shape == (240, 320)
    assert len(list(boards.rendered(BOARD, 4, 2, (96, 72)))) == 4       # of which some would have negative light


def test_what_is_right_and_what_is_wrong(picture: Picture) -> None:
    shift = np.zeros_like(picture.pixels)
    half = boards.half_square_px(picture)
    shift[0, 0], shift[1, 0], shift[2, 1] = 2.9, 3.1, half + 1      # right, only missed, wrong
    assert half > 4
    found = judge(lambda image: (picture.ids[:-4], (picture.pixels + shift)[:-4]), picture.image, picture, 'dark-8')
    assert found.known == 24 and found.right.sum() == 18 and found.wrong.sum() == 1
    score = Score()
    score.add(found)
    figures = score.figures()
    assert figures['recall'] == 0.75 and figures['wrong'] == 1 and figures['median_px'] == 0
    # In a smaller picture, less is right.
    half_size = judge(lambda image: (picture.ids, (picture.pixels + [[2.9, 0]] + 0.5) / 2 - 0.5),
                      cv2.resize(picture.image, (160, 120)), picture, 'downscale-2')
    assert half_size.right.all() and np.allclose(half_size.errors_px, 1.45)


def test_nothing_found_is_no_error(picture: Picture) -> None:
    score = Score()
    score.add(judge(lambda image: (np.zeros(0, int), np.zeros((0, 2))), picture.image, picture, 'original'))
    assert score.figures()['recall'] == 0 and score.figures()['median_px'] is None
    columns, rows = boards.as_rows([('original', {'ours': score, 'OpenCV': score})])
    assert columns == ['', 'recall', 'OpenCV', 'px', 'OpenCV', 'ids off', 'OpenCV', 'ms', 'OpenCV']
    assert rows[0][:7] == ['original', '0.000', '0.000', '-', '-', '0', '0'] and len(rows[0]) == 9


def test_only_what_is_random_is_drawn_again(picture: Picture) -> None:
    looked = []

    def find(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        looked.append(image)
        return picture.ids, picture.pixels

    steps = list(boards.evaluate({'ours': find}, [picture], ['original', 'noise-20'], 3))
    assert len(looked) == 1 + 3 and [name for name, *_ in steps] == ['original', 'noise-20']
    assert steps[1][1]['ours'].known == 3 * 24


@pytest.mark.parametrize('board', [
    BOARD, Board('old', 6, 8, 0.03, 0.02, 'DICT_4X4_1000', 7, True),
    Board('dark', 5, 5, 0.04, 0.03, 'DICT_5X5_50', 2, False, True)], ids=lambda board: board.name)
def test_opencv_without_its_bias(board: Board) -> None:
    if not available(board):
        pytest.skip('this OpenCV has no detector of such boards')
    image = np.rint(20 + 200 * draw(board, 41.7, 0.5)).astype(np.uint8)
    ids, pixels = OpenCvDetector(board)(cv2.GaussianBlur(image, (0, 0), 0.8))
    assert len(ids) == len(board.corners_m())
    true = (board.corners_m()[ids, :2] / board.square_m + 0.5) * 41.7 - 0.5
    assert np.abs(np.median(pixels - true, axis=0)).max() < 0.05 and np.abs(bias_px()).max() < 0.6


@pytest.mark.skipif(not available(BOARD), reason='this OpenCV has no ChArUco detector')
def test_photographs_are_known_by_opencv(picture: Picture) -> None:
    known = boards.known_by_opencv('a', picture.image, BOARD)
    np.testing.assert_allclose(known.pixels, picture.pixels[known.ids], atol=2)
    assert boards.known_by_opencv('a', np.zeros((60, 80), np.uint8), BOARD) is None
