"""Stage 2: features of two images to matches, by nearest neighbours or SuperGlue."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from superslam_ros.config import option
from superslam_ros.data import Features, Matches
from superslam_ros.models import checkpoint, superglue
from superslam_ros.slam import gpu
from superslam_ros.slam.extract import ExtractorConfig, pick_device

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
    weights: str = option('', 'Path of SuperGlue weights (.safetensors or .pth); empty for the open ones shipped, '
                         'which go with the SuperPoint shipped')
    device: str = option('auto', 'Where the matcher runs; auto takes the GPU if there is one',
                         choices=('auto', 'cpu', 'cuda'))
    min_similarity: float = option(0.6, 'nearest: lowest cosine similarity of a match', low=-1.0, high=1.0, live=True)
    ratio: float = option(0.95, 'nearest: highest ratio of the distances to the best and second-best descriptor; '
                          '1 turns the test off', low=0.0, high=1.0, live=True)
    match_threshold: float = option(0.6, 'superglue: lowest confidence of a match', low=0.0, high=1.0, live=True)
    sinkhorn_iterations: int = option(20, 'superglue: iterations of the optimal transport', low=1, high=200, live=True)


class Matcher:
    """Finds which keypoints of two images show the same point."""

    def __init__(self, config: MatcherConfig | None = None) -> None:
        """Load the weights, where the matcher has any.

        :raises FileNotFoundError: when SuperGlue's weights file is missing.
        :raises ValueError: when the file is not a SuperGlue.
        :raises RuntimeError: when the device is not there.
        """
        self.config = config or MatcherConfig()
        self.device = pick_device(self.config.device)
        self.network = None
        self._together = True
        self._most: int | None = None
        if self.config.matcher == 'superglue':
            network = superglue.load(self.config.weights or checkpoint.shipped('superglue'))
            self.network = network.eval().requires_grad_(False).to(self.device)

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
        with torch.inference_mode():
            found = self._superglue(pairs) if self.network is not None else [self._nearest(*pair) for pair in pairs]
        return [
            Matches.of(*pair, torch.stack([index0, index1], 1).cpu().numpy(), scores.cpu().numpy())
            for pair, (index0, index1, scores) in zip(pairs, found)
        ]

    def _nearest(self, features0: Features, features1: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Return mutual nearest neighbours that pass both tests, and how clear each is, 0 to 1."""
        if not len(features0) or not len(features1):
            return _nothing()
        first, second = (features.descriptors_on(self.device)[:self._most] for features in (features0, features1))
        similarity = first @ second.T
        best, index1 = similarity.max(1)
        index0 = torch.arange(len(first), device=self.device)
        keep = (similarity.argmax(0)[index1] == index0) & (best >= self.config.min_similarity)
        # Distances of unit vectors: |a - b|^2 = 2 - 2 a.b
        distance = (2 - 2 * best).clamp_min(0).sqrt()
        # What lies at the same place, in another octave or at another angle, is no rival.
        same0, same1 = (self._same_place(features.keypoints[:self._most]) for features in (features0, features1))
        rival = torch.maximum(
            similarity.masked_fill(same1[index1], -1).amax(1), similarity.T[index1].masked_fill(same0, -1).amax(1))
        runner_up = (2 - 2 * rival).clamp_min(0).sqrt()
        # Below TWIN the difference is rounding: of two equal descriptors neither is the clearer one.
        ratio = distance.clamp_min(TWIN) / runner_up.clamp_min(TWIN)
        if self.config.ratio < 1:
            keep &= ratio <= self.config.ratio
        confidence = (1 - 0.5 * ratio * ratio).clamp(0, 1)
        return index0[keep], index1[keep], confidence[keep]

    def _same_place(self, keypoints: np.ndarray) -> Tensor:
        """Return (N, N) bool: which keypoints (N, 2) are at one place, each with itself."""
        points = torch.from_numpy(keypoints).to(self.device)
        return torch.cdist(points, points, compute_mode='donot_use_mm_for_euclid_dist') < SAME_PX

    def _superglue(self, pairs: Sequence[tuple[Features, Features]]) -> list[tuple[Tensor, Tensor, Tensor]]:
        found = [_nothing()] * len(pairs)
        full = [number for number, (a, b) in enumerate(pairs) if len(a) and len(b)]
        if full:
            sides = [
                superglue.pad_sets([_keypoint_set(pairs[number][side], self.device, self._most) for number in full])
                for side in (0, 1)
            ]
            log_assignment = self.network(*sides, iterations=self.config.sinkhorn_iterations)
            for number, scores in zip(full, log_assignment):
                keypoints0, keypoints1 = (features.keypoints[:self._most] for features in pairs[number])
                probability = scores[:-1, :-1][:len(keypoints0), :len(keypoints1)].exp()
                index0, index1, _ = superglue.mutual_matches(probability, 0)
                # What is sure of a place, its keypoints of several octaves share.
                same0, same1 = self._same_place(keypoints0)[index0], self._same_place(keypoints1)[index1]
                confidence = torch.maximum(
                    (probability[index0] * same1).sum(1), (probability.T[index1] * same0).sum(1)).clamp_max(1)
                keep = confidence > self.config.match_threshold
                found[number] = index0[keep], index1[keep], confidence[keep]
        return found


def warn_of_strangers(extractor: ExtractorConfig, matcher: MatcherConfig) -> None:
    """Log it when SuperGlue was trained on another SuperPoint than the one whose keypoints it is to get.

    :raises FileNotFoundError: when a weights file is missing.
    """
    if matcher.matcher != 'superglue':
        return
    glue, points = (Path(config.weights or checkpoint.shipped(name)) for config, name in (
        (matcher, 'superglue'), (extractor, 'superpoint')))
    known = checkpoint.metadata(glue).get('superpoint_sha256')
    if known and known != checkpoint.digest(points):
        log.warning('%s was trained on another SuperPoint than %s: matches will be poor; give the weights of both, '
                    'extractor.weights and matcher.weights', glue, points)


def _keypoint_set(features: Features, device: torch.device, most: int | None) -> superglue.KeypointSet:
    return superglue.KeypointSet(
        superglue.normalise(torch.from_numpy(features.keypoints[:most]).to(device), features.image_size),
        torch.from_numpy(features.scores[:most]).to(device),
        features.descriptors_on(device)[:most],
    )


def _nothing() -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0)


def _check(features0: Features, features1: Features, size: int | None) -> None:
    """Refuse descriptors that cannot be compared, or are not of the ``size`` that the network takes."""
    if not len(features0) or not len(features1):
        return
    for side, features in enumerate((features0, features1)):
        if not features.finite():
            raise ValueError(f'descriptors of image {side} hold NaN or infinity')
    if features0.descriptor_size != features1.descriptor_size:
        raise ValueError(
            f'descriptors of image 0 have {features0.descriptor_size} values, '
            f'those of image 1 {features1.descriptor_size}: they come from different extractors'
        )
    if size not in (None, features0.descriptor_size):
        raise ValueError(
            f'descriptors have {features0.descriptor_size} values, SuperGlue takes {size}: use the superpoint '
            'extractor with it, or matcher: nearest')
