"""How front-ends stand rotation, scale, darkness and noise: one change at a time, on views of photographs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from superslam_ros.data import Features
from superslam_ros.evaluation import measures, sequences
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.evaluation.sequences import Pair

SWEEPS: dict[str, tuple[float, ...]] = {
    'rotation': (0, 15, 30, 45, 90),
    'scale': (0.5, 0.75, 1, 1.5, 2),
    'light': (1, 0.5, 0.25, 0.125, 0.0625),
    'noise': (0, 5, 10, 20, 40),
}
"""Degrees; size in image 1 over that in image 0; part of the light; standard deviation in gray levels of 255."""
READ_NOISE = 1.5
"""Standard deviation (gray levels) of a sensor's noise, which darkness does not take away."""
WITHIN_PX = 3.0


@dataclass(frozen=True)
class Level:
    """One step of a sweep: mean matching score, and share of homographies within 3 px, over photographs."""

    matching_score: float
    homography_3px: float
    pairs: int


def views(image: np.ndarray, name: str, rng: np.random.Generator) -> Iterator[tuple[str, float, Pair]]:
    """Yield (sweep, level, pair) for a photograph: a slightly tilted view of it, with one thing changed.

    The tilt (corners moved by up to .05 of the side) is the same for all levels, so that no level compares
    an image with a copy of itself. Beyond the photograph the view is mirrored.

    :param image: (H, W) uint8, cut to 4:3 and shrunk to 480x640.
    """
    image = sequences.cut(image)
    height, width = image.shape
    corners = np.float32([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    moved = corners + rng.uniform(-0.05, 0.05, (4, 2)) * [width, height]
    tilt = cv2.getPerspectiveTransform(corners, np.float32(moved))
    noise = rng.standard_normal(image.shape)
    for sweep, levels in SWEEPS.items():
        for level in levels:
            turn = level if sweep == 'rotation' else 0.0
            scale = level if sweep == 'scale' else 1.0
            H = _about_centre(turn, scale, width, height) @ tilt
            # A smaller view of a sharp image would alias.
            soft = cv2.GaussianBlur(image, (0, 0), 0.5 / scale) if scale < 1 else image
            view = sequences.warp_image(soft, H, (width, height))
            if sweep == 'light':
                view = _expose(view, level, READ_NOISE, noise)
            elif sweep == 'noise':
                view = _expose(view, 1.0, level, noise)
            yield sweep, level, Pair(name, image, view, H)


def _about_centre(degrees: float, scale: float, width: int, height: int) -> np.ndarray:
    affine = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
    return np.vstack([affine, [0, 0, 1]])


def _expose(image: np.ndarray, light: float, sigma: float, noise: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image * light + sigma * noise), 0, 255).astype(np.uint8)


def evaluate(
    front_ends: Sequence[FrontEnd], photographs: Iterable[tuple[str, np.ndarray]], seed: int
) -> dict[str, dict[str, dict[float, Level]]]:
    """Return sweep -> front-end -> level -> figures.

    :param photographs: (name, (H, W) uint8 image).
    :raises ValueError: when there are none.
    """
    results: dict[str, dict[str, dict[float, list[tuple[float, float]]]]] = {
        sweep: {end.name: {level: [] for level in levels} for end in front_ends}
        for sweep, levels in SWEEPS.items()}
    number = -1
    for number, (name, image) in enumerate(photographs):
        first: dict[str, Features] = {}
        for sweep, level, pair in views(image, name, np.random.default_rng([seed, number])):
            for end in front_ends:
                if end.name not in first:
                    first[end.name] = end.extract(pair.image0)
                results[sweep][end.name][level].append(_measure(end, first[end.name], pair))
    if number < 0:
        raise ValueError('no readable photographs (the held-out ones are a tenth)')
    return {sweep: {name: {level: _mean(figures) for level, figures in levels.items()}
                    for name, levels in by_name.items()} for sweep, by_name in results.items()}


def _measure(end: FrontEnd, features0: Features, pair: Pair) -> tuple[float, float]:
    """Return matching score and corner error (pixels)."""
    features1 = end.extract(pair.image1)
    matches = end.matcher(features0, features1)
    right = measures.right_matches(matches.keypoints0, matches.keypoints1, pair.H_1_0)
    H = measures.estimate_homography(matches.keypoints0, matches.keypoints1)
    return (measures.matching_score(int(right.sum()), features0, features1, pair.H_1_0),
            measures.corner_error(H, pair.H_1_0, features0.image_size))


def _mean(figures: Sequence[tuple[float, float]]) -> Level:
    scores, errors = np.array(figures).T
    return Level(float(scores.mean()), float((errors <= WITHIN_PX).mean()), len(figures))
