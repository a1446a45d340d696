"""Where a camera is as seen from a keyframe of a map, and how surely.

A camera that is found by landmarks is found where those are, each as well as its keyframe is known; and keyframes of
one place are off from each other by more than that says. So the camera, the keyframes of the place and all landmarks
that two of them see are adjusted together, by one step of Gauss and Newton with the landmarks eliminated (B. Triggs,
P. McLauchlan, R. Hartley and A. Fitzgibbon, Bundle Adjustment: A Modern Synthesis, 2000, section 6.1). The keyframe
that the pose is told from stays; the map is not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import inverse, perturb, transform
from superslam_ros.geometry.reprojection import (
    HUBER,
    Observations,
    by_point,
    in_camera,
    linearise,
    whitening,
)
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map

LEAST_KNOWN, LANDMARK_KNOWN = 1.0, 1e-4
"""Information (1/m^2, 1/rad^2) that is had of every keyframe, and of every landmark."""
LEAST_SIGMA_PX, LEAST_DEPTH = 0.25, 1e-3
"""Deviation of a keypoint, and of a landmark's distance as part of it, at least."""
ROUNDING = 1e-12
"""Part of a landmark's information that rounding may leave of the least known direction."""
MEDIAN = 1.386
"""Of chi-square with two degrees of freedom."""


class _View(NamedTuple):
    """What a keyframe, or the camera, sees: (M,) rows of the landmarks, and what it says of them."""

    T_map_camera: np.ndarray
    pinhole: Pinhole
    rows: np.ndarray
    seen: Observations


def as_seen_from(
    within: Map, place: Sequence[int], keyframe: Keyframe, keypoints: np.ndarray, landmarks: np.ndarray,
    T_map_camera: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return T_map_camera and its covariance (6, 6), in the map's axes, the first keyframe of a place taken for true.

    :param place: ids of keyframes, which see all of ``landmarks``.
    :param keypoints: (M,) rows of the camera's keypoints that show ``landmarks`` (M,), by id.
    :param T_map_camera: where landmarks alone have the camera.
    """
    ids = np.unique(np.concatenate([_shared(within, place), landmarks]))
    points = within.points_of(within.landmarks.rows(ids))
    rows, pixels = np.searchsorted(ids, landmarks), keyframe.pixels[keypoints].astype(np.float64)
    scales, unknown = keyframe.scales[keypoints].astype(np.float64), np.full(len(rows), np.nan)
    noise = _noise(keyframe.pinhole.project(transform(inverse(T_map_camera), points[rows])) - pixels, scales)
    camera = Observations(points[rows], np.zeros((len(rows), 3, 3)), pixels, noise * scales, unknown, unknown)
    views = [_view(within, one, ids, points) for one in place]
    information, gradient = _reduced([*views, _View(T_map_camera, keyframe.pinhole, rows, camera)], len(ids))
    covariance = np.linalg.inv(information)
    # Where each keyframe has a unit of its own, landmarks say better where the camera is than keyframes do.
    step = -covariance[-6:] @ gradient if within.metric else np.zeros(6)
    covariance = covariance[-6:, -6:]
    return perturb(T_map_camera, step), (covariance + covariance.T) / 2


def _shared(within: Map, place: Sequence[int]) -> np.ndarray:
    """Return the ids of landmarks that two keyframes of a place see."""
    ids, count = np.unique(np.concatenate([within.keyframes[one].landmark_ids for one in place]), return_counts=True)
    return ids[count > 1]


def _noise(errors: np.ndarray, scales: np.ndarray) -> float:
    """Return the deviation of keypoints of scale 1 that errors (M, 2) px show, wrong ones among them."""
    median = np.median(((errors / scales[:, None])**2).sum(1))
    return max(LEAST_SIGMA_PX, float(np.sqrt(median / MEDIAN)))


def _view(within: Map, number: int, ids: np.ndarray, points: np.ndarray) -> _View:
    """Return what a keyframe sees of landmarks (L,), by id, which are at ``points``."""
    one, table = within.keyframes[number], within.landmarks
    mine = np.flatnonzero(np.isin(one.landmark_ids, ids))
    rows = np.searchsorted(ids, one.landmark_ids[mine])
    inside = table.rows(one.landmark_ids[mine])
    z = np.where(table.host[inside] == number, table.points[inside, 2], np.nan).astype(np.float64)
    sigma = np.maximum(np.sqrt(np.maximum(table.covariance[inside, 2, 2], 0)), LEAST_DEPTH * z)
    seen = Observations(points[rows], np.zeros((len(rows), 3, 3)), one.pixels[mine].astype(np.float64),
                        one.sigma_px[mine].astype(np.float64), 1 / z, sigma / z**2)
    return _View(one.T_map_camera, within.cameras[one.camera][0], rows, seen)


def _reduced(views: Sequence[_View], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return information (6 V, 6 V) and gradient (6 V,) of all views but the first, without the landmarks (count)."""
    size = 6 * len(views)
    of_poses, gradient = LEAST_KNOWN * np.eye(size), np.zeros(size)
    of_points, by_points = np.tile(LANDMARK_KNOWN * np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    both = np.zeros((count, 3, size))
    for index, view in enumerate(views):
        T, seen = view.T_map_camera, view.seen
        whiten = whitening(seen, view.pinhole, T)
        terms = linearise(seen, view.pinhole, T, whiten)
        change = by_point(view.pinhole, in_camera(seen.landmarks, T), T[:3, :3])
        change[~np.isfinite(seen.inverse_depth), 2] = 0
        weight = np.minimum(1, HUBER / np.sqrt(np.maximum(terms.squared, 1e-12)))
        root = np.sqrt(weight)[:, None, None]
        J, P, residual = root * terms.jacobian, root * (whiten @ change), root[:, :, 0] * terms.residual
        own = slice(6 * index, 6 * index + 6)
        of_poses[own, own] += np.tensordot(J, J, ((0, 1), (0, 1)))
        gradient[own] += np.einsum('nij,ni->j', J, residual)
        of_points[view.rows] += P.transpose(0, 2, 1) @ P        # a view sees a landmark once
        by_points[view.rows] += np.einsum('nij,ni->nj', P, residual)
        both[view.rows, :, own] += P.transpose(0, 2, 1) @ J
    of_points += (ROUNDING * np.trace(of_points, axis1=1, axis2=2))[:, None, None] * np.eye(3)
    eliminated = np.linalg.solve(np.linalg.cholesky(of_points), np.concatenate([both, by_points[:, :, None]], 2))
    eliminated = eliminated.reshape(-1, size + 1)
    both, by_points = eliminated[:, 6:-1], eliminated[:, -1]
    return of_poses[6:, 6:] - both.T @ both, gradient[6:] - both.T @ by_points
