"""The shapes made of convex polygons: up to six of them per picture, with the corners they bring."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from superslam_ros.training.random import Rng

VERTICES = 6
LAYERS = 6
HIDDEN = -1e4
"""Coordinate of what is not there."""


def _layers(polygons: list[Tensor], corners: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad polygons to (layers, vertices, 2) and the corners they bring to the same shape."""
    out = torch.full((2, LAYERS, VERTICES, 2), HIDDEN)
    for layer, (polygon, corner) in enumerate(zip(polygons, corners)):
        out[0, layer] = polygon[-1]
        out[0, layer, :len(polygon)] = polygon
        out[1, layer, :len(corner)] = corner
    return out[0], out[1]


def _convex(rng: Rng, centre: Tensor, radius: float) -> Tensor:
    """Return a random convex polygon of 3 to 6 vertices on an ellipse, none of its corners too blunt."""
    count = 3 + int(rng.integers(VERTICES - 2, 1))
    angle = (torch.arange(count) + rng.uniform(-0.35, 0.35, count)) * (2 * math.pi / count)
    circle = torch.stack([angle.cos(), angle.sin()], -1) * torch.tensor([1.0, float(rng.uniform(0.4, 1.0, 1))])
    turn = float(rng.uniform(0, 2 * math.pi, 1))
    c, s = math.cos(turn), math.sin(turn)
    return centre + radius * circle @ torch.tensor([[c, s], [-s, c]])


def _point(rng: Rng, height: int, width: int, margin: float = 0.1) -> Tensor:
    return rng.uniform(margin, 1 - margin, 2) * torch.tensor([width, height])


def polygon(rng: Rng, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return one large polygon."""
    shape = _convex(rng, _point(rng, height, width, 0.25), float(rng.uniform(0.12, 0.6, 1)) * height)
    return _layers([shape], [shape])


def polygons(rng: Rng, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return two to six polygons, which may hide each other."""
    count = 2 + int(rng.integers(LAYERS - 1, 1))
    shapes = [_convex(rng, _point(rng, height, width), float(rng.uniform(0.04, 0.3, 1)) * height)
              for _ in range(count)]
    return _layers(shapes, shapes)


def _bar(start: Tensor, end: Tensor, thickness: float) -> tuple[Tensor, Tensor]:
    """Return a line as a quadrilateral, and its corners: the two ends where it is thin."""
    along = (end - start) / (end - start).norm().clamp_min(1e-3)
    side = torch.stack([-along[1], along[0]]) * thickness / 2
    quad = torch.stack([start - side, end - side, end + side, start + side])
    return quad, torch.stack([start, end]) if thickness < 4 else quad


def lines(rng: Rng, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return one to six lines; their corners are their ends where they are thin."""
    count = 1 + int(rng.integers(LAYERS, 1))
    bars = [_bar(_point(rng, height, width), _point(rng, height, width), float(rng.uniform(1.2, 6, 1)))
            for _ in range(count)]
    return _layers([quad for quad, _ in bars], [corner for _, corner in bars])


def star(rng: Rng, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return three to six lines from one point."""
    count = 3 + int(rng.integers(LAYERS - 2, 1))
    centre = _point(rng, height, width, 0.25)
    angle = (torch.arange(count) + rng.uniform(-0.35, 0.35, count)) * (2 * math.pi / count)
    angle = angle + rng.uniform(0, 2 * math.pi, 1)
    reach = rng.uniform(0.1, 0.5, count, 1) * height
    ends = centre + reach * torch.stack([angle.cos(), angle.sin()], -1)
    thickness = float(rng.uniform(1.2, 4, 1))
    bars = [_bar(centre, end, thickness) for end in ends]
    # The ends belong to their bars, the centre to the last, which nothing hides.
    corners = [end[None] for end in ends]
    corners[-1] = torch.stack([ends[-1], centre])
    return _layers([quad for quad, _ in bars], corners)


def cube(rng: Rng, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the three visible faces of a box under a random affine view."""
    while True:
        axes = torch.linalg.qr(rng.normal(3, 3)).Q * (rng.uniform(0.12, 0.45, 3) * height)[:, None]
        axes = axes * torch.where(axes[:, 2:] > 0, -1.0, 1.0)      # the three axes towards the camera
        a, b, c = axes[:, :2]
        areas = torch.stack([_cross(a, b), _cross(b, c), _cross(c, a)]).abs()
        if areas.min() > 0.004 * height * height:
            break
    near = _point(rng, height, width, 0.3)
    faces = [torch.stack([near, near - p, near - p - q, near - q]) for p, q in ((a, b), (b, c), (c, a))]
    faces = [face if _cross(face[1] - face[0], face[2] - face[1]) > 0 else face.flip(0) for face in faces]
    outline = torch.stack([near, near - a, near - b, near - c, near - a - b, near - b - c])
    # A layer has room for six of the seven corners; which face brings them does not matter.
    none = torch.empty(0, 2)
    return _layers(faces, [none, (near - c - a)[None], outline])


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[0] * b[1] - a[1] * b[0]


MAKERS = {'polygon': polygon, 'polygons': polygons, 'lines': lines, 'star': star, 'cube': cube}
"""Name -> function of (rng, height, width) that returns (layers, vertices, 2) polygons and their corners."""
