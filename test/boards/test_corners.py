"""Corners of boards in images, by the weights that come with the package."""

import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.boards.corners import CornerDetector, spacing
from superslam_ros.data import Camera
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

BOARD = Board('b', 7, 5, 0.04, 0.03, 'DICT_5X5_100')


@pytest.fixture(scope='module')
def detector():
    return CornerDetector()


def view(width=320, height=240, distance=0.6, tilt=0.5, **photo):
    """Return an image of the board, and its corners."""
    K = np.array([[0.9 * width, 0, width / 2 - 0.5], [0, 0.9 * width, height / 2 - 0.5], [0, 0, 1.0]])
    placed = Placed(BOARD, facing(BOARD, distance, tilt, 0.4, 0.2))
    seen = render_boards(Camera(width, height, K), [placed], 0.4, supersample=2)
    return photograph(seen.image, **photo), seen.pixels[0]


def apart(found, corners):
    """Return how far the nearest found corner is from each true one, (N,) pixels."""
    return np.linalg.norm(corners[:, None] - found[None], axis=2).min(1)


@pytest.mark.parametrize('width, height', [(160, 120), (321, 243), (640, 480), (1000, 700)])
def test_corners_are_found_in_images_of_any_size(detector, width, height):
    image, corners = view(width, height)
    found = detector(image)
    assert (apart(found.pixels, corners) < 2).mean() > 0.9
    assert len(found.pixels) <= 1.2 * len(corners)
    assert np.all(np.diff(found.scores) <= 0) and (found.sigma_px > 0).all()


def test_a_small_board_in_a_large_image_is_found(detector):
    image, corners = view(1024, 768, 2.1, 0.2)
    assert 12 < spacing(corners) < 30
    assert (apart(detector(image).pixels, corners) < 2).mean() > 0.9


@pytest.mark.parametrize('photo, share', [({'dark': 30}, 0.8), ({'blur_px': 2.5}, 0.8), ({'motion_px': (6, 3)}, 0.8)])
def test_corners_are_found_in_dark_and_blurred_images(detector, photo, share):
    image, corners = view(640, 480, **photo)
    assert (apart(detector(image).pixels, corners) < 3).mean() > share


@pytest.mark.parametrize('shape', [(1, 1), (7, 300), (16, 16), (2160, 3840)])
def test_an_image_without_a_board_has_no_corners(detector, shape):
    found = detector(np.full(shape, 90, np.uint8))
    assert found.pixels.shape == (0, 2) and len(found.scores) == len(found.sigma_px) == 0


def test_a_closer_look_is_taken_only_where_corners_are_likely(detector, monkeypatch):
    looks, look = [], detector._look

    def watched(image, box, level):
        looks.append((box, level))
        return look(image, box, level)

    monkeypatch.setattr(detector, '_look', watched)
    detector(np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8))
    assert [level for _, level in looks] == [1, 0]
    looks.clear()
    image, corners = view(640, 480, 2.1, 0.2)
    assert spacing(corners) < 12 and (apart(detector(image).pixels, corners) < 1).mean() > 0.9
    (left, top, right, bottom), level = looks[-1]
    assert level == -1 and (right - left) * (bottom - top) < 640 * 480 / 8


def test_a_region_is_all_that_is_looked_at(detector):
    image, corners = view(640, 480)
    region = 0, 0, 320, 480
    found = detector(image, region)
    inside = corners[:, 0] < 310
    assert found.pixels[:, 0].max() < 320 and (apart(found.pixels, corners[inside]) < 2).mean() > 0.9


def test_gray_values_may_be_floating_point(detector):
    image, _ = view()
    a, b = detector(image), detector(image / 255)
    assert np.allclose(a.pixels, b.pixels, atol=1e-3)


def test_refined_corners_are_nearer_and_say_how_near(detector):
    image, corners = view(640, 480)
    rough = corners + np.random.default_rng(0).normal(0, 1.0, corners.shape)
    pixels, sigma = detector.refine(image, rough)
    error = np.linalg.norm(pixels - corners, axis=1)
    assert np.median(error) < 0.3 < np.median(np.linalg.norm(rough - corners, axis=1))
    assert (error < 4 * sigma + 0.1).all() and np.median(sigma) < 0.5


def test_where_nothing_is_certain_nothing_moves(detector):
    flat, places = np.full((240, 320), 100, np.uint8), np.array([[50.5, 60.25], [200, 100]])
    pixels, sigma = detector.refine(flat, places, 30.0, 0.4)
    assert np.abs(pixels - places).max() < 1 and (sigma <= 0.4).all()
    assert [len(part) for part in detector.refine(flat, np.zeros((0, 2)))] == [0, 0]


@pytest.mark.parametrize('image', [
    np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16), np.zeros((0, 4), np.uint8)])
def test_what_is_no_gray_image_is_refused(detector, image):
    with pytest.raises(ValueError, match=r'expected \(H, W\)'):
        detector(image)


@pytest.mark.parametrize('region', [(330, 0, 400, 100), (100, 50, 100, 90)])
def test_a_region_beside_the_image_is_refused(detector, region):
    with pytest.raises(ValueError, match='region'):
        detector(np.zeros((240, 320), np.uint8), region)
