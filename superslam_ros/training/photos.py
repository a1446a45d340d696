"""Photographs for training: reading folders, and a fixed tenth held out, whole scenes at a time."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.training.random import Rng

SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.pgm', '.bmp', '.tif', '.tiff', '.webp')
SMALLEST = 64

log = logging.getLogger(__name__)


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the image files below folders, sorted.

    :raises FileNotFoundError: naming a folder that is missing or holds no image.
    :raises ValueError: for a bag, with the remedy.
    """
    found = []
    for folder in folders:
        if folder.is_file() or (folder / 'metadata.yaml').is_file():
            raise ValueError(f'{folder} is no folder of images; of a bag, `superslam bag images {folder} --out DIR` '
                             'makes one')
        images = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
        if not images:
            raise FileNotFoundError(f'no images ({", ".join(SUFFIXES)}) below {folder}')
        found += images
    return found


def split(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return (training, held-out) images: a tenth by a hash of the scene's name, the same on every machine.

    A ``SOURCES.tsv`` beside the images may name scenes (columns ``file`` and ``scene``); an image without
    one is its own scene.
    """
    scenes: dict[Path, str] = {}
    for folder in {path.parent for path in paths}:
        if (folder / 'SOURCES.tsv').is_file():
            with (folder / 'SOURCES.tsv').open(newline='', encoding='utf-8') as file:
                for row in csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE):
                    scenes[folder / row['file']] = row.get('scene') or row['file']
    training, held_out = [], []
    for path in paths:
        digest = hashlib.sha256(scenes.get(path, path.name).encode()).digest()
        (held_out if digest[0] % 10 == 0 else training).append(path)
    return training, held_out


def read_gray(path: Path) -> np.ndarray | None:
    """Return an (H, W) uint8 image, or None (logged, by name) when it is damaged or smaller than 64 px."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        log.warning('skipped %s: not a readable image', path)
    elif min(image.shape) < SMALLEST:
        log.warning('skipped %s: %dx%d is too small', path, image.shape[1], image.shape[0])
    else:
        return image
    return None


def cover(image: np.ndarray, height: int, width: int, turn: float = 0.5) -> np.ndarray:
    """Shrink or enlarge an image until it just covers (height, width), and crop it to that.

    :param turn: where along the longer side to crop, 0 to 1.
    """
    scale = max(height / image.shape[0], width / image.shape[1])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = round((size[1] - height) * turn), round((size[0] - width) * turn)
    return resized[top:top + height, left:left + width]


def crops(image: np.ndarray, height: int, width: int, count: int, rng: Rng) -> list[np.ndarray]:
    """Return the whole image as :func:`cover` gives it, then ``count`` random parts of it, seen closer.

    A part is never enlarged beyond the photograph's own pixels; a small photograph has fewer parts, or none.
    """
    whole = max(height / image.shape[0], width / image.shape[1])
    views = [cover(image, height, width)]
    if whole > 0.8:
        return views
    for zoom, x, y in rng.uniform(0, 1, count, 3).cpu().tolist():
        scale = whole ** (0.6 * (1 - zoom))
        rows, columns = round(height / scale), round(width / scale)
        top, left = round((image.shape[0] - rows) * y), round((image.shape[1] - columns) * x)
        views.append(cover(image[top:top + rows, left:left + columns], height, width))
    return views


def stack(paths: Sequence[Path], height: int, width: int) -> np.ndarray:
    """Read photographs, shrunk and cropped to one size.

    :returns: (N, height, width) uint8; unusable files are logged and left out.
    :raises ValueError: when none can be used.
    """
    images = (read_gray(path) for path in paths)
    found = [cover(image, height, width) for image in images if image is not None]
    if not found:
        raise ValueError(f'no usable images among {len(paths)}; give more --images')
    return np.stack(found)
