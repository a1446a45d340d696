"""The shapes made of convex polygons: up to six of them per picture, with the corners they bring, in batches."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from superslam_ros.training.data.homographies import HIDDEN
from superslam_ros.training.random import Rng

VERTICES = 6
LAYERS = 6
_TRIALS = 16
"""Boxes that are drawn until one shows three faces; of so many, one that shows none is left in 10**5."""


def _padded(vertices: Tensor, corners: Tensor, layers: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Pad (B, n, v, 2) polygons, whose last vertex repeats, and (B, n, w, 2) corners to (B, LAYERS, VERTICES, 2).

    :param layers: (B,) how many of the n are there; default: all.
    """
    batch, count, last = vertices.shape[:3]
    out = vertices.new_full((2, batch, LAYERS, VERTICES, 2), HIDDEN)
    out[0, :, :count, :last] = vertices
    out[0, :, :count, last:] = vertices[:, :, -1:]
    out[1, :, :count, :corners.shape[2]] = corners
    if layers is not None:
        absent = torch.arange(LAYERS, device=vertices.device) >= layers[:, None]
        out = out.masked_fill(absent[..., None, None], HIDDEN)
    return out[0], out[1]


def _convex(rng: Rng, centre: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Return random convex polygons (..., VERTICES, 2), the last vertex repeated, and their 3 to 6 corners.

    They lie on ellipses around ``centre`` (..., 2) with ``radius`` (...); none of their corners is too blunt.
    """
    shape = radius.shape
    count = rng.integers(VERTICES - 2, *shape)[..., None] + 3
    number = torch.arange(VERTICES, device=rng.device)
    angle = (number + rng.uniform(-0.35, 0.35, *shape, VERTICES)) * (2 * math.pi / count)
    turn = rng.uniform(0, 2 * math.pi, *shape, 1)
    x, y, c, s = angle.cos(), angle.sin() * rng.uniform(0.4, 1.0, *shape, 1), turn.cos(), turn.sin()
    circle = torch.stack([x * c - y * s, x * s + y * c], -1)
    corners = centre[..., None, :] + radius[..., None, None] * circle
    there = number < count
    last = corners.gather(-2, (count - 1)[..., None].expand(*shape, 1, 2))
    return torch.where(there[..., None], corners, last), torch.where(there[..., None], corners, HIDDEN)


def _points(rng: Rng, height: int, width: int, *shape: int, margin: float = 0.1) -> Tensor:
    return rng.uniform(margin, 1 - margin, *shape, 2) * torch.tensor([width, height], device=rng.device)


def polygon(rng: Rng, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return one large polygon."""
    centre = _points(rng, height, width, batch, 1, margin=0.25)
    return _padded(*_convex(rng, centre, rng.uniform(0.12, 0.6, batch, 1) * height))


def polygons(rng: Rng, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return two to six polygons, which may hide each other."""
    centre = _points(rng, height, width, batch, LAYERS)
    shapes = _convex(rng, centre, rng.uniform(0.04, 0.3, batch, LAYERS) * height)
    return _padded(*shapes, rng.integers(LAYERS - 1, batch) + 2)


def _bars(start: Tensor, end: Tensor, thickness: Tensor) -> Tensor:
    """Return lines from (..., 2) to (..., 2), ``thickness`` (...) wide, as quadrilaterals (..., 4, 2)."""
    along = (end - start) / (end - start).norm(dim=-1, keepdim=True).clamp_min(1e-3)
    side = torch.stack([-along[..., 1], along[..., 0]], -1) * thickness[..., None] / 2
    return torch.stack([start - side, end - side, end + side, start + side], -2)


def lines(rng: Rng, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return one to six lines; their corners are their ends where they are thin."""
    start, end = (_points(rng, height, width, batch, LAYERS) for _ in range(2))
    thickness = rng.uniform(1.2, 6, batch, LAYERS)
    quads = _bars(start, end, thickness)
    hidden = torch.full_like(start, HIDDEN)
    ends = torch.stack([start, end, hidden, hidden], -2)
    corners = torch.where((thickness < 4)[..., None, None], ends, quads)
    return _padded(quads, corners, rng.integers(LAYERS, batch) + 1)


def star(rng: Rng, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return three to six lines from one point."""
    count = rng.integers(LAYERS - 2, batch)[:, None] + 3
    number = torch.arange(LAYERS, device=rng.device)
    centre = _points(rng, height, width, batch, 1, margin=0.25)
    angle = (number + rng.uniform(-0.35, 0.35, batch, LAYERS)) * (2 * math.pi / count)
    angle = angle + rng.uniform(0, 2 * math.pi, batch, 1)
    reach = rng.uniform(0.1, 0.5, batch, LAYERS, 1) * height
    ends = centre + reach * torch.stack([angle.cos(), angle.sin()], -1)
    quads = _bars(centre.expand_as(ends), ends, rng.uniform(1.2, 4, batch, 1).expand(batch, LAYERS))
    # The ends belong to their bars, the centre to the last, which nothing hides.
    middle = torch.where((number == count - 1)[..., None], centre, HIDDEN)
    return _padded(quads, torch.stack([ends, middle], -2), count[:, 0])


def cube(rng: Rng, batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the three visible faces of a box under a random affine view."""
    axes = torch.linalg.qr(rng.normal(batch, _TRIALS, 3, 3)).Q
    axes = axes * (rng.uniform(0.12, 0.45, batch, _TRIALS, 3, 1) * height)
    axes = (axes * torch.where(axes[..., 2:] > 0, -1.0, 1.0))[..., :2]       # the three axes towards the camera
    areas = _cross(axes, axes.roll(-1, -2)).abs().amin(-1)
    first = (areas > 0.004 * height * height).int().argmax(1)
    a, b, c = axes[torch.arange(batch, device=rng.device), first].unbind(1)
    near = _points(rng, height, width, batch, margin=0.3)
    faces = torch.stack([torch.stack([near, near - p, near - p - q, near - q], 1)
                         for p, q in ((a, b), (b, c), (c, a))], 1)
    clockwise = _cross(faces[:, :, 1] - faces[:, :, 0], faces[:, :, 2] - faces[:, :, 1]) > 0
    faces = torch.where(clockwise[..., None, None], faces, faces.flip(2))
    # A layer has room for six of the seven corners; which face brings them does not matter.
    corners = torch.full((batch, 3, VERTICES, 2), HIDDEN, device=rng.device)
    corners[:, 1, 0] = near - c - a
    corners[:, 2] = torch.stack([near, near - a, near - b, near - c, near - a - b, near - b - c], 1)
    return _padded(faces, corners)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


MAKERS = {'polygon': polygon, 'polygons': polygons, 'lines': lines, 'star': star, 'cube': cube}
"""Name -> function of (rng, batch, height, width): polygons and the corners they bring, (B, LAYERS, VERTICES, 2)."""
