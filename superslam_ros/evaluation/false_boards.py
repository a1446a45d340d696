"""Boards found where there are none: in pictures of what a board may be taken for, and in photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from superslam_ros.boards.board import Board, same_at
from superslam_ros.boards.drawing import draw
from superslam_ros.data import Camera
from superslam_ros.evaluation import degradations
from superslam_ros.evaluation.boards import FEWEST, Detector
from superslam_ros.training.data import board_clutter, boards
from superslam_ros.worlds import pinhole
from superslam_ros.worlds.boards import INK, PAPER, photograph

LAYOUTS = 'other layouts'
SQUARE_PX = 32
"""Of the flat pictures, which are then seen from somewhere."""
_MARGIN = 0.7
_FINE = 3           # lines of a picture are gathered from so many
_HARMLESS = tuple(name for name in degradations.NAMES if name != 'original')


@dataclass(frozen=True)
class Without:
    """A picture (H, W) uint8 without the board: its ``name``, and ``kind``, what there is instead."""

    kind: str
    name: str
    image: np.ndarray


@dataclass
class Count:
    """How many pictures of a kind there were, and in how many of them a detector found the board."""

    pictures: int
    found: dict[str, int]


def rendered(board: Board, count: int, seed: int, size: tuple[int, int] = (640, 480)) -> Iterator[Without]:
    """Yield pictures, every second one of another layout, the others of all kinds in turn; a half is degraded.

    The layouts that are not the board's lie wholly in the picture: what is seen of a board may be a part of another.
    """
    camera = pinhole(*size)
    kinds = _kinds(board)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        half, others = number // 2, list(kinds)[1:]
        kind, turn = (LAYOUTS, half) if number % 2 == 0 else (others[half % len(others)], half // len(others))
        name, flat = kinds[kind](rng)
        light = cv2.resize(rng.uniform(0.1, 0.7, (12, 16)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        if flat is not None:
            light = _seen(flat, camera, light, rng)
        image = photograph(light.clip(0, 1), seed=int(rng.integers(2**31)))
        yield Without(kind, *_perhaps_degraded(f'{number} {name}', image, turn, rng))


def photographs(name: str, image: np.ndarray, number: int) -> Iterator[Without]:
    """Yield a photograph as it is, and degraded, in turn of all degradations."""
    for how in ('original', _HARMLESS[number % len(_HARMLESS)]):
        yield Without('photographs', f'{name} {how}', degradations.degrade(image, how, number))


def count(found_by: Mapping[str, Detector], pictures: Iterator[Without]) -> Iterator[tuple[Without, dict[str, bool]]]:
    """Yield each picture, and which detectors found the board in it: as many corners as make one."""
    for picture in pictures:
        yield picture, {name: len(find(picture.image)[0]) >= FEWEST for name, find in found_by.items()}


def totals(judged: Iterable[tuple[str, dict[str, bool]]]) -> dict[str, Count]:
    """Return the counts by kind, those over all first."""
    found: dict[str, Count] = {}
    for kind, by_detector in judged:
        for key in ('all', kind):
            one = found.setdefault(key, Count(0, dict.fromkeys(by_detector, 0)))
            one.pictures += 1
            for name, accepted in by_detector.items():
                one.found[name] += accepted
    return found


def as_rows(found: Mapping[str, Count]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table."""
    detectors = list(next(iter(found.values())).found)
    return ['', 'pictures', *detectors], [
        [kind, str(one.pictures), *(str(one.found[name]) for name in detectors)] for kind, one in found.items()]


def other_layouts(board: Board) -> dict[str, Board]:
    """Return boards that share markers with a board, or look like it, and are not it; what differs is the key."""
    x, y, first = board.squares_x, board.squares_y, board.first_id
    changes = [{'squares_x': y, 'squares_y': x}, *({'squares_x': x + dx, 'squares_y': y + dy} for dx, dy in (
        (0, -1), (0, 1), (-1, 0), (1, 0), (0, -2), (0, 2), (0, -3), (1, 1), (-1, -1), (2, 3))),
        *({'first_id': first + shift} for shift in (-2, -1, 1, 2, x // 2, x, 2 * x, board.marker_count)),
        {'inverted': not board.inverted}]
    if board.legacy != 'auto' and y % 2 == 0:
        changes.append({'legacy': not board.legacy})
    found = {}
    for change in changes:
        try:
            other = replace(board, **change)
        except ValueError:      # no such ids, or too few squares
            continue
        if not (same_at(other, board) and same_at(board, other)):
            found[', '.join(f'{key} {value}' for key, value in change.items())] = other
    return found


def _kinds(board: Board) -> dict[str, Callable[[np.random.Generator], tuple[str, np.ndarray | None]]]:
    """Return what draws a flat picture (H, W) of each kind, 1 white, with its name."""
    layouts = other_layouts(board)

    def layout(rng: np.random.Generator) -> tuple[str, np.ndarray]:
        name = list(layouts)[rng.integers(len(layouts))]
        return name, draw(layouts[name], SQUARE_PX, _MARGIN)

    def other_board(rng: np.random.Generator) -> tuple[str, np.ndarray]:
        return '', boards.random_board(rng, SQUARE_PX).picture / np.float32(255)

    def chessboard(rng: np.random.Generator) -> tuple[str, np.ndarray]:
        sides = (board.squares_x, board.squares_y) if rng.random() < 0.5 else rng.integers(3, 12, 2).tolist()
        flat = boards.chessboard(*sides, SQUARE_PX, bool(rng.integers(2))) / np.float32(255)
        return f'{sides[0]}x{sides[1]}', np.pad(flat, int(_MARGIN * SQUARE_PX), constant_values=1)

    def prints(rng: np.random.Generator) -> tuple[str, np.ndarray]:
        return '', board_clutter.other_print(rng) / np.float32(255)

    return {
        LAYOUTS: layout, 'nothing': lambda rng: ('', None),
        'mirrored': lambda rng: ('', draw(board, SQUARE_PX, _MARGIN)[:, ::-1]), 'other boards': other_board,
        'chessboards': chessboard, 'markers apart': lambda rng: ('', _markers(board, rng, corners=False)),
        'AprilGrids': lambda rng: ('', _markers(board, rng, corners=True)), 'other prints': prints}


def _markers(board: Board, rng: np.random.Generator, corners: bool) -> np.ndarray:
    """Draw the board's markers in rows, apart; with small black squares between their corners it is an AprilGrid."""
    columns, rows = (max(2, side - 1) for side in (board.squares_x, board.squares_y))
    size, gap = SQUARE_PX, max(4, round(SQUARE_PX * rng.uniform(0.2, 0.5)))
    step = size + gap
    page = np.ones((rows * step + gap, columns * step + gap), np.float32)
    codes = np.pad(board.codes.astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    for number in range(rows * columns):
        y, x = (gap + place * step for place in divmod(number, columns))
        page[y:y + size, x:x + size] = boards.marker_picture(codes[number % len(codes)], size) / np.float32(255)
    for y in range(0, page.shape[0], step) if corners else ():
        for x in range(0, page.shape[1], step):
            page[y:y + gap, x:x + gap] = 0
    page = np.pad(page, int(_MARGIN * SQUARE_PX), constant_values=1)
    return 1 - page if board.inverted else page


def _seen(flat: np.ndarray, camera: Camera, behind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what a camera sees (H, W) of a flat picture somewhere in front of what is behind it."""
    rows, columns = flat.shape
    width, height = camera.image_size
    f = camera.K[0, 0]
    distance = np.hypot(columns, rows) / min(width, height) * f * rng.uniform(1.15, 2.2)
    angle, axis = rng.uniform(0, 0.7), rng.uniform(0, 2 * np.pi)
    R = cv2.Rodrigues(angle * np.array([np.cos(axis), np.sin(axis), 0]))[0] @ cv2.Rodrigues(
        np.array([0, 0, rng.uniform(-np.pi, np.pi)]))[0]
    aside = rng.uniform(-0.06, 0.06, 2) * min(width, height) / f * distance
    # From pixels of the picture, whose middle is there, to those of the image, _FINE times as large.
    fine = np.array([[_FINE, 0, (_FINE - 1) / 2], [0, _FINE, (_FINE - 1) / 2], [0, 0, 1]])
    centred = np.array([[1, 0, (1 - columns) / 2], [0, 1, (1 - rows) / 2], [0, 0, 1]])
    H = fine @ camera.K @ np.column_stack([R[:, :2], [*aside, distance]]) @ centred
    size = width * _FINE, height * _FINE
    ink, on = (cv2.resize(cv2.warpPerspective(part, H, size, flags=cv2.INTER_LINEAR), (width, height),
                          interpolation=cv2.INTER_AREA)
               for part in (INK + (PAPER - INK) * flat, np.ones_like(flat)))
    return ink + (1 - on) * behind


def _perhaps_degraded(name: str, image: np.ndarray, number: int, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    if number % 2 == 0:
        return name, image
    how = _HARMLESS[rng.integers(len(_HARMLESS))]
    return f'{name} {how}', degradations.degrade(image, how, number)
