"""Corner detection on synthetic shapes: MagicPoint beside FAST, Harris and Shi-Tomasi (SuperPoint, Table 5).

The shapes are those that MagicPoint is trained on, drawn from another seed: this module is where evaluation
takes the renderer from training.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch

from superslam_ros.models import checkpoint, superpoint
from superslam_ros.slam.extract import Extractor, ExtractorConfig

NEAR_PX = 4.0
"""A detection this close to a corner is right."""
HEIGHT, WIDTH = 120, 160
BATCH = 50
MOST = 300
"""Detections kept per image, of each detector."""
NMS_RADIUS = 4

Detector = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From an (H, W) uint8 image to points (N, 2) and confidences (N,), the surest first."""


@dataclass(frozen=True)
class Found:
    """Detections in one image, the surest first.

    ``right`` (N,) bool: near a corner; ``covered`` (N,) int: how many corners each is the first to be near;
    ``distances`` (N,) pixels to the nearest corner; ``corners``: how many there are.
    """

    confidences: np.ndarray
    right: np.ndarray
    covered: np.ndarray
    distances: np.ndarray
    corners: int


def detectors(weights: str = '', device: str = 'auto', refine: str = 'corners') -> dict[str, Detector]:
    """Return MagicPoint and OpenCV's three, all with the same suppression.

    :param weights: of a SuperPoint or MagicPoint network; empty for the shipped MagicPoint.
    :param refine: as of an extractor; but for ``none``, the other three get the sub-pixels of cornerSubPix.
    """
    extractor = Extractor(ExtractorConfig(
        weights=str(checkpoint.locate('magicpoint', weights)), device=device, max_keypoints=MOST,
        threshold=1e-4, border=0, nms_radius=NMS_RADIUS, refine=refine))

    def magicpoint(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = extractor(image)
        return features.keypoints, features.scores

    others = {'FAST': fast, 'Harris': harris, 'Shi-Tomasi': shi_tomasi}
    if refine != 'none':
        others = {name: partial(_between_pixels, detect) for name, detect in others.items()}
    return {'MagicPoint': magicpoint, **others}


def _between_pixels(detect: Detector, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw a detector's points to where the image gradients around them meet (Foerstner and Guelch 1987)."""
    points, confidences = detect(image)
    if len(points):
        end = cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01
        points = cv2.cornerSubPix(image, points[:, None].astype(np.float32), (3, 3), (-1, -1), end)[:, 0]
    return points, confidences


def harris(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of Harris and Stephens (1988) in an (H, W) uint8 image."""
    return _peaks(cv2.cornerHarris(np.float32(image) / 255, 3, 3, 0.04))


def shi_tomasi(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of Shi and Tomasi (CVPR 1994)."""
    return _peaks(cv2.cornerMinEigenVal(np.float32(image) / 255, 3))


def fast(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points of FAST (Rosten and Drummond, ECCV 2006)."""
    responses = np.zeros(image.shape, np.float32)
    for point in cv2.FastFeatureDetector_create(threshold=5, nonmaxSuppression=True).detect(image, None):
        responses[round(point.pt[1]), round(point.pt[0])] = point.response
    return _peaks(responses)


def _peaks(responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    peaks = superpoint.suppress(torch.from_numpy(responses)[None], NMS_RADIUS)[0]
    points, confidences = superpoint.select(peaks, 1e-9, 0, MOST)
    return points.numpy(), confidences.numpy()


def score(points: np.ndarray, confidences: np.ndarray, corners: np.ndarray, near_px: float = NEAR_PX) -> Found:
    """Compare detections (N, 2), the surest first, with the true corners (M, 2) of the image."""
    distances = np.linalg.norm(points[:, None] - corners[None], axis=2)
    near = distances <= near_px
    first = near.argmax(0)[near.any(0)] if len(points) else np.zeros(0, int)
    return Found(
        np.asarray(confidences), near.any(1), np.bincount(first, minlength=len(points)),
        distances.min(1, initial=math.inf), len(corners))


def average_precision(found: list[Found]) -> float:
    """Return the area under the precision-recall curve of all the images' detections in one ranking.

    Precision: right detections over detections; recall: corners near one over corners (SuperPoint, appendix).
    """
    total = sum(image.corners for image in found)
    if not total:
        return math.nan
    order = np.argsort(-np.concatenate([image.confidences for image in found]), kind='stable')
    right = np.concatenate([image.right for image in found])[order]
    covered = np.concatenate([image.covered for image in found])[order]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float((precision * covered).sum() / total)


def localisation(found: list[Found]) -> float:
    """Return the mean distance (pixels) of the detections that are the first at a corner; NaN without any."""
    distances = np.concatenate([image.distances[image.covered > 0] for image in found])
    return float(distances.mean()) if len(distances) else math.nan


def evaluate(found_by: dict[str, Detector], count: int, seed: int, noisy: bool) -> dict[str, dict[str, float]]:
    """Return mAP over the kinds of shapes with corners, and the localisation error, of each detector.

    :param count: images; ``seed`` of the shapes, which also seeds the noise.
    :param noisy: whether every image goes through the photometric noise of training.
    """
    results: dict[str, dict[str, list[Found]]] = {name: defaultdict(list) for name in found_by}
    for kind, image, corners in images(count, seed, noisy):
        for name, detect in found_by.items():
            results[name][kind].append(score(*detect(image), corners))
    summary = {}
    for name, by_kind in results.items():
        precisions = {kind: average_precision(found) for kind, found in sorted(by_kind.items())}
        summary[name] = {
            'map': float(np.nanmean(list(precisions.values()))),
            'localisation_px': localisation([image for found in by_kind.values() for image in found]),
            **{f'ap_{kind}': value for kind, value in precisions.items() if math.isfinite(value)},
        }
    return summary


def images(count: int, seed: int, noisy: bool) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (kind, (120, 160) uint8 image, (M, 2) corners), the same shapes with and without noise."""
    from superslam_ros.training.data import photometric, shapes
    from superslam_ros.training.random import Rng
    made = []
    for part in range(math.ceil(count / BATCH)):
        batch = shapes.render(BATCH, HEIGHT, WIDTH, Rng(seed * 10**6 + part))
        pictures = batch.images
        if noisy:
            pictures = photometric.distort(pictures, Rng(seed * 10**6 + part + 500_000), share=1.0)
        gray = (pictures[:, 0] * 255).round().to(torch.uint8).numpy()
        made += [(shapes.KINDS[int(batch.kinds[n])], gray[n], batch.corners[n][batch.valid[n]].numpy())
                 for n in range(BATCH)]
    return made[:count]
