"""How well the poses of boards are known in degraded pictures whose truth is exact, and whether covariances say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import BoardDetector
from superslam_ros.data import Camera
from superslam_ros.evaluation import degradations
from superslam_ros.evaluation.boards import OPENCV, OURS, Picture
from superslam_ros.evaluation.opencv_boards import OpenCvDetector, available
from superslam_ros.geometry.pose import compose, difference

FLIP_DEG = 10.0
"""A pose turned by more is the wrong one of the two that a plane has."""
FEWEST = 6
"""Corners from which OpenCV's pose is taken."""
_THERE = 'ours where OpenCV has one'


@dataclass
class Errors:
    """Of a detector's poses: which picture each is of, the error of the board's middle in percent of its distance,
    the angle in degrees, and of those with a covariance the normalised squared error (6 degrees of freedom).
    """

    picture: list[int] = field(default_factory=list)
    percent: list[float] = field(default_factory=list)
    degrees: list[float] = field(default_factory=list)
    nees: list[float] = field(default_factory=list)

    def add(self, number: int, T: np.ndarray, truth: np.ndarray, middle: np.ndarray,
            covariance: np.ndarray | None = None) -> None:
        """Add a pose (4, 4); ``middle`` (3,) is that of the board in its frame, ``covariance`` (6, 6)."""
        error = difference(T, truth)
        at, true = (pose[:3, :3] @ middle + pose[:3, 3] for pose in (T, truth))
        self.picture.append(number)
        self.percent.append(100 * float(np.linalg.norm(at - true) / np.linalg.norm(true)))
        self.degrees.append(float(np.degrees(np.linalg.norm(error[3:]))))
        if covariance is not None:
            self.nees.append(float(error @ np.linalg.solve(covariance, error)))

    def figures(self, only: Sequence[int] | None = None) -> dict[str, float | int | None]:
        """Return the number of poses, medians of the errors, mean normalised squared error and flips.

        :param only: of these pictures.
        """
        some = np.ones(len(self.picture), bool) if only is None else np.isin(self.picture, only)
        percent, degrees, nees = (np.array(part)[some] if len(part) == len(some) else np.zeros(0)
                                  for part in (self.percent, self.degrees, self.nees))
        return {'poses': int(some.sum()), 'percent': _round(percent, np.median), 'degrees': _round(degrees, np.median),
                'nees': _round(nees, np.mean), 'flips': int((degrees > FLIP_DEG).sum())}


def compare(board: Board, pictures: Sequence[Picture], names: Sequence[str],
            draws: int) -> Iterator[tuple[str, int, dict[str, Errors]]]:
    """Yield each degradation, the number of pictures, and the errors of our poses and of OpenCV's, by detector.

    OpenCV's are those of ``solvePnP`` from its corners without their bias.

    :param pictures: with ``camera`` and ``T_camera_board``, as :func:`boards.rendered` gives them.
    """
    detector, other = BoardDetector([board]), OpenCvDetector(board) if available(board) else None
    middle = np.array([board.squares_x, board.squares_y, 0]) * board.square_m / 2
    for name in names:
        errors, number = {OURS: Errors(), **({OPENCV: Errors()} if other else {})}, 0
        for picture in pictures:
            before = None
            for draw in range(draws):
                image = degradations.degrade(picture.image, name, draw)
                if before is not None and np.array_equal(image, before):
                    break       # nothing in it is random
                before, camera = image, _seen_by(picture.camera, name, image)
                for found in detector.detect(image, camera).boards[:1]:
                    if found.T_camera_board is not None:
                        errors[OURS].add(number, found.T_camera_board, picture.T_camera_board, middle, found.covariance)
                if other and (T := _by_opencv(board, *other(image), camera)) is not None:
                    errors[OPENCV].add(number, T, picture.T_camera_board, middle)
                number += 1
        yield name, number, errors


def figures(errors: dict[str, Errors]) -> dict[str, dict]:
    """Return the figures of both, and of ours on the pictures in which OpenCV has a pose, ready for JSON."""
    found = {detector: one.figures() for detector, one in errors.items()}
    if OPENCV in errors:
        found[_THERE] = errors[OURS].figures(errors[OPENCV].picture)
    return found


def as_rows(done: Sequence[tuple[str, int, dict[str, Errors]]]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table; the last ones are ours and OpenCV's where OpenCV has a pose."""
    columns = ['', 'poses', '%', 'deg', 'NEES', 'flips', OPENCV, '% there', 'deg there']
    rows = []
    for name, number, errors in done:
        found = figures(errors)
        ours, other = found[OURS], found.get(OPENCV, {'poses': 0})
        rows.append([name, f'{ours["poses"]}/{number}', *(_text(ours[key]) for key in ('percent', 'degrees', 'nees')),
                     str(ours['flips']), str(other['poses']),
                     *(f'{_text(found[_THERE][key])} / {_text(other[key])}' if other['poses'] else '-'
                       for key in ('percent', 'degrees'))])
    return columns, rows


def _seen_by(camera: Camera, name: str, image: np.ndarray) -> Camera:
    """Return the camera of a degraded picture, which may be smaller."""
    height, width = image.shape
    first, second = degradations.move(np.array([[0.0, 0.0], [1.0, 1.0]]), name)
    scale = second - first
    K = np.diag([*scale, 1.0]) @ camera.K
    K[:2, 2] = scale * camera.K[:2, 2] + first
    return Camera(width, height, K)


def _by_opencv(board: Board, ids: np.ndarray, pixels: np.ndarray, camera: Camera) -> np.ndarray | None:
    if len(ids) < FEWEST:
        return None
    points = board.corners_m()[ids]
    if np.linalg.matrix_rank(points[:, :2] - points[0, :2]) < 2:
        return None
    try:
        given, turn, shift = cv2.solvePnP(points, pixels, camera.K, None)
    except cv2.error:       # of corners that determine none
        return None
    return compose(cv2.Rodrigues(turn)[0], shift.ravel()) if given else None


def _round(values: np.ndarray, of) -> float | None:
    return round(float(of(values)), 4) if len(values) else None


def _text(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}' if value < 1 else f'{value:.1f}'
