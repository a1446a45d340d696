"""OpenCV's ChArUco detector, to measure ours beside it, whatever the version of OpenCV."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.dictionary import predefined
from superslam_ros.boards.drawing import draw


class OpenCvDetector:
    """Finds one board with the default parameters; its corners are given with their bias subtracted.

    From 4.6 to 4.13 the corners are off by half a pixel (opencv#25539); how far they are is measured on a drawn board.
    """

    def __init__(self, board: Board) -> None:
        """Make the detector.

        :raises ValueError: when the installed OpenCV has no such detector, or the board is none that it knows.
        """
        if not available(board):
            raise ValueError(f'OpenCV {cv2.__version__} has no ChArUco detector for board {board.name} '
                             f'({board.dictionary}{", inverted" if board.inverted else ""})')
        dictionary, ids = _dictionary(board), np.arange(board.first_id, board.first_id + board.marker_count)
        if hasattr(cv2.aruco, 'CharucoDetector'):
            made = cv2.aruco.CharucoBoard(
                (board.squares_x, board.squares_y), board.square_m, board.marker_m, dictionary, ids)
            if hasattr(made, 'setLegacyPattern'):
                made.setLegacyPattern(bool(board.layouts[0]))
            parameters = cv2.aruco.DetectorParameters()
            parameters.detectInvertedMarker = board.inverted
            self._find = cv2.aruco.CharucoDetector(made, cv2.aruco.CharucoParameters(), parameters).detectBoard
        else:
            self._find = _before_4_7(board, dictionary, ids)
        self.bias_px = bias_px() if board is not _plain() else np.zeros(2)

    def __call__(self, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ids (N,) and pixels (N, 2) of the corners in an (H, W) uint8 image."""
        try:
            corners, ids = self._find(gray)[:2]
        except cv2.error:       # of images that it cannot cope with
            return np.zeros(0, np.int64), np.zeros((0, 2))
        if ids is None or corners is None:
            return np.zeros(0, np.int64), np.zeros((0, 2))
        return np.ravel(ids).astype(np.int64), np.reshape(corners, (-1, 2)).astype(np.float64) - self.bias_px


def available(board: Board) -> bool:
    """Say whether the installed OpenCV can look for a board."""
    if board.dictionary.upper() not in {name.upper() for name in predefined()}:
        return False
    if hasattr(cv2.aruco, 'CharucoDetector'):
        return True
    return hasattr(cv2.aruco, 'interpolateCornersCharuco') and _draws(_board_before_4_7(board), board)


@lru_cache(maxsize=1)
def bias_px() -> np.ndarray:
    """Return by how much (2,) the corners of the installed OpenCV are off: the median over a drawn board."""
    side, margin, plain = 61.3, 0.6, _plain()
    image = np.rint(25 + 205 * draw(plain, side, margin)).astype(np.uint8)
    ids, found = OpenCvDetector(plain)(cv2.GaussianBlur(image, (0, 0), 0.7))
    true = (plain.corners_m()[ids, :2] / plain.square_m + margin) * side - 0.5
    return np.median(found - true, axis=0)


@lru_cache(maxsize=1)
def _plain() -> Board:
    return Board('plain', 5, 7, 0.04, 0.02, 'DICT_6X6_250')


def _dictionary(board: Board):
    name = next(name for name in predefined() if name.upper() == board.dictionary.upper())
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))


def _board_before_4_7(board: Board):
    return cv2.aruco.CharucoBoard_create(
        board.squares_x, board.squares_y, board.square_m, board.marker_m, _dictionary(board))


def _draws(made, board: Board) -> bool:
    """Say whether a board of OpenCV, which before 4.7 knows one pattern, has its first marker where ours has it."""
    return int(np.min(made.objPoints[0], axis=0)[0] / board.square_m) == board.marker_squares()[0, 0]


def _before_4_7(board: Board, dictionary, ids: np.ndarray):
    made = _board_before_4_7(board)
    # Before 4.6, y points up, and corners are numbered from the lowest row.
    upwards = np.max(made.objPoints[0], axis=0)[1] > board.squares_y * board.square_m / 2
    made.ids = ids.astype(np.int32)
    parameters = cv2.aruco.DetectorParameters_create()
    parameters.detectInvertedMarker = board.inverted
    columns, rows = board.corner_shape

    def find(gray: np.ndarray):
        markers, found, _ = cv2.aruco.detectMarkers(gray, dictionary, parameters=parameters)
        if found is None:
            return None, None
        _, corners, numbers = cv2.aruco.interpolateCornersCharuco(markers, found, gray, made)
        if numbers is None or not upwards:
            return corners, numbers
        row, column = np.divmod(np.ravel(numbers), columns)
        numbers = (rows - 1 - row) * columns + column
        order = np.argsort(numbers)
        return np.reshape(corners, (-1, 2))[order], numbers[order]

    return find
