"""Bundle adjustment of a whole map, when it is done: keyframes and landmarks where all pixels agree best."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.bundle import POINT, POSE, gtsam
from superslam_ros.geometry.pose import inverse
from superslam_ros.maps import graph
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP

ITERATIONS = 20
DOUBT = 10.0
"""The odometry's covariance is multiplied by this: its edges were made of the same pixels."""
GROSS = 2.0
"""A landmark that would become so many times as far from its host, or as near, stays as it was."""
_LOOSE = 1e3


def adjust(within: Map, iterations: int = ITERATIONS) -> float:
    """Move keyframes and landmarks of a map, and return by how much keyframes have moved, root mean square (m).

    What the odometry knew of a landmark's distance is a sighting of the keyframe that hosts it; so the map keeps its
    scale. The odometry holds together what sees too few landmarks. What is not seen twice moves with its host, and
    so does what pixels would bring to a grossly other distance or behind a camera.

    :raises ImportError: when GTSAM is not installed.
    :raises BundleError: when the sightings do not determine the map; it is left as it was.
    """
    if gtsam is None:
        raise ImportError('GTSAM is not installed, and adjusting a map needs it: pip install gtsam')
    if len(within) < 2:
        return 0.0
    seen, rows = _sightings(within)
    problem, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for factor in bundle.factors({one.id: within.cameras[one.camera][0] for one in within.keyframes.values()}, seen):
        problem.add(factor)
    for one in within.keyframes.values():
        values.insert(gtsam.symbol(POSE, one.id), bundle.to_pose(one.T_map_camera))
    table = within.landmarks
    loose = gtsam.noiseModel.Isotropic.Sigma(3, _LOOSE)
    for number, point in zip(table.ids[rows].tolist(), within.points_of(rows)):
        values.insert(gtsam.symbol(POINT, number), point)
        problem.add(gtsam.PriorFactorPoint3(gtsam.symbol(POINT, number), point, loose))
    _hold(problem, within)
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(iterations)
    parameters.setRelativeErrorTol(1e-4)
    try:
        found = gtsam.LevenbergMarquardtOptimizer(problem, values, parameters).optimize()
    except (RuntimeError, IndexError) as error:
        raise bundle.BundleError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
    if not np.isfinite(problem.error(found)):
        raise bundle.BundleError('the map has no finite solution')
    return _take(within, seen, rows, found)


def _sightings(within: Map) -> tuple[bundle.Sightings, np.ndarray]:
    """Return the sightings of landmarks that two keyframes see, and the rows (L,) of those landmarks."""
    table, keyframes = within.landmarks, list(within.keyframes.values())
    which = np.repeat([one.id for one in keyframes], [len(one.landmark_ids) for one in keyframes]).astype(np.int64)
    ids, pixels, sigma = (np.concatenate([getattr(one, name) for one in keyframes]) for name in (
        'landmark_ids', 'pixels', 'sigma_px'))
    rows = table.rows(ids)
    shared = np.bincount(rows, minlength=len(table.ids))[rows] > 1
    which, ids, pixels, sigma, rows = (values[shared] for values in (which, ids, pixels, sigma, rows))
    measured = np.repeat([within.sessions[one.session].metric for one in keyframes],
                         [len(one.landmark_ids) for one in keyframes])[shared] & (table.host[rows] == which)
    depth = np.where(measured, table.points[rows, 2], np.nan)
    variance = np.where(measured, table.covariance[rows, 2, 2], np.nan)
    # Noise models are shared by factors of the same deviation.
    depth_sigma = _rounded(np.sqrt(variance) / depth**2)
    return bundle.Sightings(
        which, ids, pixels.astype(np.float64), _rounded(sigma), 1.0 / depth.astype(np.float64), depth_sigma,
    ), np.unique(rows)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return positive values as the nearest powers of 1.1."""
    return 1.1**np.rint(np.log(np.maximum(values, 1e-9).astype(np.float64)) / np.log(1.1))


def _hold(problem: gtsam.NonlinearFactorGraph, within: Map) -> None:
    """Add what the odometry said, and the first keyframe of each part of the map, which stays."""
    for edge in within.edges:
        if edge.kind != LOOP:
            ends = {'start': gtsam.symbol(POSE, edge.start), 'end': gtsam.symbol(POSE, edge.end)}
            problem.add(graph.factor(replace(edge, **ends), 1 / DOUBT))
    still = gtsam.noiseModel.Isotropic.Sigma(6, 1e-4)
    first = graph.first_of_each(within.keyframes, [edge for edge in within.edges if edge.inlier])
    for number in sorted(set(first.values())):
        pose = bundle.to_pose(within.keyframes[number].T_map_camera)
        problem.add(gtsam.PriorFactorPose3(gtsam.symbol(POSE, number), pose, still))


def _take(within: Map, seen: bundle.Sightings, rows: np.ndarray, found: gtsam.Values) -> float:
    """Put a solution into the map."""
    poses = {number: found.atPose3(gtsam.symbol(POSE, number)).matrix() for number in within.keyframes}
    moved = [T[:3, 3] - within.keyframes[number].T_map_camera[:3, 3] for number, T in poses.items()]
    within.move(poses)
    table = within.landmarks
    points = np.reshape([found.atPoint3(gtsam.symbol(POINT, number)) for number in table.ids[rows].tolist()], (-1, 3))
    new = _seen_from(within, table.host[rows], points)
    ratio = np.linalg.norm(new, axis=1) / np.maximum(np.linalg.norm(table.points[rows], axis=1), 1e-9)
    good = (ratio < GROSS) & (ratio > 1 / GROSS)
    which = np.searchsorted(rows, table.rows(seen.landmarks))
    behind = _seen_from(within, seen.keyframes, points[which])[:, 2] <= 0
    good[which[behind]] = False
    table.points[rows[good]] = new[good]
    return float(np.sqrt((np.array(moved)**2).sum(1).mean()))


def _seen_from(within: Map, keyframe_ids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (M, 3) of the map in the frames of keyframes (M,)."""
    ids, which = np.unique(keyframe_ids, return_inverse=True)
    T = np.reshape([inverse(within.keyframes[one].T_map_camera) for one in ids.tolist()], (-1, 4, 4))[which.ravel()]
    return np.einsum('nij,nj->ni', T[:, :3, :3], points) + T[:, :3, 3]
