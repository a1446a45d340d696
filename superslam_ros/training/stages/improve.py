"""SuperPoint learns from recordings what holds and what does not (Self-Improving Visual Odometry, arXiv 1812.03245).

Descriptors of keypoints are to be found again from far away, among all others; the stability head is to tell keypoints
that stay where they are. The rest is to stay as it was, on these and on all other images, so that nothing is forgotten:
photographs are mixed in, and the network that training begins with is the teacher of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint, extractors, stability, superpoint
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.training import losses, pictures, workers
from superslam_ros.training.data import glue_pairs, painted, photometric, scenes
from superslam_ros.training.data.evidence_frames import STABLE, UNSTABLE, LabelledPart
from superslam_ros.training.data.evidence_pairs import EvidencePairs, EvidenceViews
from superslam_ros.training.data.homographies import Spread
from superslam_ros.training.data.plane_pairs import textured
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.network import TrainableCompact, TrainableSuperPoint
from superslam_ros.training.random import Rng
from superslam_ros.training.stages.compact import cell_loss

VIEW = (240, 320)
BATCH, LEARNING_RATE = 8, 4e-4
"""Of the loop, unless it is told otherwise."""
PHOTOGRAPHS = 0.5
"""Part of the pairs of a batch that are of photographs."""
SCALE = 30.0
"""Inverse temperature of the contrastive losses."""
ROBUST = 0.5
"""Of the loss of keypoints among all others: see there."""
WEIGHTS = {'pairs': 2.0, 'stable': 0.5, 'cells': 1.0, 'unlike': 4.0, 'photos': 0.5}
"""Of the parts of the loss. A rate and a weight of the pairs that are twice as large forget: matches of photographs get
worse."""
_NOISY = 0.6
_POINTS = 200
_VALIDATED = 24
"""Pairs of either kind."""
_SECOND_VIEW = Spread(scale=(0.5, 2.0), rotation=0.5, any_rotation=0.1, perspective=0.25, translation=0.8)


class PhotoPoints(NamedTuple):
    """P pairs of views of photographs: ``points`` (2, P, N, 2) pixels of the same points, ``valid`` (P, N)."""

    images: Tensor
    points: Tensor
    valid: Tensor


class Made(NamedTuple):
    """A batch: pairs of frames, then pairs of photographs; of each, first views come first.

    ``images`` (V, 1, h, w) with noise; ``cells`` (V, 65, h/8, w/8) and ``descriptors`` (V, 256, h/8, w/8) what the
    weights that training began with say of them without.
    """

    images: Tensor
    cells: Tensor
    descriptors: Tensor
    frames: EvidenceViews
    photos: PhotoPoints


class ImproveStage:
    """What the loop needs to improve a SuperPoint, compact or the paper's, on recordings."""

    slow: Sequence[nn.Parameter] = ()

    def __init__(
        self, parts: Sequence[LabelledPart], textures: Textures | None, start: Path, device: torch.device,
        photographs: float = PHOTOGRAPHS, seed: int = 0,
    ) -> None:
        """Read the frames, and the weights to begin with.

        :param parts: recordings with their structure.
        :param textures: photographs; None: painted ones.
        :param start: weights of a SuperPoint.
        :param photographs: part of the pairs of a batch, below 1, that are of photographs.
        :param seed: of the painted pictures and of a stability head that the weights do not have.
        :raises FileNotFoundError, ValueError: for weights, or recordings, that are of no use.
        """
        state = checkpoint.load_state(start)
        compact = CompactSuperPoint.is_in(state)
        self.teacher = extractors.load(start).to(device, memory_format=torch.channels_last)
        self.photographs, self.textures = photographs, textures or painted.textures(device, seed)
        self._pairs = EvidencePairs(parts, VIEW, device)
        self.about = {'network': 'compact' if compact else 'superpoint', 'improved': checkpoint.digest(start),
                      'descriptors_of': ' '.join(dict.fromkeys([
                          checkpoint.digest(start), *checkpoint.metadata(start).get('descriptors_of', '').split()]))}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = (TrainableCompact if compact else TrainableSuperPoint).like(
                state, stability.COMPACT_WIDTH if compact else stability.WIDTH)
        self.model.to(device, memory_format=torch.channels_last)
        if not stability.width(state):
            for parameter in getattr(self.model, stability.LAST).parameters():
                nn.init.zeros_(parameter)
        rng = Rng(10**6, device)
        self._held_out = [self.make(8, rng) for _ in range(_VALIDATED // 4)]
        self.model.begin_from(start, self._held_out[0].images)

    def make(self, batch: int, rng: Rng) -> Made:
        """Return random pairs of frames and of photographs, with noise, and what the teacher says of them without."""
        of_photos = min(batch - 1, round(batch * self.photographs))
        frames = self._pairs.draw(batch - of_photos, rng)
        photos = self._photos(of_photos, rng)
        images = torch.cat([frames.images, photos.images])
        with torch.no_grad(), workers.autocast(images.device):
            encoded = self.teacher.encode(images.contiguous(memory_format=torch.channels_last))
            cells, descriptors = self.teacher.detect(encoded), self.teacher.describe(encoded)
        return Made(photometric.distort(images, rng, share=_NOISY), cells.float().softmax(1), descriptors.float(),
                    frames, photos)

    def _photos(self, count: int, rng: Rng) -> PhotoPoints:
        """Return pairs of views through homographies or, every other time, of scenes of planes."""
        if bool(rng.chance(0.5, 1)):
            made = scenes.render_pairs(count, VIEW, self.textures, rng)
        else:
            made = glue_pairs.render_homographies(count, VIEW, self.textures, rng, second=_SECOND_VIEW)
        points = textured(made.images[:count], _POINTS, rng)
        there, _ = glue_pairs.reproject(made, points, points)
        return PhotoPoints(made.images, torch.stack([points, there.at]), there.seen)

    def loss(self, made: Made) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum, and its parts for the log."""
        self.model.eval()       # normalisations keep their statistics: batches are few and alike
        encoded = self.model.encode(made.images.contiguous(memory_format=torch.channels_last))
        logits, coarse = self.model.detect(encoded).float(), self.model.describe(encoded).float()
        stable = self.model.stabilise(encoded)[0].float()
        frames, (_, points, valid) = made.frames, made.photos
        of_frames = len(frames.images)
        with torch.autocast(made.images.device.type, enabled=False):
            pairs, right = losses.among_keypoints(
                coarse[:of_frames], frames.keypoints, frames.real, frames.there, frames.seen, SCALE, ROBUST)
            photos, _ = losses.contrastive(coarse[of_frames:], points, valid, SCALE)
            parts = {'pairs': pairs, 'stable': _stability_loss(stable[:of_frames], frames)[0],
                     'cells': cell_loss(logits, made.cells) - cell_loss(made.cells.clamp_min(1e-9).log(), made.cells),
                     'unlike': (1 - (coarse * made.descriptors).sum(1)).mean(), 'photos': photos}
        total = sum(WEIGHTS[name] * part for name, part in parts.items())
        return total, {**{name: part.item() for name, part in parts.items()}, 'right': right.item()}

    def validate(self) -> dict[str, float]:
        """Return the parts of the loss on fixed pairs, and how often stability is told right."""
        rows, told = [], []
        for made in self._held_out:
            rows.append(self.loss(made)[1])
            encoded = self.model.encode(made.frames.images.contiguous(memory_format=torch.channels_last))
            told.append(_stability_loss(self.model.stabilise(encoded)[0].float(), made.frames)[1])
        return {**{f'val_{name}': float(np.mean([row[name] for row in rows])) for name in rows[0]},
                'val_told': float(np.mean(told))}

    def picture(self) -> np.ndarray:
        """Show fixed pairs of frames with lines from keypoints to their nearest neighbours."""
        frames = self._held_out[0].frames
        half = len(frames.images) // 2
        coarse = self.model.describe(self.model.encode(frames.images.contiguous(memory_format=torch.channels_last)))
        found = superpoint.sample_descriptors(coarse.float(), frames.keypoints)
        here, there, right = [], [], []
        for pair in range(half):
            chosen = frames.seen[pair].nonzero()[:80, 0]
            others = frames.real[pair + half].nonzero()[:, 0]
            best = others[(found[pair, chosen] @ found[pair + half, others].T).argmax(1)]
            here.append(frames.keypoints[pair, chosen])
            there.append(frames.keypoints[pair + half, best])
            right.append((there[-1] - frames.there[pair, chosen]).norm(dim=1) <= 4)
        return pictures.matches(frames.images[:half], frames.images[half:], here, there, right, scale=2)

    def export(self) -> dict[str, Tensor]:
        """Return the plain network's tensors."""
        return self.model.folded()


def _stability_loss(logits: Tensor, frames: EvidenceViews) -> tuple[Tensor, float]:
    """Return the cross entropy of (V, 2, h, w) logits at keypoints with a label, and the share that is told right.

    Either label counts as much as the other, however many keypoints have it (paper, section 5, without the weights).
    """
    at = superpoint.sample(logits, frames.keypoints)
    each, right = [], []
    for label, number in ((STABLE, stability.STABLE), (UNSTABLE, 1 - stability.STABLE)):
        of = at[frames.real & (frames.labels == label)]
        if len(of):
            each.append(F.cross_entropy(of, torch.full((len(of),), number, device=of.device)))
            right.append(float((of.argmax(1) == number).float().mean()))
    return (sum(each) / len(each), float(np.mean(right))) if each else (logits.sum() * 0, 0.0)
