"""Pairs of images with a known homography: sequences on disk, and random views of photographs.

A sequence is a folder whose image 1 is compared with every later one. Known layouts: HPatches (``1.ppm``,
``H_1_2``), Oxford (``img1.ppm``, ``H1to2p``), and numbered images without any homography, taken by a camera
at rest (identity).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

NUMBERED = re.compile(r'(?:img)?(\d+)\.(?:ppm|pgm|png|jpg|jpeg|bmp|tif|tiff)$', re.IGNORECASE)
FULL = (640, 480)
"""Images are shrunk to fit into this (width, height), with their aspect kept; they are never enlarged."""
HALF = (320, 240)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """Two gray (H, W) uint8 images; ``H_1_0`` (3, 3) maps pixels of the first to the second."""

    name: str
    image0: np.ndarray
    image1: np.ndarray
    H_1_0: np.ndarray

    def fitted(self, size: tuple[int, int]) -> Pair:
        """Return the pair with both images shrunk to fit into (width, height)."""
        image0, S_0 = fit(self.image0, size)
        image1, S_1 = fit(self.image1, size)
        return Pair(self.name, image0, image1, S_1 @ self.H_1_0 @ np.linalg.inv(S_0))


def fit(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Shrink an image to fit into (width, height); return it and the (3, 3) map of its pixels."""
    height, width = image.shape
    scale = min(size[0] / width, size[1] / height, 1.0)
    if scale == 1:
        return image, np.eye(3)
    new = max(1, round(width * scale)), max(1, round(height * scale))
    # Centres are at integers: (x + .5) scales, not x.
    x, y = new[0] / width, new[1] / height
    S = np.array([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5], [0, 0, 1]])
    return cv2.resize(image, new, interpolation=cv2.INTER_AREA), S


def find_sequences(folders: Sequence[Path]) -> list[Path]:
    """Return the folders that are sequences, at or below the given ones, sorted.

    :raises FileNotFoundError: naming a folder that is missing or holds no sequence.
    """
    found = []
    for folder in map(Path, folders):
        below = [folder, *sorted(path for path in folder.rglob('*') if path.is_dir())]
        sequences = [path for path in below if path.is_dir() and {1, 2} <= set(_numbered(path))]
        if not sequences:
            raise FileNotFoundError(
                f'no sequence at or below {folder}{"" if folder.is_dir() else ", which is no folder"}: expected '
                'numbered images with homographies, like 1.ppm 2.ppm H_1_2 (HPatches) or img1.ppm img2.ppm '
                'H1to2p (Oxford)')
        found += sequences
    return found


def read_sequence(folder: Path) -> Iterator[Pair]:
    """Yield image 1 with each later one, at their full size.

    :raises ValueError: naming the file, for an image or homography that cannot be read or is missing.
    """
    images = _numbered(folder)
    homographies = {number: _homography_file(folder, number) for number in images if number != 1}
    if not any(homographies.values()):
        log.warning('%s: no homographies; taken as views of a camera at rest (identity)', folder)
    elif not all(homographies.values()):
        missing = [number for number, path in homographies.items() if path is None]
        raise ValueError(f'{folder}: no homography H_1_k or H1tokp for image {", ".join(map(str, missing))}')
    first = _read(images[1])
    for number, path in homographies.items():
        second = _read(images[number])
        if path is None and second.shape != first.shape:
            raise ValueError(f'{images[number]}: of another size than image 1, and there is no homography')
        yield Pair(f'{folder.name} 1-{number}', first, second, np.eye(3) if path is None else _matrix(path))


def _numbered(folder: Path) -> dict[int, Path]:
    found = {}
    for path in sorted(folder.iterdir()):
        match = NUMBERED.match(path.name)
        if match:
            found.setdefault(int(match[1]), path)
    return dict(sorted(found.items()))


def _homography_file(folder: Path, number: int) -> Path | None:
    names = (f'H_1_{number}', f'H1to{number}p', f'H_1_{number}.txt', f'H1to{number}p.txt')
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError(f'{path}: not a readable image')
    return image


def _matrix(path: Path) -> np.ndarray:
    try:
        H = np.array(path.read_text(encoding='utf-8').split(), np.float64).reshape(3, 3)
    except ValueError as error:
        raise ValueError(f'{path}: expected the nine numbers of a homography ({error})') from error
    if not np.isfinite(H).all() or abs(np.linalg.det(H)) < 1e-12:
        raise ValueError(f'{path}: not an invertible homography')
    return H


def random_views(image: np.ndarray, name: str, count: int, rng: np.random.Generator) -> Iterator[Pair]:
    """Yield a photograph, cut to 4:3 and shrunk to 480x640, with ``count`` random views of itself.

    A view is a quadrilateral inside the photograph (SuperPoint, section 5.2): .5 to 1 of its size, turned by
    up to 30 degrees, each corner moved by up to .2 of the side. Beyond the photograph the view is mirrored.

    :param image: (H, W) uint8.
    """
    image = cut(image)
    height, width = image.shape
    target = np.float32([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    for number in range(count):
        scale, angle = math.exp(rng.uniform(math.log(0.5), 0)), rng.uniform(-math.pi / 6, math.pi / 6)
        quad = (target - target.mean(0)) * scale * (1 + rng.uniform(-0.2, 0.2, (4, 2)))
        c, s = math.cos(angle), math.sin(angle)
        quad = quad @ np.array([[c, s], [-s, c]])
        room = np.maximum([width, height] - np.ptp(quad, axis=0), 0) / 2
        quad += target.mean(0) - (quad.max(0) + quad.min(0)) / 2 + rng.uniform(-1, 1, 2) * room
        H = cv2.getPerspectiveTransform(np.float32(quad), target)
        yield Pair(f'{name} {number + 1}', image, warp_image(image, H, (width, height)), H)


def warp_image(image: np.ndarray, H_1_0: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the (width, height) view whose pixels a homography makes of an image's."""
    return cv2.warpPerspective(image, H_1_0, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def cut(image: np.ndarray) -> np.ndarray:
    """Cut the middle of an image to FULL's aspect and shrink it to that size, where it is larger."""
    height, width = image.shape
    side = min(width / FULL[0], height / FULL[1])
    w, h = int(FULL[0] * side), int(FULL[1] * side)
    top, left = (height - h) // 2, (width - w) // 2
    return fit(np.ascontiguousarray(image[top:top + h, left:left + w]), FULL)[0]
