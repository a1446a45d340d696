"""Synthetic shapes with exact corners (SuperPoint section 4), rendered in batches on the device.

Every picture is painted back to front from convex polygons (lines are thin quadrilaterals), ellipses, or a
grid seen in perspective; a corner is a label where no later shape hides it and it can be seen at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data.homographies import HIDDEN, homography_from_quads, pixel_grid, warp_points
from superslam_ros.training.data.polygons import LAYERS, MAKERS, VERTICES
from superslam_ros.training.random import Rng

KINDS = ('checkerboard', 'stripes', 'polygon', 'polygons', 'lines', 'star', 'cube', 'ellipses', 'noise')

CONTRAST = 0.08
"""Gray levels, of 1, by which a corner must differ from what is around it to be one."""
_CORNERS = 96


@dataclass
class Shapes:
    """A batch of pictures with their corners.

    ``images`` (B, 1, H, W) in [0, 1]; ``corners`` (B, N, 2) pixels (x, y); ``valid`` (B, N) bool;
    ``kinds`` (B,) index into :data:`KINDS`.
    """

    images: Tensor
    corners: Tensor
    valid: Tensor
    kinds: Tensor


def render(batch: int, height: int, width: int, rng: Rng) -> Shapes:
    """Render random shapes without photometric noise.

    :param rng: source of randomness; its device is where everything is made.
    """
    kinds = rng.integers(len(KINDS), batch)
    background = fill(rng, batch, height, width)
    images = background
    corners = torch.full((batch, _CORNERS, 2), HIDDEN, device=rng.device)
    for painters, names in ((_paint_grids, KINDS[:2]), (_paint_polygons, KINDS[2:7]), (_paint_ellipses, KINDS[7:8])):
        chosen = torch.nonzero(sum(kinds == KINDS.index(name) for name in names)).flatten()
        if len(chosen):
            painted, found = painters(images[chosen], [KINDS[k] for k in kinds[chosen].tolist()], rng)
            images = images.index_copy(0, chosen, painted)
            corners[chosen, :found.shape[1]] = found
    return Shapes(images[:, None], corners, _visible(images, corners), kinds)


def fill(rng: Rng, batch: int, height: int, width: int) -> Tensor:
    """Return (batch, height, width) gray surfaces in [0, 1]: a level, a slope and octaves of smooth noise."""
    level = rng.uniform(0.05, 0.95, batch, 1, 1)
    surface = level + _slope(rng, batch, height, width) * rng.uniform(0, 0.2, batch, 1, 1)
    amplitude = rng.uniform(0, 0.12, batch, 1, 1) * (rng.uniform(0, 1, batch, 1, 1) < 0.7)
    for cells in (4, 12, 40):
        coarse = rng.normal(batch, 1, cells, math.ceil(cells * width / height))
        octave = F.interpolate(coarse, (height, width), mode='bicubic', align_corners=False)[:, 0]
        surface = surface + octave * amplitude * rng.uniform(0, 1, batch, 1, 1)
    return surface.clamp(0, 1)


def cell_labels(corners: Tensor, valid: Tensor, height: int, width: int) -> Tensor:
    """Turn corners into the detector's classes (section 4): the pixel of each 8x8 cell, 64 for none.

    :param corners: (B, N, 2) pixels; where two fall into one cell, the one listed first is taken.
    :returns: (B, H/8, W/8) int64.
    """
    batch, count = valid.shape
    pixel = corners.round().long()
    inside = valid & (pixel >= 0).all(-1) & (pixel[..., 0] < width) & (pixel[..., 1] < height)
    x, y = pixel[..., 0].clamp(0, width - 1), pixel[..., 1].clamp(0, height - 1)
    cell = (y // 8) * (width // 8) + x // 8
    inside &= (x // 8 < width // 8) & (y // 8 < height // 8)
    cells = (height // 8) * (width // 8)
    # Class and rank in one number, so that the lowest rank wins whatever the order of writing.
    packed = torch.arange(count, device=corners.device) * 64 + (y % 8) * 8 + x % 8
    best = torch.full((batch, cells + 1), count * 64, device=corners.device)
    best.scatter_reduce_(1, torch.where(inside, cell, cells), packed, 'amin')
    label = torch.where(best < count * 64, best % 64, 64)
    return label[:, :cells].view(batch, height // 8, width // 8)


def _slope(rng: Rng, batch: int, height: int, width: int) -> Tensor:
    angle = rng.uniform(0, 2 * math.pi, batch)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    centred = pixel_grid(height, width, rng.device) / max(height, width) - 0.5
    return torch.einsum('hwc,bc->bhw', centred, direction)


def _visible(images: Tensor, corners: Tensor) -> Tensor:
    """Return (B, N) bool: corners inside the image whose surroundings differ enough to be seen."""
    height, width = images.shape[1:]
    inside = ((corners >= 1) & (corners <= corners.new_tensor([width - 2, height - 2]))).all(-1)
    contrast = F.max_pool2d(images[:, None], 5, 1, 2) + F.max_pool2d(-images[:, None], 5, 1, 2)
    pixel = corners.round().long()
    x, y = pixel[..., 0].clamp(0, width - 1), pixel[..., 1].clamp(0, height - 1)
    rows = torch.arange(len(images), device=images.device)[:, None]
    return inside & (contrast[rows, 0, y, x] > CONTRAST)


def _contrasting(rng: Rng, previous: Tensor, batch: int, height: int, width: int) -> Tensor:
    """Return fills whose mean differs from ``previous`` (B,) gray levels by 0.15 or more."""
    surface = fill(rng, batch, height, width)
    mean = surface.mean((1, 2))
    gap = rng.uniform(0.15, 0.6, batch)
    up = torch.where(previous + gap > 0.98, -1.0, torch.where(previous - gap < 0.02, 1.0, rng.sign(batch)))
    level = (previous + up * gap).clamp(0.02, 0.98)
    return (surface + (level - mean)[:, None, None]).clamp(0, 1)


# --- grids ----------------------------------------------------------------------------------------

def _paint_grids(images: Tensor, kinds: list[str], rng: Rng) -> tuple[Tensor, Tensor]:
    """Checkerboards and stripes: a plane of coloured cells seen through a random homography."""
    batch, height, width = images.shape
    device = images.device
    stripes = torch.tensor([kind == 'stripes' for kind in kinds], device=device)
    columns = rng.integers(6, batch) + 3
    rows = torch.where(stripes, torch.ones_like(columns), rng.integers(5, batch) + 3)
    H_image_grid = _grid_homography(rng, columns, rows, height, width)
    sub = torch.tensor([[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]], device=device)
    pixels = pixel_grid(height, width, device)[..., None, :] + sub
    ones = torch.ones_like(pixels[..., :1])
    grid = torch.einsum('bij,hwsj->bhwsi', torch.linalg.inv(H_image_grid), torch.cat([pixels, ones], -1))
    uv = grid[..., :2] / torch.where(grid[..., 2:].abs() < 1e-6, 1e-6, grid[..., 2:])
    limit = torch.stack([columns, rows], -1)[:, None, None, None]
    inside = ((uv >= 0) & (uv < limit)).all(-1) & (grid[..., 2] > 0)
    cell = uv.floor().long()
    cell = torch.maximum(torch.minimum(cell, limit - 1), torch.zeros_like(cell))
    u, v = cell.unbind(-1)
    # Two alternating gray levels, each cell a little different, so that neighbours always differ.
    dark = rng.uniform(0, 0.6, batch, 1)
    jitter = rng.uniform(-0.06, 0.06, batch, 64)
    odd = ((u + v) % 2).float()
    contrast = rng.uniform(0.2, 0.4, batch, 1, 1, 1) * rng.sign(batch, 1, 1, 1)
    index = (v * 8 + u).clamp(0, 63).flatten(1)
    colour = (dark[..., None, None] + 0.2 + odd * contrast + jitter.gather(1, index).view_as(odd)).clamp(0, 1)
    alpha = inside.float().mean(-1)
    painted = (colour * inside).sum(-1) / inside.sum(-1).clamp_min(1)
    texture = fill(rng, batch, height, width)
    painted = painted + 0.5 * (texture - texture.mean((1, 2), keepdim=True))
    return images * (1 - alpha) + painted.clamp(0, 1) * alpha, _grid_corners(H_image_grid, columns, rows)


def _grid_homography(rng: Rng, columns: Tensor, rows: Tensor, height: int, width: int) -> Tensor:
    """Return (B, 3, 3): grid coordinates (0..columns, 0..rows) to pixels, rotated, skewed and in perspective."""
    batch = len(columns)
    angle = rng.uniform(0, 2 * math.pi, batch)
    size = rng.uniform(0.35, 1.1, batch) * height
    aspect = rng.uniform(0.6, 1.6, batch)
    corner = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]], device=rng.device) / 2
    quad = corner * torch.stack([size * aspect, size], -1)[:, None]
    quad = quad * (1 + rng.uniform(-0.35, 0.35, batch, 4, 2))
    c, s = angle.cos(), angle.sin()
    quad = quad @ torch.stack([torch.stack([c, s], -1), torch.stack([-s, c], -1)], 1)
    centre = torch.stack([rng.uniform(0.25, 0.75, batch) * width, rng.uniform(0.25, 0.75, batch) * height], -1)
    zero = torch.zeros_like(angle)
    unit = torch.stack([
        torch.stack([zero, zero], -1), torch.stack([columns.float(), zero], -1),
        torch.stack([columns.float(), rows.float()], -1), torch.stack([zero, rows.float()], -1)], 1)
    return homography_from_quads(unit, quad + centre[:, None])


def _grid_corners(H_image_grid: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    index = torch.arange(_CORNERS, device=columns.device)
    across = (columns + 1)[:, None]
    u, v = index % across, index // across
    points = warp_points(H_image_grid, torch.stack([u, v], -1).float())
    return points.masked_fill((v > rows[:, None])[..., None], HIDDEN)


# --- convex polygons ------------------------------------------------------------------------------

def _paint_polygons(images: Tensor, kinds: list[str], rng: Rng) -> tuple[Tensor, Tensor]:
    """Paint up to six convex polygons per image; a corner that looks like what is below, or is covered later, is none.

    The faces of a cube cover nothing of each other, and what is below tells little of how they differ.
    """
    batch, height, width = images.shape
    polygons, corners = images.new_full((2, batch, LAYERS, VERTICES, 2), HIDDEN)
    for name, maker in MAKERS.items():
        chosen = [number for number, kind in enumerate(kinds) if kind == name]
        if chosen:
            polygons[chosen], corners[chosen] = maker(rng, len(chosen), height, width)
    painted = images
    visible = torch.ones(corners.shape[:-1], dtype=torch.bool, device=images.device)
    cube = torch.tensor([kind == 'cube' for kind in kinds], device=images.device)[:, None]
    previous = images.mean((1, 2))
    pixels = pixel_grid(height, width, images.device).view(1, -1, 2)
    for layer in range(LAYERS):
        distance = _inside_distance(polygons[:, layer], pixels).view(batch, height, width)
        alpha = (0.5 - distance).clamp(0, 1)
        colour = _contrasting(rng, previous, batch, height, width)
        visible[:, layer] = cube | _stands_out((colour - painted) * alpha, alpha, corners[:, layer])
        painted = painted * (1 - alpha) + colour * alpha
        previous = torch.where(rng.uniform(0, 1, batch) < 0.5, previous, colour.mean((1, 2)))
        earlier = _inside_distance(polygons[:, layer], corners[:, :layer].flatten(1, 2))
        visible[:, :layer] &= (cube | (earlier > 1)).view(batch, layer, VERTICES)
    return painted, torch.where(visible[..., None], corners, HIDDEN).flatten(1, 2)


def _stands_out(change: Tensor, alpha: Tensor, corners: Tensor) -> Tensor:
    """Return (B, N) bool: whether a shape, where it covers ``alpha``, changes the mean around its corners (B, N, 2)."""
    height, width = alpha.shape[1:]
    sums = F.avg_pool2d(torch.stack([change, alpha], 1), 7, 1, 3)
    x, y = (corners[..., axis].round().long().clamp(0, size - 1) for axis, size in enumerate((width, height)))
    mean, covered = sums[torch.arange(len(alpha), device=alpha.device)[:, None], :, y, x].unbind(-1)
    return mean.abs() > CONTRAST * covered.clamp_min(1e-3)


def _inside_distance(polygons: Tensor, points: Tensor) -> Tensor:
    """Distance to convex polygons, negative inside, exact along the edges: (B, V, 2), (B or 1, N, 2) -> (B, N).

    Vertices run clockwise in the image; repeated ones are ignored; polygons far outside mean absence.
    """
    edges = polygons.roll(-1, 1) - polygons
    length = edges.norm(dim=-1)
    normal = torch.stack([edges[..., 1], -edges[..., 0]], -1) / length.clamp_min(1e-6)[..., None]
    offset = (normal * polygons).sum(-1)
    distance = points @ normal.transpose(1, 2) - offset[:, None]
    distance = distance.masked_fill((length < 1e-3)[:, None], -torch.inf).amax(-1)
    return distance.masked_fill(torch.isinf(distance), 1e4)


# --- shapes without corners -----------------------------------------------------------------------

def _paint_ellipses(images: Tensor, kinds: list[str], rng: Rng) -> tuple[Tensor, Tensor]:
    """Paint one to six ellipses per image; they have no corners."""
    batch, height, width = images.shape
    painted = images
    pixels = pixel_grid(height, width, images.device)
    present = rng.integers(LAYERS, batch) + 1
    for layer in range(LAYERS):
        centre = rng.uniform(0, 1, batch, 2) * torch.tensor([width, height], device=images.device)
        axes = rng.uniform(0.04, 0.3, batch, 2) * height
        angle = rng.uniform(0, math.pi, batch)
        delta = pixels[None] - centre[:, None, None]
        c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
        u = (delta[..., 0] * c + delta[..., 1] * s) / axes[:, 0, None, None]
        v = (delta[..., 1] * c - delta[..., 0] * s) / axes[:, 1, None, None]
        distance = ((u * u + v * v).sqrt() - 1) * axes.amin(1)[:, None, None]
        alpha = (0.5 - distance).clamp(0, 1) * (layer < present)[:, None, None]
        colour = _contrasting(rng, painted.mean((1, 2)), batch, height, width)
        painted = painted * (1 - alpha) + colour * alpha
    return painted, images.new_full((batch, 0, 2), HIDDEN)
