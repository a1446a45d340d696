"""Flat pictures of calibration boards, as they are printed: any dictionary, layout and proportions.

A ChArUco board is a chessboard with a marker in each white square; its corners are where four squares meet. Lengths
are in squares, (0, 0) the board's top-left corner, x right, y down; a picture has some pixels a square, and its pixel
(0, 0) is centred half a pixel inside the paper's edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from superslam_ros.boards import dictionary, drawing
from superslam_ros.boards.board import Board

SQUARES = (3, 13)
"""Least number of squares along a side, and one more than the most."""
MARKER = (0.4, 0.9)
MARGIN = (0.05, 1.2)
PLAIN = 0.07
"""Part of the boards that are chessboards without markers, whose corners are the same."""
MADE_UP = 0.4
"""Part of the boards whose markers are in no dictionary there is."""
INVERTED = 0.1
NO_ID = -1


@dataclass(frozen=True)
class FlatBoard:
    """A board as it is printed.

    :ivar picture: (H, W) uint8, 0 ink and 255 paper; ``scale``: its pixels a square.
    :ivar margin: paper around the squares, in squares.
    :ivar corners: (N, 2) where four squares meet, in squares; ``ids`` (N,) of a known board, else :data:`NO_ID`.
    """

    picture: np.ndarray
    scale: int
    margin: float
    corners: np.ndarray
    ids: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """Centre of the board, in squares."""
        return (np.array(self.picture.shape[::-1]) / self.scale - 2 * self.margin) / 2


def random_board(rng: np.random.Generator, scale: int) -> FlatBoard:
    """Draw a board of ``scale`` pixels a square."""
    columns, rows = (int(side) for side in rng.integers(*SQUARES, 2))
    white_first = rng.random() < 0.5    # as legacy boards with an even number of rows; new ones begin black
    picture = chessboard(columns, rows, scale, white_first)
    if rng.random() >= PLAIN:
        add_markers(picture, scale, white_first, random_markers(rng, (columns * rows + 1) // 2), rng.uniform(*MARKER))
    pixels = int(rng.uniform(*MARGIN) * scale)
    picture = cv2.copyMakeBorder(picture, *[pixels] * 4, cv2.BORDER_CONSTANT, value=255)
    if rng.random() < INVERTED:
        picture = 255 - picture
    corners = inner_corners(columns, rows)
    return FlatBoard(picture, scale, pixels / scale, corners, np.full(len(corners), NO_ID))


def printed_board(board: Board, rng: np.random.Generator, scale: int) -> FlatBoard:
    """Draw a known board of ``scale`` pixels a square, with some paper around."""
    pixels = int(rng.uniform(*MARGIN) * scale)
    picture = np.rint(drawing.draw(board, scale, pixels / scale) * 255).astype(np.uint8)
    corners = board.corners_m()[:, :2] / board.square_m
    return FlatBoard(picture, scale, pixels / scale, corners, np.arange(len(corners)))


def inner_corners(columns: int, rows: int) -> np.ndarray:
    """Return ((columns - 1) * (rows - 1), 2) places in squares, row by row."""
    x, y = np.meshgrid(np.arange(1.0, columns), np.arange(1.0, rows))
    return np.stack([x.ravel(), y.ravel()], 1)


def chessboard(columns: int, rows: int, scale: int, white_first: bool = False) -> np.ndarray:
    """Return (rows * scale, columns * scale) uint8; the first square is black or white."""
    black = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == int(white_first)
    return np.kron(np.where(black, 0, 255).astype(np.uint8), np.ones((scale, scale), np.uint8))


def add_markers(picture: np.ndarray, scale: int, white_first: bool, markers: np.ndarray, ratio: float) -> None:
    """Put markers into the white squares of a chessboard, row by row.

    :param markers: (N, n, n) 0 or 1, as :func:`random_markers` gives them.
    :param ratio: length of a marker, as part of a square's.
    """
    size = max(4, round(ratio * scale))
    start, number = (scale - size + 1) // 2, 0
    for row in range(picture.shape[0] // scale):
        for column in range(picture.shape[1] // scale):
            if (row + column) % 2 == int(not white_first):
                y, x = row * scale + start, column * scale + start
                picture[y:y + size, x:x + size] = marker_picture(markers[number % len(markers)], size)
                number += 1


def marker_picture(marker: np.ndarray, size: int) -> np.ndarray:
    """Return a marker of (n, n) 0 or 1 as (size, size) uint8."""
    return cv2.resize(marker * np.uint8(255), (size, size), interpolation=cv2.INTER_NEAREST)


def random_markers(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return (count, n, n) uint8 markers, their black border included: of a dictionary, or made up."""
    names = dictionary.predefined()     # none in an OpenCV without its ArUco module
    if rng.random() < MADE_UP or not names:
        inner = rng.integers(0, 2, (count, *[int(rng.integers(3, 9))] * 2), dtype=np.uint8)
        return np.pad(inner, ((0, 0), *[(int(rng.integers(1, 3)),) * 2] * 2))
    bits = dictionary.codes(names[rng.integers(len(names))]).astype(np.uint8)
    first = int(rng.integers(0, max(1, len(bits) - count + 1)))
    return np.pad(bits[(first + np.arange(count)) % len(bits)], ((0, 0), (1, 1), (1, 1)))
