"""The whole detector with the networks that come with the package: codes never seen, images small and large."""

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.boards.board import Board
from superslam_ros.boards.corners import MOST_PIXELS, CornerDetector
from superslam_ros.boards.detector import BoardDetector
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

FOUR = Board('four', 8, 8, 0.0254, 0.01905, 'DICT_4X4_1000')


@pytest.fixture(scope='module')
def corners() -> CornerDetector:
    return CornerDetector()


def seen(board: Board, width: int, height: int, square_px: float, **photo) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of a board with squares of so many pixels, and its corners."""
    camera = worlds.pinhole(width, height)
    distance = board.square_m * camera.K[0, 0] / square_px
    T = facing(board, distance, 0.3, 1.0, 0.3, (0.03 * distance, 0.02 * distance))
    view = render_boards(camera, [Placed(board, T)], 0.4, supersample=2)
    return photograph(view.image, **photo), view.pixels[0]


def assert_found(board: Board, corners: CornerDetector, image: np.ndarray, truth: np.ndarray, within_px: float) -> None:
    (found,) = BoardDetector([board], corners).detect(image).boards
    assert len(found.ids) > 0.9 * len(truth)
    assert np.linalg.norm(found.pixels - truth[found.ids], axis=1).max() < within_px


@pytest.mark.parametrize('seed', [1, 2])
def test_a_dictionary_drawn_at_random_that_no_training_has_seen(corners, tmp_path, seed) -> None:
    rng = np.random.default_rng(seed)
    size, path = int(rng.integers(4, 8)), tmp_path / 'own.yaml'
    codes = [''.join(map(str, rng.integers(0, 2, size * size))) for _ in range(20)]
    path.write_text(f'%YAML:1.0\n---\nnmarkers: {len(codes)}\nmarkersize: {size}\n' + ''.join(
        f'marker_{number}: "{code}"\n' for number, code in enumerate(codes)))
    own = Board('own', 5, 7, 0.04, 0.03, str(path), first_id=2)
    for photo in ({}, {'dark': 128, 'gain': 16}, {'motion_px': (6, 4)}):
        assert_found(own, corners, *seen(own, 320, 240, 24, **photo), 1.5)


def test_small_squares_in_small_and_in_large_images(corners) -> None:
    assert_found(FOUR, corners, *seen(FOUR, 160, 120, 6), 0.5)
    assert_found(FOUR, corners, *seen(FOUR, 1280, 720, 6), 0.5)


def test_an_image_of_3840x2160_takes_no_more_memory_than_one_of_1280x720(corners, monkeypatch) -> None:
    image, truth = seen(FOUR, 480, 270, 18)
    image = cv2.resize(image, (3840, 2160), interpolation=cv2.INTER_CUBIC)
    sizes, look = [], corners._look

    def watched(image, box, level):
        sizes.append((box[2] - box[0]) * (box[3] - box[1]) / 4**level)
        return look(image, box, level)

    monkeypatch.setattr(corners, '_look', watched)
    assert_found(FOUR, corners, image, (truth + 0.5) * 8 - 0.5, 3)
    noise = np.random.default_rng(0).integers(0, 256, (2160, 3840), np.uint8)
    assert not BoardDetector([FOUR], corners).detect(noise).boards
    assert sizes and max(sizes) <= MOST_PIXELS
