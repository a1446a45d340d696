"""Places for the matching of images to maps: some views that a map is made of, and others that look for their place.

Between a map and a query, time goes by: light changes, something is moved, and sometimes it is another place that has
the same walls (a twin room).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from superslam_ros.training.data import rooms, scenes
from superslam_ros.training.data.scenes import Planes
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

_TWINS, _MOVED = 0.06, 0.4
"""Part of the places whose queries are of a twin, and in which something is moved."""
_LONGEST_S = 3e6
_MOTIONS = {'scenes': scenes.MOTION, 'wide_scenes': scenes.WIDE_MOTION}
KINDS = (*_MOTIONS, 'rooms')
"""What places may be: scenes of planes, seen from places near each other or far apart, and the insides of rooms."""


@dataclass
class Places:
    """B places of V views each, of which the first ones make the map, and the last ``queries`` look for it.

    ``images`` (B, V, 1, h, w) in [0, 1]; ``depth_m`` (B, V, h, w) along z, NaN where not known; ``K`` (B, 3, 3);
    ``T_view_place`` (B, V, 4, 4); ``time_s`` (B, V) when each was seen; ``twin`` (B,) bool: the queries' place is
    another one.
    """

    images: Tensor
    depth_m: Tensor
    K: Tensor
    T_view_place: Tensor
    time_s: Tensor
    twin: Tensor
    queries: int


def render(
    kind: str, batch: int, view: tuple[int, int], textures: Textures, rng: Rng, views: int = 4, queries: int = 2
) -> Places:
    """Render places, without photometric noise.

    :param kind: one of :data:`KINDS`; ``batch``: how many places; ``view``: (height, width) pixels.
    :param views: of each place, for its map; ``queries``: other views.
    """
    K, count = scenes.intrinsics(batch, view, rng), views + queries
    if kind == 'rooms':
        planes, size_m = rooms.random_room(batch, len(textures), rng)
        T_view_place = rooms.random_cameras(size_m, count, rooms.NEARER, rng)
        lamp = rng.uniform(0.2, 0.8, batch, 3) * size_m
        movable, together = 6, 6        # boxes, after the walls
    else:
        planes, wall_m = scenes.random_planes(
            batch, view[1] / K[:, 0, 0], view[0] / K[:, 1, 1], len(textures), rng)
        T_view_place = torch.stack([scenes.random_motion(batch, wall_m, rng, _MOTIONS[kind]) for _ in range(count)])
        lamp = torch.stack([rng.uniform(-4, 4, batch), rng.uniform(-4, 0, batch), rng.uniform(-2, 2, batch)], 1)
        movable, together = 2, 1        # rectangles, after wall and floor
    time_s = times(batch, views, queries, rng)
    twin = rng.chance(_TWINS, batch)
    later = _moved(planes, movable, together, rng)
    when = torch.where(rng.chance(_MOVED, batch), rng.uniform(0, 1, batch) * time_s[:, -1], torch.inf)
    other = (planes.photo + 1 + rng.integers(len(textures) - 1, batch, planes.photo.shape[1])) % len(textures)
    found = []
    for number, T in enumerate(T_view_place):
        moved = (time_s[:, number] > when)[:, None, None, None]
        photo = torch.where(twin[:, None], other, planes.photo) if number >= views else planes.photo
        seen = replace(planes, axes=torch.where(moved, later.axes, planes.axes), photo=photo)
        found.append(scenes.render(seen, K, T, view, textures, lamp + 0.5 * rng.normal(batch, 3)))
    images, depths = (torch.stack(part, 1) for part in zip(*found))
    return Places(images, depths, K, T_view_place.transpose(0, 1), time_s, twin, queries)


def times(batch: int, views: int, queries: int, rng: Rng) -> Tensor:
    """Return (B, views + queries) when views were seen (seconds), in order, the queries last; from one day or many."""
    length = torch.exp(rng.uniform(0, math.log(_LONGEST_S), batch, 1))
    mapped = (length * rng.uniform(0, 1, batch, views)**4).sort(1).values
    return torch.cat([mapped, length.expand(-1, queries)], 1)


def _moved(planes: Planes, first: int, together: int, rng: Rng) -> Planes:
    """Return the planes with one thing moved; things are ``together`` planes each, from number ``first`` on."""
    batch, count = planes.photo.shape
    which = first + together * rng.integers((count - first) // together, batch)
    number = torch.arange(count, device=rng.device)
    chosen = (number >= which[:, None]) & (number < which[:, None] + together)
    shift = rng.sign(batch, 3) * rng.uniform(0.15, 0.8, batch, 3) * torch.tensor([1.0, 0.0, 1.0], device=rng.device)
    axes = planes.axes.clone()
    axes[..., 2] += chosen[..., None] * shift[:, None]
    return replace(planes, axes=axes)
