"""Views of scenes made of textured planes, with exact depth and poses, rendered in batches on the device.

Homographies have no parallax and nothing hides anything; these scenes have both. A scene is a wall, often a
floor, and rectangles in front of them, each a photograph; two cameras look at it in different light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

RECTANGLES = 6
_WALL, _FLOOR = 0, 1
_REFLECTED = 0.9
"""Part of the light that a mirror gives back."""


@dataclass(frozen=True)
class Motion:
    """How far the cameras of a pair are apart, at most.

    ``yaw``, ``pitch``: radians around the point in front; ``roll``: half of it is the standard deviation, radians;
    ``any_roll``: the share of cameras turned anyhow; ``nearer``: ratio of the distances from that point;
    ``shift``: of the view, as a part of the distance.
    """

    yaw: float = math.radians(45)
    pitch: float = math.radians(18)
    roll: float = math.radians(50)
    any_roll: float = 0.05
    nearer: float = 1.7
    shift: float = 0.25


MOTION = Motion()
WIDE_MOTION = Motion(math.radians(75), math.radians(35), math.radians(60), 0.15, 3.0, 0.35)


@dataclass
class PosedViews:
    """V views of known depth and pose, and P pairs of them.

    ``images`` (V, 1, h, w) in [0, 1]; ``depth_m`` (V, h, w) along z, NaN where there is nothing, in a mirror that of
    the image behind it; ``K`` (V, 3, 3); ``pairs`` (P, 2) int64 numbers of views; ``T_1_0`` (P, 4, 4): points of a
    pair's first camera to its second.
    """

    images: Tensor
    depth_m: Tensor
    K: Tensor
    pairs: Tensor
    T_1_0: Tensor


@dataclass
class Planes:
    """The planes of B scenes, in the frame of the first camera (z forward, x right, y down; metres).

    ``axes`` (B, P, 3, 3): columns are the two sides of the photograph and its top-left corner;
    ``photo`` (B, P) int64; ``present`` (B, P) bool; ``endless`` (P,) bool: the mirrored photograph goes on.
    ``tiles`` (B, P): so many photographs along either side; ``contrast`` (B, P): of the photograph; both 1 if None.
    ``mirror``: the number of the plane that reflects the others instead of showing its photograph, if one does.
    """

    axes: Tensor
    photo: Tensor
    present: Tensor
    endless: Tensor
    tiles: Tensor | None = None
    contrast: Tensor | None = None
    mirror: int | None = None


def each_with_each(groups: int, views: int, device: torch.device) -> Tensor:
    """Return the pairs (P, 2) of the views of every group: all first views come first, then all second ones."""
    first, second = torch.triu_indices(views, views, 1, device=device)
    group = torch.arange(groups, device=device)
    return torch.stack([(number[:, None] * groups + group).flatten() for number in (first, second)], 1)


def render_pairs(
    batch: int, view: tuple[int, int], textures: Textures, rng: Rng, views: int = 2, motion: Motion = MOTION,
) -> PosedViews:
    """Render a few views each of random scenes, each a pair with each, without photometric noise.

    :param batch: how many scenes; ``view``: (height, width) pixels; ``views``: of each scene.
    :param motion: how the other cameras differ from the first one.
    """
    height, width = view
    K = intrinsics(batch, view, rng)
    planes, wall_m = random_planes(batch, width / K[:, 0, 0], height / K[:, 1, 1], len(textures), rng)
    T_view_0 = [torch.eye(4, device=rng.device).expand(batch, 4, 4),
                *(random_motion(batch, wall_m, rng, motion) for _ in range(views - 1))]
    light = torch.stack([rng.uniform(-4, 4, batch), rng.uniform(-4, 0, batch), rng.uniform(-2, 2, batch)], 1)
    lights = [light, *(light + rng.normal(batch, 3) for _ in range(views - 1))]
    images, depths = zip(*(render(planes, K, T, view, textures, lamp) for T, lamp in zip(T_view_0, lights)))
    pairs, T = each_with_each(batch, views, rng.device), torch.cat(T_view_0)
    T_1_0 = T[pairs[:, 1]] @ torch.linalg.inv(T[pairs[:, 0]])
    return PosedViews(torch.cat(images), torch.cat(depths), K.repeat(views, 1, 1), pairs, T_1_0)


def render(
    planes: Planes, K: Tensor, T_view_0: Tensor, view: tuple[int, int], textures: Textures, light: Tensor
) -> tuple[Tensor, Tensor]:
    """Render one view of each scene: the inverse homography of every plane, and the nearest one by pixel.

    :param T_view_0: (B, 4, 4) points of the first camera to this one; ``light`` (B, 3) a lamp in the first's frame.
    :returns: (B, 1, h, w) in [0, 1]; (B, h, w) depth in metres, NaN where there is nothing. In a mirror, both are
        those of the image behind it.
    """
    pixels = pixel_grid(*view, K.device).view(1, -1, 2)
    rays = F.pad((pixels - K[:, None, :2, 2]) / K[:, None, [0, 1], [0, 1]], (0, 1), value=1.0)
    footprint = 1 / (K[:, 0, 0] * K[:, 1, 1])
    gray, inverse, winner = _look(planes, rays, T_view_0, textures, light, footprint)
    if planes.mirror is not None and (glass := winner == planes.mirror).any():
        mirrored = T_view_0 @ _reflection(planes.axes[:, planes.mirror])
        image, behind, _ = _look(planes, rays, mirrored, textures, light, footprint, inverse)
        gray, inverse = torch.where(glass, _REFLECTED * image, gray), torch.where(glass, behind, inverse)
    depth_m = torch.where(inverse > 0, 1 / inverse.clamp_min(1e-3), torch.nan)
    return gray.view(-1, 1, *view), depth_m.view(-1, *view)


def _look(
    planes: Planes, rays: Tensor, T_view_0: Tensor, textures: Textures, light: Tensor, footprint: Tensor,
    before: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what (B, N, 3) rays meet: (B, N) brightness, 1/z in 1/m, 0 for nothing, and the number of the plane.

    :param T_view_0: (B, 4, 4), a reflection, too; ``footprint`` (B,) of a pixel at a metre, in m2.
    :param before: (B, N) 1/z of where the rays begin; by default at the camera.
    """
    batch, count = len(rays), rays.shape[1]
    axes = T_view_0[:, None, :3, :3] @ planes.axes
    axes[..., 2] += T_view_0[:, None, :3, 3]
    # A ray meets a plane at z ray = axes (u, v, 1), so that inverse(axes) ray = (u, v, 1) / z.
    size = torch.linalg.det(axes)
    present = planes.present & (size * torch.linalg.det(T_view_0)[:, None] > 1e-6)
    inverse = torch.linalg.inv(torch.where(present[..., None, None], axes, torch.eye(3, device=rays.device)))
    best = torch.zeros(batch, 3, count, device=rays.device)
    winner = torch.zeros(batch, count, dtype=torch.long, device=rays.device)
    for number in range(planes.axes.shape[1]):
        hit = inverse[:, number] @ rays.transpose(1, 2)
        nearer = present[:, number, None] & (hit[:, 2] > best[:, 2].clamp_min(1e-3))
        if before is not None:
            nearer &= hit[:, 2] < before
        if not planes.endless[number]:
            nearer &= ((hit[:, :2] >= 0) & (hit[:, :2] <= hit[:, 2:])).all(1)
        best = torch.where(nearer[:, None], hit, best)
        winner = torch.where(nearer, number, winner)
    z = 1 / best[:, 2].clamp_min(1e-3)
    texels = textures.size[0] * textures.size[1] / size.abs().clamp_min(1e-6) * footprint[:, None]
    across = (texels.gather(1, winner) * z**3).sqrt()
    tiles = 1.0 if planes.tiles is None else planes.tiles.gather(1, winner)
    scale = tiles * z
    gray = textures.look(planes.photo.gather(1, winner), best[:, 0] * scale, best[:, 1] * scale, across * tiles)
    if planes.contrast is not None:
        gray = 0.5 + (gray - 0.5) * planes.contrast.gather(1, winner)
    gray = (gray * _shade(axes, winner, rays * z[..., None], T_view_0, light)).clamp(0, 1)
    return torch.where(best[:, 2] > 0, gray, 0.5), best[:, 2], winner


def _reflection(axes: Tensor) -> Tensor:
    """Return (B, 4, 4) that carries points to their images behind mirrors of (B, 3, 3) axes."""
    normal = F.normalize(torch.linalg.cross(axes[..., 0], axes[..., 1], dim=-1), dim=-1)
    T = torch.eye(4, device=axes.device).repeat(len(axes), 1, 1)
    T[:, :3, :3] -= 2 * normal[:, :, None] * normal[:, None]
    T[:, :3, 3] = 2 * (normal * axes[..., 2]).sum(1, keepdim=True) * normal
    return T


def _shade(axes: Tensor, winner: Tensor, points: Tensor, T_view_0: Tensor, light: Tensor) -> Tensor:
    """Return (B, N) gains: what a lamp gives a matt surface at (B, N, 3) points, and as much from everywhere."""
    normals = F.normalize(torch.linalg.cross(axes[..., 0], axes[..., 1], dim=-1), dim=-1)
    normals = normals.gather(1, winner[..., None].expand(-1, -1, 3))
    lamp = (T_view_0[:, :3, :3] @ light[..., None])[..., 0] + T_view_0[:, :3, 3]
    to_lamp = lamp[:, None] - points
    distance = to_lamp.norm(dim=-1)
    return 0.5 + 0.8 * (normals * to_lamp).sum(-1).abs() / distance * (4 / (1 + distance)).clamp(max=1.5)


def intrinsics(batch: int, view: tuple[int, int], rng: Rng) -> Tensor:
    """Return (B, 3, 3) intrinsics of fields of view of 45 to 80 degrees along the longer side."""
    height, width = view
    focal = max(view) * torch.exp(rng.uniform(math.log(0.6), math.log(1.2), batch))
    K = torch.zeros(batch, 3, 3, device=rng.device)
    K[:, 0, 0], K[:, 1, 1], K[:, 2, 2] = focal, focal, 1
    K[:, 0, 2], K[:, 1, 2] = (width - 1) / 2, (height - 1) / 2
    return K


def random_planes(batch: int, across: Tensor, down: Tensor, photos: int, rng: Rng) -> tuple[Planes, Tensor]:
    """Return random planes, and (B,) how far the wall is.

    :param across: (B,) width of what the camera sees at a depth of one metre; ``down`` (B,) its height.
    :param photos: how many there are to choose from.
    """
    wall_m = rng.uniform(3, 8, batch)
    count = 2 + RECTANGLES
    depth = wall_m[:, None] * rng.uniform(0.25, 0.9, batch, count)
    depth[:, _WALL] = wall_m
    field = torch.stack([across, down], 1)[:, None]
    centre = rng.uniform(-0.55, 0.55, batch, count, 2) * field * depth[..., None]
    centre[:, _WALL] = 0
    half = depth * field.amin(-1) * torch.exp(rng.uniform(math.log(0.12), math.log(0.5), batch, count))
    half[:, _WALL] = wall_m * field[:, 0].amax(-1) * rng.uniform(0.5, 0.9, batch)
    aspect = torch.exp(rng.uniform(-0.5, 0.5, batch, count) / 2)
    tilt = rng.uniform(0, 1, batch, count) * math.radians(65)
    tilt[:, _WALL] *= 0.5
    around = rng.uniform(0, 2 * math.pi, batch, count)
    R = rotation(tilt * around.cos(), tilt * around.sin(), rng.normal(batch, count) * 0.15)
    sides = torch.stack([half * aspect * 4 / 3, half / aspect], -1)
    origin = torch.cat([centre, depth[..., None]], -1) - (R[..., :2] * sides[..., None, :]).sum(-1)
    axes = torch.cat([R[..., :2] * 2 * sides[..., None, :], origin[..., None]], -1)
    below, side = down * rng.uniform(0.4, 0.8, batch) * wall_m, 1.5 * wall_m
    zero = torch.zeros_like(below)
    axes[:, _FLOOR] = torch.stack([
        torch.stack([side, zero, zero], 1), torch.stack([zero, zero, -side], 1),
        torch.stack([rng.uniform(-1, 1, batch) * side, below, side], 1)], -1)
    present = rng.chance(0.75, batch, count)
    present[:, _WALL] = True
    endless = torch.arange(count, device=rng.device) <= _FLOOR
    return Planes(axes, rng.integers(photos, batch, count), present, endless), wall_m


def random_motion(batch: int, wall_m: Tensor, rng: Rng, motion: Motion = MOTION) -> Tensor:
    """Return (B, 4, 4) T_1_0: the second camera moves around a point in front, mostly sideways, far or near.

    :param wall_m: (B,) how far the wall is.
    """
    strength = rng.uniform(0.1, 1, batch)
    yaw = motion.yaw * rng.uniform(-1, 1, batch) * strength
    pitch = motion.pitch * rng.uniform(-1, 1, batch) * strength
    roll = motion.roll / 2 * rng.normal(batch).clamp(-2, 2) * strength
    roll = torch.where(rng.chance(motion.any_roll, batch), rng.uniform(-math.pi, math.pi, batch), roll)
    pivot_m = wall_m * rng.uniform(0.4, 1, batch)
    R = rotation(pitch, yaw, roll)
    nearer = torch.exp(math.log(motion.nearer) * rng.uniform(-1, 1, batch) * strength)
    shift = motion.shift * rng.uniform(-1, 1, batch, 2) * strength[:, None]
    T = torch.eye(4, device=rng.device).repeat(batch, 1, 1)
    T[:, :3, :3] = R
    T[:, :3, 3] = pivot_m[:, None] * (torch.cat([shift, nearer[:, None]], 1) - R[..., 2])
    return T


def rotation(about_x: Tensor, about_y: Tensor, about_z: Tensor) -> Tensor:
    """Return (..., 3, 3) rotations: about y first, then x, then z; radians."""
    zero, one = torch.zeros_like(about_x), torch.ones_like(about_x)

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values, -1).unflatten(-1, (3, 3))

    cx, cy, cz = about_x.cos(), about_y.cos(), about_z.cos()
    sx, sy, sz = about_x.sin(), about_y.sin(), about_z.sin()
    return (matrix(cz, -sz, zero, sz, cz, zero, zero, zero, one) @ matrix(one, zero, zero, zero, cx, -sx, zero, sx, cx)
            @ matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy))
