"""SuperMap on frozen SuperPoint features, trained on maps made on the fly, from SuperGlue's weights on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from superslam_ros.models import checkpoint, extractors, supermap
from superslam_ros.models.superglue import KeypointSet
from superslam_ros.models.supermap import LandmarkSet
from superslam_ros.training import pictures, weighted_pose
from superslam_ros.training.data import landmarks as maps
from superslam_ros.training.data import map_views, photometric, scenes
from superslam_ros.training.data.glue_pairs import Truth
from superslam_ros.training.data.landmarks import Landmarks, Seen
from superslam_ros.training.data.map_views import Places
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import glue

VIEWS, QUERIES = 4, 2
"""Of every place: in its map, and to be matched to it."""
MORE = 1.25
"""Landmarks of a map, as a multiple of the keypoints of an image."""
POSE_WEIGHT = 0.1
_EXACT = 0.01
"""An error of a pose (radians, part of the depth) that is worth as much as any smaller one."""
_ENOUGH = 10
_GUESSED = 0.4
"""Part of the queries whose reference view is a guess of their own pose, not a view of the map."""
_NEAREST = 0.6


class Batch(NamedTuple):
    """B queries, each with the landmarks of its place.

    ``pixels`` (B, N, 2); ``landmarks`` as the map has them, and ``given`` as the network gets them; ``K`` (B, 3, 3);
    ``T_query_place`` (B, 4, 4).
    """

    query: KeypointSet
    pixels: Tensor
    landmarks: Landmarks
    given: LandmarkSet
    truth: Truth
    K: Tensor
    T_query_place: Tensor


class Source:
    """Where places come from: photographs, and recordings if there are any."""

    def __init__(
        self, textures: Textures, recordings: Sequence[PosedFrames] = (), recorded_share: float = 0.3,
        wide_share: float = 0.5, rooms_share: float = 0.3,
    ) -> None:
        """Keep them.

        :param recorded_share: part of the places that come from recordings; of the others, ``rooms_share`` are rooms,
            and of the rest ``wide_share`` scenes seen from places that are far apart.
        """
        self.textures, self.recordings = textures, recordings
        recorded = recorded_share if recordings else 0.0
        left = (1 - recorded) * (1 - rooms_share)
        self.shares = {'recorded': recorded, 'rooms': (1 - recorded) * rooms_share,
                       'scenes': left * (1 - wide_share), 'wide_scenes': left * wide_share}

    def places(self, kind: str, count: int, shape: tuple[int, int], rng: Rng) -> Places:
        """Make ``count`` places, of (height, width) pixels; a recording keeps its own size."""
        if kind == 'recorded':
            made = self.recordings[int(rng.integers(len(self.recordings), 1))].places(count, rng, VIEWS, QUERIES)
        else:
            made = map_views.render(kind, count, shape, self.textures, rng, VIEWS, QUERIES)
        made.images = photometric.distort(
            made.images.flatten(0, 1), rng, share=0.5 if kind == 'recorded' else 0.9).view(made.images.shape)
        return made

    def draw(self, batch: int, rng: Rng) -> list[Places]:
        """Make places of about ``batch`` queries of every kind, in their shares."""
        return [self.places(kind, count, glue.SHAPES[int(rng.integers(len(glue.SHAPES), 1))], rng)
                for kind, count in glue.parts(self.shares, max(1, batch // QUERIES), rng) if count]


class SuperMapStage:
    """What the loop needs to train a SuperMap.

    :ivar about: goes into the metadata of the exported weights; ``slow``: SuperGlue's parameters, which have learnt.
    """

    def __init__(
        self, source: Source, held_out: Source, device: torch.device, weights: Path, start: Path, keypoints: int = 256,
        held_out_queries: int = 24,
    ) -> None:
        """Load the SuperPoint to build upon, and the network to begin with.

        :param weights: of the SuperPoint; ``start``: of a SuperGlue, or of a SuperMap.
        :param keypoints: at most so many per view; ``held_out_queries``: of each kind, fixed, for validation.
        """
        self.source, self.keypoints = source, keypoints
        self.extractor = extractors.load(weights).to(device, memory_format=torch.channels_last)
        self.model = supermap.load(start).to(device)
        self.slow = list(self.model.glue.parameters())
        rounds = self.model.glue.rounds
        self.depths = sorted({(rounds - 1) // 2, rounds - 1})
        self.about = {'network': 'supermap', 'rounds': str(rounds), 'size': str(self.model.glue.size),
                      'fresh': str(self.model.fresh), 'superpoint_sha256': checkpoint.digest(weights),
                      'start_sha256': checkpoint.digest(start)}
        rng = Rng(10**6, device)
        self._held_out = {
            kind: [self.label(held_out.places(kind, 4, glue.SHAPES[0], rng), keypoints, rng)
                   for _ in range(max(1, held_out_queries // 4 // QUERIES))]
            for kind, share in held_out.shares.items() if share}
        self._shown = held_out.places(next(iter(self._held_out)), 2, glue.SHAPES[0], rng)

    def label(self, made: Places, count: int, rng: Rng) -> Batch:
        """Extract ``count`` keypoints per view, fuse the landmarks of the maps, and label the queries' keypoints."""
        batch, views = made.images.shape[:2]
        with torch.no_grad():
            found = glue.extract(self.extractor, made.images.flatten(0, 1), count)
            pixels, features, scales = found
            seen = Seen(pixels.unflatten(0, (batch, views)),
                        KeypointSet(*(part.unflatten(0, (batch, views)) for part in features)),
                        scales.unflatten(0, (batch, views)))
            fused = maps.fuse(made, seen, round(MORE * count), rng)
            return _each_query(made, seen, fused, rng)

    def make(self, batch: int, rng: Rng) -> Batch:
        """Return random queries, the keypoints of each view between half of all and all."""
        least = self.keypoints // 2
        count = least + int(rng.integers(self.keypoints - least + 1, 1))
        return _joined([self.label(made, count, rng) for made in self.source.draw(batch, rng)])

    def loss(self, made: Batch) -> tuple[Tensor, dict[str, float]]:
        """Negative log likelihood of the labels, after half and after all of the rounds, and the error of the pose."""
        early, last = self._assign(made)
        matching = glue.assignment_loss(last, made.truth)
        supervision = glue.assignment_loss(early, made.truth) if early is not None else matching.detach()
        pose = pose_loss(last, made)
        total = (matching + glue.INTERMEDIATE_WEIGHT * supervision) / (1 + glue.INTERMEDIATE_WEIGHT)
        return total + POSE_WEIGHT * pose, {'last_loss': matching.item(), 'pose_loss': pose.item()}

    def _assign(self, made: Batch) -> tuple[Tensor | None, Tensor]:
        assigned = self.model(made.query, self.model.remember(made.given), depths=self.depths)
        return tuple(assigned) if len(self.depths) > 1 else (None, assigned)

    def validate(self) -> dict[str, float]:
        """Return loss, precision, recall, F1 and poses by kind of places, beside nearest neighbours to the map."""
        losses, figures = [], {}
        for kind, batches in self._held_out.items():
            counts = {'': torch.zeros(4), 'nearest_': torch.zeros(4)}
            queries = 0
            for made in batches:
                _, last = self._assign(made)
                losses.append(glue.assignment_loss(last, made.truth).item())
                scores = last[:, :-1, :-1].exp()
                found = {'': glue.mutual(scores) & (scores > glue.MATCH_THRESHOLD), 'nearest_': nearest(made)}
                for name, matches in found.items():
                    located = sum(maps.located(*one) for one in zip(
                        matches, made.pixels, made.landmarks.known.points, made.K, made.T_query_place))
                    counts[name] += torch.cat([glue.count(matches, made.truth), torch.tensor([float(located)])])
                queries += len(made.pixels)
            for name, (right, judged, true, located) in counts.items():
                values = {'precision': right / judged.clamp_min(1), 'recall': right / true.clamp_min(1),
                          'f1': 2 * right / (judged + true).clamp_min(1), 'poses': located / queries}
                figures.update({f'{kind}_{name}{what}': float(value) for what, value in values.items()})
        return {'val_loss': sum(losses) / len(losses), **figures}

    def picture(self) -> np.ndarray:
        """Show matches of held-out queries with the landmarks, drawn in a view of the map; in red, wrong ones."""
        made = self.label(self._shown, self.keypoints, Rng(0, self._shown.K.device))
        scores = self._assign(made)[1][:, :-1, :-1].exp()
        found = glue.mutual(scores) & (scores > glue.MATCH_THRESHOLD)
        first = self._shown.T_view_place[:, 0].repeat_interleave(QUERIES, 0)
        at = made.landmarks.true @ first[:, :3, :3].mT + first[:, None, :3, 3]
        at = at[..., :2] / at[..., 2:].clamp_min(1e-3) * made.K[:, None, [0, 1], [0, 1]] + made.K[:, None, :2, 2]
        here, there, right = [], [], []
        for query, matched in enumerate(found):
            row, column = matched.nonzero(as_tuple=True)
            here.append(made.pixels[query, row])
            there.append(at[query, column])
            right.append(made.truth.match[query, row, column])
        images = self._shown.images
        return pictures.matches(images[:, -QUERIES:].flatten(0, 1), images[:, 0].repeat_interleave(QUERIES, 0),
                                here, there, right, scale=2)

    def export(self) -> dict[str, Tensor]:
        """Return the network's tensors."""
        return self.model.state_dict()


def _each_query(made: Places, seen: Seen, fused: Landmarks, rng: Rng) -> Batch:
    """Return every query with the landmarks of its place."""
    count, parts = made.images.shape[1], []
    for number in range(count - made.queries, count):
        pixels, T = seen.pixels[:, number], made.T_view_place[:, number]
        query = KeypointSet(*(part[:, number] for part in seen.features))
        truth = maps.truth(pixels, query, fused, made.depth_m[:, number], made.K, T, made.twin)
        matched = torch.zeros(len(T), count, device=T.device).scatter_add(
            1, fused.view, truth.match.any(1).float())
        best = matched.argmax(1)
        reference = made.T_view_place[torch.arange(len(T), device=T.device), best]
        guess = scenes.rotation(*(0.15 * rng.normal(len(T)) for _ in range(3))) @ T[:, :3]
        guess = torch.cat([guess, T[:, 3:]], 1)
        guess[:, :3, 3] += 0.3 * rng.normal(len(T), 3)
        reference = torch.where(rng.chance(_GUESSED, len(T), 1, 1), guess, reference)
        size = made.images.shape[-1], made.images.shape[-2]
        keypoints, about = supermap.seen_from(reference, made.K, size, fused.known, fused.mask)
        given = LandmarkSet(keypoints, fused.descriptors, about, fused.mask)
        parts.append(Batch(query, pixels, fused, given, truth, made.K, T))
    return _joined(parts)


def _joined(parts: Sequence) -> Batch:
    """Concatenate tuples of tuples of tensors."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    return type(first)(*(_joined(group) for group in zip(*parts)))


def pose_loss(log_assignment: Tensor, made: Batch) -> Tensor:
    """Return how far the pose is off to which the matches draw the true one, of queries with enough true matches."""
    with torch.autocast(log_assignment.device.type, enabled=False):
        weights, landmark = log_assignment[:, :-1, :-1].float().exp().max(2)
        points = made.landmarks.known.points.gather(1, landmark[..., None].expand(-1, -1, 3))
        T = weighted_pose.refine(points, made.pixels, weights * made.query.mask, made.K, made.T_query_place)
        at = made.landmarks.true @ made.T_query_place[:, :3, :3].mT + made.T_query_place[:, None, :3, 3]
        depth = at[..., 2].masked_fill(~made.landmarks.mask, torch.nan).nanmedian(1).values.abs().clamp_min(0.1)
        off = (weighted_pose.error(T, made.T_query_place, depth) / _EXACT).log1p()
        judged = made.truth.match.flatten(1).sum(1) >= _ENOUGH
        return torch.where(judged, off, 0).sum() / judged.sum().clamp_min(1)


def nearest(made: Batch) -> Tensor:
    """Return (B, N, L) bool: mutual nearest neighbours to the map by descriptor."""
    similarity = made.query.descriptors @ made.landmarks.descriptors.mT
    real = made.query.mask[:, :, None] & made.landmarks.mask[:, None]
    return glue.mutual(similarity.masked_fill(~real, -torch.inf)) & (similarity > _NEAREST)
