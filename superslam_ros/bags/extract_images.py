"""Images of a bag as files, for ``superslam train --images``."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import cv2

from superslam_ros import conversions
from superslam_ros.bags import bag, topics
from superslam_ros.bags.bag import BagError, BagReader

SCENE = 30
"""So many images in a row are one scene: training holds out whole scenes, and neighbours look alike."""
EVERY, ENOUGH = 10, 300
"""Of a recording that is long enough, one image in so many is taken; of a shorter one, so many images or all."""

log = logging.getLogger(__name__)


def extract_images(reader: BagReader, out: Path, topic: str = '', every: int | None = 1) -> int:
    """Write one image in ``every`` as PNG, and at last a SOURCES.tsv that says which of them are one scene.

    :param topic: of the images, raw or compressed; found by type and name when empty.
    :param every: None for one in ``EVERY``, and more of a recording that is too short for it.
    :returns: how many; those that cannot be read are logged and left out.
    :raises BagError: when the bag has no such topic, or none of its images can be used.
    :raises ValueError: when ``every`` is below 1, or the folder has a SOURCES.tsv of its own.
    """
    if every is not None and every < 1:
        raise ValueError(f'--every {every}: must be 1 or more')
    sources = out / 'SOURCES.tsv'
    if sources.exists():
        raise ValueError(f'{sources} is there already and would be lost: choose another --out')
    names: list[str] = []
    chosen = topics.select(bag.list_topics(reader), 'mono', topic, calibrated=('left',)).image
    levels = conversions.Levels()
    connections = [connection for connection in reader.connections if connection.topic == chosen]
    if every is None:
        every = max(1, min(EVERY, reader.count(chosen) // ENOUGH))
    out.mkdir(parents=True, exist_ok=True)
    for number, (_, _, message) in enumerate(bag.read(reader, connections)):
        if number % every:
            continue
        try:
            image = None if message is None else conversions.gray(message, levels)
        except conversions.ConversionError as error:
            log.warning('%s: image %d left out: %s', chosen, number, error)
            continue
        if image is None:
            log.warning('%s: image %d left out: it cannot be read', chosen, number)
            continue
        names.append(f'{reader.path.stem}_{number:06d}.png')
        if not cv2.imwrite(str(out / names[-1]), image):
            raise OSError(f'{out / names[-1]} cannot be written: is the disk full?')
    if not names:
        raise BagError(f'no image on {chosen} of {reader.path} can be used')
    _write_scenes(sources, reader.path.stem, names)
    return len(names)


def _write_scenes(sources: Path, stem: str, names: list[str]) -> None:
    scene = min(SCENE, -(-len(names) // 3))         # three at least, of which one is held out
    with sources.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, delimiter='\t', quoting=csv.QUOTE_NONE)
        writer.writerow(['file', 'scene'])
        writer.writerows([name, f'{stem}_{index // scene}'] for index, name in enumerate(names))
