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
    one is its own scene. Of few scenes, where none falls into the tenth, the one nearest to it is held out.

    :raises ValueError: naming a ``SOURCES.tsv`` without these columns.
    """
    scenes: dict[Path, str] = {}
    for folder in {path.parent for path in paths}:
        if (folder / 'SOURCES.tsv').is_file():
            with (folder / 'SOURCES.tsv').open(newline='', encoding='utf-8-sig') as file:
                rows = csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)
                if 'file' not in (rows.fieldnames or ()):
                    raise ValueError(f'{folder / "SOURCES.tsv"}: no column "file"; it is to have the tab-separated '
                                     'columns file and scene')
                for row in rows:
                    scenes[folder / row['file']] = row.get('scene') or row['file']
    digests = {path: hashlib.sha256(scenes.get(path, path.name).encode()).digest() for path in paths}
    held = {digest for digest in digests.values() if digest[0] % 10 == 0}
    if not held and len(set(digests.values())) > 1:
        held = {min(digests.values(), key=lambda digest: (digest[0] % 10, digest))}
    return ([path for path in paths if digests[path] not in held], [path for path in paths if digests[path] in held])


def read_gray(path: Path) -> np.ndarray | None:
    """Return an (H, W) uint8 image, or None (logged, by name) when it is damaged or smaller than 64 px."""
    try:
        image = None if _is_cut(path) else cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    except (OSError, cv2.error):    # the latter for more pixels than OpenCV takes
        image = None
    if image is None:
        log.warning('skipped %s: not a readable image', path)
    elif min(image.shape) < SMALLEST:
        log.warning('skipped %s: %dx%d is too small', path, image.shape[1], image.shape[0])
    else:
        return image
    return None


def _is_cut(path: Path) -> bool:
    """Whether a JPEG ends within its last scan, which OpenCV fills with gray."""
    data = path.read_bytes()
    return data.startswith(b'\xff\xd8') and data.rfind(b'\xff\xd9') < data.rfind(b'\xff\xda')


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


def stack(paths: Sequence[Path], height: int, width: int, what: str) -> np.ndarray:
    """Read photographs, shrunk and cropped to one size.

    :param what: they are for, in what is printed.
    :returns: (N, height, width) uint8; unusable files are logged, counted and left out.
    :raises ValueError: when none can be used.
    """
    images = (read_gray(path) for path in paths)
    found = [cover(image, height, width) for image in images if image is not None]
    if not found:
        raise ValueError(nothing(what, len(paths)))
    print(f'{what}: {len(found)} photographs; {len(paths) - len(found)} skipped')
    return np.stack(found)


def nothing(what: str, count: int) -> str:
    """Say that none of so many photographs can be used."""
    return f'no usable photographs for {what} among {count}; give more --images, of two scenes at least'
