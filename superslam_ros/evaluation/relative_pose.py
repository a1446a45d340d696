"""Relative poses from matches, on the lists of image pairs of ScanNet and YFCC100M that SuperGlue is judged on.

A line of a list is ``imageA imageB rotA rotB KA(9) KB(9) T(16)``: paths, quarter turns (anticlockwise) that
bring the images upright, intrinsics of the images as they are stored, and the 4x4 matrix that maps points of
camera A to camera B (row by row). Protocol: SuperGlue (arXiv 1911.11763), section 5.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.data import Features
from superslam_ros.evaluation import sequences
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.geometry.pose import skew

AUC_DEGREES = (5, 10, 20)
RANSAC_PX = 1.0
FAR = 1e9
RIGHT = 5e-4
"""A match is right when its squared symmetric epipolar distance in normalised coordinates is below this."""


@dataclass(frozen=True)
class PosePair:
    """A line of the list; ``T_1_0`` (4, 4) maps points of the first camera to the second."""

    path0: str
    path1: str
    turns0: int
    turns1: int
    K0: np.ndarray
    K1: np.ndarray
    T_1_0: np.ndarray


@dataclass
class PoseResult:
    """One front-end on one pair: the pose's error (degrees; infinite without a pose) and its matches.

    ``precision`` is the share of matches that agree with the true epipolar geometry; ``matching_score`` those
    over the keypoints of the first image.
    """

    rotation_deg: float
    translation_deg: float
    precision: float
    matching_score: float
    matches: int

    @property
    def error_deg(self) -> float:
        """The larger of the two errors."""
        return max(self.rotation_deg, self.translation_deg)


def read_pairs(path: Path) -> list[PosePair]:
    """Read a list of pairs.

    :raises ValueError: naming file and line, for a line that is no pair; naming the file when it has none.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            values = np.array(words[4:], np.float64)
            if len(values) != 34 or not np.isfinite(values).all():
                raise ValueError(f'{len(values)} numbers instead of 34, or one is not finite')
            K0, K1, T = values[:9].reshape(3, 3), values[9:18].reshape(3, 3), values[18:].reshape(4, 4)
            pairs.append(PosePair(words[0], words[1], int(words[2]), int(words[3]), K0, K1, T))
        except ValueError as error:
            raise ValueError(f'{path}, line {number}: expected "imageA imageB rotA rotB KA(9) KB(9) T_AB(16)" '
                             f'({error})') from error
    if not pairs:
        raise ValueError(f'{path}: no pairs')
    return pairs


def evaluate_pair(end: FrontEnd, pair: PosePair, image0: np.ndarray, image1: np.ndarray, side: int) -> PoseResult:
    """Measure a front-end on a pair.

    :param image0: (H, W) uint8, as stored; likewise ``image1``.
    :param side: images are shrunk to this longer side (pixels), never enlarged.
    """
    upright0, K0 = _prepare(image0, pair.K0, side)
    upright1, K1 = _prepare(image1, pair.K1, side)
    sizes = [(image.shape[1], image.shape[0]) for image in (upright0, upright1)]
    features0 = end.extract(np.ascontiguousarray(np.rot90(upright0, pair.turns0)))
    features1 = end.extract(np.ascontiguousarray(np.rot90(upright1, pair.turns1)))
    matches = end.matcher(features0, features1)
    rays0 = _normalised(turn_back(matches.keypoints0, pair.turns0, sizes[0]), K0)
    rays1 = _normalised(turn_back(matches.keypoints1, pair.turns1, sizes[1]), K1)
    right = epipolar_distance(rays0, rays1, pair.T_1_0) < RIGHT
    focal = float(np.mean([K0[0, 0], K0[1, 1], K1[0, 0], K1[1, 1]]))
    rotation, translation = pose_error(estimate(rays0, rays1, RANSAC_PX / focal), pair.T_1_0)
    return PoseResult(
        rotation, translation, float(right.mean()) if len(right) else 0.0, _ratio(right, features0), len(matches))


def _ratio(right: np.ndarray, features: Features) -> float:
    return float(right.sum() / len(features)) if len(features) else 0.0


def _prepare(image: np.ndarray, K: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    small, S = sequences.fit(image, (side, side))
    return small, S @ K


def turn_back(points: np.ndarray, turns: int, size: tuple[int, int]) -> np.ndarray:
    """Return where points (N, 2) of an image turned by ``np.rot90(image, turns)`` lie in the image itself.

    :param size: (width, height) of the image itself.
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    x, y = points[:, 0], points[:, 1]
    width, height = size
    return np.stack({
        0: (x, y), 1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x),
    }[turns % 4], 1)


def _normalised(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Return (N, 2) coordinates on the plane z = 1."""
    return (points - K[:2, 2]) / [K[0, 0], K[1, 1]]


def epipolar_distance(rays0: np.ndarray, rays1: np.ndarray, T_1_0: np.ndarray) -> np.ndarray:
    """Return the squared symmetric epipolar distance (N,) of normalised points (N, 2)."""
    E = skew(T_1_0[:3, 3]) @ T_1_0[:3, :3]
    ones = np.ones((len(rays0), 1))
    line1 = np.hstack([rays0, ones]) @ E.T
    line0 = np.hstack([rays1, ones]) @ E
    algebraic = (np.hstack([rays1, ones]) * line1).sum(1)
    with np.errstate(divide='ignore', invalid='ignore'):
        return algebraic**2 * (1 / (line0[:, :2]**2).sum(1) + 1 / (line1[:, :2]**2).sum(1))


def estimate(rays0: np.ndarray, rays1: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (R, t) of T_1_0 by the five-point method and RANSAC, the same on every run; None without one."""
    if len(rays0) < 5:
        return None
    cv2.setRNGSeed(0)
    found, mask = cv2.findEssentialMat(rays0, rays1, np.eye(3), cv2.RANSAC, 0.99999, threshold)
    best, pose = 0, None
    # Several solutions come stacked.
    for E in [] if found is None else np.split(found, len(found) // 3):
        # By default OpenCV leaves out what is farther than 50 baselines: everything, when the camera hardly moved.
        count, R, t, _, _ = cv2.recoverPose(E, rays0, rays1, np.eye(3), distanceThresh=FAR, mask=mask.copy())
        if count > best:
            best, pose = count, (R, t.ravel())
    return pose


def pose_error(pose: tuple[np.ndarray, np.ndarray] | None, T_1_0: np.ndarray) -> tuple[float, float]:
    """Return the angles (degrees) between rotations and between directions of translation, of either sign."""
    if pose is None:
        return math.inf, math.inf
    R, t = pose
    cosine = np.clip((np.trace(R.T @ T_1_0[:3, :3]) - 1) / 2, -1, 1)
    norms = np.linalg.norm(t) * np.linalg.norm(T_1_0[:3, 3])
    along = np.clip(abs(t @ T_1_0[:3, 3]) / norms, 0, 1) if norms > 1e-12 else 1.0
    return math.degrees(math.acos(cosine)), math.degrees(math.acos(along))


def auc(errors: Sequence[float], limit: float) -> float:
    """Return the area under the curve of the share of errors below x, for x from 0 to ``limit``, over ``limit``.

    The curve is piecewise linear through the sorted errors, as in SuperGlue's evaluation.
    """
    below = np.sort([error for error in errors if error < limit])
    x = np.concatenate([[0], below, [limit]])
    share = np.arange(len(below) + 1) / max(len(errors), 1)
    y = np.concatenate([share, share[-1:]])
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum() / limit)


def summarise(results: Sequence[PoseResult]) -> dict[str, float]:
    """Return the areas under the curve at 5, 10 and 20 degrees, and mean precision and matching score."""
    errors = [result.error_deg for result in results]
    return {
        **{f'auc_{limit}': auc(errors, limit) for limit in AUC_DEGREES},
        **{name: float(np.mean([getattr(result, name) for result in results]))
           for name in ('precision', 'matching_score', 'matches')},
    }
