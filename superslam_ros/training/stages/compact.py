"""The compact SuperPoint: taught by a trained one, and beyond it by pairs of views (arXiv 1503.02531, 1712.07629)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint, superpoint
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.training import losses, pictures
from superslam_ros.training.data.taught import Stock, TaughtPairs
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.network import TrainableCompact
from superslam_ros.training.random import Rng

VIEW = (240, 320)
CORNER_WEIGHT = 2.0
"""Cells count so much more where the teacher is sure of a corner in them."""
DESCRIPTOR_WEIGHT = 4.0
NOISY = 0.6
"""Part of the views that are noisy; in noise a corner's pixel is a guess, and the detector is to be exact."""
DETECTOR = ('convF', 'convM', 'convPa', 'convPb')
"""What leads to keypoints and not to descriptors."""
_VALIDATED = 64
_NEAR_PX, _EXACT_PX = 3.0, 1.0


class CompactStage:
    """What the loop needs to train the compact network.

    The loss is the cross entropy to the cells that the teacher sees in both views, the distance to its descriptors,
    and the contrastive loss of points that both views show. Views are noisy, and the teacher has seen them clean.
    """

    def __init__(
        self, textures: Textures, held_out: Textures, device: torch.device, teacher: Path, pairs: int = 4000,
        contrastive: float = 0.5, seed: int = 0, start: Path | None = None, detector_only: bool = False,
    ) -> None:
        """Make the stock of taught pairs, and a network with random weights.

        :param textures: photographs to train on; ``held_out``: to validate on.
        :param teacher: weights of a trained SuperPoint.
        :param pairs: in the stock; ``contrastive``: weight of the loss on pairs beside that on the teacher.
        :param seed: of the stock.
        :param start: weights of a compact network to begin with.
        :param detector_only: train what leads to keypoints alone: descriptors stay to the bit.
        """
        network = checkpoint.load_like(SuperPoint, teacher).to(device, memory_format=torch.channels_last)
        self.contrastive, self.slow = contrastive, ()
        # A SuperGlue that was trained on descriptors of these networks takes those of this one: they stay near them.
        alike = [checkpoint.digest(teacher)]
        if start is not None:
            alike += [checkpoint.digest(start), *checkpoint.metadata(start).get('descriptors_of', '').split()]
        self.about = {'network': 'compact', 'descriptors_of': ' '.join(dict.fromkeys(alike))}
        self.model = TrainableCompact().to(device, memory_format=torch.channels_last)
        self.model.inverse_temperature = nn.Parameter(torch.tensor(3.0, device=device))
        unseen = Stock(_VALIDATED, VIEW, held_out, network, Rng(10**6, device))
        self._held_out = [unseen.take(part, Rng(10**6 + 1, device))
                          for part in torch.arange(_VALIDATED, device=device).split(8)]
        self.stock = Stock(pairs, VIEW, textures, network, Rng(seed + 10**7, device))
        if start is not None:
            self.model.begin_from(start, self._held_out[0].images)
        self.detector_only = detector_only
        if detector_only:
            self.model.requires_grad_(False)
            for name in DETECTOR:
                for parameter in (*getattr(self.model, name).parameters(),
                                  *getattr(self.model, f'{name}_branches', nn.Module()).parameters()):
                    parameter.requires_grad_(True)

    def make(self, batch: int, rng: Rng) -> TaughtPairs:
        """Return random pairs of the stock, with noise."""
        return self.stock.draw(batch, rng, NOISY)

    def loss(self, made: TaughtPairs) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum, and its parts for the log."""
        if self.detector_only and self.model.training:
            return self._detector_loss(made)
        logits, coarse = self._heads(made.images)
        with torch.autocast(made.images.device.type, enabled=False):
            cells = cell_loss(logits, made.cells)
            alike = self._unlike(coarse, made)
            keep = losses.some(made.valid, 160)
            points = torch.gather(made.points, 2, keep[None, ..., None].expand(2, -1, -1, 2))
            pairs, right = losses.contrastive(
                coarse, points, made.valid.gather(1, keep), self.model.inverse_temperature.exp().clamp(max=100))
        total = cells + DESCRIPTOR_WEIGHT * alike + self.contrastive * pairs
        return total, {'cells': cells.item(), 'unlike': alike.item(), 'pairs': pairs.item(), 'right': right.item()}

    def _detector_loss(self, made: TaughtPairs) -> tuple[Tensor, dict[str, float]]:
        self.model.eval()       # what is not trained keeps its statistics
        for name in DETECTOR:
            getattr(self.model, f'{name}_branches', nn.Module()).train()
        encoded = self.model.encode(made.images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(made.images.device.type, enabled=False):
            cells = cell_loss(self.model.detect(encoded.float()), made.cells)
        return cells, {'cells': cells.item()}

    def _heads(self, images: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.model.encode(images.contiguous(memory_format=torch.channels_last))
        return self.model.detect(encoded).float(), self.model.describe(encoded).float()

    def _unlike(self, coarse: Tensor, made: TaughtPairs) -> Tensor:
        """Return how far the descriptors are from the teacher's: everywhere in upright views, and across the pair.

        Across, the second view's descriptors of a point are to be what the teacher says of it in the first view.
        """
        first = torch.ones_like(made.upright)
        weight = (0.5 + 1 - made.cells[:, -1]) * torch.cat([first, made.upright])[:, None, None]
        same = 1 - (coarse * F.normalize(made.descriptors, dim=1)).sum(1)
        same = (same * weight).sum() / weight.sum().clamp_min(1)
        half = len(made.valid)
        taught = superpoint.sample_descriptors(made.descriptors[:half], made.points[0])
        ours = superpoint.sample_descriptors(coarse[half:], made.points[1])
        across = ((1 - (taught * ours).sum(-1)) * made.valid).sum() / made.valid.sum().clamp_min(1)
        return (2 * same + across) / 3

    def validate(self) -> dict[str, float]:
        """Return losses on held-out pairs, right nearest neighbours, repeatability, beside the teacher's."""
        rows = []
        for made in self._held_out:
            _, parts = self.loss(made)
            logits, coarse = self._heads(made.images)
            rows.append([parts['cells'], parts['unlike'], parts['right'],
                         *_repeatability(logits.softmax(1), made), *_repeatability(made.cells, made),
                         _right(coarse, made), _right(made.descriptors, made)])
        names = ('val_cells', 'val_unlike', 'val_right', 'val_repeatability', 'val_exact', 'taught_repeatability',
                 'taught_exact', 'val_nearest', 'teacher_nearest')
        return dict(zip(names, np.mean(rows, 0).tolist()))

    def picture(self) -> np.ndarray:
        """Show held-out pairs with lines from points to their nearest neighbours among the others."""
        made = self._held_out[0]
        _, coarse = self._heads(made.images)
        half = len(made.valid)
        here, there, right = [], [], []
        for pair in range(min(4, half)):
            of = made.valid[pair].nonzero()[:80, 0]
            a, b = (superpoint.sample_descriptors(one[pair, None], points[pair, of][None])[0]
                    for one, points in zip(coarse.split(half), made.points))
            best = of[(a @ b.T).argmax(1)] if len(of) else of
            here.append(made.points[0, pair, of])
            there.append(made.points[1, pair, best])
            right.append(best == of)
        return pictures.matches(made.images[:half], made.images[half:], here, there, right, scale=2)

    def export(self) -> dict[str, Tensor]:
        """Return the plain compact network's tensors."""
        return self.model.folded()


def cell_loss(logits: Tensor, cells: Tensor) -> Tensor:
    """Return the cross entropy of (B, 65, h, w) logits to the teacher's distribution, corners counting more."""
    weight = 1 + CORNER_WEIGHT * (1 - cells[:, -1])
    return (-(cells * logits.log_softmax(1)).sum(1) * weight).mean()


def _repeatability(cells: Tensor, made: TaughtPairs) -> tuple[float, float]:
    """Return the share of points, detected in either view (150 strongest), that are in both: within 3 and 1 px."""
    scores = F.pixel_shuffle(cells[:, :-1], superpoint.CELL).squeeze(1)
    peaks, half, found = superpoint.suppress(scores, 4), len(made.valid), []
    for pair in range(half):
        apart = []
        for side in (0, 1):
            points, _ = superpoint.select(peaks[pair + side * half], 0.0, 4, 150)
            apart.append(torch.cdist(made.points[side, pair][made.valid[pair]], points).amin(1))
        here, there = apart
        seen = ((here <= _NEAR_PX) | (there <= _NEAR_PX)).sum().clamp_min(1)
        found.append([float(((here <= near) & (there <= near)).sum() / seen) for near in (_NEAR_PX, _EXACT_PX)])
    return tuple(np.mean(found, 0))


def _right(coarse: Tensor, made: TaughtPairs) -> float:
    """Return the share of points whose nearest neighbour among the pair's points is the same point, or at its place."""
    half = len(made.valid)
    a, b = (superpoint.sample_descriptors(part, points) for part, points in zip(coarse.split(half), made.points))
    best = (a @ b.transpose(1, 2)).masked_fill(~made.valid[:, None], -2).argmax(2)
    at = torch.gather(made.points[1], 1, best[..., None].expand(-1, -1, 2))
    right = ((at - made.points[1]).norm(dim=-1) <= _NEAR_PX) & made.valid
    return float(right.sum() / made.valid.sum().clamp_min(1))
