"""Frames of recordings with what their structure says of every keypoint, as arrays for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import cv2
import numpy as np

MOST = 600
"""Frames of all recordings that are held in memory, evenly over time; 0.5 MB each of 640x480."""
KEYPOINTS = 600
"""Strongest ones of a frame that are used."""
LONGEST, DEPTH_LONGEST = 640, 320
"""Larger images are made smaller to the first, depths to the second (pixels along the longer side)."""
STABLE, UNSTABLE = 1, -1
_CELL_PX = 16
"""Depth between the points of a structure is that of the nearest one, up to two cells of this side away."""


class Recording(Protocol):
    """What is read of ``superslam_ros.improve.evidence.Evidence``, in ideal pixels and the unit of its poses."""

    name: str
    pinhole: object
    segment: np.ndarray
    first: np.ndarray
    pixels: np.ndarray
    depth_m: np.ndarray

    def image(self, index: int) -> np.ndarray:
        """Return (H, W) uint8."""

    def depth(self, index: int) -> np.ndarray | None:
        """Return (H, W) float32, NaN where not measured."""


@dataclass(frozen=True, eq=False)
class LabelledPart:
    """A recording with its structure, and which of its frames may be trained on.

    ``tracks`` has the arrays ``first`` (T + 1,), ``frame`` and ``keypoint`` (numbers within the frame), ``structure``
    ``T_world_camera`` (F, 4, 4) and ``points`` (T, 3), NaN where a track has none; ``labels`` (T,) int8: 1 stable,
    -1 unstable, 0 neither; ``frames`` (F,) bool.
    """

    evidence: Recording
    tracks: object
    structure: object
    labels: np.ndarray
    frames: np.ndarray


class Frames(NamedTuple):
    """Some frames of one recording, F of them; N keypoints each, filled up with some that are not ``real``.

    ``images`` (F, H, W) uint8; ``depth`` (F, h, w) float16 along z, NaN where not known, in smaller pixels; ``K`` and
    ``K_depth`` (3, 3); ``T_world_camera`` (F, 4, 4); ``pixels`` (F, N, 2) float32 of ``images``; ``inverse`` (F, N)
    float32 1/z, NaN where not known or not to be believed; ``labels`` (F, N) int8 of the tracks; ``real`` (F, N) bool;
    ``number`` (F,) in the recording, ``segment`` (F,), ``shared`` (F, F) how many tracks two frames share.
    """

    images: np.ndarray
    depth: np.ndarray
    K: np.ndarray
    K_depth: np.ndarray
    T_world_camera: np.ndarray
    pixels: np.ndarray
    inverse: np.ndarray
    labels: np.ndarray
    real: np.ndarray
    number: np.ndarray
    segment: np.ndarray
    shared: np.ndarray


def gather(parts: Sequence[LabelledPart], most: int = MOST) -> list[Frames]:
    """Read the frames that may be trained on, at most so many of all parts, evenly.

    :raises ValueError: when a part has fewer than two, or no track, naming its recording.
    """
    usable = [np.flatnonzero(part.frames & (np.asarray(part.evidence.segment) >= 0)) for part in parts]
    for part, numbers in zip(parts, usable):
        if len(numbers) < 2 or not len(part.labels):
            raise ValueError(f'{part.evidence.name}: {len(numbers)} frames with a pose are left to train on, and '
                             f'{len(part.labels)} tracks')
    every = max(1.0, sum(map(len, usable)) / most)
    return [_read(part, numbers[np.arange(0, len(numbers), every).astype(int)])
            for part, numbers in zip(parts, usable)]


def _read(part: LabelledPart, numbers: np.ndarray) -> Frames:
    evidence, tracks, structure = part.evidence, part.tracks, part.structure
    track_of = _track_of(evidence, tracks)
    poses = np.asarray(structure.T_world_camera, np.float64)[numbers]
    images, depths, rows = [], [], []
    for number, T in zip(numbers, poses):
        flat = np.arange(evidence.first[number], evidence.first[number + 1])[:KEYPOINTS]
        pixels, track = np.asarray(evidence.pixels[flat], np.float32), track_of[flat]
        labels = np.where(track >= 0, part.labels[track], 0).astype(np.int8)
        z = _z(structure.points[track], T)
        z[track < 0] = np.nan
        inverse = _inverse(z, np.asarray(evidence.depth_m[flat], np.float64), labels)
        image = evidence.image(number)
        measured = evidence.depth(number)
        depth = _between(pixels, z, labels, image.shape) if measured is None else measured
        images.append(_whole_cells(_smaller(image, LONGEST, cv2.INTER_AREA)))
        depths.append(_smaller(depth, DEPTH_LONGEST, cv2.INTER_NEAREST).astype(np.float16))
        rows.append((pixels, inverse, labels))
    size = image.shape
    scale = np.array([_shrink(size, LONGEST), _shrink(size, DEPTH_LONGEST)])
    K, K_depth = (_scaled(evidence.pinhole.K, one) for one in scale)
    pixels, inverse, labels = (_filled([row[column] for row in rows]) for column in range(3))
    real = np.arange(KEYPOINTS) < np.array([len(row[0]) for row in rows])[:, None]
    return Frames(
        np.stack(images), np.stack(depths), K, K_depth, poses, ((pixels + 0.5) * scale[0] - 0.5).astype(np.float32),
        inverse.astype(np.float32), labels, real, numbers, np.asarray(evidence.segment)[numbers],
        _shared(tracks, numbers, len(evidence.segment)))


def _track_of(evidence: Recording, tracks: object) -> np.ndarray:
    """Return (N,) the track of every keypoint, -1 for none."""
    found = np.full(len(evidence.pixels), -1)
    which = np.repeat(np.arange(len(tracks.first) - 1), np.diff(tracks.first))
    found[np.asarray(evidence.first)[tracks.frame] + tracks.keypoint] = which
    return found


def _z(points: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
    """Return (N,) depths of points (N, 3), NaN behind the camera."""
    z = (points - T_world_camera[:3, 3]) @ T_world_camera[:3, 2]
    return np.where(z > 0, z, np.nan)


def _inverse(z: np.ndarray, measured: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return 1/z of keypoints: by their point where that is stable, else as measured, else by their point.

    What is unstable moves, or is no point: it is nowhere else.
    """
    known = np.where((labels == STABLE) & np.isfinite(z), z, np.where(np.isfinite(measured), measured, z))
    return np.where(labels == UNSTABLE, np.nan, 1 / known)


def _between(pixels: np.ndarray, z: np.ndarray, labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return (H, W) depths of a frame without, made of its points: that of the nearest of them, NaN far from any."""
    height, width = (-(-side // _CELL_PX) for side in shape)
    grid = np.full((height, width), np.nan, np.float32)
    good = np.isfinite(z) & (labels != UNSTABLE)
    column, row = ((pixels[good] + 0.5) / _CELL_PX).astype(int).T
    order = np.argsort(-z[good], kind='stable')     # the nearest point of a cell is the last one
    grid[row.clip(0, height - 1)[order], column.clip(0, width - 1)[order]] = z[good][order]
    empty = np.isnan(grid)
    if empty.all():
        return np.full(shape, np.nan, np.float32)
    away, nearest = cv2.distanceTransformWithLabels(
        empty.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(nearest.max() + 1, np.float32)
    values[nearest[~empty]] = grid[~empty]
    filled = np.where(away <= 2, values[nearest], np.nan)
    return cv2.resize(filled, (width * _CELL_PX, height * _CELL_PX), interpolation=cv2.INTER_NEAREST)[
        :shape[0], :shape[1]]


def _shared(tracks: object, numbers: np.ndarray, count: int) -> np.ndarray:
    """Return (F, F) how many tracks the frames of some numbers share."""
    column = np.full(count, -1)
    column[numbers] = np.arange(len(numbers))
    at, which = column[tracks.frame], np.repeat(np.arange(len(tracks.first) - 1), np.diff(tracks.first))
    shared = np.zeros((len(numbers), len(numbers)), np.float32)
    for start in range(0, len(tracks.first) - 1, 4096):
        part = (which >= start) & (which < start + 4096) & (at >= 0)
        seen = np.zeros((len(numbers), 4096), np.float32)
        seen[at[part], which[part] - start] = 1
        shared += seen @ seen.T
    return shared


def _scaled(K: np.ndarray, scale: float) -> np.ndarray:
    """Return the (3, 3) intrinsics of an image made smaller: centres are at whole numbers."""
    K = K.copy()
    K[:2] *= scale
    K[:2, 2] += 0.5 * scale - 0.5
    return K


def _filled(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return rows of at most ``KEYPOINTS`` values as one array, with zeros behind."""
    out = np.zeros((len(rows), KEYPOINTS, *rows[0].shape[1:]), rows[0].dtype)
    for place, row in zip(out, rows):
        place[:len(row)] = row
    return out


def _shrink(shape: tuple[int, int], longest: int) -> float:
    return min(1.0, longest / max(shape))


def _smaller(image: np.ndarray, longest: int, interpolation: int) -> np.ndarray:
    scale = _shrink(image.shape, longest)
    return image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)


def _whole_cells(image: np.ndarray) -> np.ndarray:
    """Leave out the last rows and columns, so that sides are multiples of 8."""
    height, width = (side // 8 * 8 for side in image.shape)
    return image[:height, :width]
