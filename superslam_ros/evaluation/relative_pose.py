"""Relative poses from matches, on the lists of image pairs of ScanNet and YFCC100M that SuperGlue is judged on.

A line of a list is ``imageA imageB rotA rotB KA(9) KB(9) T(16)``: paths, quarter turns (anticlockwise) that
bring the images upright, intrinsics of the images as they are stored, and the 4x4 matrix that maps points of
camera A to camera B (row by row). Protocol: SuperGlue (arXiv 1911.11763), section 5.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from superslam_ros.data import Matches
from superslam_ros.evaluation import measures, sequences
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.geometry import two_view

AUC_DEGREES = (5, 10, 20)
LEAD_DEGREES = 10
RESAMPLINGS = 1000
ROTATION_DEG = 5.0
"""The measure of self-improving visual odometry (arXiv 1812.03245): rotations that are right to this."""
RANSAC_PX = 1.0
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
    over the keypoints of the first image; both NaN where the true geometry does not tell right from wrong.
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


def read_image(path: Path) -> np.ndarray:
    """Return an (H, W) uint8 image as it is stored, whatever its EXIF says: K and turns of a list are of that.

    :raises ValueError: naming the file, when it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f'{path}: not a readable image')
    return image


@dataclass(frozen=True)
class View:
    """An image of a pair as it is matched: shrunk, and upright.

    :ivar image: (H, W) uint8; ``turns`` quarter turns made it upright.
    :ivar size: (width, height) before those; ``K`` (3, 3) likewise.
    """

    image: np.ndarray
    turns: int
    size: tuple[int, int]
    K: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, turns: int, K: np.ndarray, side: int) -> View:
        """Shrink an image (H, W) as stored to the longer ``side`` (pixels), never enlarging, and turn it upright."""
        small, S = sequences.fit(image, (side, side))
        upright = np.ascontiguousarray(np.rot90(small, turns))
        return cls(upright, turns, (small.shape[1], small.shape[0]), S @ K)

    def rays(self, keypoints: np.ndarray) -> np.ndarray:
        """Return (N, 2) coordinates on the plane z = 1 of the camera as it stood, of upright pixels (N, 2)."""
        points = turn_back(keypoints, self.turns, self.size)
        return (points - self.K[:2, 2]) / [self.K[0, 0], self.K[1, 1]]


def evaluate(
    front_ends: Sequence[FrontEnd], pairs: Iterable[PosePair], folder: Path, side: int
) -> Iterator[tuple[View, View, dict[str, tuple[PoseResult, Matches]]]]:
    """Yield the views of each pair with the result and the matches of every front-end.

    :param folder: where the paths of the list begin; ``side``: the longer one of the images (pixels).
    :raises ValueError: naming an image that cannot be read.
    """
    for pair in pairs:
        view0, view1 = (View.of(read_image(folder / path), turns, K, side) for path, turns, K in (
            (pair.path0, pair.turns0, pair.K0), (pair.path1, pair.turns1, pair.K1)))
        yield view0, view1, {end.name: evaluate_pair(end, view0, view1, pair.T_1_0) for end in front_ends}


def evaluate_pair(end: FrontEnd, view0: View, view1: View, T_1_0: np.ndarray) -> tuple[PoseResult, Matches]:
    """Measure a front-end on a pair whose second camera sees points of the first through ``T_1_0`` (4, 4)."""
    features0, _, matches = end.match(view0.image, view1.image)
    focal = float(np.mean([K[k, k] for K in (view0.K, view1.K) for k in (0, 1)]))
    rays = view0.rays(matches.keypoints0), view1.rays(matches.keypoints1)
    return measure(*rays, focal, T_1_0, len(features0)), matches


def measure(
    rays0: np.ndarray, rays1: np.ndarray, focal: float, T_1_0: np.ndarray, keypoints: int, order: int = 0,
    method: int = cv2.RANSAC,
) -> PoseResult:
    """Measure matches by the pose they give and by the true one.

    :param rays0: (M, 2) coordinates on the plane z = 1; likewise ``rays1``.
    :param focal: length in pixels; ``keypoints``: how many there were in the first image.
    :param order: of the matches, and ``method``: for :func:`estimate`.
    """
    rotation, translation = pose_error(estimate(rays0, rays1, RANSAC_PX / focal, order, method), T_1_0)
    if np.linalg.norm(T_1_0[:3, 3]) < 1e-12:
        return PoseResult(rotation, translation, math.nan, math.nan, len(rays0))
    right = epipolar_distance(rays0, rays1, T_1_0) < RIGHT
    return PoseResult(
        rotation, translation, float(right.mean()) if len(right) else 0.0,
        float(right.sum() / keypoints) if keypoints else 0.0, len(right))


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


def epipolar_distance(rays0: np.ndarray, rays1: np.ndarray, T_1_0: np.ndarray) -> np.ndarray:
    """Return the squared symmetric epipolar distance (N,) of normalised points (N, 2)."""
    residuals, steep0, steep1 = two_view.epipolar_residuals(rays0, rays1, T_1_0)
    with np.errstate(divide='ignore', invalid='ignore'):
        return residuals**2 * (1 / steep0 + 1 / steep1)


def estimate(
    rays0: np.ndarray, rays1: np.ndarray, threshold: float, order: int = 0, method: int = cv2.RANSAC
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (R, t) of T_1_0, the same on every run; None without one.

    :param order: number of the random order in which the matches are taken; 0: as they come.
    :param method: OpenCV's number of the estimator; the protocol's is plain RANSAC of the five-point method.
    """
    if order:
        shuffled = np.random.default_rng(order).permutation(len(rays0))
        rays0, rays1 = rays0[shuffled], rays1[shuffled]
    found = two_view.pose_from_rays(rays0, rays1, threshold, method)
    return found and found[:2]


def pose_error(pose: tuple[np.ndarray, np.ndarray] | None, T_1_0: np.ndarray) -> tuple[float, float]:
    """Return the angles (degrees) between rotations and between directions of translation, of either sign."""
    if pose is None:
        return math.inf, math.inf
    R, t = pose
    cosine = np.clip((np.trace(R.T @ T_1_0[:3, :3]) - 1) / 2, -1, 1)
    norms = np.linalg.norm(t) * np.linalg.norm(T_1_0[:3, 3])
    along = np.clip(abs(t @ T_1_0[:3, 3]) / norms, 0, 1) if norms > 1e-12 else 1.0
    return math.degrees(math.acos(cosine)), math.degrees(math.acos(along))


def summarise(results: Sequence[PoseResult]) -> dict[str, float]:
    """Return the figures of one or more pairs.

    The areas under the curve of the error at 5, 10 and 20 degrees; the share of rotations right to 5 degrees;
    mean precision and matching score over the pairs that have them, and matches.
    """
    errors = [result.error_deg for result in results]
    means = {name: np.array([getattr(result, name) for result in results], np.float64)
             for name in ('precision', 'matching_score', 'matches')}
    return {
        **{f'auc_{limit}': measures.auc(errors, limit) for limit in AUC_DEGREES},
        'rotation_5': float(np.mean([result.rotation_deg <= ROTATION_DEG for result in results])),
        **{name: float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
           for name, values in means.items()},
    }


def lead(first: Sequence[PoseResult], other: Sequence[PoseResult], orders: int = 1) -> tuple[float, float]:
    """Return by how much the first front-end's AUC to 10 degrees is above another's, and the margin of that (95 %).

    The margin is half the percentile interval of the bootstrap over pairs (Efron and Tibshirani 1993, chapter 13), the
    same on every run. Errors of frames that follow one another are alike, which it does not know: there it is too
    narrow.

    :param first: results of as many pairs as ``other``, in the same order, ``orders`` of each in succession.
    """
    errors0, errors1 = (
        np.reshape([result.error_deg for result in results], (-1, orders)) for results in (first, other))

    def difference(pairs: np.ndarray | slice) -> float:
        return measures.auc(errors0[pairs].ravel(), LEAD_DEGREES) - measures.auc(errors1[pairs].ravel(), LEAD_DEGREES)

    chosen = np.random.default_rng(0).integers(len(errors0), size=(RESAMPLINGS, len(errors0)))
    low, high = np.percentile([difference(pairs) for pairs in chosen], [2.5, 97.5])
    return difference(slice(None)), float(high - low) / 2
