"""How good keypoints, descriptors and matches are, by the definitions of SuperPoint (arXiv 1712.07629, appendix)
and, for :func:`recall`, :func:`direct_homography` and :func:`auc`, of SuperGlue (arXiv 1911.11763, section 5.1).

Points are (N, 2) pixels (x, y); ``H_1_0`` (3, 3) maps pixels of image 0 to image 1; sizes are (width,
height). A ratio of nothing is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from superslam_ros.data import Features

NEAR_PX = 3.0
"""Two points are the same one when they are this close; also the threshold of RANSAC."""


def warp(H_1_0: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (N, 2) through a homography, in float64; NaN where they are behind it."""
    points = np.asarray(points, np.float64).reshape(-1, 2)
    mapped = points @ H_1_0[:, :2].T + H_1_0[:, 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.where(mapped[:, 2:] > 1e-9, mapped[:, :2] / mapped[:, 2:], np.nan)


def shared(H_1_0: np.ndarray, points0: np.ndarray, size1: tuple[int, int]) -> np.ndarray:
    """Return (N,) bool: which points of image 0 are seen in image 1."""
    mapped = warp(H_1_0, points0)
    with np.errstate(invalid='ignore'):
        return ((mapped >= -0.5) & (mapped <= np.array(size1) - 0.5)).all(1)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distance (N,) of each point to the nearest of the others; infinite where there is none."""
    if not len(points) or not len(others):
        return np.full(len(points), np.inf)
    return np.linalg.norm(points[:, None] - others[None], axis=2).min(1)


def repeatability(
    points0: np.ndarray, points1: np.ndarray, H_1_0: np.ndarray,
    size0: tuple[int, int], size1: tuple[int, int], near_px: float = NEAR_PX,
) -> tuple[float, float]:
    """Return (repeatability, localisation error in pixels).

    The share of the points in the region both images see, of both sides together, that have a point of the
    other side within ``near_px``; and the mean distance of those.
    """
    H_0_1 = np.linalg.inv(H_1_0)
    points0 = np.asarray(points0, np.float64)[shared(H_1_0, points0, size1)]
    points1 = np.asarray(points1, np.float64)[shared(H_0_1, points1, size0)]
    distances = np.concatenate([
        nearest(warp(H_1_0, points0), points1), nearest(warp(H_0_1, points1), points0)])
    if not len(distances):
        return math.nan, math.nan
    found = distances <= near_px
    return float(found.mean()), float(distances[found].mean()) if found.any() else math.nan


def average_precision(confidences: np.ndarray, right: np.ndarray, total: int) -> float:
    """Return the area under the precision-recall curve of a ranked list, as the sum over its steps.

    :param confidences: (N,) any order; ``right`` (N,) bool.
    :param total: how many there were to find.
    """
    if not total:
        return math.nan
    hits = np.asarray(right, bool)[np.argsort(-np.asarray(confidences), kind='stable')]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / total)


def descriptor_map(
    features0: Features, features1: Features, H_1_0: np.ndarray, near_px: float = NEAR_PX
) -> float:
    """Return the mean average precision of nearest-neighbour matching, averaged over both directions.

    Each point that the other image sees is matched to the nearest descriptor there, and the matches are
    ranked by it; a match is right when the two points are within ``near_px``; to be found are the points
    that have one so near.
    """
    forth = _one_way_map(features0, features1, H_1_0, near_px)
    back = _one_way_map(features1, features0, np.linalg.inv(H_1_0), near_px)
    return (forth + back) / 2


def _one_way_map(features0: Features, features1: Features, H_1_0: np.ndarray, near_px: float) -> float:
    seen = shared(H_1_0, features0.keypoints, features1.image_size)
    if not seen.any() or not len(features1):
        return math.nan
    mapped = warp(H_1_0, features0.keypoints[seen])
    similarity = features0.descriptors[seen] @ features1.descriptors.T
    best = similarity.argmax(1)
    right = np.linalg.norm(mapped - features1.keypoints[best], axis=1) <= near_px
    total = int((nearest(mapped, features1.keypoints) <= near_px).sum())
    return average_precision(similarity[np.arange(len(best)), best], right, total)


def right_matches(
    keypoints0: np.ndarray, keypoints1: np.ndarray, H_1_0: np.ndarray, near_px: float = NEAR_PX
) -> np.ndarray:
    """Return (M,) bool: matches whose point of image 0 falls within ``near_px`` of its partner."""
    with np.errstate(invalid='ignore'):
        return np.linalg.norm(warp(H_1_0, keypoints0) - keypoints1, axis=1) <= near_px


def true_matches(
    keypoints0: np.ndarray, keypoints1: np.ndarray, H_1_0: np.ndarray, near_px: float = NEAR_PX
) -> np.ndarray:
    """Return (K, 2) index pairs to be found: each the other's nearest in both images, within ``near_px`` in both."""
    if not len(keypoints0) or not len(keypoints1):
        return np.zeros((0, 2), np.int64)
    forth = _distances(warp(H_1_0, keypoints0), keypoints1)
    back = _distances(warp(np.linalg.inv(H_1_0), keypoints1), keypoints0).T
    farther = np.maximum(forth, back)
    partner = farther.argmin(1)
    index = np.arange(len(keypoints0))
    keep = (farther.argmin(0)[partner] == index) & (farther[index, partner] <= near_px)
    return np.stack([index[keep], partner[keep]], 1)


def _distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.linalg.norm(points[:, None] - others[None], axis=2), nan=np.inf)


def recall(indices: np.ndarray, right: np.ndarray, truth: np.ndarray) -> float:
    """Return which share of the keypoints of image 0 that have a true match has a right one; NaN when none has.

    It need not be the nearest one: detectors of several octaves or angles have more than one keypoint at a place.

    :param indices: (M, 2) of the matches; ``right`` (M,) bool; ``truth`` (K, 2) true index pairs.
    """
    return float(np.isin(truth[:, 0], indices[right, 0]).mean()) if len(truth) else math.nan


def matching_score(right: int, features0: Features, features1: Features, H_1_0: np.ndarray) -> float:
    """Return the right matches over the keypoints in the shared region, averaged over both images."""
    counts = (
        shared(H_1_0, features0.keypoints, features1.image_size).sum(),
        shared(np.linalg.inv(H_1_0), features1.keypoints, features0.image_size).sum())
    return float(np.mean([right / count if count else 0.0 for count in counts]))


def estimate_homography(keypoints0: np.ndarray, keypoints1: np.ndarray, order: int = 0) -> np.ndarray | None:
    """Return H_1_0 by RANSAC at :data:`NEAR_PX`, the same on every run; None when it cannot be found.

    :param order: RANSAC draws other samples of the same matches in another order; 0 leaves them as they are, and every
        other number shuffles them in its own way.
    """
    if len(keypoints0) < 4:
        return None
    if order:
        shuffled = np.random.default_rng(order).permutation(len(keypoints0))
        keypoints0, keypoints1 = keypoints0[shuffled], keypoints1[shuffled]
    cv2.setRNGSeed(0)
    H, _ = cv2.findHomography(
        np.float64(keypoints0), np.float64(keypoints1), cv2.RANSAC, NEAR_PX, maxIters=5000, confidence=0.9999)
    return H


def direct_homography(keypoints0: np.ndarray, keypoints1: np.ndarray) -> np.ndarray | None:
    """Return H_1_0 by the normalised direct linear transform (Hartley and Zisserman, algorithm 4.2) of all matches.

    Nothing is rejected, so that a few wrong matches show; None where the matches fix no homography.
    """
    if len(keypoints0) < 4:
        return None
    N0, N1 = _normalisation(keypoints0), _normalisation(keypoints1)
    first, second = warp(N0, keypoints0), warp(N1, keypoints1)
    p, zero = np.hstack([first, np.ones((len(first), 1))]), np.zeros((len(first), 3))
    A = np.vstack([np.hstack([p, zero, -second[:, :1] * p]), np.hstack([zero, p, -second[:, 1:] * p])])
    # The null vector, from the 9x9 normal equations: coordinates are near 1, and N may be thousands.
    values, vectors = np.linalg.eigh(A.T @ A)
    if values[1] < 1e-12 * values[-1]:
        return None
    H = np.linalg.inv(N1) @ vectors[:, 0].reshape(3, 3) @ N0
    # Of either sign; the first image's middle is in front.
    return H if (H @ [*np.mean(keypoints0, axis=0), 1])[2] > 0 else -H


def _normalisation(points: np.ndarray) -> np.ndarray:
    centre = np.mean(points, axis=0, dtype=np.float64)
    scale = math.sqrt(2) / max(float(np.linalg.norm(points - centre, axis=1).mean()), 1e-9)
    return np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])


def auc(errors: Sequence[float], limit: float) -> float:
    """Return the area under the curve of the share of errors below x, for x from 0 to ``limit``, over ``limit``.

    The curve is piecewise linear through the sorted errors, as in SuperGlue's evaluation.
    """
    below = np.sort([error for error in errors if error < limit])
    x = np.concatenate([[0], below, [limit]])
    share = np.arange(len(below) + 1) / max(len(errors), 1)
    y = np.concatenate([share, share[-1:]])
    return float(((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2).sum() / limit)


def calibration(confidences: np.ndarray, right: np.ndarray, bins: int = 10) -> tuple[float, list[dict[str, float]]]:
    """Compare confidences with the precision of the matches that have them (Guo et al., ICML 2017).

    :param confidences: (N,) in [0, 1]; ``right`` (N,) bool.
    :returns: the expected calibration error: the mean difference of confidence and precision in bins of equal
        width, weighted by their matches (NaN without any); and per bin that has matches its figures.
    """
    confidences, right = np.asarray(confidences, np.float64), np.asarray(right, bool)
    number = np.minimum((confidences * bins).astype(int), bins - 1)
    table = [
        {'matches': float(inside.sum()), 'confidence': float(confidences[inside].mean()),
         'precision': float(right[inside].mean())}
        for inside in (number == k for k in range(bins)) if inside.any()]
    off = sum(row['matches'] * abs(row['confidence'] - row['precision']) for row in table)
    return off / len(confidences) if len(confidences) else math.nan, table


def corner_error(H: np.ndarray | None, H_1_0: np.ndarray, size0: tuple[int, int]) -> float:
    """Return the mean distance (pixels) of image 0's corners under both; infinite without an estimate."""
    if H is None:
        return math.inf
    width, height = size0
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
    error = np.linalg.norm(warp(H, corners) - warp(H_1_0, corners), axis=1).mean()
    return float(error) if np.isfinite(error) else math.inf
