"""Photographs for training: reading folders, and a fixed tenth held out, whole scenes at a time."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.training.random import Rng

SUFFIXES = ('.jpg', '.jpeg', '.png', '.ppm', '.pgm', '.bmp', '.tif', '.tiff', '.webp')
SMALLEST = 64
BAGS = ('.mcap', '.db3', '.bag')
OTHERS = {'.heic': 'convert them to JPEG', '.heif': 'convert them to JPEG', '.avif': 'convert them to JPEG',
          **dict.fromkeys(('.mp4', '.mov', '.avi', '.mkv', *BAGS), 'give each by itself')}
"""What is not read below a folder of photographs, though it holds pictures -> the remedy."""
# What libjpeg says of an image that it has filled with gray or garbage; some cameras pad with a few bytes.
_DAMAGE = re.compile(r'Premature end of JPEG|Corrupt JPEG data(?!: \d extraneous)')

log = logging.getLogger(__name__)


def find(folders: Sequence[Path]) -> list[Path]:
    """Return the image files below folders, sorted; other files that hold pictures are logged.

    :raises FileNotFoundError: naming a folder that is missing or holds no image.
    :raises ValueError: for a bag or a single file, with the remedy.
    """
    found = []
    for folder in folders:
        if is_bag(folder):
            raise ValueError(f'{folder} is a bag: `superslam bag images {folder} --out DIR` makes a folder of images')
        if folder.is_file():
            raise ValueError(f'{folder} is one file: give the folder that the photographs are in')
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder} does not exist')
        files = sorted(folder.rglob('*'))
        images = [path for path in files if path.suffix.lower() in SUFFIXES]
        for suffix, count in Counter(path.suffix.lower() for path in files).items():
            if suffix in OTHERS:
                log.warning('%s: passed over %d %s: %s', folder, count, suffix, OTHERS[suffix])
        if not images:
            raise FileNotFoundError(f'no images ({", ".join(SUFFIXES)}) below {folder}')
        found += images
    return found


def is_bag(path: Path) -> bool:
    """Return whether a path is that of a recording."""
    return (path / 'metadata.yaml').is_file() or (path.is_file() and path.suffix in BAGS)


def split(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return (training, held-out) images: a tenth by a hash of the scene's name, the same on every machine.

    A ``SOURCES.tsv`` beside the images may name scenes (columns ``file`` and ``scene``); an image without
    one is its own scene. Of few scenes, where none falls into the tenth, the one nearest to it is held out.

    :raises ValueError: naming a ``SOURCES.tsv`` without these columns, or with a row that names no file.
    """
    scenes: dict[Path, str] = {}
    for folder in {path.parent for path in paths}:
        if (folder / 'SOURCES.tsv').is_file():
            scenes.update(_scenes(folder / 'SOURCES.tsv'))
    digests = {path: hashlib.sha256(scenes.get(path, path.name).encode()).digest() for path in paths}
    held = {digest for digest in digests.values() if digest[0] % 10 == 0}
    if not held and len(set(digests.values())) > 1:
        held = {min(digests.values(), key=lambda digest: (digest[0] % 10, digest))}
    return ([path for path in paths if digests[path] not in held], [path for path in paths if digests[path] in held])


def _scenes(table: Path) -> dict[Path, str]:
    """Read the scene of each file of a ``SOURCES.tsv``."""
    remedy = 'it is to have the tab-separated columns file and scene'
    scenes = {}
    try:
        with table.open(newline='', encoding='utf-8-sig') as file:
            rows = csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)
            if 'file' not in (rows.fieldnames or ()):
                raise ValueError(f'{table}: no column "file"; {remedy}')
            for row in rows:
                if not row['file']:
                    raise ValueError(f'{table}, line {rows.line_num}: names no file; {remedy}')
                scenes[table.parent / row['file']] = row.get('scene') or row['file']
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f'{table} is no table in UTF-8 ({error}); {remedy}') from error
    return scenes


def read_gray(path: Path) -> np.ndarray | None:
    """Return an (H, W) uint8 image, or None (logged, by name) when it is damaged or smaller than 64 px.

    Of 16 bits, the 8 highest that the image uses are kept: 12 bits in a file of 16 are not dark.
    """
    with _complaints() as said:
        try:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        except cv2.error:           # more pixels than OpenCV takes
            image = None
    damage = next((line for line in said if _DAMAGE.match(line)), None)
    if image is None or damage:
        log.warning('skipped %s: not a readable image%s', path, f' ({damage})' if damage else '')
    elif min(image.shape) < SMALLEST:
        log.warning('skipped %s: %dx%d is too small', path, image.shape[1], image.shape[0])
    elif image.dtype not in (np.uint8, np.uint16):
        log.warning('skipped %s: its pixels are %s, not of 8 or 16 bits', path, image.dtype)
    else:
        return (image >> max(0, int(image.max()).bit_length() - 8)).astype(np.uint8)
    return None


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what decoders print: libjpeg gives back a damaged image, and says so on stderr alone."""
    said: list[str] = []
    stderr = os.dup(2)
    with tempfile.TemporaryFile('w+', errors='replace') as file:
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            said += file.read().splitlines()


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
    return (f'no usable photographs for {what} among {count}, a tenth being held out; give more --images, of two '
            'scenes at least')
