"""Where two views of a pair agree on a corner: labels more exact and more repeatable than the teacher's own.

The idea of homographic adaptation (SuperPoint, arXiv 1712.07629, section 5), with the two views that are there: a
corner that the teacher finds in both is put where both, between pixels, say that it is; one that the other view shows
and in which the teacher does not find it counts less.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models import subpixel, superpoint
from superslam_ros.training.data import glue_pairs
from superslam_ros.training.data.glue_pairs import HomographyViews
from superslam_ros.training.data.scenes import PosedViews

_PEAKS, _APART = 256, 4
_RADIUS = 2
"""Of the window (pixels) around a peak whose probability is that of the corner."""
_NEAR_PX = 3.0
_SURER, _LESS_SURE = 0.7, 0.5
"""Probabilities to this power where the other view agrees, and times this where it does not."""


class _Corners(NamedTuple):
    """The teacher's corners of one view: (P, N, 2) whole ``pixels`` (x, y), ``exact`` ones, (P, N) probabilities.

    Views with fewer corners are filled up with some of probability 0.
    """

    pixels: Tensor
    exact: Tensor
    mass: Tensor


def cells(taught: Tensor, made: PosedViews | HomographyViews) -> Tensor:
    """Return the distributions (2P, 65, h/8, w/8) of clean views, moved to where the views of a pair agree.

    :param taught: what the teacher says of the ``2P`` views by themselves.
    """
    scores = F.pixel_shuffle(taught[:, :-1], superpoint.CELL).squeeze(1)
    first, second = (_corners(part, images) for part, images in zip(scores.chunk(2), made.images.chunk(2)))
    there, back = glue_pairs.reproject(made, first.exact, second.exact)
    moved = torch.cat([_moved(scores[:len(first.mass)], first, there, back, second),
                       _moved(scores[len(first.mass):], second, back, there, first)])
    corners = F.pixel_unshuffle(moved[:, None], superpoint.CELL)
    corners = corners / corners.sum(1, keepdim=True).clamp_min(1)
    return torch.cat([corners, 1 - corners.sum(1, keepdim=True)], 1).clamp_min(0)


def peaks(scores: Tensor, count: int) -> Tensor:
    """Return the (B, count, 2) whole pixels of the strongest corners of score maps (B, H, W)."""
    strongest = superpoint.suppress(scores, _APART).flatten(1).topk(count).indices
    width = scores.shape[-1]
    return torch.stack([strongest % width, strongest // width], -1).float()


def _corners(scores: Tensor, images: Tensor) -> _Corners:
    pixels = peaks(scores, _PEAKS)
    exact = torch.stack([subpixel.to_corners(image[0], of) for image, of in zip(images, pixels)])
    sums = _RADIUS * 2 + 1
    mass = F.avg_pool2d(scores[:, None], sums, 1, _RADIUS, divisor_override=1)[:, 0]
    at = _flat(pixels, scores.shape[-1])
    there = superpoint.suppress(scores, _APART).flatten(1).gather(1, at) > 0
    return _Corners(pixels, exact, mass.flatten(1).gather(1, at) * there)


def _moved(
    scores: Tensor, own: _Corners, carried: glue_pairs.Reprojected, back: glue_pairs.Reprojected, other: _Corners
) -> Tensor:
    """Return score maps (P, H, W) of one side's views, with every corner where both views say.

    :param carried: the view's own corners in the other one; ``back``: the other's in this one.
    """
    apart = torch.cdist(carried.at, other.exact).masked_fill(~(carried.seen[..., None] & back.seen[:, None]), 1e6)
    apart = apart.masked_fill(~((own.mass > 0)[..., None] & (other.mass > 0)[:, None]), 1e6)
    distance, partner = apart.min(2)
    mutual = apart.argmin(1).gather(1, partner) == torch.arange(partner.shape[1], device=partner.device)
    agree = mutual & (distance <= _NEAR_PX)
    theirs = back.at.gather(1, partner[..., None].expand(-1, -1, 2))
    at = torch.where(agree[..., None], (own.exact + theirs) / 2, own.exact)
    mass = torch.where(agree, own.mass.clamp(0, 1)**_SURER,
                       own.mass * torch.where(carried.seen, _LESS_SURE, 1.0))
    return _splat(_without(scores, own), at, mass)


def _without(scores: Tensor, corners: _Corners) -> Tensor:
    """Return score maps with nothing in the windows around corners."""
    at = _flat(corners.pixels, scores.shape[-1])
    marked = torch.zeros_like(scores).flatten(1).scatter(1, at, (corners.mass > 0).float()).view_as(scores)
    near = F.max_pool2d(marked[:, None], 2 * _RADIUS + 1, 1, _RADIUS)[:, 0]
    return scores * (1 - near)


def _splat(scores: Tensor, at: Tensor, mass: Tensor) -> Tensor:
    """Add masses (P, N) to score maps (P, H, W) at places between pixels (P, N, 2), bilinearly."""
    height, width = scores.shape[-2:]
    low = at.floor()
    part = at - low
    flat = scores.flatten(1).clone()
    for dx in (0, 1):
        for dy in (0, 1):
            share = (part[..., 0] if dx else 1 - part[..., 0]) * (part[..., 1] if dy else 1 - part[..., 1])
            x, y = low[..., 0] + dx, low[..., 1] + dy
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            flat.scatter_add_(1, _flat(torch.stack([x.clamp(0, width - 1), y.clamp(0, height - 1)], -1), width),
                              mass * share * inside)
    return flat.view_as(scores)


def _flat(pixels: Tensor, width: int) -> Tensor:
    return (pixels[..., 1] * width + pixels[..., 0]).long()
