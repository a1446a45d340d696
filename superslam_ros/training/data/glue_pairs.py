"""Which keypoints of two views show the same point, and which show nothing that the other view has.

SuperGlue's labels (arXiv 1911.11763, section 3.3 and appendix): a match is mutually nearest after reprojection
and within 3 px in both views; a keypoint is unmatchable where nothing is within 5 px of it, or where it is
hidden or outside. The band between, and keypoints whose depth is not known, say nothing. Keypoints of several
octaves lie at one place, where the nearest is any of them: there, the one that looks alike is the match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data import homographies
from superslam_ros.training.data.homographies import Spread, pixel_grid, warp_points
from superslam_ros.training.data.scenes import PosedViews, each_with_each
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

MATCH_PX, ALONE_PX = 3.0, 5.0
ALIKE_PX = 5.0
"""A descriptor that is more alike by .1 (cosine) makes up for a tenth of this distance."""
FIRST_VIEW = Spread(scale=(0.35, 0.95), rotation=0.2, perspective=0.1)
"""Of the photograph."""
SECOND_VIEW = Spread(scale=(0.6, 1.6), rotation=0.6, any_rotation=0.05, perspective=0.25, translation=0.8)
"""Of the first view."""
WIDE_VIEW = Spread(scale=(1 / 3, 3.0), rotation=0.8, any_rotation=0.3, perspective=0.35, translation=0.5)
"""Of the first view, where they are far apart."""
_SAME, _HIDDEN = 0.05, 0.15
"""Part of a depth by which two agree, and by which something is in front; sensors leave a doubt between."""
_EDGE = 0.1


class Reprojected(NamedTuple):
    """Where the keypoints of one view are in the other.

    ``at`` (B, N, 2) pixels of the other view; ``seen`` (B, N) bool: inside it and hidden by nothing;
    ``known`` (B, N) bool: whether that can be told.
    """

    at: Tensor
    seen: Tensor
    known: Tensor


class Truth(NamedTuple):
    """What the assignment of a batch of pairs should be.

    ``match`` (B, N, M) bool; ``alone0`` (B, N) and ``alone1`` (B, M) bool: unmatchable, for the dustbin.
    """

    match: Tensor
    alone0: Tensor
    alone1: Tensor


@dataclass
class HomographyViews:
    """V views of endless planes, and P pairs of them.

    ``images`` (V, 1, h, w) in [0, 1]; ``pairs`` (P, 2) int64 numbers of views; ``H_1_0`` (P, 3, 3) from a
    pair's first view to its second.
    """

    images: Tensor
    pairs: Tensor
    H_1_0: Tensor


def render_homographies(
    batch: int, view: tuple[int, int], textures: Textures, rng: Rng, views: int = 2, second: Spread = SECOND_VIEW,
) -> HomographyViews:
    """Render a few random views each of photographs, each a pair with each, without photometric noise.

    :param batch: how many photographs; ``view``: (height, width) pixels; ``views``: of each photograph.
    :param second: how the other views differ from the first one.
    """
    H_photo_0 = homographies.sample(batch, view, textures.size, FIRST_VIEW, rng)
    H_0_view = [homographies.sample(batch, view, view, second, rng) for _ in range(views - 1)]
    H_photo_view = torch.cat([H_photo_0, *(H_photo_0 @ H for H in H_0_view)])
    photo = rng.integers(len(textures), batch).repeat(views)
    pairs = each_with_each(batch, views, rng.device)
    H_1_0 = torch.linalg.inv(H_photo_view[pairs[:, 1]]) @ H_photo_view[pairs[:, 0]]
    return HomographyViews(look_through(textures, photo, H_photo_view, view), pairs, H_1_0)


def look_through(textures: Textures, photo: Tensor, H_photo_view: Tensor, view: tuple[int, int]) -> Tensor:
    """Return (V, 1, h, w) views of the photographs of numbers ``photo`` (V,) through homographies (V, 3, 3)."""
    pixels = F.pad(pixel_grid(*view, photo.device).view(1, -1, 2), (0, 1), value=1.0)
    x, y, w = (pixels @ H_photo_view.transpose(1, 2)).unbind(-1)
    w = w.clamp_min(1e-3)
    # The Jacobian of a homography has the determinant det(H) / w^3.
    footprint = (torch.linalg.det(H_photo_view).abs()[:, None] / w**3).sqrt()
    height, width = textures.size
    gray = textures.look(photo[:, None], (x / w + 0.5) / width, (y / w + 0.5) / height, footprint)
    return gray.view(-1, 1, *view)


def reproject(views: HomographyViews | PosedViews, points0: Tensor, points1: Tensor) -> tuple[Reprojected, Reprojected]:
    """Carry keypoints (P, N, 2) of the pairs' first views to the second, and (P, M, 2) the other way."""
    if isinstance(views, HomographyViews):
        size = views.images.shape[-2:]
        return (by_homography(points0, views.H_1_0, size),
                by_homography(points1, torch.linalg.inv(views.H_1_0), size))
    (depth0, K0), (depth1, K1) = ((views.depth_m[side], views.K[side]) for side in views.pairs.unbind(1))
    return (by_depth(points0, depth0, K0, views.T_1_0, depth1, K1),
            by_depth(points1, depth1, K1, torch.linalg.inv(views.T_1_0), depth0, K0))


def by_homography(points: Tensor, H_b_a: Tensor, size_b: tuple[int, int]) -> Reprojected:
    """Map keypoints (B, N, 2) of view a to view b, of ``size_b`` (height, width) pixels."""
    at = warp_points(H_b_a, points)
    seen = _inside(at, size_b)
    return Reprojected(at, seen, torch.ones_like(seen))


def by_depth(
    points: Tensor, depth_a: Tensor, K_a: Tensor, T_b_a: Tensor, depth_b: Tensor, K_b: Tensor
) -> Reprojected:
    """Map keypoints of view a to view b by their depth, and look whether something is in front of them there.

    :param points: (B, N, 2) pixels of view a; ``depth_a`` (B, h, w) metres along z, NaN where not known.
    :param K_a: (B, 3, 3); ``T_b_a`` (B, 4, 4); ``depth_b`` (B, h', w'); ``K_b`` (B, 3, 3).
    """
    inverse, known = inverse_depth_at(depth_a, points)
    rays = F.pad((points - K_a[:, None, :2, 2]) / K_a[:, None, [0, 1], [0, 1]], (0, 1), value=1.0)
    # The point over its depth: it has the same direction, and exists at infinity.
    moved = rays @ T_b_a[:, :3, :3].transpose(1, 2) + inverse[..., None] * T_b_a[:, None, :3, 3]
    return seen_at(moved, inverse, depth_b, K_b, known)


def seen_at(moved: Tensor, inverse: Tensor | float, depth_b: Tensor, K_b: Tensor, known: Tensor) -> Reprojected:
    """Project points into view b, and look whether something is in front of them there.

    :param moved: (B, N, 3) points in camera b times ``inverse``, which so far may be 0.
    :param known: (B, N) bool: where false, the points are not known.
    """
    front = moved[..., 2] > 1e-3
    scale = 1 / moved[..., 2].clamp_min(1e-3)
    at = moved[..., :2] * scale[..., None] * K_b[:, None, [0, 1], [0, 1]] + K_b[:, None, :2, 2]
    inside = front & _inside(at, depth_b.shape[-2:])
    there, sure = inverse_depth_at(depth_b, at)
    ratio = there / (inverse * scale).clamp_min(1e-6)
    same, hidden = (ratio - 1).abs() <= _SAME, ratio > 1 + _HIDDEN
    return Reprojected(at, known & inside & sure & same, known & (~inside | sure & (same | hidden)))


def inverse_depth_at(depth_m: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate 1/z, which is linear on planes, at (B, N, 2) pixels of (B, h, w) depths.

    :returns: (B, N) in 1/m, and (B, N) bool: known, and 2 px or more from any edge of a surface.
    """
    inverse = (1 / depth_m).nan_to_num(0, 0, 0)[:, None]
    near, far = F.max_pool2d(inverse, 5, 1, 2), -F.max_pool2d(-inverse, 5, 1, 2)
    smooth = ((far > 0) & (near - far <= _EDGE * near)).float()
    size = points.new_tensor([depth_m.shape[2], depth_m.shape[1]])
    grid = ((2 * points + 1) / size - 1)[:, None]
    values = F.grid_sample(inverse, grid, padding_mode='border', align_corners=False)[:, 0, 0]
    known = F.grid_sample(smooth, grid, mode='nearest', padding_mode='border', align_corners=False)[:, 0, 0]
    return values, known > 0


def truth(
    points0: Tensor, mask0: Tensor, points1: Tensor, mask1: Tensor, there: Reprojected, back: Reprojected,
    similarity: Tensor | None = None,
) -> Truth:
    """Label the keypoints of a batch of pairs.

    :param points0: (B, N, 2) pixels, ``mask0`` (B, N) bool those that are real; likewise (B, M) of the other view.
    :param there: where the first view's keypoints are in the second; ``back`` the other way.
    :param similarity: (B, N, M) cosines of the descriptors, which choose among keypoints at one place.
    """
    exact = 'donot_use_mm_for_euclid_dist'
    real = mask0[:, :, None] & mask1[:, None]
    forward = torch.cdist(there.at, points1, compute_mode=exact)
    forward = forward.masked_fill(~(real & there.seen[:, :, None]), torch.inf)
    backward = torch.cdist(points0, back.at, compute_mode=exact)
    backward = backward.masked_fill(~(real & back.seen[:, None]), torch.inf)
    farther = torch.maximum(forward, backward)
    rank = (farther if similarity is None else farther - ALIKE_PX * similarity).masked_fill(
        farther >= MATCH_PX, torch.inf)
    match = (rank <= rank.amin(2, keepdim=True)) & (rank <= rank.amin(1, keepdim=True)) & (rank < torch.inf)
    close = torch.minimum(forward, backward) <= ALONE_PX
    return Truth(match, mask0 & there.known & ~close.any(2), mask1 & back.known & ~close.any(1))


def _inside(points: Tensor, size: tuple[int, int]) -> Tensor:
    return ((points >= -0.5) & (points <= points.new_tensor([size[1], size[0]]) - 0.5)).all(-1)
