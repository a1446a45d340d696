"""SuperGlue on frozen SuperPoint features, trained on pairs made on the fly (arXiv 1911.11763, section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models import checkpoint, extractors, subpixel, superglue, superpoint
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superglue import KeypointSet, SuperGlue
from superslam_ros.training import compress, pictures, workers
from superslam_ros.training.data import glue_pairs, photometric, rooms, scenes
from superslam_ros.training.data.glue_pairs import HomographyViews, Truth
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.scenes import PosedViews
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

SHAPES = ((240, 320), (240, 320), (320, 240), (176, 432))
"""(height, width) of the views, one for all pairs of a kind in a batch: networks see images of any shape."""
_KEYPOINTS = 256
"""So many are as far apart in such views as 1000 in 640x480. With more of them, points that have no partner lie within
3 px of another one by chance, and are labelled as its match."""
MATCH_THRESHOLD = 0.5
INTERMEDIATE_WEIGHT = 0.5
_NMS_RADIUS, _BORDER, _SCORE = 4, 4, 0.005
_OCTAVES = 2
ROUNDS, SIZE = 4, 128
"""Of a network that nothing else is said of."""
_SUPERVISED = 2
"""Depths that the loss is taken at."""
_PAIRS, _BATCHES = 16, 4
"""What a larger network is made smaller by."""
_KINDS = {
    'scenes': (scenes.render_pairs, scenes.MOTION), 'wide_scenes': (scenes.render_pairs, scenes.WIDE_MOTION),
    'homography': (glue_pairs.render_homographies, glue_pairs.SECOND_VIEW),
    'wide_homography': (glue_pairs.render_homographies, glue_pairs.WIDE_VIEW),
    'rooms': (rooms.render_pairs, rooms.NEARER),
}
"""What renders the views of a kind, and how far apart they are."""


class Batch(NamedTuple):
    """Keypoints of B pairs with their labels: (B, N, ...) of the first views, (B, N, ...) of the second."""

    set0: KeypointSet
    set1: KeypointSet
    truth: Truth


class Source:
    """Where pairs of views come from: photographs, and recordings if there are any."""

    def __init__(
        self, textures: Textures, recordings: Sequence[PosedFrames] = (), scenes_share: float = 0.5,
        recorded_share: float = 0.3, together: int = 2, wide_share: float = 0.0,
        rooms_share: float = 0.0, keypoints: int = _KEYPOINTS,
    ) -> None:
        """Keep them.

        :param recorded_share: part of the pairs that come from recordings; of the others, ``scenes_share`` are
            scenes of planes, the rest homographies.
        :param together: so many views of each scene or photograph, each a pair with each.
        :param wide_share: part of the scenes and of the homographies whose views are far apart.
        :param rooms_share: part of all but the recorded pairs that are views inside of rooms.
        :param keypoints: per view, which says how large views are.
        """
        sides = math.sqrt(more_pixels(keypoints))
        self.shapes = [(8 * round(height * sides / 8), 8 * round(width * sides / 8)) for height, width in SHAPES]
        self.textures, self.recordings, self.together = textures, recordings, together
        recorded = recorded_share if recordings else 0.0
        self.shares = {'recorded': recorded, 'rooms': (1 - recorded) * rooms_share}
        left = (1 - recorded) * (1 - rooms_share)
        for kind, share in (('scenes', scenes_share), ('homography', 1 - scenes_share)):
            self.shares[kind] = left * share * (1 - wide_share)
            self.shares[f'wide_{kind}'] = left * share * wide_share

    def views(self, kind: str, count: int, shape: tuple[int, int], rng: Rng) -> PosedViews | HomographyViews:
        """Make about ``count`` pairs of views of (height, width) pixels; a recording keeps its own size."""
        if kind == 'recorded':
            made = self.recordings[int(rng.integers(len(self.recordings), 1))].views(count, rng)
        else:
            render, spread = _KINDS[kind]
            groups = max(1, round(count / math.comb(self.together, 2)))
            made = render(groups, shape, self.textures, rng, self.together, spread)
        made.images = photometric.distort(made.images, rng, share=0.5 if kind == 'recorded' else 0.9)
        return made

    def draw(self, batch: int, rng: Rng) -> list[PosedViews | HomographyViews]:
        """Make a batch of pairs of every kind."""
        return [self.views(kind, count, self.shapes[int(rng.integers(len(self.shapes), 1))], rng)
                for kind, count in parts(self.shares, batch, rng) if count]


def more_pixels(keypoints: int) -> float:
    """Return how many times as many pixels as :data:`SHAPES` a view has for so many keypoints; never fewer."""
    return max(1.0, keypoints / _KEYPOINTS)


def parts(shares: dict[str, float], batch: int, rng: Rng) -> list[tuple[str, int]]:
    """Return how many of a batch are of each kind, on average in their shares, however small the batch."""
    values = torch.tensor(list(shares.values()), dtype=torch.float64)
    ends = (values.cumsum(0) * batch + 1e-6 + float(rng.uniform(0, 1, 1)) * (1 - 2e-6)).long().tolist()
    return [(kind, end - start) for kind, start, end in zip(shares, [0, *ends], ends)]


class SuperGlueStage:
    """What the loop needs to train SuperGlue.

    :ivar about: goes into the metadata of the exported weights; ``slow``: parameters that learn slowly.
    """

    def __init__(
        self, source: Source, held_out: Source, device: torch.device, weights: Path, rounds: int | None = None,
        keypoints: int = 256, held_out_pairs: int = 32, start: Path | None = None, size: int | None = None,
        seed: int = 0,
    ) -> None:
        """Load the SuperPoint to build upon, and make a SuperGlue that acts as mutual nearest neighbour.

        :param weights: of the SuperPoint; ``keypoints``: at most so many per view.
        :param rounds: of a self and a cross layer each, by default those of ``start``, or 4; the paper has nine.
        :param size: channels, by default those of ``start``, or 128; the paper has 256.
        :param start: weights of a trained SuperGlue to begin with instead; a larger one is made smaller.
        :param held_out_pairs: of each kind, fixed, for validation.
        :param seed: of the pairs that a larger network is made smaller by.
        """
        self.source, self.keypoints = source, keypoints
        self.extractor = extractors.load(weights).to(device, memory_format=torch.channels_last)
        self.model = self._begin(start, rounds, size, Rng(seed + 10**7, device))
        # Last layers that start at zero: what they add to unit-length descriptors is a sum over many channels, and at
        # the full rate the first few steps would drown them.
        self.slow = () if start else [
            parameter for layers in self.model.last_layers() for parameter in layers.parameters()]
        rounds = self.model.rounds
        self.depths = sorted({-(-rounds * part // _SUPERVISED) - 1 for part in range(1, _SUPERVISED + 1)})
        self.about = {'network': 'superglue', 'rounds': str(rounds), 'layers': str(2 * rounds),
                      'size': str(self.model.size), 'superpoint_sha256': checkpoint.digest(weights)}
        rng = Rng(10**6, device)
        shape = held_out.shapes[0]
        self._held_out = {
            kind: [self.label([held_out.views(kind, 8, shape, rng)], keypoints) for _ in range(held_out_pairs // 8)]
            for kind, share in held_out.shares.items() if share}
        self._shown = held_out.views(next(iter(self._held_out)), 4, shape, rng)

    def _begin(self, start: Path | None, rounds: int | None, size: int | None, rng: Rng) -> SuperGlue:
        """Return the network to train."""
        def pairs() -> list[tuple[KeypointSet, KeypointSet]]:
            made = (self.label(self.source.draw(_PAIRS, rng), self.keypoints) for _ in range(_BATCHES))
            return [(one.set0, one.set1) for one in made]

        if start is None:
            network = SuperGlue(rounds or ROUNDS, size or SIZE).to(rng.device)
            seen = None
            if network.input_proj is not None:
                seen = torch.cat([one.descriptors[one.mask] for pair in pairs() for one in pair])
            network.begin_as_nearest(descriptors=seen)
            return network
        network = superglue.load(start).to(rng.device)
        if (rounds or network.rounds, size or network.size) == (network.rounds, network.size):
            return network
        return compress.compressed(network, pairs(), size or network.size, rounds or network.rounds)

    def label(self, views: Sequence[PosedViews | HomographyViews], count: int) -> Batch:
        """Extract ``count`` keypoints per view, and label them."""
        parts = []
        with torch.no_grad():
            for made in views:
                points, features, _ = extract(self.extractor, made.images, count)
                points0, points1 = (points[side] for side in made.pairs.unbind(1))
                first, second = (KeypointSet(*(part[side] for part in features)) for side in made.pairs.unbind(1))
                there, back = glue_pairs.reproject(made, points0, points1)
                parts.append((first, second, glue_pairs.truth(
                    points0, first.mask, points1, second.mask, there, back,
                    first.descriptors @ second.descriptors.transpose(1, 2))))
        return Batch(*(type(group[0])(*map(torch.cat, zip(*group))) for group in zip(*parts)))

    def make(self, batch: int, rng: Rng) -> Batch:
        """Return random pairs, the keypoints of each view between half of all and all."""
        least = self.keypoints // 2
        count = least + int(rng.integers(self.keypoints - least + 1, 1))
        return self.label(self.source.draw(batch, rng), count)

    def loss(self, made: Batch) -> tuple[Tensor, dict[str, float]]:
        """Negative log likelihood of the labels (eq. 11), after half and after all of the rounds."""
        *early, last = self._assign(made)
        loss = assignment_loss(last, made.truth)
        supervision = sum(assignment_loss(one, made.truth) for one in early)
        total = (loss + INTERMEDIATE_WEIGHT * supervision) / (1 + INTERMEDIATE_WEIGHT * len(early))
        return total, {'last_loss': loss.item()}

    def _assign(self, made: Batch) -> list[Tensor]:
        assigned = self.model(made.set0, made.set1, depths=self.depths)
        return assigned if len(self.depths) > 1 else [assigned]

    def validate(self) -> dict[str, float]:
        """Return loss, precision, recall and F1 by kind of pairs, beside mutual nearest neighbour on the same."""
        losses, figures = [], {}
        for kind, batches in self._held_out.items():
            counts = {'': torch.zeros(3), 'nearest_': torch.zeros(3)}
            for made in batches:
                last = self._assign(made)[-1]
                losses.append(assignment_loss(last, made.truth).item())
                scores = last[:, :-1, :-1].exp()
                counts[''] += count(mutual(scores) & (scores > MATCH_THRESHOLD), made.truth)
                counts['nearest_'] += count(nearest(made), made.truth)
            for name, (right, judged, true) in counts.items():
                precision, recall = right / judged.clamp_min(1), right / true.clamp_min(1)
                values = precision, recall, 2 * right / (judged + true).clamp_min(1)
                figures.update({f'{kind}_{name}{what}': float(value)
                                for what, value in zip(('precision', 'recall', 'f1'), values)})
        return {'val_loss': sum(losses) / len(losses), **figures}

    def picture(self) -> np.ndarray:
        """Show the matches of held-out pairs, in red those that are not labelled as such."""
        made = self.label([self._shown], self.keypoints)
        points, *_ = extract(self.extractor, self._shown.images, self.keypoints)
        scores = self._assign(made)[-1][:, :-1, :-1].exp()
        found = mutual(scores) & (scores > MATCH_THRESHOLD)
        half, here, there, right = len(found), [], [], []
        for pair, matched in enumerate(found):
            row, column = matched.nonzero(as_tuple=True)
            here.append(points[pair, row])
            there.append(points[half + pair, column])
            right.append(made.truth.match[pair, row, column])
        return pictures.matches(self._shown.images[:half], self._shown.images[half:], here, there, right, scale=2)

    def export(self) -> dict[str, Tensor]:
        """Return the network's tensors."""
        return self.model.state_dict()


def extract(
    network: superpoint.SuperPoint | CompactSuperPoint, images: Tensor, count: int
) -> tuple[Tensor, KeypointSet, Tensor]:
    """Extract features of a batch of images and of smaller copies of them, as the extractor at run time does.

    :param images: (B, 1, h, w) in [0, 1].
    :returns: (B, count, 2) pixels; the keypoints for the matcher, where there are fewer, some are masked; (B, count)
        how many times smaller the copy is in which each was found.
    """
    size = images.shape[-2:]
    found = []
    for octave in range(_OCTAVES):
        smaller = images if octave == 0 else F.interpolate(images, [side >> octave for side in size], mode='area')
        points, values, descriptors = _extract_once(network, smaller, count)
        ratio = points.new_tensor(size).flip(0) / points.new_tensor(smaller.shape[-2:]).flip(0)
        points = (points + 0.5) * ratio - 0.5
        if octave:
            points = torch.stack([
                subpixel.to_corners(image[0], one, subpixel.COARSE_PX) for image, one in zip(images, points)])
        found.append((points, values, descriptors, torch.full_like(values, 2**octave)))
    points, values, descriptors, scales = (torch.cat(part, 1) for part in zip(*found))
    values, index = values.topk(count)
    scales = scales.gather(1, index)
    points, descriptors = (
        part.gather(1, index[..., None].expand(-1, -1, part.shape[2])) for part in (points, descriptors))
    return points, KeypointSet(
        superglue.normalise(points, (size[1], size[0])), values, descriptors, values > _SCORE), scales


def _extract_once(
    network: superpoint.SuperPoint | CompactSuperPoint, images: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return up to ``count`` strongest keypoints (B, N, 2) of one octave, their scores and their descriptors."""
    height, width = images.shape[-2:]
    with workers.autocast(images.device):
        scores, coarse, *_ = network(superpoint.pad_to_cells(images).contiguous(memory_format=torch.channels_last))
    scores = scores[:, :height, :width].float()
    inner = torch.zeros_like(scores)
    within = (slice(None), slice(_BORDER, height - _BORDER), slice(_BORDER, width - _BORDER))
    inner[within] = superpoint.suppress(scores, _NMS_RADIUS)[within]
    values, index = inner.flatten(1).topk(min(count, height * width))
    points = torch.stack([index % width, index // width], -1).float()
    points = torch.stack([
        subpixel.to_corners(image[0], superpoint.refine(*one)) for image, *one in zip(images, scores, points)])
    return points, values, superpoint.sample_descriptors(coarse.float(), points)


def assignment_loss(log_assignment: Tensor, truth: Truth) -> Tensor:
    """Half the mean negative log likelihood of the matches, and half that of what belongs into the dustbins.

    :param log_assignment: (B, N + 1, M + 1), dustbins last.
    """
    def total(values: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(chosen, values, 0).sum(), chosen.sum()

    matched, matches = total(log_assignment[:, :-1, :-1], truth.match)
    alone0, count0 = total(log_assignment[:, :-1, -1], truth.alone0)
    alone1, count1 = total(log_assignment[:, -1, :-1], truth.alone1)
    return -0.5 * (matched / matches.clamp_min(1) + (alone0 + alone1) / (count0 + count1).clamp_min(1))


def mutual(scores: Tensor) -> Tensor:
    """Return (B, N, M) bool: pairs that prefer each other; -inf is never preferred."""
    best = (scores >= scores.amax(2, keepdim=True)) & (scores >= scores.amax(1, keepdim=True))
    return best & (scores > -torch.inf)


def nearest(made: Batch) -> Tensor:
    """Return (B, N, M) bool: mutual nearest neighbours by descriptor."""
    similarity = made.set0.descriptors @ made.set1.descriptors.transpose(1, 2)
    real = made.set0.mask[:, :, None] & made.set1.mask[:, None]
    return mutual(similarity.masked_fill(~real, -torch.inf))


def count(matches: Tensor, truth: Truth) -> Tensor:
    """Return how many of (B, N, M) bool matches are right, how many can be judged, and how many there should be."""
    labelled0, labelled1 = truth.match.any(2) | truth.alone0, truth.match.any(1) | truth.alone1
    judged = matches & (labelled0[:, :, None] | labelled1[:, None])
    return torch.stack([(matches & truth.match).sum(), judged.sum(), truth.match.sum()]).cpu()
