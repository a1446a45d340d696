"""Corners of boards: the network learns from images that are drawn as it goes (arXiv 1812.03247, section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from superslam_ros.models import board_corners
from superslam_ros.models.superpoint import CELL, score_map
from superslam_ros.training import pictures
from superslam_ros.training.data.board_scenes import BoardScenes
from superslam_ros.training.network import TrainableBoardCorners
from superslam_ros.training.random import Rng

BACKGROUND_WEIGHT = 0.25
"""Cells without a corner, by far the most, count so much beside one with a corner."""
NEAR_PX = 3.0
_VALIDATED, _VALIDATION_SEED = 96, 10**6


class Drawn(NamedTuple):
    """A batch: ``images`` (B, 1, H, W) in [0, 1], ``cells`` (B, 65, H/8, W/8) that sum to 1, ``corners`` of each."""

    images: Tensor
    cells: Tensor
    corners: list[Tensor]


class CharucoStage:
    """What the loop needs to train the corner network."""

    def __init__(
        self, scenes: BoardScenes, held_out: BoardScenes, device: torch.device, start: Path | None = None
    ) -> None:
        """Make a network with random weights, or begin with ``start``, and draw what is validated on.

        :param scenes: to train on; ``held_out``: to validate on, drawn on other photographs.
        """
        self.slow, self.about = (), {'network': 'board_corners'}
        self.scenes, self.device = scenes, device
        unseen = np.random.default_rng(_VALIDATION_SEED)
        self._held_out = [draw(held_out, size, unseen, device) for size in (8,) * (_VALIDATED // 8)]
        self.model = TrainableBoardCorners().to(device, memory_format=torch.channels_last)
        if start is not None:
            self.model.begin_from(start, self._held_out[0].images)

    def make(self, batch: int, rng: Rng) -> Drawn:
        """Draw images."""
        return draw(self.scenes, batch, np.random.default_rng(int(rng.integers(2**62, 1))), self.device)

    def loss(self, made: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Return the cross entropy of the cells: one of 64 pixels, or none."""
        logits = self.model(made.images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(made.images.device.type, enabled=False):
            weight = 1 - (1 - BACKGROUND_WEIGHT) * made.cells[:, -1]
            loss = -(made.cells * logits.float().log_softmax(1)).sum(1)
            return (loss * weight).sum() / weight.sum(), {}

    def validate(self) -> dict[str, float]:
        """Return the loss, and how many corners are found, how many are right, and how far off those are (pixels)."""
        losses, found, true, right, apart = [], 0, 0, 0, []
        for made in self._held_out:
            losses.append(self.loss(made)[0].item())
            for pixels, corners in zip(self._found(made), made.corners):
                nearest = torch.cdist(corners, pixels).min(1).values if len(pixels) else corners.new_zeros(0)
                apart.append(nearest[nearest < NEAR_PX])
                if len(corners) and len(pixels):
                    right += int((torch.cdist(pixels, corners).min(1).values < NEAR_PX).sum())
                found, true = found + len(pixels), true + len(corners)
        apart = torch.cat(apart).cpu().numpy()
        error, tail = np.percentile(apart, (50, 95)) if len(apart) else (NEAR_PX, NEAR_PX)
        return {'val_loss': float(np.mean(losses)), 'val_recall': len(apart) / max(1, true),
                'val_precision': right / max(1, found), 'val_error_px': float(error), 'val_error95_px': float(tail)}

    def _found(self, made: Drawn) -> list[Tensor]:
        logits = self.model(made.images.contiguous(memory_format=torch.channels_last)).float()
        return [made.images.new_tensor(board_corners.peaks(scores.cpu().numpy())[0]) for scores in score_map(logits)]

    def picture(self) -> np.ndarray:
        """Show what is found on held-out images, stretched over all gray values, beside the true corners."""
        images, true, found = [], [], []
        for made in self._held_out[:2]:
            low, high = made.images.amin((2, 3), keepdim=True), made.images.amax((2, 3), keepdim=True)
            images.append((made.images - low) / (high - low).clamp_min(1e-6))
            true += made.corners
            found += self._found(made)
        return pictures.corners(torch.cat(images), true, found, scale=2)

    def export(self) -> dict[str, Tensor]:
        """Return the plain network's tensors."""
        return self.model.folded()


def draw(scenes: BoardScenes, count: int, rng: np.random.Generator, device: torch.device) -> Drawn:
    """Draw a batch; where two corners fall into one cell, each is half as likely."""
    images, corners = zip(*(scenes.draw(rng) for _ in range(count)))
    height, width = images[0].shape
    cells = torch.zeros(count, CELL * CELL + 1, height // CELL, width // CELL)
    for number, places in enumerate(corners):
        x, y = torch.from_numpy(np.rint(places).astype(np.int64)).unbind(1)
        cells[number, (y % CELL) * CELL + x % CELL, y // CELL, x // CELL] = 1
    inside = cells.sum(1, keepdim=True)
    cells[:, -1:] = (inside == 0).float()
    cells = cells / inside.clamp_min(1)
    return Drawn(torch.from_numpy(np.stack(images)[:, None]).to(device) / 255, cells.to(device),
                 [torch.from_numpy(places).float().to(device) for places in corners])
