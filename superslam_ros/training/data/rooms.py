"""Views inside of rooms: six walls, some bare and some tiled with one photograph, boxes that hide each other, mirrors.

Both cameras are inside and look at about the same place, from distances that differ by up to three times.

In half of the rooms a mirror covers a wall or a part of it. What is seen in it is rendered, and has the depth, as if
it were behind the wall, and so the labels are those of a point there. A thing and its image are two points: a pair of
them is a false match, and a keypoint of either whose own partner is not in sight is unmatchable. Two views of the
same image are a match: it obeys the same geometry as any fixed point, helps to find the pose as well as one, and no
keypoint or descriptor tells it from what hangs on the wall, so that calling it false would teach to refuse pictures.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data import scenes
from superslam_ros.training.data.scenes import Planes, PosedViews
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

BOXES = 4
NEARER = 3.0
"""Largest ratio of the cameras' distances from what they look at."""
MIRRORS, _WHOLE = 0.5, 0.3
"""The share of the rooms that have a mirror, and of their lengths and heights that are those of the wall."""
_MARGIN_M, _LAMP_M = 0.3, 0.3
"""Of cameras from walls; standard deviation of the lamp's place from view to view."""
# Of a box, by the axis that is normal to it: two sides along the others. Turned so that they face outwards.
_FACES = ((1, 2), (2, 1), (2, 0), (0, 2), (0, 1), (1, 0))
_UPRIGHT, _BEFORE_WALL_M = (0, 1, 4, 5), 0.01
"""Which of them are no floor and no ceiling; of a mirror."""


def render_pairs(
    batch: int, view: tuple[int, int], textures: Textures, rng: Rng, views: int = 2, nearer: float = NEARER,
) -> PosedViews:
    """Render a few views each of random rooms, each a pair with each, without photometric noise.

    :param batch: how many rooms; ``view``: (height, width) pixels; ``views``: of each room.
    :param nearer: largest ratio of the distances from which views show the same place.
    """
    K = scenes.intrinsics(batch, view, rng)
    planes, size_m = random_room(batch, len(textures), rng)
    planes = with_mirrors(planes, rng)
    T_view_room = random_cameras(size_m, views, nearer, rng)
    lamp = rng.uniform(0.2, 0.8, batch, 3) * size_m
    images, depths = zip(*(scenes.render(planes, K, T, view, textures, lamp + _LAMP_M * rng.normal(batch, 3))
                           for T in T_view_room))
    pairs, T = scenes.each_with_each(batch, views, rng.device), torch.cat(list(T_view_room))
    T_1_0 = T[pairs[:, 1]] @ torch.linalg.inv(T[pairs[:, 0]])
    return PosedViews(torch.cat(images), torch.cat(depths), K.repeat(views, 1, 1), pairs, T_1_0)


def random_room(batch: int, photos: int, rng: Rng) -> tuple[Planes, Tensor]:
    """Return the walls and boxes of rooms, y downwards from the ceiling's corner, and (B, 3) the rooms' sizes in m.

    :param photos: how many there are to choose from.
    """
    size_m = torch.stack([rng.uniform(3, 7, batch), rng.uniform(2.3, 3.2, batch), rng.uniform(3, 7, batch)], 1)
    zero = torch.zeros(batch, 3, device=rng.device)
    # Seen from inside, walls are those of a box whose corners are exchanged.
    found = [_faces(size_m, -torch.diag_embed(size_m))]
    for _ in range(BOXES):
        half = torch.stack([rng.uniform(0.15, high, batch) for high in (0.8, 0.9, 0.8)], 1)
        turn = scenes.rotation(zero[:, 0], rng.uniform(-math.pi, math.pi, batch), zero[:, 0])
        place = rng.uniform(0.1, 0.9, batch, 3) * size_m
        place[:, 1] = size_m[:, 1] - half[:, 1]             # on the floor
        sides = turn * 2 * half[:, None]          # columns
        found.append(_faces(place - sides.sum(2) / 2, sides))
    axes = torch.cat(found, 1)
    count = axes.shape[1]
    tiles = torch.where(rng.chance(0.3, batch, count), rng.uniform(2, 6, batch, count), 1.0)
    contrast = torch.where(rng.chance(0.3, batch, count), rng.uniform(0.0, 0.15, batch, count), 1.0)
    present = torch.cat([torch.ones(batch, 6, dtype=torch.bool, device=rng.device),
                         rng.chance(0.8, batch, BOXES, 1).expand(-1, -1, 6).flatten(1)], 1)
    endless = torch.zeros(count, dtype=torch.bool, device=rng.device)
    return Planes(axes, rng.integers(photos, batch, count), present, endless, tiles, contrast), size_m


def with_mirrors(planes: Planes, rng: Rng) -> Planes:
    """Return rooms of which some have a mirror on an upright wall, the last of the planes."""
    batch = len(planes.axes)
    wall = torch.tensor(_UPRIGHT, device=rng.device)[rng.integers(len(_UPRIGHT), batch)]
    axes = planes.axes[torch.arange(batch, device=rng.device), wall]
    part = torch.where(rng.chance(_WHOLE, batch, 2), 1.0, rng.uniform(0.3, 0.9, batch, 2))
    start = rng.uniform(0, 1, batch, 2) * (1 - part)
    outwards = F.normalize(torch.linalg.cross(axes[..., 0], axes[..., 1], dim=1), dim=1)
    corner = axes[..., 2] + (axes[..., :2] * start[:, None]).sum(2) - _BEFORE_WALL_M * outwards
    mirror = torch.cat([axes[..., :2] * part[:, None], corner[..., None]], 2)
    one = torch.ones_like(planes.tiles[:, :1])
    return replace(
        planes, axes=torch.cat([planes.axes, mirror[:, None]], 1), photo=F.pad(planes.photo, (0, 1)),
        present=torch.cat([planes.present, rng.chance(MIRRORS, batch, 1)], 1), endless=F.pad(planes.endless, (0, 1)),
        tiles=torch.cat([planes.tiles, one], 1), contrast=torch.cat([planes.contrast, one], 1),
        mirror=planes.axes.shape[1])


def _faces(corner: Tensor, sides: Tensor) -> Tensor:
    """Return (B, 6, 3, 3) axes of the faces of boxes with (B, 3) one corner and (B, 3, 3) sides as columns."""
    faces = []
    for number, (u, v) in enumerate(_FACES):
        normal = 3 - u - v
        origin = corner + (sides[..., normal] if number % 2 else 0)
        faces.append(torch.stack([sides[..., u], sides[..., v], origin], 2))
    return torch.stack(faces, 1)


def random_cameras(size_m: Tensor, views: int, nearer: float, rng: Rng) -> Tensor:
    """Return (V, B, 4, 4) T_view_room: cameras inside of rooms of (B, 3) m that look at about the same place."""
    batch = len(size_m)
    target = rng.uniform(0.1, 0.9, batch, 3) * size_m
    away = math.log(nearer) / 2
    distance = rng.uniform(0.8, 2.5, batch)
    angle = rng.uniform(-math.pi, math.pi, batch)
    poses = []
    for _ in range(views):
        here = angle + rng.uniform(-1, 1, batch) * math.radians(50)
        far = distance * torch.exp(rng.uniform(-away, away, batch))
        eye = target + far[:, None] * torch.stack([here.cos(), rng.uniform(-0.5, 0.2, batch), here.sin()], 1)
        eye = torch.minimum(eye.clamp_min(_MARGIN_M), size_m - _MARGIN_M)
        forward = F.normalize(target + 0.15 * rng.normal(batch, 3) - eye, dim=1)
        down = torch.tensor([0.0, 1.0, 0.0], device=rng.device).expand(batch, 3)
        right = F.normalize(torch.linalg.cross(down, forward, dim=1), dim=1)
        R = torch.stack([right, torch.linalg.cross(forward, right, dim=1), forward], 1)
        R = scenes.rotation(torch.zeros_like(far), torch.zeros_like(far), 0.15 * rng.normal(batch)) @ R
        T = torch.eye(4, device=rng.device).repeat(batch, 1, 1)
        T[:, :3, :3], T[:, :3, 3] = R, -(R @ eye[..., None])[..., 0]
        poses.append(T)
    return torch.stack(poses)
