"""SuperPoint: detector and descriptors together on pairs of views (SuperPoint sections 3.4 and 6)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import superpoint
from superslam_ros.training import losses, pictures
from superslam_ros.training.data.pairs import IGNORED, LabelledPhotos, Pairs, cell_centres
from superslam_ros.training.data.plane_pairs import plane_pairs
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.network import TrainableSuperPoint
from superslam_ros.training.random import Rng

DESCRIPTOR_LOSSES = ('infonce', 'hinge')
"""Contrastive on points (learns without tuning), or the paper's on all pairs of cells (eq. 4 to 6)."""


class SuperPointStage:
    """What the loop needs to train detector and descriptors on labelled photographs."""

    def __init__(
        self, labels: Path, held_out: Path, device: torch.device, start: Path | None = None,
        view: tuple[int, int] = (120, 160), descriptor_loss: str = 'infonce', descriptor_weight: float = 0.5,
        planes: float = 0.0,
    ) -> None:
        """Read the labels and make the network.

        :param labels: a file of ``adaptation.save_labels`` to train on; ``held_out``: one to validate on.
        :param start: weights of a trained detector to begin with.
        :param view: (height, width) of the views.
        :param descriptor_loss: one of ``DESCRIPTOR_LOSSES``; its weight is lambda of eq. 1.
        :param planes: part of the pairs, below 1, that are scenes of planes with the photographs on them.
        """
        self.photos, self.view = LabelledPhotos(labels, device), view
        self.descriptor_loss, self.descriptor_weight, self.planes = descriptor_loss, descriptor_weight, planes
        self.textures = Textures(self.photos.images) if planes > 0 else None
        self.about, self.slow = {'network': 'superpoint'}, ()
        self.model = TrainableSuperPoint().to(device, memory_format=torch.channels_last)
        self.model.inverse_temperature = nn.Parameter(
            torch.tensor(3.0, device=device), requires_grad=descriptor_loss == 'infonce')
        if start is not None:
            images = self.photos.pairs(32, view, Rng(0, device)).images
            self.model.begin_from(start, images)
        unseen, rng = LabelledPhotos(held_out, device), Rng(10**6, device)
        self._held_out = [unseen.pairs(8, view, rng) for _ in range(8)]

    def make(self, batch: int, rng: Rng) -> Pairs:
        """Return random pairs of views."""
        # On average the part that was asked for, however small the batch; but one pair has labels.
        of_planes = min(batch - 1, int(batch * self.planes + float(rng.uniform(0, 1, 1))))
        pairs = self.photos.pairs(batch - of_planes, self.view, rng)
        if of_planes:
            pairs = pairs.and_(plane_pairs(of_planes, self.view, self.textures, rng, pairs.valid.shape[1]))
        return pairs

    def loss(self, made: Pairs) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of both views' cells, plus the weighted descriptor loss (eq. 1)."""
        detector, descriptor, right = self._losses(made)
        figures = {'detector': detector.item(), 'descriptor': descriptor.item(), 'right': right.item()}
        return detector + self.descriptor_weight * descriptor, figures

    def _losses(self, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
        images = pairs.images.contiguous(memory_format=torch.channels_last)
        encoded = self.model.encode(images)
        logits, coarse = self.model.detect(encoded).float(), self.model.describe(encoded)
        detector = F.cross_entropy(logits, pairs.labels, ignore_index=IGNORED)
        keep = losses.some(pairs.valid, 160)
        points = torch.gather(pairs.points, 2, keep[None, ..., None].expand(2, -1, -1, 2))
        with torch.autocast(images.device.type, enabled=False):
            scale = self.model.inverse_temperature.exp().clamp(max=100)
            descriptor, right = losses.contrastive(coarse, points, pairs.valid.gather(1, keep), scale)
            if self.descriptor_loss == 'hinge':
                descriptor = losses.hinge(coarse, pairs.centres, cell_centres(self.view, images.device))
        return detector, descriptor, right

    def validate(self) -> dict[str, float]:
        """Return losses, share of right nearest neighbours and repeatability at 3 px on held-out pairs."""
        rows = np.array([[value.item() for value in self._losses(pairs)] for pairs in self._held_out])
        repeated = np.mean([self._repeatability(pairs) for pairs in self._held_out])
        names = ('val_detector', 'val_descriptor', 'val_right')
        return {**dict(zip(names, rows.mean(0))), 'val_repeatability': float(repeated)}

    def _repeatability(self, pairs: Pairs) -> float:
        """Return the share of labelled points detected (150 strongest, 3 px) in one view among those in the other."""
        scores, _ = self.model(pairs.images)
        peaks = superpoint.suppress(scores, 4)
        half = len(peaks) // 2
        found = []
        for index in range(half):
            near = []
            for side in (0, 1):
                points, _ = superpoint.select(peaks[index + side * half], 0.0, 4, 150)
                true = pairs.points[side, index][pairs.valid[index]]
                near.append((torch.cdist(true, points) <= 3).any(1))
            either = (near[0] | near[1]).sum()
            found.append(float((near[0] & near[1]).sum() / either.clamp_min(1)))
        return float(np.mean(found))

    def picture(self) -> np.ndarray:
        """Show held-out pairs with lines from labelled points to their nearest neighbours among the others."""
        pairs = self._held_out[0]
        coarse = self.model.describe(self.model.encode(pairs.images)).float()
        half, shown = len(pairs.valid), range(4)
        first, second = (superpoint.sample_descriptors(part, points)
                         for part, points in zip(coarse.split(half), pairs.points))
        here, there, right = [], [], []
        for pair in shown:
            of = pairs.valid[pair].nonzero()[:, 0]
            best = of[(first[pair, of] @ second[pair, of].T).argmax(1)] if len(of) else of
            here.append(pairs.points[0, pair, of])
            there.append(pairs.points[1, pair, best])
            right.append(best == of)
        return pictures.matches(pairs.images[:half], pairs.images[half:], here, there, right)

    def export(self) -> dict[str, Tensor]:
        """Return the plain SuperPoint's tensors."""
        return self.model.folded()
