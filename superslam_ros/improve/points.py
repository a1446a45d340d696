"""Points of tracks: where all rays of a track meet best, each by itself, the poses given; all tracks at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, rotation_exp, skew

HUBER_PX = 2.0
"""Errors from which on they count linearly."""
STEPS = 10
_AWAY = 0.3
"""Standard deviation of a first distance, as a part of it: it holds only what the rays leave open."""
_CHUNK = 200_000
"""Observations that are worked on at a time."""


class Seen(NamedTuple):
    """M observations, those of a track one after the other: ``pixels`` (M, 2) from ``T_world_camera`` (F, 4, 4) of
    their ``frame`` (M,), ``depth_m`` (M,) along z, NaN where not measured; ``first`` (T + 1,).
    """

    pixels: np.ndarray
    T_world_camera: np.ndarray
    frame: np.ndarray
    depth_m: np.ndarray
    first: np.ndarray

    def chunks(self) -> Iterator[tuple[Seen, slice]]:
        """Yield some whole tracks at a time, with the rows of their observations."""
        chunk = self.first[1:] // _CHUNK
        for number in np.unique(chunk):
            tracks = np.flatnonzero(chunk == number)
            rows = slice(int(self.first[tracks[0]]), int(self.first[tracks[-1] + 1]))
            yield Seen(self.pixels[rows], self.T_world_camera, self.frame[rows], self.depth_m[rows],
                       self.first[tracks[0]:tracks[-1] + 2] - rows.start), rows


class Points(NamedTuple):
    """``points`` (T, 3), NaN where there is none; ``errors`` (M, 2) px, seen less projected, NaN without a point,
    infinite behind the camera; ``parallax_deg`` (T,) largest angle between a ray and the mean one, twice; 0 without a
    point.
    """

    points: np.ndarray
    errors: np.ndarray
    parallax_deg: np.ndarray


def triangulate(pinhole: Pinhole, seen: Seen) -> Points:
    """Find the points of T tracks by Gauss-Newton steps on their errors in pixels, with Huber's loss."""
    found = [_triangulate(pinhole, some) for some, _ in seen.chunks()]
    if not found:
        return Points(np.zeros((0, 3)), np.zeros((0, 2)), np.zeros(0))
    return Points(*(np.concatenate(column) for column in zip(*found)))


def _triangulate(pinhole: Pinhole, seen: Seen) -> Points:
    start, lengths = seen.first[:-1], np.diff(seen.first)
    of = np.repeat(np.arange(len(lengths)), lengths)
    poses = seen.T_world_camera[seen.frame]
    R, centres = poses[:, :3, :3], poses[:, :3, 3]
    rays = np.einsum('nij,nj->ni', R, pinhole.rays(seen.pixels))
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    first = _first(start, of, centres, rays, unit, seen.depth_m)
    # The prior holds the distance along the mean ray.
    mean = np.add.reduceat(unit, start)
    mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
    middle = np.add.reduceat(centres, start) / lengths[:, None]
    away = np.maximum(np.abs(((first - middle) * mean).sum(1)), 1e-3)
    hold = mean[:, :, None] * mean[:, None] / (_AWAY * away)[:, None, None]**2 + 1e-9 * np.eye(3)
    points = first.copy()
    for _ in range(STEPS):
        errors, inward, _ = _errors(pinhole, seen.pixels, poses, points[of])
        weight, errors, J = _weighted(errors, inward @ R.transpose(0, 2, 1))
        H = np.add.reduceat(weight[:, None, None] * (J.transpose(0, 2, 1) @ J), start) + hold
        g = np.add.reduceat(weight[:, None] * np.einsum('nij,ni->nj', J, errors), start)
        g -= np.einsum('nij,nj->ni', hold, points - first)
        step = np.linalg.solve(H, g[..., None])[..., 0]
        # No step takes a point farther than half of its distance.
        far = np.linalg.norm(step, axis=1) / (0.5 * np.maximum(np.linalg.norm(points - middle, axis=1), 1e-3))
        points += step / np.maximum(far, 1)[:, None]
    errors, *_ = _errors(pinhole, seen.pixels, poses, points[of])
    cosine = np.minimum.reduceat((_unit(points[of] - centres) * _unit(points - middle)[of]).sum(1), start)
    return _checked(points, errors, 2 * np.degrees(np.arccos(np.clip(cosine, -1, 1))), lengths, of)


def _checked(
    points: np.ndarray, errors: np.ndarray, parallax: np.ndarray, lengths: np.ndarray, of: np.ndarray
) -> Points:
    """Leave out the points that are none."""
    none = ~np.isfinite(points).all(1) | (lengths < 2)
    points[none], parallax[none], errors[none[of]] = np.nan, 0, np.nan
    return Points(points, errors, parallax)


def _first(start: np.ndarray, of: np.ndarray, centres: np.ndarray, rays: np.ndarray, unit: np.ndarray,
           depth_m: np.ndarray) -> np.ndarray:
    """Return where points (T, 3) are by their depths, the median one of what was measured, or else where rays meet."""
    across = np.eye(3) - unit[:, :, None] * unit[:, None]
    A = np.add.reduceat(across, start) + 1e-6 * np.eye(3)
    b = np.add.reduceat(np.einsum('nij,nj->ni', across, centres), start)
    b += 1e-6 * (centres + 3 * unit)[start]
    points = np.linalg.solve(A, b[..., None])[..., 0]
    order = np.lexsort((depth_m, of))       # NaN last
    measured = np.add.reduceat(np.isfinite(depth_m).astype(int), start)
    middle = order[start + np.maximum(measured - 1, 0) // 2]
    known = measured > 0
    points[known] = (centres[middle] + rays[middle] * depth_m[middle, None])[known]
    return points


def _errors(
    pinhole: Pinhole, pixels: np.ndarray, poses: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels less projections (M, 2) of points (M, 3), the latter's derivatives (M, 2, 3) by the points in their
    cameras' frames, and those points (M, 3).
    """
    local = np.einsum('nji,nj->ni', poses[:, :3, :3], points - poses[:, :3, 3])
    z = np.where(local[:, 2] > 1e-6, local[:, 2], np.nan)
    x, y = local[:, 0] / z, local[:, 1] / z
    projected = np.stack([pinhole.fx * x + pinhole.cx, pinhole.fy * y + pinhole.cy], 1)
    inward = np.zeros((len(points), 2, 3))
    inward[:, 0, 0], inward[:, 1, 1] = pinhole.fx / z, pinhole.fy / z
    inward[:, 0, 2], inward[:, 1, 2] = -pinhole.fx * x / z, -pinhole.fy * y / z
    return np.where(np.isfinite(projected), pixels - projected, np.inf), inward, local


def locate(pinhole: Pinhole, seen: Seen, points: np.ndarray, steps: int = 5) -> np.ndarray:
    """Return the pose (4, 4) of each of F frames from which its pixels agree best with points (M, 3), which stay.

    :param seen: with what a frame sees in place of a track: ``first`` (F + 1,), no frame without an observation.
    """
    found = [_locate(pinhole, some, points[rows], steps) for some, rows in seen.chunks()]
    return np.concatenate(found) if found else np.zeros((0, 4, 4))


def _locate(pinhole: Pinhole, seen: Seen, points: np.ndarray, steps: int) -> np.ndarray:
    start = seen.first[:-1]
    of = np.repeat(np.arange(len(start)), np.diff(seen.first))
    T_world_camera = seen.T_world_camera[seen.frame[start]]
    for _ in range(steps):
        errors, inward, local = _errors(pinhole, seen.pixels, T_world_camera[of], points)
        # A camera that turns by w and moves by v, along its own axes, sees a point p at p - v - w x p.
        weight, errors, J = _weighted(errors, inward @ np.concatenate(
            [skew(local), np.broadcast_to(-np.eye(3), (len(local), 3, 3))], axis=2))
        H = np.add.reduceat(weight[:, None, None] * (J.transpose(0, 2, 1) @ J), start) + 1e-3 * np.eye(6)
        g = np.add.reduceat(weight[:, None] * np.einsum('nij,ni->nj', J, errors), start)
        for T, step in zip(T_world_camera, np.linalg.solve(H, g[..., None])[..., 0]):
            T[:] = T @ compose(rotation_exp(step[:3]), step[3:])
    return T_world_camera


def _weighted(errors: np.ndarray, J: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights (M,) of Huber's loss, and errors and derivatives without what is behind the camera."""
    size = np.linalg.norm(errors, axis=1)
    weight = np.where(np.isfinite(size), np.minimum(1, HUBER_PX / np.maximum(size, 1e-9)), 0)
    return weight, np.nan_to_num(errors, posinf=0, neginf=0), np.nan_to_num(J)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
