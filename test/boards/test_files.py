"""The file of boards: every wrong value is named by file, board and key."""

from pathlib import Path

import pytest

from superslam_ros.boards.board import Board
from superslam_ros.boards.files import read_boards

GOOD = 'squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.02, dictionary: DICT_6X6_250'


def write(tmp_path: Path, *boards: str) -> Path:
    path = tmp_path / 'boards.yaml'
    path.write_text('boards:\n' + ''.join(f'  b{i}: {{{values}}}\n' for i, values in enumerate(boards)))
    return path


def test_boards_are_read(tmp_path: Path) -> None:
    found = read_boards(write(tmp_path, GOOD, GOOD + ', first_id: 17, legacy: auto, inverted: true'))
    assert found == {'b0': Board('b0', 5, 7, 0.04, 0.02, 'DICT_6X6_250'),
                     'b1': Board('b1', 5, 7, 0.04, 0.02, 'DICT_6X6_250', 17, 'auto', True)}


def test_a_dictionary_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    markers = ''.join(f'marker_{i}: "{i + 1:016b}"\n' for i in range(20))
    (tmp_path / 'own.yml').write_text('nmarkers: 20\nmarkersize: 4\n' + markers)
    (board,) = read_boards(write(tmp_path, GOOD.replace('DICT_6X6_250', 'own.yml'))).values()
    assert board.codes[0].ravel().tolist() == [False] * 15 + [True]


@pytest.mark.parametrize(('values', 'said'), [
    ((GOOD.replace('squares_x: 5, ', ''),), 'b0: squares_x is missing'),
    ((GOOD + ', colour: red',), "unknown key 'colour'"), ((GOOD + ', first: 3',), 'first_id?'),
    ((GOOD, GOOD.replace('0.02', '0.05')), 'b1: marker_m'), ((GOOD, GOOD), 'board b0'),
    ((GOOD.replace('7', '6'), GOOD), 'board b0'), ((GOOD.replace('5,', '"5",'),), 'squares_x'),
])
def test_a_wrong_file_is_refused(tmp_path: Path, values: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=r'boards\.yaml: board') as error:
        read_boards(write(tmp_path, *values))
    assert said in str(error.value)


@pytest.mark.parametrize('text', ['', 'boards: {}', 'board: {a: 1}', 'boards: [', '- 1', 'boards: {a: 5}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'boards.yaml'
    path.write_text(text)
    with pytest.raises(ValueError, match=r'boards\.yaml'):
        read_boards(path)
    with pytest.raises(ValueError, match=r'no\.yaml: cannot be read'):
        read_boards(tmp_path / 'no.yaml')
