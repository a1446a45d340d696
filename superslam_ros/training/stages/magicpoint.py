"""MagicPoint: the detector alone, trained on synthetic shapes (SuperPoint section 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models import checkpoint, superpoint
from superslam_ros.training import pictures
from superslam_ros.training.data import photometric, shapes
from superslam_ros.training.network import TrainableSuperPoint
from superslam_ros.training.random import Rng

DUSTBIN = superpoint.CELL * superpoint.CELL
_VALIDATED = 256


class MagicPointStage:
    """What the loop needs to train the detector on shapes made on the fly."""

    def __init__(
        self, device: torch.device, height: int = 120, width: int = 160, start: Path | None = None
    ) -> None:
        """Make the network and a fixed validation set of 256 noisy shapes (seed 10**6).

        :param start: weights of a trained detector to begin with.
        """
        self.height, self.width = height, width
        self.about, self.slow = {'network': checkpoint.DETECTOR}, ()
        self.model = TrainableSuperPoint().to(device, memory_format=torch.channels_last)
        if start is not None:
            self.model.begin_from(start, self.make(64, Rng(0, device))[0])
        for name, parameter in self.model.named_parameters():
            if 'convD' in name:
                parameter.requires_grad_(False)
        self._held_out = [self.make(32, Rng(10**6 + part, device)) for part in range(_VALIDATED // 32)]

    def make(self, batch: int, rng: Rng) -> tuple[Tensor, Tensor]:
        """Return noisy shapes (B, 1, H, W), and their classes (B, H/8, W/8)."""
        made = shapes.render(batch, self.height, self.width, rng)
        labels = shapes.cell_labels(made.corners, made.valid, self.height, self.width)
        return photometric.distort(made.images, rng), labels

    def loss(self, made: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the 65 classes of every cell (eq. 2)."""
        images, labels = made
        logits = self.model.detect(self.model.encode(images.contiguous(memory_format=torch.channels_last)))
        return F.cross_entropy(logits.float(), labels), {}

    def validate(self) -> dict[str, float]:
        """Return cross entropy, and the share of labelled cells whose most likely pixel is within 2 px."""
        losses, near = [], []
        for images, labels in self._held_out:
            logits = self.model.detect(self.model.encode(images)).float()
            losses.append(F.cross_entropy(logits, labels).item())
            corner = labels < DUSTBIN
            best = logits[:, :-1].argmax(1)[corner]
            true = labels[corner]
            distance = torch.hypot((best % 8 - true % 8).float(), (best // 8 - true // 8).float())
            found = logits.permute(0, 2, 3, 1)[corner].softmax(-1)[:, -1] < 0.5
            near.append(((distance <= 2) & found).float().cpu().numpy())
        return {'val_loss': float(np.mean(losses)), 'val_found': float(np.concatenate(near).mean())}

    def picture(self) -> np.ndarray:
        """Show labelled corners and the most likely pixels of cells that have more than an even chance of one."""
        images, labels = self._held_out[0][0][:12], self._held_out[0][1][:12]
        probability = self.model.detect(self.model.encode(images)).float().softmax(1)
        found = torch.where(probability[:, -1] < 0.5, probability[:, :-1].argmax(1), DUSTBIN)
        return pictures.corners(images, places(labels), places(found))

    def export(self) -> dict[str, Tensor]:
        """Return the plain SuperPoint's tensors; the descriptor head is as it was initialised."""
        return self.model.folded()


def places(classes: Tensor) -> list[Tensor]:
    """Return the (N, 2) pixels that the cells' classes (B, h, w) stand for, image by image."""
    found = []
    for image in classes:
        row, column = (image < DUSTBIN).nonzero(as_tuple=True)
        pixel = image[row, column]
        found.append(torch.stack([column * superpoint.CELL + pixel % superpoint.CELL,
                                  row * superpoint.CELL + pixel // superpoint.CELL], 1).float())
    return found
