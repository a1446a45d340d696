"""What keypoints and descriptors are worth in general: on random views of photographs, or of rendered rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from superslam_ros import worlds
from superslam_ros.evaluation import homography, measures, sequences
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.evaluation.sequences import Pair
from superslam_ros.training.data import photos

FIGURES = ('repeatability', 'matching_score', 'homography_3px')
VIEWS, MOST = 4, 60
"""Random views of each picture, and pictures."""
_ROOMS, _POSES = 8, 5
_SEED = 10**6
"""Of the first room; training renders others."""


def of_photographs(paths: Sequence[Path], most: int = MOST) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and (H, W) uint8 image of at most so many photographs, evenly; unreadable ones are logged."""
    step = max(1, -(-len(paths) // most))
    for path in paths[::step]:
        image = photos.read_gray(path)
        if image is not None:
            yield path.stem, image


def rendered(rooms: int = _ROOMS, poses: int = _POSES) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and (480, 640) uint8 views of rendered rooms: what there is where there are no photographs."""
    camera = worlds.pinhole(640, 480)
    for room in range(rooms):
        world = worlds.room_world(_SEED + room, texels_per_metre=200)
        path = worlds.demo_trajectory(40 * poses, 10.0, room)
        for number in range(poses):
            yield f'room {room + 1}, view {number + 1}', worlds.render(world, camera, path[40 * number + 20]).image


def pairs(pictures: Iterator[tuple[str, np.ndarray]], views: int = VIEWS) -> Iterator[Pair]:
    """Yield random views of every picture, the same on every run."""
    for number, (name, image) in enumerate(pictures):
        yield from sequences.random_views(image, name, views, np.random.default_rng([0, number]))


def measure(end: FrontEnd, views: Sequence[Pair], on_pair: Callable[[], None] = lambda: None) -> np.ndarray:
    """Return the :data:`FIGURES` of every pair of views, (N, 3); a pair in which nothing could be measured has 0."""
    found = []
    for pair in views:
        found.append(_figures(end, pair))
        on_pair()
    return np.nan_to_num(np.reshape(np.array(found, np.float64), (-1, len(FIGURES))))


def _figures(end: FrontEnd, pair: Pair) -> tuple[float, float, float]:
    """Return of a pair what :func:`homography.evaluate_pair` measures, and no more: that takes twice as long."""
    full, half = pair.fitted(sequences.FULL), pair.fitted(sequences.HALF)
    few0, few1 = (end.extract(image, homography.FEW) for image in (half.image0, half.image1))
    features0, features1, matches = end.match(full.image0, full.image1)
    ends, H = (matches.keypoints0, matches.keypoints1), full.H_1_0
    errors_px = homography.corner_errors(matches, H, features0.image_size)
    return (
        measures.repeatability(few0.keypoints, few1.keypoints, half.H_1_0, few0.image_size, few1.image_size)[0],
        measures.matching_score(int(measures.right_matches(*ends, H).sum()), features0, features1, H),
        float(np.mean(np.array(errors_px) <= homography.WITHIN_PX[1])))
