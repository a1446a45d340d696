"""Rendered boards whose corners and poses are known: all found, none that is not there."""

import re
from dataclasses import replace

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import MOST_HINTS, BoardDetector, Hints
from superslam_ros.data import Camera
from superslam_ros.evaluation.degradations import degrade
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


@pytest.mark.parametrize(('model', 'distortion', 'bend_m'), [
    ('plumb_bob', [-0.25, 0.05, 0, 0, 0], 0.0), ('equidistant', [0.03, 0.0, 0, 0], 0.0),
    ('plumb_bob', [0.0, 0, 0, 0], 0.008)])
def test_lenses_and_bent_boards(found_corners, model, distortion, bend_m) -> None:
    camera = Camera(320, 240, CAMERA.K, np.array(distortion), model)
    T = facing(SIX, 0.3, 0.4, 0.5, 0.3)
    scene = render_boards(camera, [Placed(SIX, T, bend_m)], supersample=3)
    (one,) = BoardDetector([SIX], found_corners(scene)).detect(photograph(scene.image), camera).boards
    assert np.percentile(off(one, scene.pixels[0]), 95) < 0.3
    assert len(one.ids) > 20
    if not bend_m:
        assert np.linalg.norm(difference(one.T_camera_board, T)[3:]) < np.radians(0.5)


def test_several_boards_and_the_same_one_twice(found_corners) -> None:
    placed = [Placed(SIX, facing(SIX, 0.75, 0.2, 0, 0.2, (-0.3, 0.0))),
              Placed(SIX, facing(SIX, 0.8, 0, 0, 3, (0, 0.1))),
              Placed(FOUR, facing(FOUR, 0.7, 0.3, 1, 1, (0.26, -0.05)))]
    scene = view(*placed)
    found = BoardDetector({'six': SIX, 'four': FOUR}, found_corners(scene, 0.3)).detect(photograph(scene.image), CAMERA)
    assert sorted(one.board for one in found.boards) == ['four', 'six', 'six']
    for one in found.boards:
        truths = [truth for truth, other in zip(scene.pixels, placed) if other.board.name == one.board]
        assert min(np.median(off(one, truth)) for truth in truths) < 0.3


def test_half_a_board_is_enough_and_corners_that_were_missed_are_mended(found_corners) -> None:
    T = facing(SIX, 0.3, 0.3, 1, 0.2, (0.13, 0.06))
    scene = view(Placed(SIX, T))
    (truth,) = scene.pixels
    inside = ((truth >= 1) & (truth <= [318, 238])).all(1)
    assert 8 < inside.sum() < 20
    (one,) = BoardDetector([SIX], found_corners(scene, 1.0, 0.25)).detect(photograph(scene.image), CAMERA).boards
    assert set(one.ids) <= set(np.flatnonzero(inside)) and len(one.ids) >= inside.sum() - 1
    assert off(one, truth).max() < 0.5


@pytest.mark.parametrize(('dtype', 'scale'), [(np.uint16, 257), (np.float32, 1 / 255)])
def test_other_depths_of_pixels(found_corners, dtype, scale) -> None:
    scene = view(Placed(SIX, facing(SIX, 0.36, 0.3)))
    image = (photograph(scene.image) * np.float64(scale)).astype(dtype)
    assert BoardDetector([SIX], found_corners(scene)).detect(image).boards


@pytest.mark.parametrize(('width', 'height', 'distance'), [(160, 120, 0.3), (1000, 750, 0.3)])
def test_small_and_large_images(found_corners, width, height, distance) -> None:
    camera = worlds.pinhole(width, height, 0.8 * width)
    scene = render_boards(camera, [Placed(SIX, facing(SIX, distance, 0.3, 0, 1))], supersample=2 if width < 640 else 1)
    (one,) = BoardDetector([SIX], found_corners(scene)).detect(photograph(scene.image), camera).boards
    assert one.T_camera_board is not None and np.median(off(one, scene.pixels[0])) < 0.2 * max(1, width / 640)


def test_legacy_auto_tells_which(found_corners) -> None:
    auto = Board('auto', 8, 8, 0.0254, 0.01905, 'DICT_4X4_1000', legacy='auto')
    for legacy in (False, True):
        scene = view(Placed(auto, facing(auto, 0.36, 0.2), legacy=legacy))
        (one,) = BoardDetector([auto], found_corners(scene)).detect(photograph(scene.image)).boards
        assert one.legacy is legacy and np.median(off(one, scene.pixels[0])) < 0.2


OTHERS = {
    'squares_x': replace(SIX, squares_x=7, squares_y=5), 'fewer rows': replace(SIX, squares_y=6),
    'many fewer': replace(SIX, squares_y=3), 'more rows': replace(SIX, squares_y=8),
    'columns': replace(SIX, squares_x=6), 'first_id': replace(SIX, first_id=2),
    'codes': replace(SIX, dictionary='DICT_5X5_250'), 'inverted': replace(SIX, inverted=True),
}


@pytest.mark.parametrize(('name', 'said', 'explained'), [
    ('squares_x', 'markers', 'squares_x: 7, squares_y: 5'),
    ('fewer rows', 'ends before', 'squares_y: 6'), ('many fewer', 'ends before', ''),
    ('more rows', 'beyond', 'squares_y: 8'), ('columns', 'not those|agree', 'squares_x: 6'),
    ('first_id', 'markers', ''), ('codes', 'markers', 'dictionary: DICT_5X5_1000'),
    ('inverted', 'no board', 'inverted: true')])
def test_another_board_is_refused_and_what_it_is_can_be_asked(found_corners, name, said, explained) -> None:
    other = OTHERS[name]
    scene = view(Placed(other, facing(other, 0.36, 0.3, 0.5, 0.4)))
    image = photograph(scene.image)
    detector = BoardDetector([SIX], found_corners(scene, 0.4, 0.05, 2))
    found = detector.detect(image, CAMERA)
    assert not found.boards and re.search(said, found.reason), found.reason
    assert explained in detector.explain(image)


def test_striped_shadows_make_a_board_neither_larger_nor_smaller() -> None:
    """Where stripes cross its edge, the network finds corners that are none."""
    T = facing(SIX, 0.36, 0.3, 0.5, 0.4)
    scene = view(Placed(SIX, T), background=0.2)
    image, right, *wrong = photograph(scene.image), *(
        BoardDetector([replace(SIX, squares_y=rows)]) for rows in (7, 6, 9))
    errors = []
    for draw in range(6):
        shaded = degrade(image, 'shadow-blinds', draw)
        assert not any(other.detect(shaded).boards for other in wrong)
        (one,) = right.detect(shaded, CAMERA).boards
        errors.append(off(one, scene.pixels[0]))
        assert np.linalg.norm(difference(one.T_camera_board, T)[3:]) < np.radians(1)
    assert np.median(np.concatenate(errors)) < 0.15


def test_what_would_fit_is_said_of_the_first_images_until_a_board_is_found(found_corners) -> None:
    other, own = (view(Placed(board, facing(board, 0.36, 0.3, 0.5, 0.4))) for board in (OTHERS['squares_x'], SIX))
    detector = BoardDetector([SIX], found_corners(other, 0.4))
    image = photograph(other.image)
    found, hints = detector.detect(image), Hints(detector)
    assert found.others and 'would fit' not in found.reason
    said = [hints(image, found).reason for _ in range(MOST_HINTS + 1)]
    assert said == [f'{found.reason}; the board would fit six with squares_x: 7, squares_y: 5'] * MOST_HINTS + [
        found.reason]
    right = BoardDetector([SIX], found_corners(own)).detect(photograph(own.image))
    hints = Hints(detector)
    assert right.boards and not right.others and hints(image, right) is right and hints(image, found) is found


def test_a_mirror_image_is_refused(found_corners) -> None:
    scene = view(Placed(SIX, facing(SIX, 0.36, 0.3, 0.5, 0.4)))
    flipped = BoardView(scene.image[:, ::-1].copy(), [[319, 0] + corners * [-1, 1] for corners in scene.pixels])
    detector = BoardDetector([SIX], found_corners(flipped))
    found = detector.detect(photograph(flipped.image), CAMERA)
    assert not found.boards and 'mirror' in found.reason
    assert 'mirror' in detector.explain(photograph(flipped.image))


def test_a_plain_chessboard_is_refused(found_corners) -> None:
    y, x = np.mgrid[:240, :320]
    board = np.where((x // 30 + y // 30) % 2, 0.9, 0.1).astype(np.float32)
    corners = np.stack(np.meshgrid(np.arange(30, 320, 30), np.arange(30, 240, 30)), -1).reshape(-1, 2) - 0.5
    found = BoardDetector([SIX], found_corners(BoardView(board, [corners]))).detect(photograph(board), CAMERA)
    assert not found.boards and 'corners of a chessboard' in found.reason


def test_nothing_is_found_in_noise(found_corners) -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (120, 160)).astype(np.float32)
    for count in (0, 3, 60):
        corners = rng.uniform(0, 1, (count, 2)) * [160, 120]
        found = BoardDetector([SIX, FOUR], found_corners(BoardView(image, [corners]), false=0)).detect(image)
        assert not found.boards and found.reason.startswith('no board')
    assert 'only 8x120' in BoardDetector([SIX], found_corners(BoardView(image, [corners]))).detect(image[:, :8]).reason


def test_corners_without_a_calibration_that_fits_have_no_pose_and_say_why(found_corners) -> None:
    scene = view(Placed(SIX, facing(SIX, 0.36, 0.3)))
    detector = BoardDetector([SIX], found_corners(scene))
    for camera, said in ((None, 'not calibrated'), (worlds.pinhole(640, 480), 'is 320x240, its calibration 640x480')):
        (one,) = detector.detect(photograph(scene.image), camera).boards
        assert one.T_camera_board is None and one.covariance is None and said in one.reason
        assert len(one.ids) == 24


def test_what_is_no_image_is_refused(found_corners) -> None:
    detector = BoardDetector([SIX], found_corners(BoardView(np.zeros((24, 32)), [np.zeros((0, 2))])))
    for image in (np.zeros((4, 5, 3), np.uint8), np.zeros((24, 32), np.int32), np.zeros((0, 0), np.uint8)):
        with pytest.raises(ValueError, match='expected a gray image'):
            detector.detect(image)
    assert not detector.detect(np.full((24, 32), np.nan)).boards
    with pytest.raises(ValueError, match='no boards'):
        BoardDetector([], detector)
