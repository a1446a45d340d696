"""Rendered boards: OpenCV's sub-pixel corners are where they are said to be, and what is seen is what is printed."""

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.boards.board import Board
from superslam_ros.data import Camera
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

BOARD = Board('b', 4, 5, 0.04, 0.03, 'DICT_4X4_50')


def subpixel_errors(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    start = (corners + 0.3).astype(np.float32).reshape(-1, 1, 2)
    return cv2.cornerSubPix(image, start, (4, 4), (-1, -1), (3, 40, 1e-3)).reshape(-1, 2) - corners


@pytest.mark.parametrize(('model', 'distortion'), [
    ('plumb_bob', [0.0]), ('plumb_bob', [-0.3, 0.1, 0.001, 0, 0]), ('equidistant', [0.05, 0.01, 0, 0])])
@pytest.mark.parametrize('bend_m', [0.0, 0.01])
def test_corners_are_where_they_are_said_to_be(model: str, distortion: list, bend_m: float) -> None:
    K = np.array([[260.0, 0, 159.5], [0, 260, 119.5], [0, 0, 1]])
    camera = Camera(320, 240, K, np.array(distortion), model)
    T = facing(BOARD, 0.3, 0.4, 0.5, 0.3, (0.01, 0.0))
    view = render_boards(camera, [Placed(BOARD, T, bend_m)], supersample=3)
    errors = subpixel_errors(photograph(view.image), view.pixels[0])
    assert np.median(np.linalg.norm(errors, axis=1)) < 0.1
    assert np.abs(errors.mean(0)).max() < 0.05


def test_motion_is_centred_on_the_corners() -> None:
    camera = worlds.pinhole(320, 240, 260)
    view = render_boards(camera, [Placed(BOARD, facing(BOARD, 0.3))], supersample=3)
    errors = subpixel_errors(photograph(view.image, motion_px=(6.0, 4.0)), view.pixels[0])
    assert np.abs(np.median(errors, axis=0)).max() < 0.1


def test_the_nearer_board_covers_the_other() -> None:
    camera = worlds.pinhole(160, 120, 130)
    far, near = (Placed(BOARD, facing(BOARD, distance)) for distance in (0.8, 0.3))
    both = render_boards(camera, [near, far], supersample=2).image
    np.testing.assert_array_equal(both, render_boards(camera, [near], supersample=2).image)


def test_an_inverted_board_is_the_negative() -> None:
    camera, T = worlds.pinhole(160, 120, 130), facing(BOARD, 0.3)
    negative = Board('n', 4, 5, 0.04, 0.03, 'DICT_4X4_50', inverted=True)
    plain, inverted = (render_boards(camera, [Placed(board, T)], 0.49, supersample=2).image
                       for board in (BOARD, negative))
    np.testing.assert_allclose(plain + inverted, 0.98, atol=1e-5)


def test_the_dark_is_noisy_and_the_same_every_time() -> None:
    flat = np.full((60, 80), 0.5, np.float32)
    bright, dark = photograph(flat), photograph(flat, dark=64, gain=64)
    assert dark.std() > 4 * bright.std()
    assert abs(bright.mean() - 127.5) < 1
    np.testing.assert_array_equal(dark, photograph(flat, dark=64, gain=64))
