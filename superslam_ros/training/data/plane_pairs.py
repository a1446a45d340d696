"""Pairs of views of scenes of planes, for the descriptors: what homographies lack, parallax and occlusion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data import photometric, scenes
from superslam_ros.training.data.glue_pairs import by_depth
from superslam_ros.training.data.pairs import IGNORED, NOWHERE, Pairs, cell_centres
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

_FLAT = 0.02
"""Gray levels per pixel that a flat place counts as: a few points lie there, too."""


def plane_pairs(batch: int, view: tuple[int, int], textures: Textures, rng: Rng, points: int) -> Pairs:
    """Make a batch, noise of its own on each view; the detector's labels are not known in it.

    Points lie where the first view has gradients; ``valid`` are those that the second view sees, too.

    :param view: (height, width) of the views, multiples of 8.
    :param points: so many per pair.
    """
    made = scenes.render_pairs(batch, view, textures, rng)
    first = textured(made.images[:batch], points, rng)
    depth0, depth1, K0, K1 = *made.depth_m.split(batch), *made.K.split(batch)
    there = by_depth(first, depth0, K0, made.T_1_0, depth1, K1)
    centres = by_depth(cell_centres(view, rng.device).expand(batch, -1, -1), depth0, K0, made.T_1_0, depth1, K1)
    labels = torch.full((2 * batch, view[0] // 8, view[1] // 8), IGNORED, device=rng.device)
    return Pairs(
        photometric.distort(made.images, rng, share=0.9), labels, torch.stack([first, there.at]), there.seen,
        torch.where(centres.seen[..., None], centres.at, NOWHERE))


def textured(images: Tensor, count: int, rng: Rng) -> Tensor:
    """Return (B, count, 2) different pixels of (B, 1, h, w) images, the more likely the steeper the image there."""
    dx = F.pad((images[..., 2:] - images[..., :-2]).abs(), (1, 1))
    dy = F.pad((images[..., 2:, :] - images[..., :-2, :]).abs(), (0, 0, 1, 1))
    chosen = torch.multinomial((dx + dy + _FLAT).flatten(1), count, generator=rng.generator)
    width = images.shape[-1]
    return torch.stack([chosen % width, chosen // width], -1).float()
