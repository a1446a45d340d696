"""Boards: OpenCV's own drawing is the known answer, for every dictionary it has."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros.boards import dictionary as dictionaries
from superslam_ros.boards.board import Board
from superslam_ros.boards.drawing import draw, outlines, printed

needs_charuco = pytest.mark.skipif(not hasattr(getattr(cv2, 'aruco', None), 'CharucoBoard'),
                                   reason='this OpenCV draws boards otherwise')


def board(**changes: object) -> Board:
    return Board(**{'name': 'b', 'squares_x': 5, 'squares_y': 7, 'square_m': 0.04, 'marker_m': 0.02,
                    'dictionary': 'DICT_6X6_250', **changes})


def opencv_board(mine: Board) -> 'cv2.aruco.CharucoBoard':
    codes = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, mine.dictionary))
    ids = np.arange(mine.first_id, mine.first_id + mine.marker_count)
    theirs = cv2.aruco.CharucoBoard((mine.squares_x, mine.squares_y), mine.square_m, mine.marker_m, codes, ids)
    theirs.setLegacyPattern(bool(mine.legacy))
    return theirs


@needs_charuco
@pytest.mark.parametrize('changes', [
    {}, {'legacy': True}, {'squares_y': 6, 'legacy': True}, {'squares_y': 6}, {'first_id': 30},
    {'squares_x': 8, 'squares_y': 8, 'marker_m': 0.03, 'dictionary': 'DICT_4X4_1000', 'legacy': True},
    {'squares_x': 4, 'squares_y': 3, 'marker_m': 0.03, 'dictionary': 'DICT_APRILTAG_16h5'},
])
def test_a_board_is_drawn_as_opencv_draws_it(changes: dict) -> None:
    mine = board(**changes)
    theirs = opencv_board(mine)
    columns, rows, side = mine.squares_x, mine.squares_y, 96
    image = theirs.generateImage((columns * side, rows * side), marginSize=0) / 255
    assert np.abs(image - draw(mine, side)).max() < 0.5
    np.testing.assert_allclose(mine.corners_m(), theirs.getChessboardCorners(), atol=1e-6)


@pytest.mark.skipif(not dictionaries.predefined(), reason='this OpenCV has no dictionaries')
@pytest.mark.parametrize('name', dictionaries.predefined())
def test_every_dictionary_has_opencvs_bits(name: str) -> None:
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
    codes = dictionaries.codes(name)
    draw_marker = getattr(cv2.aruco, 'generateImageMarker', None) or cv2.aruco.drawMarker
    for index in (0, len(codes) // 2, len(codes) - 1):
        image = draw_marker(dictionary, index, codes.shape[1] + 2)
        np.testing.assert_array_equal(codes[index], image[1:-1, 1:-1] > 0)


def test_a_drawing_is_exact_in_area() -> None:
    mine = board()
    fine = draw(mine, 64)
    coarse = draw(mine, 8, margin_squares=1)
    assert coarse.shape == (72, 56)
    assert (coarse[:8] == 1).all() and (coarse[:, -8:] == 1).all()
    np.testing.assert_allclose(coarse[8:-8, 8:-8], cv2.resize(fine, (40, 56), interpolation=cv2.INTER_AREA), atol=1e-5)


@pytest.mark.parametrize('inverted', [False, True])
def test_what_is_printed_at_a_place_is_what_is_drawn(inverted: bool) -> None:
    mine = board(squares_x=4, squares_y=3, marker_m=0.03, inverted=inverted)
    y, x = (np.mgrid[:3 * 50, :4 * 50] + 0.5) / 50
    drawn = draw(mine, 50)
    whole = (drawn == 0) | (drawn == 1)
    np.testing.assert_array_equal(printed(mine).at(np.stack([x, y], -1))[whole], drawn[whole])
    plain = draw(board(squares_x=4, squares_y=3, marker_m=0.03), 50)
    np.testing.assert_allclose(drawn, 1 - plain if inverted else plain, atol=1e-6)
    assert np.isnan(printed(mine).at(np.array([[-0.1, 1.0], [1.0, 3.2]]))).all()


@pytest.mark.parametrize('inverted', [False, True])
def test_outlines_enclose_what_is_black(inverted: bool) -> None:
    """By the even-odd rule: a ray to the right crosses the borders of all outlines an odd number of times."""
    mine = board(squares_x=4, squares_y=3, marker_m=0.03, dictionary='DICT_4X4_50', inverted=inverted)
    areas = printed(mine)
    x, y = ((lines[1:] + lines[:-1]) / 2 * mine.square_m for lines in (areas.x, areas.y))
    crossings = np.zeros(areas.white.shape, int)
    for loop in outlines(mine):
        after = np.roll(loop, -1, axis=0)
        for (x0, y0), (x1, y1) in zip(loop, after):
            if x0 == x1:
                crossings += np.outer((y > min(y0, y1)) & (y < max(y0, y1)), x < x0)
            else:
                assert y0 == y1
    np.testing.assert_array_equal(crossings % 2 == 1, ~areas.white)


def custom(path: Path, codes: np.ndarray, change: dict | None = None) -> Path:
    lines = {'nmarkers': len(codes), 'markersize': codes.shape[1]}
    lines |= {f'marker_{i}': ''.join(str(int(bit)) for bit in code.ravel()) for i, code in enumerate(codes)}
    lines |= change or {}
    if path.suffix == '.json':
        path.write_text(json.dumps(lines))
    else:
        path.write_text('%YAML:1.0\n---\n' + ''.join(f'{key}: {json.dumps(value)}\n' for key, value in lines.items()))
    return path


@pytest.mark.parametrize('suffix', ['.yml', '.json'])
def test_a_dictionary_comes_from_a_file(tmp_path: Path, suffix: str) -> None:
    codes = np.random.default_rng(0).integers(0, 2, (20, 5, 5)).astype(bool)
    path = custom(tmp_path / f'codes{suffix}', codes)
    np.testing.assert_array_equal(board(dictionary=str(path), first_id=2).codes, codes[2:19])


@pytest.mark.skipif(not hasattr(cv2, 'aruco') or not hasattr(cv2.aruco, 'Dictionary'), reason='no aruco')
def test_the_format_is_opencvs(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 2, (3, 5, 5)).astype(bool)
    storage = cv2.FileStorage(str(custom(tmp_path / 'codes.yml', codes)), cv2.FILE_STORAGE_READ)
    theirs = cv2.aruco.Dictionary()
    assert theirs.readDictionary(storage.root())
    np.testing.assert_array_equal(cv2.aruco.generateImageMarker(theirs, 1, 7)[1:-1, 1:-1] > 0, codes[1])


@pytest.mark.parametrize(('change', 'said'), [
    ({'marker_1': '01'}, 'marker_1'), ({'marker_2': None}, 'marker_2'), ({'nmarkers': 'many'}, 'nmarkers'),
    ({'markersize': 60}, 'markersize')])
def test_a_wrong_dictionary_is_refused(tmp_path: Path, change: dict, said: str) -> None:
    path = custom(tmp_path / 'codes.json', np.ones((4, 4, 4), bool), change)
    with pytest.raises(ValueError, match=said) as error:
        dictionaries.codes(str(path))
    assert 'codes.json' in str(error.value)


def test_codes_that_look_the_same_turned_round_are_refused(tmp_path: Path) -> None:
    path = custom(tmp_path / 'codes.json', np.ones((8, 4, 4), bool))
    with pytest.raises(ValueError, match='after 180 degrees'):
        board(squares_x=5, squares_y=3, dictionary=str(path))


@pytest.mark.parametrize(('changes', 'said'), [
    ({'squares_x': 2}, 'squares_x is 2'), ({'squares_y': 7.0}, 'squares_y'), ({'squares_x': True}, 'squares_x'),
    ({'square_m': 0.02, 'marker_m': 0.04}, 'exchange'), ({'square_m': 40, 'marker_m': 20}, '0.04'),
    ({'square_m': '4 cm'}, 'metres'), ({'marker_m': 0.0}, 'marker_m'), ({'marker_m': 0.002}, 'marker_m'),
    ({'marker_m': float('nan')}, 'marker_m'), ({'square_m': float('nan')}, 'square_m'),
    ({'dictionary': 'DICT_6X6_25O'}, 'DICT_6X6_250'), ({'dictionary': 4}, 'dictionary'),
    ({'dictionary': 'none.yaml'}, 'none.yaml'), ({'squares_x': 9, 'squares_y': 12, 'dictionary': 'DICT_4X4_50'}, '54'),
    ({'first_id': 240}, 'from first_id 240 to 256'), ({'first_id': -1}, 'first_id'), ({'legacy': 'maybe'}, 'auto'),
    ({'legacy': 1}, 'legacy'), ({'inverted': 'yes'}, 'inverted')])
def test_what_cannot_be_a_board_is_refused_with_the_remedy(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=f'^board b: .*{said}'):
        board(**changes)
