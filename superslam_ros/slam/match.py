"""Stage 2: features of two images to matches, by nearest neighbours or SuperGlue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from superslam_ros.config import option
from superslam_ros.data import Features, Matches
from superslam_ros.models import checkpoint, precision, superglue
from superslam_ros.models.folded import FoldedSuperGlue
from superslam_ros.slam import gpu
from superslam_ros.slam.extract import ExtractorConfig, pick_device
from superslam_ros.slam.interrupt import Interrupt, go_on, interruptible

log = logging.getLogger(__name__)
SAME_PX = 4.0
"""Keypoints nearer than this are at the same place; within an octave, SuperPoint's are farther apart by default."""
TWIN = 1e-3
"""Descriptors nearer than this are the same: float32 products of unit vectors tell no smaller distances."""


@dataclass(frozen=True)
class MatcherConfig:
    """Options of the matcher."""

    matcher: str = option('nearest', 'nearest: mutual nearest neighbours; superglue: the attention network',
                          choices=('nearest', 'superglue'))
    weights: str = option('', 'Path of SuperGlue weights (.safetensors or .pth), or the name of shipped ones: '
                         'superglue_lean, the default, or superglue, the larger network')
    device: str = option('auto', 'Where the matcher runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    min_similarity: float = option(0.6, 'nearest: lowest cosine similarity of a match', low=-1.0, high=1.0, live=True)
    ratio: float = option(0.95, 'nearest: highest ratio of the distances to the best and second-best descriptor; '
                          '1 turns the test off', low=0.0, high=1.0, live=True)
    match_threshold: float = option(0.6, 'superglue: lowest confidence of a match', low=0.0, high=1.0, live=True)
    sinkhorn_iterations: int = option(20, 'superglue: iterations of the optimal transport', low=1, high=200, live=True)
    precision: str = option('auto', 'superglue: arithmetic of the network: auto takes float16 on a GPU, bfloat16 on a '
                            'CPU that computes in it natively, else float32', choices=('auto', *precision.DTYPES))


class Matcher:
    """Finds which keypoints of two images show the same point."""

    def __init__(self, config: MatcherConfig | None = None, interrupt: Interrupt = go_on) -> None:
        """Load the weights, where the matcher has any.

        :param interrupt: called between parts of the work; what it raises breaks the work off, and harms nothing.
        :raises FileNotFoundError: when SuperGlue's weights file is missing.
        :raises ValueError: when the file is not a SuperGlue.
        :raises RuntimeError: when the device is not there, or does not compute in that precision.
        """
        self.config, self._interrupt = config or MatcherConfig(), interrupt
        self.device = pick_device(self.config.device)
        self.network = None
        self._together = True
        self._most: int | None = None
        if self.config.matcher == 'superglue':
            dtype = precision.pick(self.config.precision, self.device)
            network = superglue.load(checkpoint.locate('superglue', self.config.weights))
            self.network = FoldedSuperGlue(network.eval().requires_grad_(False).to(self.device), dtype)

    def __call__(self, features0: Features, features1: Features) -> Matches:
        """Match two images; no keypoints on a side give no matches.

        :raises ValueError: when descriptors hold NaN or differ in length, naming the side.
        """
        return self.batch([(features0, features1)])[0]

    def batch(self, pairs: Sequence[tuple[Features, Features]]) -> list[Matches]:
        """Match several pairs; SuperGlue takes them through the network together.

        A GPU that has no memory for that gets them one by one from then on, and one that has none for all keypoints
        the stronger half of them.

        :raises OutOfMemory: when it has none for that either.
        """
        for pair in pairs:
            _check(*pair, None if self.network is None else superglue.SIZE)
        if self._together and len(pairs) > 1:
            try:
                return self._match(pairs)
            except torch.cuda.OutOfMemoryError:
                gpu.release()
                self._together = False
                log.warning('GPU out of memory with %d pairs of images at once: one by one from now on', len(pairs))
        return [self._match_one(pair) for pair in pairs]

    def _match_one(self, pair: tuple[Features, Features]) -> Matches:
        try:
            return self._match([pair])[0]
        except torch.cuda.OutOfMemoryError:
            gpu.release()
        if self._most is None:
            self._most = max(map(len, pair)) // 2
            log.warning('GPU out of memory: matching the strongest %d keypoints from now on', self._most)
        try:
            return self._match([pair])[0]
        except torch.cuda.OutOfMemoryError as error:
            gpu.release()
            raise gpu.OutOfMemory(f'GPU out of memory with {self._most} keypoints; lower extractor.max_keypoints, '
                                  'or set matcher.device: cpu') from error

    def _match(self, pairs: Sequence[tuple[Features, Features]]) -> list[Matches]:
        with torch.inference_mode(), interruptible(self._interrupt, when=self.device.type == 'cpu'):
            found = self._superglue(pairs) if self.network is not None else [self._nearest(*pair) for pair in pairs]
        return [_matches(pair, None if one is None else one.cpu().numpy()) for pair, one in zip(pairs, found)]

    def _nearest(self, features0: Features, features1: Features) -> Tensor | None:
        """Find mutual nearest neighbours that pass both tests, and how clear each is, 0 to 1.

        :returns: as :func:`_found`.
        """
        if not len(features0) or not len(features1):
            return None
        first, second = (features.descriptors_on(self.device)[:self._most] for features in (features0, features1))
        similarity = first @ second.T
        best, index1 = similarity.max(1)
        owner = similarity.argmax(0)
        keep = _mutual(owner, index1) & (best >= self.config.min_similarity)
        # Distances of unit vectors: |a - b|^2 = 2 - 2 a.b
        distance = (2 - 2 * best).clamp_min(0).sqrt()
        # What lies at the same place, in another octave or at another angle, is no rival.
        (same0, _), (same1, _) = (self._same_place(features) for features in (features0, features1))
        rival = similarity.scatter(1, same1[index1], -1.0).amax(1)
        # A column that is kept has one row that prefers it, and masks that row's place.
        rival = torch.maximum(rival, similarity.scatter_(0, same0[owner].T, -1.0).amax(0)[index1])
        runner_up = (2 - 2 * rival).clamp_min(0).sqrt()
        # Below TWIN the difference is rounding: of two equal descriptors neither is the clearer one.
        ratio = distance.clamp_min(TWIN) / runner_up.clamp_min(TWIN)
        if self.config.ratio < 1:
            keep &= ratio <= self.config.ratio
        return _found(index1, keep, (1 - 0.5 * ratio * ratio).clamp(0, 1), best)

    def _same_place(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the :func:`neighbours` of keypoints at one place, on the device."""
        return tuple(gpu.upload(part, self.device) for part in neighbours(features.keypoints[:self._most]))

    def _superglue(self, pairs: Sequence[tuple[Features, Features]]) -> list[Tensor | None]:
        found: list[Tensor | None] = [None] * len(pairs)
        full = [number for number, (a, b) in enumerate(pairs) if len(a) and len(b)]
        if full:
            sides = [
                superglue.pad_sets([_keypoint_set(pairs[number][side], self.device, self._most) for number in full])
                for side in (0, 1)
            ]
            log_assignment = self.network(*sides, iterations=self.config.sinkhorn_iterations)
            for number, scores in zip(full, log_assignment):
                counts = (len(features.keypoints[:self._most]) for features in pairs[number])
                found[number] = self._sure(scores[:next(counts), :next(counts)].exp(), *pairs[number])
        return found

    def _sure(self, probability: Tensor, features0: Features, features1: Features) -> Tensor:
        """Find the pairs that prefer each other, with what is sure of a place, which its keypoints share.

        :param probability: (N, M), without the dustbins.
        :returns: as :func:`_found`.
        """
        best, index1 = probability.max(1)
        (same0, real0), (same1, real1) = (self._same_place(features) for features in (features0, features1))
        along = probability.gather(1, same1[index1]) * real1[index1]
        across = probability[same0, index1[:, None]] * real0
        confidence = torch.maximum(along.sum(1), across.sum(1)).clamp_max(1)
        keep = _mutual(probability.argmax(0), index1) & (best > 0) & (confidence > self.config.match_threshold)
        return _found(index1, keep, confidence, best)


def neighbours(keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find which keypoints (N, 2) are nearer than ``SAME_PX``.

    :returns: (N, K) int64 numbers of those near each, itself among them, filled up with itself; (N, K) bool, false
        where filled up.
    """
    count = len(keypoints)
    order = np.argsort(keypoints[:, 0], kind='stable')
    x = keypoints[order, 0]
    # In the order of x, those within reach are a range around each.
    start, end = np.searchsorted(x, x - SAME_PX), np.searchsorted(x, x + SAME_PX, side='right')
    many = end - start
    one = np.repeat(np.arange(count), many)
    other = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many - start, many)
    one, other = order[one], order[other]
    away = keypoints[one] - keypoints[other]
    near = np.sqrt((away * away).sum(1)) < SAME_PX
    by_one = np.argsort(one[near], kind='stable')
    one, other = one[near][by_one], other[near][by_one]
    many = np.bincount(one, minlength=count)
    place = np.arange(len(one)) - np.repeat(np.cumsum(many) - many, many)
    table = np.repeat(np.arange(count)[:, None], many.max(initial=1), 1)
    table[one, place] = other
    return table, np.arange(table.shape[1]) < many[:, None]


def warn_of_strangers(extractor: ExtractorConfig, matcher: MatcherConfig) -> None:
    """Log it when descriptors are untrained, or SuperGlue was trained on those of another SuperPoint.

    :raises FileNotFoundError, ValueError: when a weights file is missing or damaged.
    """
    points = checkpoint.locate('superpoint', extractor.weights)
    about = checkpoint.metadata(points)
    if about.get('network') == checkpoint.DETECTOR:
        log.warning('%s finds keypoints, but has not learnt to describe them: most matches will be wrong; set '
                    'extractor.weights to weights of `superslam train superpoint` or compact', points)
    if matcher.matcher != 'superglue':
        return
    glue = checkpoint.locate('superglue', matcher.weights)
    known = checkpoint.metadata(glue).get('superpoint_sha256')
    if known and known not in (checkpoint.digest(points), *about.get('descriptors_of', '').split()):
        log.warning('%s was trained on another SuperPoint than %s: matches will be poor; give the weights of both, '
                    'extractor.weights and matcher.weights', glue, points)


def _keypoint_set(features: Features, device: torch.device, most: int | None) -> superglue.KeypointSet:
    return superglue.KeypointSet(
        superglue.normalise(gpu.upload(features.keypoints[:most], device), features.image_size),
        gpu.upload(features.scores[:most], device),
        features.descriptors_on(device)[:most],
    )


def _mutual(owner: Tensor, index1: Tensor) -> Tensor:
    """Return (N,) bool: whether the column that a row prefers, ``index1`` (N,), prefers that row: ``owner`` (M,)."""
    return owner[index1] == torch.arange(len(index1), device=index1.device)


def _found(index1: Tensor, keep: Tensor, confidence: Tensor, best: Tensor) -> Tensor:
    """Put into one tensor, to leave the device at once: columns, which of them count, confidences, highest scores."""
    return torch.stack([index1.double(), keep.double(), confidence.double(), best.double()])


def _matches(pair: tuple[Features, Features], found: np.ndarray | None) -> Matches:
    """Make matches of what :func:`_found` has put together.

    :raises ValueError: when descriptors hold NaN, which every score of a row or a column is then, naming the side.
    """
    if found is None:
        return Matches.of(*pair, np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))
    index1, keep, confidence, best = found
    if not np.isfinite(best).all():
        for side, features in enumerate(pair):
            if not features.finite():
                raise ValueError(f'descriptors of image {side} hold NaN or infinity')
    rows = np.flatnonzero(keep)
    return Matches.of(*pair, np.stack([rows, index1[rows].astype(np.int64)], 1), confidence[rows].astype(np.float32))


def _check(features0: Features, features1: Features, size: int | None) -> None:
    """Refuse descriptors that cannot be compared, or are not of the ``size`` that the network takes."""
    if not len(features0) or not len(features1):
        return
    if features0.descriptor_size != features1.descriptor_size:
        raise ValueError(
            f'descriptors of image 0 have {features0.descriptor_size} values, '
            f'those of image 1 {features1.descriptor_size}: they come from different extractors'
        )
    if size not in (None, features0.descriptor_size):
        raise ValueError(
            f'descriptors have {features0.descriptor_size} values, SuperGlue takes {size}: use the superpoint '
            'extractor with it, or matcher: nearest')
