"""Keypoints, descriptors and matches on image pairs with a known homography, one front-end beside another.

What is measured at which size follows SuperPoint (arXiv 1712.07629, section 7): the detector with 300
points in images of 240x320, descriptors and homographies with up to 1000 points at 480x640. Images are
shrunk to fit, with their aspect kept, and never enlarged; all pixels are those of the shrunk images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from superslam_ros.data import Features, Matches
from superslam_ros.evaluation import baselines, measures, sequences
from superslam_ros.evaluation.sequences import Pair
from superslam_ros.slam.extract import ExtractorConfig
from superslam_ros.slam.match import Matcher, MatcherConfig

FEW, MANY = 300, 1000
"""Keypoints for the detector's measures, and for those of matches."""
MUTUAL = MatcherConfig(matcher='nearest', min_similarity=-1.0, ratio=1.0, device='cpu')
"""Mutual nearest neighbours without any threshold: the same for every front-end."""
RATIO = MatcherConfig(matcher='nearest', min_similarity=-1.0, ratio=0.8, device='cpu')
"""Mutual nearest neighbours that pass Lowe's ratio test (IJCV 2004) in both directions."""
WITHIN_PX = (1, 3, 5)
AUC_PX = 10
ORDERS = 10
"""RANSAC estimates each pair's homography from its matches in so many orders: of one, luck moves the share that is
within 1 px by .05 (55 pairs)."""


@dataclass
class PairResult:
    """The figures of one front-end on one pair; NaN where there was nothing to measure.

    :ivar repeatability: of 300 points at 240x320, within 3 px; ``localisation_px`` mean distance of those.
    :ivar repeatability_full: of 1000 points at 480x640, likewise ``localisation_full_px``.
    :ivar descriptor_map: nearest-neighbour mean average precision, both directions averaged.
    :ivar matching_score: right mutual matches over the keypoints in the shared region, likewise.
    :ivar precision: right matches over all matches.
    :ivar recall: true matches (mutually nearest after reprojection, within 3 px) that were found.
    :ivar corner_errors_px: of the homographies that RANSAC finds in all matches, in each of :data:`ORDERS`, at 480x640.
    :ivar corner_error_dlt_px: likewise by the direct linear transform, which rejects nothing.
    """

    repeatability: float
    localisation_px: float
    repeatability_full: float
    localisation_full_px: float
    descriptor_map: float
    matching_score: float
    precision: float
    recall: float
    corner_errors_px: tuple[float, ...]
    corner_error_dlt_px: float
    keypoints: int
    matches: int
    right: int

    @property
    def corner_error_px(self) -> float:
        """The median over the orders."""
        return float(np.median(self.corner_errors_px))


class FrontEnd:
    """An extractor for each of the two sizes, and the matcher between."""

    def __init__(
        self, name: str, config: ExtractorConfig | None = None, matcher: MatcherConfig | None = None,
        shared: dict[tuple[str, int], baselines.Remembering] | None = None,
    ) -> None:
        """Make the extractors of ``superpoint``, ``orb`` or ``sift``; ``superglue`` is SuperPoint too.

        A name with ``-ratio`` behind it, like ``sift-ratio``, has the ratio test besides.

        :param shared: extractors, of one ``config``, that several front-ends have in common; filled as they are made.
        :raises ValueError: for another name; and what :class:`~superslam_ros.slam.extract.Extractor` raises.
        """
        self.name, self._config = name, config or ExtractorConfig()
        ratio = name.endswith('-ratio')
        self._features = 'superpoint' if name == 'superglue' else name[:-len('-ratio')] if ratio else name
        self._shared = {} if shared is None else shared
        self._extractor(MANY)
        self.matcher = Matcher(matcher or (RATIO if ratio else MUTUAL))

    def _extractor(self, count: int) -> baselines.Remembering:
        key = self._features, count
        if key not in self._shared:
            self._shared[key] = baselines.Remembering(
                baselines.make_extractor(self._features, replace(self._config, max_keypoints=count)))
        return self._shared[key]

    def extract(self, image: np.ndarray, count: int = MANY) -> Features:
        """Return up to ``count`` features of an (H, W) uint8 image."""
        return _at_most(self._extractor(count)(image), count)

    def match(self, image0: np.ndarray, image1: np.ndarray) -> tuple[Features, Features, Matches]:
        """Return the features of two (H, W) uint8 images and their matches."""
        features0, features1 = self.extract(image0), self.extract(image1)
        return features0, features1, self.matcher(features0, features1)


def _at_most(features: Features, count: int) -> Features:
    """Keep the strongest keypoints: OpenCV's detectors may return a few more than they were asked for."""
    if len(features) <= count:
        return features
    return Features(features.keypoints[:count], features.scores[:count], features.descriptors[:count],
                    features.image_size, features.scales[:count], features.weights,
                    None if features.stability is None else features.stability[:count])


def evaluate_pair(front_end: FrontEnd, pair: Pair) -> tuple[PairResult, Matches]:
    """Measure a front-end on a pair of any size; return its figures and its matches at 480x640."""
    full, half = pair.fitted(sequences.FULL), pair.fitted(sequences.HALF)
    few = [front_end.extract(image, FEW) for image in (half.image0, half.image1)]
    features0, features1, matches = front_end.match(full.image0, full.image1)
    H = full.H_1_0
    right = measures.right_matches(matches.keypoints0, matches.keypoints1, H)
    truth = measures.true_matches(features0.keypoints, features1.keypoints, H)
    direct = measures.direct_homography(matches.keypoints0, matches.keypoints1)
    return PairResult(
        *_detector(*few, half.H_1_0), *_detector(features0, features1, H),
        measures.descriptor_map(features0, features1, H),
        measures.matching_score(int(right.sum()), features0, features1, H),
        float(right.mean()) if len(right) else math.nan, measures.recall(matches.indices, right, truth),
        corner_errors(matches, H, features0.image_size), measures.corner_error(direct, H, features0.image_size),
        (len(features0) + len(features1)) // 2, len(matches), int(right.sum()),
    ), matches


def corner_errors(matches: Matches, H_1_0: np.ndarray, size0: tuple[int, int]) -> tuple[float, ...]:
    """Return the corner error of RANSAC's homography from matches, in pixels, in each of :data:`ORDERS`."""
    return tuple(measures.corner_error(
        measures.estimate_homography(matches.keypoints0, matches.keypoints1, order), H_1_0, size0)
        for order in range(ORDERS))


def _detector(features0: Features, features1: Features, H_1_0: np.ndarray) -> tuple[float, float]:
    return measures.repeatability(
        features0.keypoints, features1.keypoints, H_1_0, features0.image_size, features1.image_size)


def summarise(results: Sequence[PairResult]) -> dict[str, float]:
    """Return the mean of every figure over pairs, and the share of homographies (pairs times orders) within 1, 3, 5 px.

    ``auc_ransac`` and ``auc_dlt`` are the areas under the curve of the corner errors up to 10 px.
    A pair in which nothing could be measured counts as 0, except for distances, which are averaged over
    the pairs that have one.
    """
    summary = {'pairs': float(len(results))}
    for field in fields(PairResult):
        values = np.array([getattr(result, field.name) for result in results], np.float64)
        if field.name == 'corner_errors_px':
            values = values.ravel()
            for limit in WITHIN_PX:
                summary[f'homography_{limit}px'] = float((values <= limit).mean())
            summary['corner_error_median_px'] = float(np.median(values))
            summary['auc_ransac'] = measures.auc(values, AUC_PX)
        elif field.name == 'corner_error_dlt_px':
            summary['auc_dlt'] = measures.auc(values, AUC_PX)
        elif field.name.endswith('_px'):
            summary[field.name] = float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
        else:
            summary[field.name] = float(np.nan_to_num(values).mean())
    return summary


def as_json(results: dict[str, dict[str, PairResult]]) -> dict[str, Any]:
    """Return summaries and front-end -> pair -> figures for JSON, with None for NaN and infinity."""
    return {
        'summary': {name: plain(summarise(list(pairs.values()))) for name, pairs in results.items()},
        'pairs': {name: {pair: _plain_pair(result) for pair, result in pairs.items()}
                  for name, pairs in results.items()},
    }


def _plain_pair(result: PairResult) -> dict[str, Any]:
    figures = asdict(result)
    errors = figures.pop('corner_errors_px')
    return {**plain(figures), 'corner_errors_px': [*plain(dict(enumerate(errors))).values()]}


def plain(values: dict[Any, float]) -> dict[Any, float | None]:
    """Return figures rounded to six digits, None for those that are not finite."""
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in values.items()}


def evaluate(
    front_ends: Sequence[FrontEnd], pairs: Iterable[Pair]
) -> Iterator[tuple[Pair, dict[str, tuple[PairResult, Matches]]]]:
    """Yield each pair with the figures and matches of every front-end."""
    for pair in pairs:
        yield pair, {front_end.name: evaluate_pair(front_end, pair) for front_end in front_ends}
