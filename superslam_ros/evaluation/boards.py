"""How well the corners of boards are found in degraded pictures, of detectors side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import BoardDetector
from superslam_ros.data import Camera
from superslam_ros.evaluation import degradations
from superslam_ros.evaluation.opencv_boards import OpenCvDetector, available
from superslam_ros.worlds import pinhole
from superslam_ros.worlds.boards import Placed, facing, photograph, render_boards

NEAR_PX = 3.0
"""A corner this near to where it is, is right; in smaller pictures, less in proportion, but 1 px at least."""
FEWEST = 4
"""Corners that a photograph must have to be one."""
OURS, OPENCV = 'ours', 'OpenCV'

_COLUMNS = (('recall', 3), ('median_px', 2), ('wrong', 0), ('ms', 0))

Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From an (H, W) uint8 image to ids (N,) and pixels (N, 2)."""


@dataclass(frozen=True)
class Picture:
    """A picture (H, W) uint8 of one board, with the corners that are known: ``ids`` (N,), ``pixels`` (N, 2).

    Of a rendered one ``camera`` and ``T_camera_board`` (4, 4) are known, too.
    """

    name: str
    image: np.ndarray
    ids: np.ndarray
    pixels: np.ndarray
    camera: Camera | None = None
    T_camera_board: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """What one detector found in one picture, and what is right of it.

    ``pixels`` (N, 2) of all it found; ``right`` (N,) bool, and ``wrong`` (N,): off by more than half a square;
    ``errors_px`` (M,) of the corners that are known; ``known``: how many there are; ``ms``: of processor time.
    """

    pixels: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    errors_px: np.ndarray
    known: int
    ms: float


@dataclass
class Score:
    """Figures of one detector over all pictures of one degradation."""

    known: int = 0
    right: int = 0
    wrong: int = 0
    errors_px: list[np.ndarray] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Count one picture."""
        self.known += found.known
        self.right += int(found.right.sum())
        self.wrong += int(found.wrong.sum())
        self.errors_px.append(found.errors_px)
        self.ms.append(found.ms)

    def figures(self) -> dict[str, float | int | None]:
        """Return recall, wrong ids, error of found corners (median, 95 %) and time (median), ready for JSON."""
        errors = np.concatenate(self.errors_px)
        return {'corners': self.known, 'recall': round(self.right / self.known, 4), 'wrong': self.wrong,
                'median_px': _percentile(errors, 50), 'p95_px': _percentile(errors, 95),
                'ms': round(float(np.median(self.ms)), 2)}


def detectors(board: Board) -> dict[str, Detector]:
    """Return our detector, and OpenCV's where the installed OpenCV has one for the board."""
    ours = BoardDetector([board])

    def find(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        boards = ours.detect(gray, None).boards
        return (boards[0].ids, boards[0].pixels) if boards else (np.zeros(0, np.int64), np.zeros((0, 2)))

    return {OURS: find, **({OPENCV: OpenCvDetector(board)} if available(board) else {})}


def known_by_opencv(name: str, image: np.ndarray, board: Board) -> Picture | None:
    """Return a photograph with what OpenCV finds in it, its bias subtracted, as what is known; None for too little."""
    ids, pixels = OpenCvDetector(board)(image)
    return Picture(name, image, ids, pixels) if len(ids) >= FEWEST else None


def rendered(board: Board, count: int, seed: int, size: tuple[int, int] = (640, 480)) -> Iterator[Picture]:
    """Yield pictures of a board in random poses, of which every corner is known exactly."""
    rng, camera = np.random.default_rng(seed), pinhole(*size)
    for number in range(count):
        across = max(board.squares_x / size[0], board.squares_y / size[1]) * board.square_m
        distance = across * camera.K[0, 0] * rng.uniform(1.15, 2.2)
        aside = distance * rng.uniform(-0.08, 0.08, 2)
        tilt, axis, roll = rng.uniform(0, 0.7), rng.uniform(0, 2 * np.pi), rng.uniform(-0.4, 0.4)
        T = facing(board, distance, tilt, axis, roll, tuple(aside))
        clutter = cv2.resize(rng.uniform(0.1, 0.7, (12, 16)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        view = render_boards(camera, [Placed(board, T)], clutter.clip(0, 1))     # cubic curves overshoot
        pixels = view.pixels[0]
        inside = ((pixels >= 0) & (pixels <= np.array(size) - 1)).all(1)
        image = photograph(view.image, seed=seed + number)
        yield Picture(f'rendered {number}', image, np.flatnonzero(inside), pixels[inside], camera, T)


def evaluate(
    found_by: Mapping[str, Detector], pictures: Sequence[Picture], names: Sequence[str], draws: int,
) -> Iterator[tuple[str, dict[str, Score], list[tuple[np.ndarray, dict[str, Found]]]]]:
    """Yield each degradation with the score of every detector, and what was found in the first draw of each picture.

    :param draws: how many times random degradations are drawn.
    """
    for name in names:
        scores, shown = {detector: Score() for detector in found_by}, []
        for picture in pictures:
            for draw in range(draws):
                image = degradations.degrade(picture.image, name, draw)
                if draw and np.array_equal(image, shown[-1][0]):
                    break       # nothing in it is random
                found = {detector: judge(find, image, picture, name) for detector, find in found_by.items()}
                for detector, one in found.items():
                    scores[detector].add(one)
                if not draw:
                    shown.append((image, found))
        yield name, scores, shown


def judge(find: Detector, image: np.ndarray, picture: Picture, name: str) -> Found:
    """Compare what a detector finds in a degraded picture with what is known."""
    began = time.process_time()
    ids, pixels = find(image)
    ms = 1e3 * (time.process_time() - began)
    true = dict(zip(picture.ids.tolist(), degradations.move(picture.pixels, name)))
    errors = np.array([math.dist(at, true[number]) if number in true else math.nan
                       for number, at in zip(ids.tolist(), pixels.tolist())])
    scale = image.shape[1] / picture.image.shape[1]
    half = half_square_px(picture) * scale
    with np.errstate(invalid='ignore'):
        right = errors <= NEAR_PX * max(scale, 1 / NEAR_PX)
        wrong = errors > half
    return Found(pixels, right, wrong, errors[np.isfinite(errors)], len(true), ms)


def half_square_px(picture: Picture) -> float:
    """Return half of the distance from a corner to its nearest neighbour, the median over the corners."""
    away = np.linalg.norm(picture.pixels[:, None] - picture.pixels[None], axis=2)
    np.fill_diagonal(away, np.inf)
    return float(np.median(away.min(1)) / 2)


def as_rows(scores: Iterable[tuple[str, dict[str, Score]]]) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table: recall, error, wrong ids, time of the first detector, beside the others'."""
    rows, detectors = [], []
    for name, by_detector in scores:
        detectors = list(by_detector)
        figures = [score.figures() for score in by_detector.values()]
        rows.append([name, *(_text(one[key], places) for key, places in _COLUMNS for one in figures)])
    _, *others = detectors
    return ['', *(word for title in ('recall', 'px', 'ids off', 'ms') for word in (title, *others))], rows


def _text(value: float | None, places: int) -> str:
    return '-' if value is None else f'{value:.{places}f}'


def _percentile(values: np.ndarray, percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 4) if len(values) else None
