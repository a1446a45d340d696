"""Corners of boards between pixels: the network learns from patches around places that are a little wrong."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.boards.corners import PATCH_SQUARES, SHARES, STEPS
from superslam_ros.models import board_refine
from superslam_ros.models.board_refine import PATCH, REACH
from superslam_ros.training import pictures
from superslam_ros.training.data.board_scenes import BoardScenes
from superslam_ros.training.network import TrainableBoardRefine
from superslam_ros.training.random import Rng

PER_IMAGE = 32
"""Patches of an image at most."""
ABSENT = 0.35
"""Part of the patches without a corner in the middle."""
_NEAR_STEPS = 0.35      # deviation of places that have been refined already, which half of them are
_WRONG = 0.2            # deviation of the logarithm of the squares' length that is believed
_FAR = 5.0              # standard deviations, beyond which a corner counts linearly
_VALIDATED, _VALIDATION_SEED = 96, 10**6 + 1
_SHOWN = 48


class Patches(NamedTuple):
    """``images`` (N, 1, 24, 24) in [0, 1], ``offsets`` (N, 2) of the corner, if ``there`` (N,); ``steps`` (N,) px."""

    images: Tensor
    offsets: Tensor
    there: Tensor
    steps: Tensor


class CharucoRefineStage:
    """What the loop needs to train the refinement network."""

    def __init__(
        self, scenes: BoardScenes, held_out: BoardScenes, device: torch.device, start: Path | None = None
    ) -> None:
        """Make a network with random weights, or begin with ``start``, and draw what is validated on.

        :param scenes: to train on; ``held_out``: to validate on, drawn on other photographs.
        """
        self.slow, self.about = (), {'network': 'board_refine'}
        self.scenes, self.device = scenes, device
        self._held_out = draw(held_out, _VALIDATED, np.random.default_rng(_VALIDATION_SEED), device)
        self.model = TrainableBoardRefine().to(device, memory_format=torch.channels_last)
        if start is not None:
            self.model.begin_from(start, self._held_out.images)

    def make(self, batch: int, rng: Rng) -> Patches:
        """Draw ``batch`` images, and take patches of them."""
        return draw(self.scenes, batch, np.random.default_rng(int(rng.integers(2**62, 1))), self.device)

    def loss(self, made: Patches) -> tuple[Tensor, dict[str, float]]:
        """Return the negative log likelihood of the offsets, as of a normal distribution, and of there being one.

        Squared in the likelihood, a corner that is nowhere near would outweigh all others: so it is Huber's loss.
        """
        offsets, spread, logits = self.model(made.images.contiguous(memory_format=torch.channels_last))
        with torch.autocast(made.images.device.type, enabled=False):
            offsets, spread, logits = offsets.float(), spread.float(), logits.float()
            there = made.there.float()
            apart = offsets - made.offsets
            far = F.huber_loss(apart * (-spread).exp()[:, None], torch.zeros_like(apart), reduction='none', delta=_FAR)
            place = ((far.sum(1) + 2 * spread) * there).sum() / there.sum().clamp_min(1)
            plain = (apart.norm(dim=1) * there).sum() / there.sum().clamp_min(1)
            presence = F.binary_cross_entropy_with_logits(logits, there)
        return place + 0.5 * plain + 2 * presence, {'place': place.item(), 'presence': presence.item()}

    def validate(self) -> dict[str, float]:
        """Return losses, errors in pixels of the image, how honest sigma is, and how many are made worse."""
        made = self._held_out
        _, parts = self.loss(made)
        offsets, spread, logits = self.model(made.images.contiguous(memory_format=torch.channels_last))
        there, taken = made.there.bool(), logits > 0
        apart = (offsets - made.offsets).norm(dim=1)
        before = made.offsets.norm(dim=1)
        near = there & (before < 1)
        error, tail = np.percentile((apart * made.steps)[there & taken].cpu().numpy(), (50, 95))
        return {
            'val_place': parts['place'], 'val_presence': parts['presence'], 'val_error_px': float(error),
            'val_error95_px': float(tail), 'val_error_steps': float(apart[there].median()),
            'val_taken': float(taken[there].float().mean()), 'val_wrongly_taken': float(taken[~there].float().mean()),
            'val_worse': float((apart > before)[near & taken].float().mean()),
            'val_chi2': float(((apart / spread.exp()).square() / 2)[there & taken].mean()),
        }

    def picture(self) -> np.ndarray:
        """Show patches with the true corner as a circle, and what is found as a dot."""
        made = self._held_out
        images = made.images[:_SHOWN]
        offsets, _, logits = self.model(images.contiguous(memory_format=torch.channels_last))
        low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        middle = (PATCH - 1) / 2
        true = [(place + middle)[None][:int(there)] for place, there in zip(made.offsets, made.there)]
        found = [(place + middle)[None][:int(there)] for place, there in zip(offsets, logits > 0)]
        return pictures.corners((images - low) / (high - low).clamp_min(1e-6), true, found, columns=12, scale=4)

    def export(self) -> dict[str, Tensor]:
        """Return the plain network's tensors."""
        return self.model.folded()


def draw(scenes: BoardScenes, count: int, rng: np.random.Generator, device: torch.device) -> Patches:
    """Draw images until there are some with corners, ``count`` at least, and take patches of them."""
    parts: list[Patches] = []
    for _ in range(100 * count):
        image, corners, _ = scenes.draw(rng)
        if len(corners) > 1:
            parts.append(_patches(image, corners, rng, device))
        if len(parts) >= count:
            break
    return Patches(*(torch.cat(tensors) for tensors in zip(*parts)))


def _patches(image: np.ndarray, corners: np.ndarray, rng: np.random.Generator, device: torch.device) -> Patches:
    """Take patches around places near corners, and around some where no corner is."""
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    of = rng.permutation(len(corners))[:PER_IMAGE]
    square = apart.min(1)[of] * np.exp(rng.normal(0, _WRONG, len(of)))
    steps = (PATCH_SQUARES / PATCH * rng.choice(SHARES, len(of)) * square).clip(*STEPS)
    near = rng.random(len(of)) < 0.5
    offsets = np.where(near[:, None], rng.normal(0, _NEAR_STEPS, (len(of), 2)),
                       rng.uniform(-REACH, REACH, (len(of), 2)))
    there = rng.random(len(of)) >= ABSENT
    away = rng.uniform(0, 1, (len(of), 2)) * image.shape[::-1]
    places = np.where(there[:, None], corners[of] - offsets * steps[:, None], away)
    # What was to be away may be near some corner: then it is left out.
    distance = np.linalg.norm(places[:, None] - corners[None], axis=2).min(1)
    keep = there | (distance > 1.5 * REACH * steps)
    levels = board_refine.pyramid(torch.from_numpy(image).to(device) / 255)
    places, steps, offsets, there = (
        torch.from_numpy(values[keep].astype(np.float32)).to(device) for values in (places, steps, offsets, there))
    return Patches(board_refine.cut(levels, places, steps), offsets, there, steps)
