"""Loops that are true bring a drifted lap back, and false ones do no harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from superslam_ros.evaluation import trajectory
from superslam_ros.geometry.pose import compose, inverse, perturb, rotation_exp
from superslam_ros.maps import graph
from superslam_ros.maps.parts import LOOP, Edge

LAP, TRUE = 100, 12
STEP, LOOPED = np.repeat([0.01, 0.004], 3), np.repeat([0.02, 0.005], 3)


class Laps:
    """Two laps around a square, with the noise that the covariances tell of."""

    def __init__(self, seed: int = 0) -> None:
        """Walk, and see places of the first lap in the second."""
        self.random = np.random.default_rng(seed)
        self.truth, self.drifted, self.edges = [np.eye(4)], {1: np.eye(4)}, []
        for number in range(2, 2 * LAP + 1):
            turn = 0.5 * np.pi * (number % (LAP // 4) == 0)
            self.truth.append(self.truth[-1] @ compose(rotation_exp([0, 0, turn]), [0.4, 0, 0]))
            self.edges.append(self.edge(number - 1, number, STEP))
            self.drifted[number] = self.drifted[number - 1] @ self.edges[-1].T_start_end
        for number in np.linspace(LAP + 3, 2 * LAP, TRUE).astype(int).tolist():
            self.edges.append(self.edge(number - LAP, number, LOOPED, LOOP))

    def edge(self, start: int, end: int, sigma: np.ndarray, kind: str = 'odometry') -> Edge:
        """Return an edge with its noise."""
        T = inverse(self.truth[start - 1]) @ self.truth[end - 1]
        return Edge(start, end, perturb(T, sigma * self.random.normal(size=6)), np.diag(sigma**2), kind)

    def lie(self, count: int) -> None:
        """Add false loops, each by itself."""
        for _ in range(count):
            start, end = self.random.integers([1, LAP + 1], [LAP, 2 * LAP])
            T = compose(rotation_exp(0.5 * self.random.normal(size=3)), self.random.normal(size=3))
            self.edges.append(Edge(int(start), int(end), T, np.diag(LOOPED**2), LOOP))

    def ate_m(self, poses: dict[int, np.ndarray]) -> float:
        """Return the error of the positions, root mean square."""
        stamps = np.arange(2 * LAP) * 10**9
        return trajectory.compare(stamps, np.array(list(poses.values())), stamps, np.array(self.truth)).ate_rmse_m


@pytest.mark.parametrize('seed', [0, 1])
def test_loops_bring_a_lap_back_with_as_many_false_ones(seed: int) -> None:
    laps = Laps(seed)
    alone = graph.optimise(laps.drifted, laps.edges)
    assert alone.inliers.all()
    laps.lie(TRUE)
    found = graph.optimise(laps.drifted, laps.edges)
    before, after = laps.ate_m(laps.drifted), laps.ate_m(found.poses)
    assert after < before / 3 and after < 1.05 * laps.ate_m(alone.poses)
    assert found.inliers[:-TRUE].all() and not found.inliers[-TRUE:].any()
    np.testing.assert_allclose(found.poses[1], np.eye(4), atol=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_false_loops_that_agree_with_each_other_are_not_believed(seed: int) -> None:
    """A second place looks like the first in every detail: all of its loops say the same, as exactly as true ones."""
    laps, tight = Laps(seed), np.repeat([0.005, 0.002], 3)
    laps.edges = [replace(edge, covariance=np.diag(tight**2)) if edge.kind == LOOP else edge for edge in laps.edges]
    alone = graph.optimise(laps.drifted, laps.edges)
    count = 18
    laps.edges += [Edge(10 + one, LAP + 60 + one, compose(rotation_exp([0, 0, 0.001 * one]), [0.001 * one, 0, 0]),
                        np.diag(tight**2), LOOP) for one in range(count)]
    found = graph.optimise(laps.drifted, laps.edges)
    assert not found.inliers[-count:].any()
    assert laps.ate_m(found.poses) < max(1.05 * laps.ate_m(alone.poses), laps.ate_m(laps.drifted) / 3)


def test_what_was_found_false_is_not_believed_later_and_what_fits_again_is() -> None:
    laps = Laps()
    laps.lie(3)
    found = graph.optimise(laps.drifted, laps.edges)
    judged = [replace(edge, inlier=bool(inlier)) for edge, inlier in zip(laps.edges, found.inliers)]
    judged[-5] = replace(judged[-5], inlier=False)
    again = graph.optimise(found.poses, judged)
    assert again.inliers[:-3].all() and not again.inliers[-3:].any()
    assert laps.ate_m(again.poses) < 1.05 * laps.ate_m(found.poses)


def test_the_same_input_gives_the_same_bytes() -> None:
    laps = Laps()
    laps.lie(3)
    first, second = (graph.optimise(laps.drifted, laps.edges).poses for _ in range(2))
    assert all(np.array_equal(first[number], second[number]) for number in first)


def test_edges_of_keyframes_that_are_not_there_are_left_out() -> None:
    laps = Laps()
    poses = {number: T for number, T in laps.drifted.items() if number <= LAP}
    found = graph.optimise(poses, laps.edges)
    assert set(found.poses) == set(poses) and found.inliers.sum() == LAP - 1


def test_what_does_not_hang_together_stays_where_it_is() -> None:
    laps = Laps()
    del laps.edges[LAP // 2]
    poses = {number: T for number, T in laps.drifted.items() if number <= LAP}
    first = LAP // 2 + 2
    poses[first] = compose(np.eye(3), [7, 7, 0])
    found = graph.optimise(poses, laps.edges)
    np.testing.assert_allclose(found.poses[1], poses[1], atol=1e-6)
    np.testing.assert_allclose(found.poses[first], poses[first], atol=1e-6)


def test_edges_that_are_no_numbers_are_refused() -> None:
    laps = Laps()
    laps.edges[0] = replace(laps.edges[0], covariance=np.full((6, 6), np.nan))
    with pytest.raises(graph.GraphError):
        graph.optimise(laps.drifted, laps.edges)
