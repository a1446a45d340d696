"""Landmarks fused of several views, with what goes wrong in a map, and which of a query's keypoints show them."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models.superglue import KeypointSet
from superslam_ros.models.supermap import Known
from superslam_ros.training.data import glue_pairs, scenes
from superslam_ros.training.data.glue_pairs import Reprojected, Truth
from superslam_ros.training.data.map_views import Places
from superslam_ros.training.random import Rng

_SAME_PX, _ALIKE = 3.0, 0.6
"""Keypoints of two views at one place, and as alike, are of one landmark."""
_PIXEL, _DEPTH = 0.7, 0.02
"""Deviation of a keypoint (pixels), and of a depth as a part of it, at most."""
_TURN, _SHIFT = 0.006, 0.01
"""Deviation of the poses of a map's views, radians and as a part of the depth, at most."""
_WRONG, _FAR_OFF = 0.12, 0.5
"""Part of the landmarks that are far off, at most, and how far as a part of their depth (standard deviation)."""
_KEPT = 0.5
"""Part of the landmarks that a map has kept, at least."""
_RIGHT_PX, _WRONG_PX = 6.0, 12.0
"""A landmark so far off in the query is as good as right, and of no use."""
_NOWHERE = -1e4
_FEWEST, _POSE_M, _POSE_RAD = 6, 0.25, math.radians(2)


class Seen(NamedTuple):
    """Keypoints of B places of V views: (B, V, N, 2) ``pixels``, the matcher's set, (B, V, N) ``scales``."""

    pixels: Tensor
    features: KeypointSet
    scales: Tensor


class Landmarks(NamedTuple):
    """(B, L) landmarks of a place's map.

    ``known``: what the map believes; ``true`` (B, L, 3): where they are; ``descriptors`` (B, L, 256); ``mask`` (B, L);
    ``view`` (B, L) int64: that which saw it first.
    """

    known: Known
    true: Tensor
    descriptors: Tensor
    mask: Tensor
    view: Tensor


def fuse(places: Places, seen: Seen, count: int, rng: Rng) -> Landmarks:
    """Make the map of each place of the keypoints of its first views.

    :param seen: of all views; ``count``: landmarks of a map, at most.
    """
    batch, views = len(places.K), places.images.shape[1] - places.queries
    pixels, mask, similar = seen.pixels[:, :views], seen.features.mask[:, :views], seen.features.descriptors[:, :views]
    inverse, known = (part.unflatten(0, (batch, views)) for part in glue_pairs.inverse_depth_at(
        places.depth_m[:, :views].flatten(0, 1), pixels.flatten(0, 1)))
    z = 1 / inverse.clamp_min(1e-3)
    rays = F.pad((pixels - places.K[:, None, None, :2, 2]) / places.K[:, None, None, [0, 1], [0, 1]], (0, 1), value=1.0)
    T_place_view = torch.linalg.inv(places.T_view_place[:, :views])
    true = _place(rays * z[..., None], T_place_view)
    noise = rng.uniform(0, 1, batch, 1, 1)
    depth_noise = _DEPTH * noise * torch.exp(0.5 * rng.normal(*z.shape))
    lateral = _PIXEL * torch.exp(0.3 * rng.normal(*z.shape)) * z / places.K[:, None, None, 0, 0]
    noisy = rays * (z * (1 + depth_noise * rng.normal(*z.shape)))[..., None]
    noisy = noisy + lateral[..., None] * rng.normal(*noisy.shape)
    stored = _place(noisy, _shaken(T_place_view, z, noise[..., 0], rng))
    directions = F.normalize(true - T_place_view[:, :, None, :3, 3], dim=-1)
    owner = _owners(places, seen, true, mask & known, views)
    return _fused(_Parts(
        true, stored, z, lateral, depth_noise * z, directions, seen.scales[:, :views], similar,
        places.time_s[:, :views, None].expand_as(z)), owner, mask & known, count, rng)


class _Parts(NamedTuple):
    """What each (B, V, N) keypoint of a map's views says of its landmark."""

    true: Tensor
    stored: Tensor
    depths: Tensor
    lateral: Tensor
    along: Tensor
    directions: Tensor
    scales: Tensor
    descriptors: Tensor
    times: Tensor


def _place(points: Tensor, T_place_view: Tensor) -> Tensor:
    """Carry (B, V, N, 3) points of views to their place."""
    return points @ T_place_view[..., :3, :3].mT + T_place_view[:, :, None, :3, 3]


def _shaken(T_place_view: Tensor, z: Tensor, noise: Tensor, rng: Rng) -> Tensor:
    """Return (B, V, 4, 4) poses that are as wrong as those of a map's keyframes."""
    shape = T_place_view.shape[:2]
    turns = (_TURN * noise * rng.normal(*shape) for _ in range(3))
    wrong = torch.eye(4, device=z.device).repeat(*shape, 1, 1)
    wrong[..., :3, :3] = scenes.rotation(*turns)
    wrong[..., :3, 3] = _SHIFT * noise[..., None] * z.median(-1, keepdim=True).values * rng.normal(*shape, 3)
    return T_place_view @ wrong


def _owners(places: Places, seen: Seen, true: Tensor, good: Tensor, views: int) -> Tensor:
    """Return (B, V N) int64: the first keypoint of the landmark that each is of."""
    batch, _, count, _ = true.shape
    owner = torch.arange(views * count, device=true.device).repeat(batch, 1)
    for view in range(1, views):
        before, start = slice(0, view * count), view * count
        T = places.T_view_place[:, view]
        moved = true[:, :view].flatten(1, 2) @ T[:, :3, :3].mT + T[:, None, :3, 3]
        roots = owner[:, before] == torch.arange(start, device=owner.device)
        at = glue_pairs.seen_at(moved, 1.0, places.depth_m[:, view], places.K, good[:, :view].flatten(1) & roots)
        distance = torch.cdist(at.at, seen.pixels[:, view], compute_mode='donot_use_mm_for_euclid_dist')
        descriptors = seen.features.descriptors
        alike = descriptors[:, :view].flatten(1, 2) @ descriptors[:, view].mT
        same = at.seen[..., None] & good[:, view, None] & (distance < _SAME_PX) & (alike > _ALIKE)
        rank = (distance - glue_pairs.ALIKE_PX * alike).masked_fill(~same, torch.inf)
        best, root = rank.min(1)
        mutual = (rank.argmin(2).gather(1, root) == torch.arange(count, device=owner.device)) & (best < torch.inf)
        owner[:, start:start + count] = torch.where(mutual, root, owner[:, start:start + count])
    return owner


def _fused(parts: _Parts, owner: Tensor, good: Tensor, count: int, rng: Rng) -> Landmarks:
    """Average what the keypoints of each landmark say, choose ``count`` landmarks, and put some far off."""
    flat = _Parts(*(part.flatten(1, 2) for part in parts))
    weight = good.flatten(1).float()
    counts = torch.zeros_like(weight).scatter_add(1, owner, weight)
    kept = (counts > 0) & (rng.uniform(0, 1, *weight.shape) < rng.uniform(_KEPT, 1, len(weight), 1))
    chosen = ((counts + rng.uniform(0, 2, *weight.shape)) * kept).topk(min(count, weight.shape[1])).indices
    mask = kept.gather(1, chosen)

    def mean(values: Tensor) -> Tensor:
        index = owner[..., None].expand_as(values)
        total = torch.zeros_like(values).scatter_add(1, index, values * weight[..., None])
        return of(total / counts.clamp_min(1)[..., None])

    def of(values: Tensor) -> Tensor:
        index = chosen if values.dim() == 2 else chosen[..., None].expand(-1, -1, values.shape[2])
        return values.gather(1, index)

    many = of(counts).clamp_min(1)
    true, stored, directions = mean(flat.true), mean(flat.stored), F.normalize(mean(flat.directions), dim=-1)
    lateral, along = (of(part) / many.sqrt() for part in (flat.lateral, flat.along))
    newest = torch.zeros_like(weight).scatter_reduce(1, owner, flat.times * weight, 'amax')
    ages = (newest * weight).amax(1, keepdim=True) - of(newest)
    wrong = rng.uniform(0, 1, *mask.shape) < rng.uniform(0, _WRONG, len(mask), 1)
    off = torch.where(wrong, (_FAR_OFF * rng.normal(*mask.shape)).clamp_min(-0.8), 0.0) * of(flat.depths)
    views = owner.shape[1] // parts.true.shape[2]
    host = of(torch.arange(views, device=owner.device).repeat_interleave(parts.true.shape[2]).expand_as(owner))
    stored = stored + directions * off[..., None]
    outer = directions[..., :, None] * directions[..., None, :]
    eye = torch.eye(3, device=mask.device)
    covariance = (lateral**2)[..., None, None] * (eye - outer) + ((along**2 + lateral**2)[..., None, None]) * outer
    known = Known(stored, covariance, directions, of(flat.scales), many, ages)
    return Landmarks(known, true, F.normalize(mean(flat.descriptors), dim=-1), mask, host)


def truth(
    pixels: Tensor, features: KeypointSet, landmarks: Landmarks, depth_m: Tensor, K: Tensor, T_query_place: Tensor,
    twin: Tensor
) -> Truth:
    """Label the keypoints of queries, and the landmarks of the map of each.

    :param pixels: (B, N, 2); ``depth_m`` (B, h, w) of the queries; ``twin`` (B,) bool: it is another place.
    """
    R, t = T_query_place[:, :3, :3].mT, T_query_place[:, None, :3, 3]
    at = glue_pairs.seen_at(landmarks.true @ R + t, 1.0, depth_m, K, landmarks.mask)
    # What the map believes, in the query: of no use for a pose when far off.
    believed = landmarks.known.points @ R + t
    believed = believed[..., :2] / believed[..., 2:].clamp_min(1e-3) * K[:, None, [0, 1], [0, 1]] + K[:, None, :2, 2]
    off = (believed - at.at).norm(dim=-1)
    useless = (off > _WRONG_PX) | twin[:, None]
    seen, known = at.seen & (off < _RIGHT_PX) & ~useless, at.known & ((off < _RIGHT_PX) | useless) | twin[:, None]
    there = torch.where((known & ~seen)[..., None], _NOWHERE, at.at)
    here = Reprojected(pixels, features.mask, features.mask)
    return glue_pairs.truth(
        pixels, features.mask, there, landmarks.mask, here, Reprojected(there, seen, known),
        features.descriptors @ landmarks.descriptors.mT)


def located(matches: Tensor, pixels: Tensor, points: Tensor, K: Tensor, T_query_place: Tensor) -> bool:
    """Return whether matches give the pose of a query, by P3P in RANSAC, to a quarter of a metre and two degrees.

    :param matches: (N, L) bool; ``pixels`` (N, 2); ``points`` (L, 3).
    """
    row, column = matches.nonzero(as_tuple=True)
    if len(row) < _FEWEST:
        return False
    found, turn, way, inliers = cv2.solvePnPRansac(
        points[column].double().cpu().numpy(), pixels[row].double().cpu().numpy(), K.double().cpu().numpy(), None,
        flags=cv2.SOLVEPNP_SQPNP, reprojectionError=4.0, iterationsCount=500, confidence=0.9999)
    if not found or inliers is None or len(inliers) < _FEWEST:
        return False
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3], T[:3, 3] = torch.from_numpy(cv2.Rodrigues(turn)[0]), torch.from_numpy(way[:, 0])
    off = torch.linalg.inv(T) @ T_query_place.double().cpu()
    angle = ((off[:3, :3].trace() - 1) / 2).clamp(-1, 1).arccos()
    return bool(off[:3, 3].norm() < _POSE_M) and bool(angle < _POSE_RAD)
