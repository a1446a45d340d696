"""What loops do to a map: the ATE without, with, and with as many false ones as true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from superslam_ros.evaluation.maps import Mapped, is_near
from superslam_ros.geometry.pose import difference, inverse, perturb
from superslam_ros.geometry.similarity import resized
from superslam_ros.maps import graph
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.maps.parts import LOOP, Edge

DRIFT_M, DRIFT_DEG = 0.01, 0.2
"""Deviation of the errors that are put into every edge of an odometry that drifts, along and about each axis."""


def lap_figures(made: Mapped, seed: int = 0) -> dict[str, Any]:
    """Return what loops do to a map: the ATE without, with, and with as many false ones put in."""
    in_map = made.map.keyframes
    loops = [edge for edge in made.map.edges if edge.kind == LOOP and edge.inlier]
    true = [is_near(_edge_error(made, edge)) for edge in loops]
    after = {one.stamp_ns: one.T_map_camera for one in in_map.values()}
    raw = {number: made.odometry[one.stamp_ns] for number, one in in_map.items()}
    false = false_edges(made, loops, seed)
    with_false, believed = _solved(made, raw, made.map.edges, false)
    path = np.array([made.truth[stamp][:3, 3] for stamp in sorted(made.truth)])
    return {
        'path_m': float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()), 'frames_lost': made.lost,
        'keyframes': len(made.truth), 'keyframes_in_map': len(in_map), 'reasons': dict(made.reasons),
        'loops': len(loops), 'loops_true': int(np.sum(true)),
        'ate_odometry_m': made.ate(made.odometry), 'ate_map_m': made.ate(made.mapper.trajectory()),
        'ate_keyframes_before_m': made.ate({stamp: made.odometry[stamp] for stamp in after}),
        'ate_keyframes_after_m': made.ate(after), 'false_edges': len(false),
        'false_edges_believed': believed, 'ate_keyframes_with_false_m': with_false,
        'scale_spread': float(np.nanstd(np.log(made.scales()))),
        'drifting': None if made.setting.mono else _drifting(made, false, seed),
        'again': {'as it is': mapped_again(made), 'errors put in': mapped_again(made, seed)}}


def mapped_again(made: Mapped, seed: int | None = None) -> dict[str, float]:
    """Map the keyframes once more, and return the ATE of all of them: by odometry, by the map, and by it when finished.

    :param seed: of errors that are put into the odometry; None for none.
    """
    keyframes = made.keyframes if seed is None else drifting(made.keyframes, seed)
    localizer = made.mapper.localizer
    mapper = Mapper(Map(), made.setting.map, matcher=localizer.matcher, vocabulary=localizer.vocabulary)
    for keyframe in keyframes:
        mapper.add(keyframe)
    figures = {'ate_odometry_m': made.ate({one.stamp_ns: one.T_odom_camera for one in keyframes}),
               'ate_map_m': made.ate(mapper.trajectory())}
    mapper.finish()
    return {**figures, 'ate_finished_m': made.ate(mapper.trajectory())}


def drifting(keyframes: Sequence[Keyframe], seed: int) -> list[Keyframe]:
    """Return the keyframes of a worse odometry: errors are put into its edges, and into their covariances."""
    rng, sigma = np.random.default_rng([seed, 2]), np.repeat([DRIFT_M, np.radians(DRIFT_DEG)], 3)
    found: dict[int | None, Keyframe] = {}
    for one in keyframes:
        if one.previous_stamp_ns in found:
            step = perturb(one.T_previous_camera, rng.normal(0, sigma))
            one = replace(one, T_odom_camera=found[one.previous_stamp_ns].T_odom_camera @ step, T_previous_camera=step,
                          edge_covariance=one.edge_covariance + np.diag(sigma**2))
        found[one.stamp_ns] = one
    return list(found.values())


def _solved(made: Mapped, poses: dict[int, np.ndarray], edges: Sequence[Edge],
            false: Sequence[Edge] = ()) -> tuple[float, int]:
    """Return the ATE after optimisation from some poses, and how many of the false edges were believed."""
    solved = graph.optimise(poses, [*edges, *false])
    ate = made.ate({made.map.keyframes[number].stamp_ns: T for number, T in solved.poses.items()})
    return ate, int(solved.inliers[len(edges):].sum())


def _drifting(made: Mapped, false: Sequence[Edge], seed: int) -> dict[str, Any]:
    """Return the same of a worse odometry: errors are put into its edges, and into their covariances."""
    rng, sigma = np.random.default_rng([seed, 1]), np.repeat([DRIFT_M, np.radians(DRIFT_DEG)], 3)
    edges = [edge if edge.kind == LOOP else replace(
        edge, T_start_end=perturb(edge.T_start_end, rng.normal(0, sigma)),
        covariance=edge.covariance + np.diag(sigma**2))
        for edge in made.map.edges]
    first, *others = sorted(made.map.keyframes)
    poses = {first: made.map.keyframes[first].T_map_camera}
    for number in others:       # along the odometry, from keyframes that are placed already
        edge = next((edge for edge in edges if edge.kind != LOOP and edge.end == number and edge.start in poses), None)
        before = max(poses) if edge is None else edge.start
        step = (inverse(made.map.keyframes[before].T_map_camera) @ made.map.keyframes[number].T_map_camera
                if edge is None else edge.T_start_end)
        poses[number] = poses[before] @ step
    after, _ = _solved(made, poses, edges)
    with_false, believed = _solved(made, poses, edges, false)
    before = made.ate({made.map.keyframes[number].stamp_ns: T for number, T in poses.items()})
    return {'ate_before_m': before, 'ate_after_m': after, 'ate_with_false_m': with_false,
            'false_edges_believed': believed}


def _edge_error(made: Mapped, edge: Edge) -> np.ndarray:
    start, end = (made.truth[made.map.keyframes[number].stamp_ns] for number in (edge.start, edge.end))
    unit = float(np.nanmedian(made.scales())) if made.setting.mono else 1.0
    return difference(resized(edge.T_start_end, unit), inverse(start) @ end)


def false_edges(made: Mapped, loops: Sequence[Edge], seed: int) -> list[Edge]:
    """Return as many loops between keyframes that are elsewhere, each as exact as a true one, and all wrong."""
    rng, numbers, false = np.random.default_rng(seed), sorted(made.map.keyframes), []
    for edge in loops:
        while True:
            start, end = (int(one) for one in rng.choice(numbers, 2, replace=False))
            wrong = replace(edge, start=start, end=end)
            if not is_near(_edge_error(made, wrong), 4.0):
                break
        false.append(wrong)
    return false
