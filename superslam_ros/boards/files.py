"""The file that describes boards."""

from __future__ import annotations

import dataclasses
import difflib
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from superslam_ros.boards.board import Board, same_at

KEYS = [field.name for field in dataclasses.fields(Board) if field.name != 'name']
REQUIRED = [field.name for field in dataclasses.fields(Board)
            if field.name != 'name' and field.default is dataclasses.MISSING]
_EXAMPLE = ('boards: {my_board: {squares_x: 5, squares_y: 7, square_m: 0.04, marker_m: 0.02, '
            'dictionary: DICT_6X6_250}}')


def read_boards(path: str | Path) -> dict[str, Board]:
    """Read boards: ``boards: {NAME: {squares_x, squares_y, square_m, marker_m, dictionary, first_id, ...}}``.

    The keys are the fields of :class:`Board`; a dictionary's file is looked for beside this one.

    :raises ValueError: naming the file, the board, the key and what to do.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror}); give the path of a boards file') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f'{path}: not a YAML file: {error}') from error
    described = content.get('boards') if isinstance(content, dict) else None
    if not isinstance(described, dict) or not described:
        raise ValueError(f'{path}: no boards; expected for example {_EXAMPLE}')
    try:
        boards = {str(name): board_of(str(name), values, path.parent) for name, values in described.items()}
        refuse_alike(list(boards.values()))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return boards


def board_of(name: str, values: Any, folder: Path | None = None) -> Board:
    """Make a board of the values of a file.

    :param folder: where a dictionary's file with a relative path is.
    :raises ValueError: naming the board and the key.
    """
    if not isinstance(values, dict):
        raise ValueError(f'board {name}: is {values!r}; expected the keys {", ".join(KEYS)}')
    for key in values:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            raise ValueError(f'board {name}: unknown key {key!r}' + (f': {near[0]}?' if near else '')
                             + f'; known: {", ".join(KEYS)}')
    for key in REQUIRED:
        if key not in values:
            raise ValueError(f'board {name}: {key} is missing; required: {", ".join(REQUIRED)}')
    codes = values['dictionary']
    if folder is not None and isinstance(codes, str) and (folder / codes).is_file():
        values = {**values, 'dictionary': str(folder / codes)}
    return Board(name, **values)


def refuse_alike(boards: list[Board]) -> None:
    """Refuse boards of which one is printed on another, too: which of them is seen could not be told.

    :raises ValueError: naming both boards.
    """
    for one, other in combinations(boards, 2):
        if same_at(one, other) or same_at(other, one):
            raise ValueError(f'board {other.name}: shows the same markers in the same places as board {one.name}; '
                             'describe one of them only, or print them with another first_id or dictionary')
