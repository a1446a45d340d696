"""Drawn boards: their corners are where four squares meet, and the same seed draws the same."""

import cv2
import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.training.data import board_clutter, board_light, board_scenes, boards
from superslam_ros.training.data.board_scenes import BoardScenes


def photos(value=None):
    rng = np.random.default_rng(9)
    return rng.integers(0, 256, (3, 96, 128), np.uint8) if value is None else np.full((1, 96, 128), value, np.uint8)


def quadrants(image, corner, reach):
    """Return gray values at the four diagonals around a corner."""
    x, y = corner
    return [float(image[round(y + dy), round(x + dx)])
            for dx, dy in ((-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach))]


@pytest.mark.parametrize('seed', range(12))
def test_corners_of_a_flat_board_are_where_colours_alternate(seed):
    board = boards.random_board(np.random.default_rng(seed), 40)
    for corner in (board.corners + board.margin) * board.scale - 0.5:
        a, b, c, d = quadrants(board.picture, corner, 1)
        assert a == c != b == d
    height, width = board.picture.shape
    assert np.allclose(board.middle, board.corners.mean(0))
    assert (board.middle + board.margin) * board.scale * 2 == pytest.approx([width, height])


def test_markers_are_in_white_squares_with_paper_around():
    picture = boards.chessboard(4, 3, 20)
    before = picture.copy()
    boards.add_markers(picture, 20, False, np.zeros((6, 6, 6), np.uint8), 0.5)
    changed = (picture != before).reshape(3, 20, 4, 20).sum((1, 3))
    assert changed.tolist() == [[0, 100, 0, 100], [100, 0, 100, 0], [0, 100, 0, 100]]
    assert not (picture != before)[:, ::20].any()


def test_without_dictionaries_markers_are_made_up(monkeypatch):
    monkeypatch.setattr(boards.dictionary, 'predefined', list)
    for seed in range(8):
        markers = boards.random_markers(np.random.default_rng(seed), 5)
        assert len(markers) == 5 and not markers[:, 0].any() and set(np.unique(markers)) == {0, 1}


def clear(monkeypatch):
    """Nothing but a board, as sharp as pixels are."""
    for name in ('OTHERS', 'EMPTY', 'SECOND'):
        monkeypatch.setattr(board_scenes, name, 0.0)
    monkeypatch.setattr(board_light, 'illuminate', lambda light, rng: light)
    monkeypatch.setattr(board_light, 'focus', lambda light, square, rng: light)
    monkeypatch.setattr(board_light, 'expose', lambda light, rng: np.rint(light * 255).astype(np.uint8))
    monkeypatch.setattr(board_light, 'develop', lambda image, rng: image)


def test_corners_in_an_image_are_where_its_gradients_meet(monkeypatch):
    """Through lens, bent paper and rolling shutter: by OpenCV's search, which is good to a tenth on sharp corners."""
    clear(monkeypatch)
    monkeypatch.setattr(board_clutter, 'cover', lambda light, photo, size, rng: np.zeros(light.shape, np.uint8))
    monkeypatch.setattr(board_scenes, 'SQUARE_PX', (30.0, 45.0))
    scenes, apart = BoardScenes(photos(128), 320, 240), []
    until = cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-3
    for seed in range(30):
        image, corners, _ = scenes.draw(np.random.default_rng(seed))
        corners = corners[((corners > 8) & (corners < [311, 231])).all(1)]
        if len(corners):
            places = np.ascontiguousarray(corners[:, None], np.float32)
            found = cv2.cornerSubPix(image, places, (3, 3), (-1, -1), until)
            apart.append(found[:, 0] - corners)
    apart = np.concatenate(apart)
    assert len(apart) > 200
    assert np.median(np.linalg.norm(apart, axis=1)) < 0.15
    assert np.abs(np.median(apart, 0)).max() < 0.03


def test_a_view_there_and_back_is_the_same_place():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        view = board_scenes.random_view(rng, np.array([3.0, 2.0]), 30.0, 160, 120)
        places, ahead = view.to_picture(160, 120)
        y, x = np.mgrid[10:120:30, 10:160:30].reshape(2, -1)
        back = view.to_image(places[y, x].astype(np.float64), 120)
        near = ahead[y, x] & (np.abs(places[y, x]).max(1) < 12)
        assert np.abs(back - np.stack([x, y], 1))[near].max(initial=0) < 0.05


def test_covered_corners_are_not_listed(monkeypatch):
    clear(monkeypatch)
    monkeypatch.setattr(board_scenes, 'SQUARE_PX', (25.0, 30.0))

    def cover_left_half(light, photo, size, rng):
        mask = np.zeros(light.shape, np.uint8)
        mask[:, :128] = 255
        return mask

    monkeypatch.setattr(board_clutter, 'cover', cover_left_half)
    found = [BoardScenes(photos()).draw(np.random.default_rng(seed)).corners for seed in range(40)]
    covered = [corners for corners in found if len(corners) and corners[:, 0].min() > 120]
    assert len(covered) > 8 and any((corners[:, 0] < 120).any() for corners in found)


def test_the_same_seed_draws_the_same_and_another_does_not():
    scenes = BoardScenes(photos(), 128, 96)
    (a, at, _), (b, same, _), (c, *_) = (scenes.draw(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a, b) and np.array_equal(at, same) and not np.array_equal(a, c)
    assert a.shape == (96, 128) and a.dtype == np.uint8


def test_corners_of_a_known_board_have_its_ids(monkeypatch):
    clear(monkeypatch)
    monkeypatch.setattr(board_scenes, 'FOREIGN', 0.0)
    monkeypatch.setattr(board_scenes, 'SQUARE_PX', (12.0, 14.0))
    monkeypatch.setattr(board_clutter, 'cover', lambda light, photo, size, rng: np.zeros(light.shape, np.uint8))
    board = Board('b', 5, 4, 0.04, 0.03, 'DICT_4X4_50')
    scenes, seen = BoardScenes(photos(), board=board), 0
    for seed in range(10):
        _, corners, ids = scenes.draw(np.random.default_rng(seed))
        if len(ids) < 12:
            continue
        seen += 1
        flat = board.corners_m()[ids, :2].astype(np.float32) / board.square_m
        fit, _ = cv2.findHomography(flat, corners.astype(np.float32))
        assert np.abs(cv2.perspectiveTransform(flat[:, None], fit)[:, 0] - corners).max() < 3
        assert np.linalg.det(fit[:2, :2]) > 0       # seen from the front
    assert seen > 3
    assert (BoardScenes(photos()).draw(np.random.default_rng(0)).ids == boards.NO_ID).all()


def test_all_corners_are_inside_the_image():
    scenes = BoardScenes(photos(), 128, 96)
    drawn = [scenes.draw(np.random.default_rng(seed)) for seed in range(60)]
    corners = np.concatenate([one for _, one, _ in drawn])
    assert len(corners) > 300 and np.isfinite(corners).all()
    assert (corners > 0).all() and (corners < [127, 95]).all()
    assert 0 < sum(not len(one) for _, one, _ in drawn) < 30


@pytest.mark.parametrize('length, angle, bend', [(3, 0.0, 0), (12.5, 0.7, 0.1), (31, 2.0, -0.15)])
def test_a_motion_leaves_corners_where_they_are(length, angle, bend):
    kernel = board_light.motion(length, angle, bend)
    steps = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert abs((kernel * steps).sum()) < 0.02 and abs((kernel * steps[:, None]).sum()) < 0.02
