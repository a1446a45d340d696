"""Pose graph: keyframes moved to where odometry and loops agree best, loops that do not fit left out.

Graduated non-convexity with truncated least squares (H. Yang, P. Antonante, V. Tzoumas and L. Carlone, Graduated
Non-Convexity for Robust Spatial Perception, RA-L 2020): at first every loop has its say, then those that fit worst lose
theirs, more at every round. Odometry is believed throughout; a loop that it speaks against all alone, however unsure it
is by then, has no say until the end. The rounds are written here, and not taken from GTSAM,
since its release for Python 3.10 cannot be told which factors to believe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.bundle import gtsam
from superslam_ros.geometry.pose import difference, inverse
from superslam_ros.maps.parts import LOOP, Edge

MOST = 90.0
"""What a true loop may cost: four times the 99.9 % quantile of chi-square with six degrees of freedom, since odometry
does not know all of its errors, nor does a map that is still bent."""
ROUNDS, FASTER, SETTLE = 100, 1.4, 5
"""Most rounds, by how much the loss comes nearer to the truncated one from each to the next, and most rounds after."""
DOUBT = 4.0
"""By this the odometry's covariance is multiplied where a loop is held against the odometry alone."""


@dataclass(frozen=True)
class Solution:
    """``poses``: T_map_camera by keyframe; ``inliers`` (E,) bool: which edges fit, odometry always."""

    poses: dict[int, np.ndarray]
    inliers: np.ndarray


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
    known = np.array([edge.start in poses and edge.end in poses for edge in edges], dtype=bool)
    loops = np.flatnonzero(known & np.array([edge.kind == LOOP for edge in edges], dtype=bool))
    graph, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for number, T in poses.items():
        values.insert(number, bundle.to_pose(T))
    still = gtsam.noiseModel.Isotropic.Sigma(6, 1e-4)
    for number in first_of_each(poses, [edge for edge, inside in zip(edges, known) if inside]):
        graph.add(gtsam.PriorFactorPose3(number, bundle.to_pose(poses[number]), still))
    for index in np.setdiff1d(np.flatnonzero(known), loops):
        graph.add(factor(edges[index]))
    try:
        odometry = [edges[index] for index in np.setdiff1d(np.flatnonzero(known), loops)]
        found, weights = _graduated(graph, values, [edges[index] for index in loops], odometry)
    except (RuntimeError, IndexError) as error:
        raise GraphError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
    inliers = known.copy()
    inliers[loops] = weights > 0.5
    return Solution({number: found.atPose3(number).matrix() for number in poses}, inliers)


def cost(edge: Edge, poses: Mapping[int, np.ndarray]) -> float:
    """Return by how many standard deviations poses differ from an edge, squared."""
    T = inverse(poses[edge.start]) @ poses[edge.end]
    error = difference(T, edge.T_start_end)
    return float(error @ np.linalg.solve(edge.covariance, error))


def first_of_each(numbers: Iterable[int], edges: Iterable[Edge]) -> list[int]:
    """Return the lowest number of each set of keyframes that hang together."""
    above = {number: number for number in numbers}

    def first(number: int) -> int:
        while above[number] != number:
            above[number] = number = above[above[number]]
        return number

    for edge in edges:
        ends = sorted((first(edge.start), first(edge.end)))
        above[ends[1]] = ends[0]
    return sorted({first(number) for number in above})


def _graduated(
    graph: gtsam.NonlinearFactorGraph, values: gtsam.Values, loops: Sequence[Edge], odometry: Sequence[Edge]
) -> tuple[gtsam.Values, np.ndarray]:
    """Return the solution, and the weight (L,) of every loop."""
    factors = [factor(edge) for edge in loops]

    def squares() -> np.ndarray:
        return np.array([2 * one.error(found) for one in factors])

    # Most often those are true that were so before, and rounds are not needed.
    weights = np.array([float(edge.inlier) for edge in loops])
    found = _solve(graph, values, loops, weights)
    squared = squares()
    if squared[weights == 1].max(initial=0.0) <= MOST:
        again = (weights == 0) & (squared <= MOST)
        weights[again] = 1
        return (_solve(graph, found, loops, weights) if again.any() else found), weights
    # What the odometry alone speaks against would draw the poses to where no way leads back from.
    likely = _likely(loops, odometry)
    found = _solve(graph, values, loops, likely)
    worst = max(MOST, (likely * squares()).max())
    mu = MOST / (2 * worst - MOST)
    for _ in range(ROUNDS):
        squared = np.maximum(squares(), 1e-12)
        weights = likely * np.clip(np.sqrt(MOST / squared * mu * (mu + 1)) - mu, 0, 1)
        found = _solve(graph, found, loops, weights)
        if ((weights == 0) | (weights == 1)).all():
            break
        mu *= FASTER
    weights = np.rint(weights)
    for _ in range(SETTLE):
        found = _solve(graph, values, loops, weights)
        fitting = (squares() <= MOST).astype(float)
        if (fitting == weights).all():
            break
        weights = fitting
    return found, weights


def _likely(loops: Sequence[Edge], odometry: Sequence[Edge]) -> np.ndarray:
    """Return for each loop (L,) 1 where it agrees with the odometry on the way from one end to the other, else 0."""
    ways: dict[int, list[Edge]] = {}
    for edge in odometry:
        ways.setdefault(edge.start, []).append(edge)
        ways.setdefault(edge.end, []).append(edge.reversed())
    likely, by_start = np.ones(len(loops)), {}
    for index, loop in enumerate(loops):
        by_start.setdefault(loop.start, []).append(index)
    for start, indices in by_start.items():
        way = _ways_from(start, ways)
        for index in indices:
            if loops[index].end in way:
                known, loop = way[loops[index].end], loops[index]
                error = difference(known.T_start_end, loop.T_start_end)
                likely[index] = error @ np.linalg.solve(DOUBT * known.covariance + loop.covariance, error) <= MOST
    return likely


def _ways_from(start: int, ways: Mapping[int, Sequence[Edge]]) -> dict[int, Edge]:
    """Return the edge over the fewest others from one keyframe to each that it hangs together with."""
    found = {start: Edge(start, start, np.eye(4), np.zeros((6, 6)))}
    queue = deque([start])
    while queue:
        for step in ways.get(number := queue.popleft(), ()):
            if step.end not in found:
                found[step.end] = found[number].then(step)
                queue.append(step.end)
    return found


def _solve(
    graph: gtsam.NonlinearFactorGraph, values: gtsam.Values, loops: Sequence[Edge], weights: np.ndarray
) -> gtsam.Values:
    whole = gtsam.NonlinearFactorGraph(graph)
    for edge, weight in zip(loops, weights.tolist()):
        if weight > 0:
            whole.add(factor(edge, weight))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setRelativeErrorTol(1e-5)
    found = gtsam.LevenbergMarquardtOptimizer(whole, values, parameters).optimize()
    if not np.isfinite(whole.error(found)):
        raise GraphError('the pose graph has no finite solution')
    return found


def factor(edge: Edge, weight: float = 1.0) -> gtsam.BetweenFactorPose3:
    """Return GTSAM's factor of an edge, whose covariance is divided by a weight."""
    noise = gtsam.noiseModel.Gaussian.Covariance(bundle.to_gtsam(edge.T_start_end, edge.covariance) / weight)
    return gtsam.BetweenFactorPose3(edge.start, edge.end, bundle.to_pose(edge.T_start_end), noise)
