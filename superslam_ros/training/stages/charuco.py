"""Corners of boards: the network learns from images that are drawn as it goes (arXiv 1812.03247, section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models import board_corners
from superslam_ros.models.superpoint import CELL, score_map
from superslam_ros.training import pictures
from superslam_ros.training.data import boards
from superslam_ros.training.data.board_scenes import BoardScenes
from superslam_ros.training.network import TrainableBoardCorners
from superslam_ros.training.random import Rng

BACKGROUND_WEIGHT = 0.25
"""Cells without a corner, by far the most, count so much beside one with a corner."""
NEAR_PX = 3.0
_VALIDATED, _VALIDATION_SEED = 96, 10**6


class Drawn(NamedTuple):
    """A batch.

    :ivar images: (B, 1, H, W) in [0, 1].
    :ivar cells: (B, 65, H/8, W/8), which sum to 1: where in each cell a corner is, the last one for nowhere.
    :ivar ids: (B, H/8, W/8) of the known board's corners, :data:`boards.NO_ID` for none.
    :ivar corners: (N, 2) pixels of each image.
    """

    images: Tensor
    cells: Tensor
    ids: Tensor
    corners: list[Tensor]


class CharucoStage:
    """What the loop needs to train the corner network."""

    def __init__(
        self, scenes: BoardScenes, held_out: BoardScenes, device: torch.device, start: Path | None = None
    ) -> None:
        """Make a network with random weights, or begin with ``start``, and draw what is validated on.

        :param scenes: to train on, with or without a known board; ``held_out``: to validate on, drawn on other
            photographs.
        """
        self.slow, self.about = (), {'network': 'board_corners'}
        self.scenes, self.device = scenes, device
        unseen = np.random.default_rng(_VALIDATION_SEED)
        self._held_out = [draw(held_out, size, unseen, device) for size in (8,) * (_VALIDATED // 8)]
        ids = len(scenes.board.corners_m()) if scenes.board else 0
        self.model = TrainableBoardCorners(ids).to(device, memory_format=torch.channels_last)
        if start is not None:
            self.model.begin_from(start, self._held_out[0].images)

    def make(self, batch: int, rng: Rng) -> Drawn:
        """Draw images."""
        return draw(self.scenes, batch, np.random.default_rng(int(rng.integers(2**62, 1))), self.device)

    def loss(self, made: Drawn) -> tuple[Tensor, dict[str, float]]:
        """Return the cross entropy of the cells: one of 64 pixels, or none; with a known board, of the ids, too."""
        encoded = self.model.encode(made.images.contiguous(memory_format=torch.channels_last))
        logits = self.model.detect(encoded)
        with torch.autocast(made.images.device.type, enabled=False):
            weight = 1 - (1 - BACKGROUND_WEIGHT) * made.cells[:, -1]
            loss = _mean(-(made.cells * logits.float().log_softmax(1)).sum(1), weight)
        if not self.model.ids:
            return loss, {}
        logits = self.model.identify(encoded)
        with torch.autocast(made.images.device.type, enabled=False):
            none = made.ids == boards.NO_ID
            ids = F.cross_entropy(logits.float(), made.ids.masked_fill(none, self.model.ids), reduction='none')
            ids = _mean(ids, 1 - (1 - BACKGROUND_WEIGHT) * none.float())
        return loss + ids, {'ids': ids.item()}

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
                'val_precision': right / max(1, found), 'val_error_px': float(error), 'val_error95_px': float(tail),
                **self._right_ids()}

    def _right_ids(self) -> dict[str, float]:
        """Return the share of the known board's corners whose id is right, or nothing without one."""
        right = []
        for made in self._held_out if self.model.ids else ():
            known = made.ids != boards.NO_ID
            right.append((self.model.identify(self.model.encode(made.images)).argmax(1) == made.ids)[known])
        return {'val_ids': float(torch.cat(right).float().mean())} if right else {}

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
    """Draw a batch; where two corners fall into one cell, each is half as likely, and the last has the id."""
    images, corners, known = zip(*(scenes.draw(rng) for _ in range(count)))
    height, width = images[0].shape
    cells = torch.zeros(count, CELL * CELL + 1, height // CELL, width // CELL)
    ids = torch.full((count, height // CELL, width // CELL), boards.NO_ID)
    for number, places in enumerate(corners):
        x, y = torch.from_numpy(np.rint(places).astype(np.int64)).unbind(1)
        cells[number, (y % CELL) * CELL + x % CELL, y // CELL, x // CELL] = 1
        ids[number, y // CELL, x // CELL] = torch.from_numpy(known[number])
    inside = cells.sum(1, keepdim=True)
    cells[:, -1:] = (inside == 0).float()
    cells = cells / inside.clamp_min(1)
    return Drawn(torch.from_numpy(np.stack(images)[:, None]).to(device) / 255, cells.to(device), ids.to(device),
                 [torch.from_numpy(places).float().to(device) for places in corners])


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum()
