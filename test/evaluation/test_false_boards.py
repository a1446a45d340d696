"""Pictures without a board: all kinds of them, the same every time, and who finds it there is counted."""

from __future__ import annotations

import numpy as np

from superslam_ros.boards.board import Board, same_at
from superslam_ros.evaluation import false_boards

BOARD = Board('dock', 5, 6, 0.04, 0.03, 'DICT_6X6_250', 1)


def test_pictures_of_all_kinds_the_same_every_time() -> None:
    pictures, again = (list(false_boards.rendered(BOARD, 28, 3, (160, 120))) for _ in range(2))
    kinds = [picture.kind for picture in pictures]
    assert kinds.count('other layouts') == 14 and len(set(kinds)) == 8
    assert all(np.array_equal(one.image, other.image) for one, other in zip(pictures, again))
    assert sum('-' in picture.name for picture in pictures) == 14         # degraded
    clean = [one.image for one in pictures if '-' not in one.name]
    assert all(image.shape == (120, 160) and image.std() > 10 for image in clean)


def test_other_layouts_are_not_the_board() -> None:
    layouts = false_boards.other_layouts(BOARD)
    assert {'squares_x 6, squares_y 5', 'squares_x 5, squares_y 7', 'first_id 2', 'inverted True',
            'legacy True'} <= layouts.keys()
    assert not any(same_at(one, BOARD) and same_at(BOARD, one) for one in layouts.values())
    assert same_at(BOARD, layouts['squares_x 5, squares_y 8'])      # the same markers, and more
    few = Board('few', 3, 3, 0.04, 0.03, 'DICT_4X4_50', 46)
    assert not any('first_id 47' in name for name in false_boards.other_layouts(few))


def test_who_finds_the_board_is_counted() -> None:
    pictures = [false_boards.Without('nothing', str(number), np.full((8, 8), number, np.uint8)) for number in range(3)]
    pictures += list(false_boards.photographs('a.jpg', np.full((8, 8), 90, np.uint8), 0))
    found_by = {'ours': lambda image: (np.arange(4 if image[0, 0] == 1 else 3), None),
                'other': lambda image: (np.arange(9), None)}
    judged = [(picture.kind, accepted) for picture, accepted in false_boards.count(found_by, iter(pictures))]
    assert false_boards.as_rows(false_boards.totals(judged)) == (
        ['', 'pictures', 'ours', 'other'],
        [['all', '5', '1', '5'], ['nothing', '3', '1', '3'], ['photographs', '2', '0', '2']])
