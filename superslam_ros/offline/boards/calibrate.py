"""``superslam charuco calibrate``: images of boards to camera_info files."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.calibration import write_camera
from superslam_ros.boards.board import Board
from superslam_ros.boards.detector import BoardDetector, Hints
from superslam_ros.evaluation.report import write_json
from superslam_ros.geometry import calibration
from superslam_ros.geometry.calibration import Calibration, View
from superslam_ros.inputs.shots import Shot
from superslam_ros.pictures.calibrations import draw_calibration
from superslam_ros.sync import apart

MOST_VIEWS = 60
"""More add time and little else; the most different ones are taken."""
PAIR_NS = 5_000_000
COVERED = 0.6
"""Part of the cells of the image that should have corners."""
CELLS = 6, 8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Views:
    """What the images of one camera show: usable views, the size of the images, and why others are of no use."""

    views: list[View]
    stamps_ns: list[int]
    image_size: tuple[int, int]
    images: int
    refused: Counter[str]


def find_views(images: Iterable[Shot], boards: Mapping[str, Board]) -> Views:
    """Return the views of boards in images of one camera.

    :raises BagError: when there is no image, or they differ in size.
    """
    detector, refused, size, number = BoardDetector(boards), Counter(), None, 0
    hints = Hints(detector)
    views, stamps = [], []
    for number, shot in enumerate(images, 1):
        if shot.image is None:
            refused[shot.problem] += 1
            continue
        shape = shot.image.shape[::-1]
        if size not in (None, shape):
            raise BagError(f'{shot.name} is {shape[0]}x{shape[1]}, the images before {size[0]}x{size[1]}: all must be '
                           'of one camera and one resolution')
        size, found = shape, hints(shot.image, detector.detect(shot.image, None))
        if not found.boards:
            refused[found.reason] += 1
        for one in found.boards:
            view = View(f'{number - 1:06d} {one.board}', boards[one.board].corners_m()[one.ids], one.pixels, one.ids)
            why = calibration.why_unusable(view)
            if why:
                refused[why] += 1
            else:
                views.append(view)
                stamps.append(shot.stamp_ns)
    if size is None:
        raise BagError('there is no image' if not number else f'none of {number} images can be read')
    return Views(views, stamps, size, number, refused)


def of_the_same_time(images: Iterable[Shot], left: Views) -> Iterable[Shot]:
    """Return the images of the right camera that were taken with a view of the left one; all where none has a stamp."""
    stamps = np.array(left.stamps_ns, np.int64)
    return (shot for shot in images if not stamps.any() or np.abs(stamps - shot.stamp_ns).min() <= PAIR_NS)


def calibrate(found: Views, model: str) -> Calibration:
    """Return the camera of some views.

    :raises ValueError: when they do not determine it, with what was refused.
    """
    views = most_different(found.views, found.image_size, MOST_VIEWS)
    try:
        return calibration.calibrate(views, found.image_size, model)
    except ValueError as error:
        reasons = ''.join(f'; {count} x {reason}' for reason, count in found.refused.most_common(3))
        raise ValueError(f'{error} ({found.images} images{reasons})') from error


def calibrate_pair(left: Views, right: Views, model: str) -> tuple[Calibration, Calibration, Any]:
    """Return both cameras and the pair; images belong together by stamp, or by number where they have none.

    :raises ValueError: when the views do not determine them.
    """
    names = {name: _partner(name, stamp, left) for name, stamp in zip((v.name for v in right.views), right.stamps_ns)}
    right = replace(right, views=[replace(view, name=names[view.name]) for view in right.views])
    sides = calibrate(left, model), calibrate(right, model)
    # For the pair, all views count, not only the most different ones of each camera.
    pair = calibration.calibrate_pair(*(replace(side, views=found.views) for side, found in zip(sides, (left, right))))
    return *sides, pair


def _partner(name: str, stamp_ns: int, left: Views) -> str:
    """Return the name of the left view that belongs to a right one, or another name where there is none."""
    board = name.partition(' ')[2]
    stamps = {stamp: view.name for view, stamp in zip(left.views, left.stamps_ns) if view.name.endswith(f' {board}')}
    if not stamp_ns or not any(stamps):
        return name
    nearest = min(stamps, key=lambda other: abs(other - stamp_ns))
    if abs(nearest - stamp_ns) > PAIR_NS:
        log.debug('%s of the right camera: the nearest left view is %s', name, apart(nearest - stamp_ns))
        return f'right only {name}'
    return stamps[nearest]


def most_different(views: Sequence[View], image_size: tuple[int, int], most: int) -> list[View]:
    """Return at most ``most`` views, each the one that differs most from those before: in place, size and tilt."""
    if len(views) <= most:
        return list(views)
    looks = []
    for view in views:
        centred = view.pixels - view.pixels.mean(0)
        spread = np.linalg.svd(centred, compute_uv=False) / np.sqrt(len(view))
        direction = centred[-1] - centred[0]
        looks.append([*view.pixels.mean(0) / max(image_size), *np.log(spread + 1), np.arctan2(*direction) / np.pi])
    looks = np.array(looks)
    looks /= looks.std(0) + 1e-9
    chosen = [int(np.argmax([len(view) for view in views]))]
    away = np.full(len(views), np.inf)
    while len(chosen) < most:
        away = np.minimum(away, np.linalg.norm(looks - looks[chosen[-1]], axis=1))
        chosen.append(int(away.argmax()))
    return [views[index] for index in sorted(chosen)]


def coverage(found: Calibration) -> float:
    """Return in which part of the cells of the image there are corners."""
    rows, columns = CELLS
    pixels = np.concatenate([view.pixels for view in found.views]) / found.camera.image_size
    cells = (pixels * [columns, rows]).astype(int).clip(0, [columns - 1, rows - 1])
    return len(np.unique(cells, axis=0)) / (rows * columns)


def warnings_of(found: Calibration) -> list[str]:
    """Return what the user should know of a calibration that is usable."""
    said = []
    covered = coverage(found)
    if covered < COVERED:
        said.append(f'corners cover {100 * covered:.0f} % of the image: beyond them the distortion is a guess; show '
                    'the board at the borders and in the corners of the image, too')
    if found.held_out_px > 1.5 * found.rms_px + 0.1:
        said.append(f'views that were left out fit worse ({found.held_out_px:.2f} px) than the others '
                    f'({found.rms_px:.2f} px): more views would help')
    return said


def write(out: Path, name: str, found: Calibration, seen: Views, rectified: Any = None) -> Path:
    """Write NAME.yaml, NAME.json and NAME.png.

    :param rectified: the camera with R and P of a pair; by default that of a single camera.
    :returns: the path of the camera_info.
    """
    camera = rectified or calibration.with_projection(found.camera)
    path = out / f'{name}.yaml'
    write_camera(path, replace(camera, frame_id=name))
    write_json(out / f'{name}.json', {
        'images': seen.images, 'views': len(found.views), 'corners': sum(map(len, found.views)),
        'rms_px': round(found.rms_px, 4), 'held_out_px': round(found.held_out_px, 4),
        'focal_px': [round(float(found.camera.K[i, i]), 3) for i in (0, 1)],
        'focal_sigma_px': round(found.focal_sigma_px, 3), 'outliers': found.outliers,
        'coverage': round(coverage(found), 3), 'refused': dict(seen.refused)})
    draw_calibration(out / f'{name}.png', found, f'{name}: {found.camera.distortion_model}')
    return path
