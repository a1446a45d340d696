"""Random homographies and warping (SuperPoint section 5.2 and its appendix), in batches on the device.

``H_a_b`` maps pixels of image b to image a, pixel centres at integer coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.random import Rng

HIDDEN = -1e4
"""Coordinate of what is not there."""


@dataclass(frozen=True)
class Spread:
    """How far random homographies go.

    ``scale``: the view's side over the source's, low and high; ``rotation``: radians either way;
    ``any_rotation``: the share of views turned anyhow; ``perspective``: how far corners move, as a part
    of the side; ``translation``: how much of the room that is left the centre uses.
    """

    scale: tuple[float, float] = (0.4, 0.9)
    rotation: float = math.pi / 6
    any_rotation: float = 0.0
    perspective: float = 0.2
    translation: float = 1.0


def sample(
    batch: int, view: tuple[int, int], source: tuple[int, int], spread: Spread, rng: Rng
) -> Tensor:
    """Return (B, 3, 3) H_source_view.

    :param view: (height, width) of the view; ``source``: (height, width) of the image it looks at.
    """
    device = rng.device
    height, width = source
    fit = min(height / view[0], width / view[1])
    low, high = (math.log(limit) for limit in spread.scale)
    scale = torch.exp(rng.uniform(low, high, batch)) * fit
    angle = rng.uniform(-spread.rotation, spread.rotation, batch)
    angle = torch.where(rng.chance(spread.any_rotation, batch), rng.uniform(-math.pi, math.pi, batch), angle)
    corners = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], device=device)
    size = torch.tensor([view[1], view[0]], device=device).float()
    unit = (corners * size).expand(batch, -1, -1)
    tilt = 1 + rng.uniform(-spread.perspective, spread.perspective, batch, 4, 2)
    quad = unit * tilt * scale[:, None, None]
    c, s = angle.cos(), angle.sin()
    quad = quad @ torch.stack([torch.stack([c, s], -1), torch.stack([-s, c], -1)], 1)
    room = (torch.tensor([width, height], device=device) - (quad.amax(1) - quad.amin(1))).clamp_min(0) / 2
    middle = torch.tensor([width - 1, height - 1], device=device) / 2
    shift = rng.uniform(-1, 1, batch, 2) * room * spread.translation
    centre = middle - (quad.amax(1) + quad.amin(1)) / 2 + shift
    return homography_from_quads(unit + (size - 1) / 2, quad + centre[:, None])


def warp(images: Tensor, H_source_view: Tensor, view: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Look at images through homographies.

    :param images: (B, C, H, W).
    :param view: (height, width) of the result.
    :returns: (B, C, height, width) interpolated bilinearly, and (B, height, width) bool, false where the
        view looks past the image.
    """
    height, width = images.shape[-2:]
    pixels = pixel_grid(*view, images.device).view(1, -1, 2).expand(len(images), -1, -1)
    at = warp_points(H_source_view, pixels)
    size = at.new_tensor([width, height])
    inside = ((at >= 0) & (at <= size - 1)).all(-1)
    grid = ((2 * at + 1) / size - 1).view(-1, *view, 2)
    warped = F.grid_sample(images, grid, mode='bilinear', padding_mode='border', align_corners=False)
    return warped, inside.view(-1, *view)


def pixel_grid(height: int, width: int, device: torch.device) -> Tensor:
    """Return (H, W, 2) pixel coordinates (x, y)."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing='ij')
    return torch.stack([x, y], dim=-1).float()


def homography_from_quads(source: Tensor, target: Tensor) -> Tensor:
    """Return (B, 3, 3) homographies that map four points (B, 4, 2) to four others, solved in float64."""
    x, y = source.double().unbind(-1)
    u, v = target.double().unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    left = torch.cat([
        torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], -1),
        torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], -1)], 1)
    h = torch.linalg.solve(left, torch.cat([u, v], 1)[..., None])[..., 0]
    return torch.cat([h, torch.ones_like(h[:, :1])], 1).view(-1, 3, 3).float()


def warp_points(H_b_a: Tensor, points: Tensor) -> Tensor:
    """Map (B, N, 2) pixels through (B, 3, 3) homographies; points behind the plane go far outside."""
    mapped = points @ H_b_a[:, :, :2].transpose(1, 2) + H_b_a[:, None, :, 2]
    z = mapped[..., 2:]
    return torch.where(z > 1e-6, mapped[..., :2] / z.clamp_min(1e-6), torch.full_like(points, HIDDEN))
