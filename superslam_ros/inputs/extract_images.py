"""Images of a recording as files, for ``superslam train --images``."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import cv2

from superslam_ros.bags.files import BagError
from superslam_ros.inputs.shots import ImageOptions, shots, sources

SCENE = 30
"""So many images in a row are one scene: training holds out whole scenes, and neighbours look alike."""
EVERY, ENOUGH = 10, 300
"""Of a recording that is long enough, one image in so many is taken; of a shorter one, so many images or all."""

log = logging.getLogger(__name__)


def extract_images(path: Path, out: Path, image: str = '', every: int | None = 1) -> tuple[int, list[str]]:
    """Write one image in ``every`` as PNG, and at last a SOURCES.tsv that says which of them are one scene.

    :param image: topic of a bag, found by type and name when empty; or camera of a data set.
    :param every: None for one in ``EVERY``, and more of a recording that is too short for it.
    :returns: how many, and what is missing of the recording; those that cannot be read are logged and left out.
    :raises BagError: when the recording cannot be used, or none of its images.
    :raises ValueError: when ``every`` is below 1, or the folder has a SOURCES.tsv of its own.
    """
    if every is not None and every < 1:
        raise ValueError(f'--every {every}: must be 1 or more')
    table = out / 'SOURCES.tsv'
    if table.exists():
        raise ValueError(f'{table} is there already and would be lost: choose another --out')
    names: list[str] = []
    found, damage = sources([path], ImageOptions(image)), []
    if every is None:
        every = max(1, min(EVERY, (found[0].count or 0) // ENOUGH))
    out.mkdir(parents=True, exist_ok=True)
    for index, shot in enumerate(shots(found, ImageOptions(image, every=every), damage)):
        if shot.image is None:
            log.warning('image left out: %s: %s', shot.name, shot.problem)
            continue
        names.append(f'{path.stem}_{index * every:06d}.png')
        if not cv2.imwrite(str(out / names[-1]), shot.image):
            raise OSError(f'{out / names[-1]} cannot be written: is the disk full?')
    if not names:
        raise BagError(f'no image of {path} can be used')
    _write_scenes(table, path.stem, names)
    return len(names), damage


def _write_scenes(sources: Path, stem: str, names: list[str]) -> None:
    scene = min(SCENE, -(-len(names) // 3))         # three at least, of which one is held out
    with sources.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, delimiter='\t', quoting=csv.QUOTE_NONE)
        writer.writerow(['file', 'scene'])
        writer.writerows([name, f'{stem}_{index // scene}'] for index, name in enumerate(names))
