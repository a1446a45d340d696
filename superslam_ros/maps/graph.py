"""Pose graph: keyframes moved to where odometry and loops agree best, loops that do not fit left out.

Graduated non-convexity with truncated least squares (H. Yang, P. Antonante, V. Tzoumas and L. Carlone, Graduated
Non-Convexity for Robust Spatial Perception, RA-L 2020): at first every loop has its say, then those that fit worst lose
theirs, more at every round. Odometry is believed throughout; a loop that it speaks against all alone, however unsure it
is by then, has no say until the end. The rounds are written here, and not taken from GTSAM, since its release for
Python 3.10 cannot be told which factors to believe. Where the scale of an edge is uncertain, as of one camera, it is a
graph of similarities (:mod:`superslam_ros.maps.similarity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.bundle import gtsam
from superslam_ros.geometry.pose import inverse
from superslam_ros.geometry.similarity import widened
from superslam_ros.maps import similarity
from superslam_ros.maps.parts import LOOP, Edge
from superslam_ros.maps.ways import Ways

MOST = 90.0
"""What a true loop may cost: four times the 99.9 % quantile of chi-square with six degrees of freedom, since odometry
does not know all of its errors, nor does a map that is still bent."""
ROUNDS, FASTER, SETTLE = 100, 1.4, 5
"""Most rounds, by how much the loss comes nearer to the truncated one from each to the next, and most rounds after."""
ITERATIONS, FEW, TOLERANCE = 100, 10, 1e-5
"""Most steps of a solution, and of one that the next round goes on from or that is only tried; a step that takes less
than such a part of the error is the last."""
DOUBT = 4.0
"""By this the odometry's covariance is multiplied where a loop is held against the odometry alone."""


@dataclass(frozen=True)
class Solution:
    """``poses``: T_map_camera by keyframe; ``inliers`` (E,) bool: which edges fit, odometry always.

    ``scales``: by keyframe, by how much its surroundings grow; empty where no scale is uncertain.
    """

    poses: dict[int, np.ndarray]
    inliers: np.ndarray
    scales: dict[int, float]


class GraphError(RuntimeError):
    """The edges do not determine the poses."""


def optimise(poses: Mapping[int, np.ndarray], edges: Sequence[Edge]) -> Solution:
    """Find the poses that explain the edges best.

    Of all keyframes that hang together by edges, the one of the lowest id stays where it is.

    :param poses: T_map_camera (4, 4) by keyframe: where to begin. Edges to other keyframes are left out.
    :raises ImportError: when GTSAM is not installed.
    :raises GraphError: when that has no answer.
    """
    if gtsam is None:
        raise ImportError('GTSAM is not installed, and closing loops needs it: pip install gtsam')
    if not similarity.possible(edges):
        raise GraphError(similarity.NOT_METRIC)
    known = np.array([edge.start in poses and edge.end in poses for edge in edges], dtype=bool)
    loops = np.flatnonzero(known & np.array([edge.kind == LOOP for edge in edges], dtype=bool))
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    inside = [edge for edge, both in zip(edges, known) if both]
    first = first_of_each(poses, inside)
    space = similarity.Similarities(inside, first) if any(edge.similar for edge in inside) else _Poses()
    for number, T in poses.items():
        values.insert(number, space.value(T))
        for prior in space.held(number, T, first[number] == number):
            graph.add(prior)
    odometry = [edges[index] for index in np.setdiff1d(np.flatnonzero(known), loops)]
    for edge in odometry:
        graph.add(space.factor(edge))
    try:
        found, weights = _graduated(graph, values, [edges[index] for index in loops], odometry, space)
    except (RuntimeError, IndexError) as error:
        raise GraphError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
    inliers = known.copy()
    inliers[loops] = weights > 0.5
    return Solution(space.poses(found, list(poses)), inliers, space.scales(found, list(poses)))


def cost(edge: Edge, poses: Mapping[int, np.ndarray]) -> float:
    """Return by how many standard deviations poses, of one unit, differ from an edge, squared."""
    error = edge.difference(inverse(poses[edge.start]) @ poses[edge.end])
    return float(error @ np.linalg.solve(edge.covariance, error))


def first_of_each(numbers: Iterable[int], edges: Iterable[Edge]) -> dict[int, int]:
    """Return by number the lowest of the set of keyframes that hang together with it."""
    above = {number: number for number in numbers}

    def first(number: int) -> int:
        while above[number] != number:
            above[number] = number = above[above[number]]
        return number

    for edge in edges:
        ends = sorted((first(edge.start), first(edge.end)))
        above[ends[1]] = ends[0]
    return {number: first(number) for number in above}


class _Poses:
    """The pose graph over rigid motions; :class:`superslam_ros.maps.similarity.Similarities` is like it."""

    def value(self, T: np.ndarray) -> gtsam.Pose3:
        """Return a pose."""
        return bundle.to_pose(T)

    def held(self, number: int, T: np.ndarray, first: bool) -> list[gtsam.PriorFactorPose3]:
        """Return what holds a keyframe: the first in its place."""
        still = gtsam.noiseModel.Isotropic.Sigma(6, 1e-4)
        return [gtsam.PriorFactorPose3(number, bundle.to_pose(T), still)] if first else []

    def factor(self, edge: Edge, weight: float = 1.0) -> gtsam.BetweenFactorPose3:
        """Return GTSAM's factor of an edge, whose covariance is divided by a weight."""
        return factor(edge, weight)

    def poses(self, found: gtsam.Values, numbers: Sequence[int]) -> dict[int, np.ndarray]:
        """Return T_map_camera by keyframe."""
        return {number: found.atPose3(number).matrix() for number in numbers}

    def scales(self, found: gtsam.Values, numbers: Sequence[int]) -> dict[int, float]:
        """Return nothing: they are all 1."""
        return {}


def _graduated(
    graph: gtsam.NonlinearFactorGraph, values: gtsam.Values, loops: Sequence[Edge], odometry: Sequence[Edge],
    space: _Poses | similarity.Similarities,
) -> tuple[gtsam.Values, np.ndarray]:
    """Return the solution, and the weight (L,) of every loop."""
    factors = [space.factor(edge) for edge in loops]

    def solve(begin: gtsam.Values, weights: np.ndarray, iterations: int = ITERATIONS) -> gtsam.Values:
        return _solve(graph, begin, [space.factor(edge, weight) for edge, weight in zip(loops, weights.tolist())
                                     if weight > 0], iterations)

    def squares() -> np.ndarray:
        return np.array([2 * one.error(found) for one in factors])

    # Most often those are true that were so before, and rounds are not needed.
    weights = np.array([float(edge.inlier) for edge in loops])
    found = solve(values, weights, FEW)
    squared = squares()
    if squared[weights == 1].max(initial=0.0) <= MOST:
        again = (weights == 0) & (squared <= MOST)
        weights[again] = 1
        return (solve(found, weights) if again.any() else found), weights
    # What the odometry alone speaks against would draw the poses to where no way leads back from.
    likely = _likely(loops, odometry)
    found = solve(values, likely)
    worst = max(MOST, (likely * squares()).max())
    mu = MOST / (2 * worst - MOST)
    for _ in range(ROUNDS):
        squared = np.maximum(squares(), 1e-12)
        weights = likely * np.clip(np.sqrt(MOST / squared * mu * (mu + 1)) - mu, 0, 1)
        found = solve(found, weights, FEW)
        if ((weights == 0) | (weights == 1)).all():
            break
        mu *= FASTER
    weights = np.rint(weights)
    for _ in range(SETTLE):
        found = solve(values, weights)
        fitting = (squares() <= MOST).astype(float)
        if (fitting == weights).all():
            break
        weights = fitting
    return found, weights


def _likely(loops: Sequence[Edge], odometry: Sequence[Edge]) -> np.ndarray:
    """Return for each loop (L,) 1 where it agrees with the odometry on the way from one end to the other, else 0."""
    likely, ways = np.ones(len(loops)), Ways(odometry)
    for index, loop in enumerate(loops):
        known = ways.between(loop.start, loop.end)
        if known is not None:
            error = loop.difference(known.T_start_end, known.scale)
            covariance = loop.covariance + DOUBT * widened(known.covariance, len(error))[:len(error), :len(error)]
            likely[index] = error @ np.linalg.solve(covariance, error) <= MOST
    return likely


def _solve(
    graph: gtsam.NonlinearFactorGraph, values: gtsam.Values, loops: Sequence[gtsam.NonlinearFactor], iterations: int,
) -> gtsam.Values:
    whole = gtsam.NonlinearFactorGraph(graph)
    for one in loops:
        whole.add(one)
    optimizer = gtsam.LevenbergMarquardtOptimizer(whole, values, gtsam.LevenbergMarquardtParams())
    # Step by step: while GTSAM works, no other thread of Python does, and the odometry may be one.
    error = optimizer.error()
    for _ in range(iterations):
        optimizer.iterate()
        before, error = error, optimizer.error()
        if not before - error > TOLERANCE * before:
            break
    if not np.isfinite(error):
        raise GraphError('the pose graph has no finite solution')
    return optimizer.values()


def factor(edge: Edge, weight: float = 1.0) -> gtsam.BetweenFactorPose3:
    """Return GTSAM's factor of the pose of an edge, whose covariance is divided by a weight."""
    noise = gtsam.noiseModel.Gaussian.Covariance(bundle.to_gtsam(edge.T_start_end, edge.pose_covariance) / weight)
    return gtsam.BetweenFactorPose3(edge.start, edge.end, bundle.to_pose(edge.T_start_end), noise)
