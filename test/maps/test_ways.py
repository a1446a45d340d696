"""The way between two keyframes is what its edges add up to."""

from __future__ import annotations

import numpy as np
import pytest

from superslam_ros.geometry.pose import compose, rotation_exp
from superslam_ros.maps.parts import Edge
from superslam_ros.maps.ways import Ways


def edge(start: int, end: int, random: np.random.Generator, size: int) -> Edge:
    root = random.normal(size=(size, size)) * 0.05
    T = compose(rotation_exp(random.normal(size=3)), random.normal(size=3))
    return Edge(start, end, T, root @ root.T + 1e-4 * np.eye(size), scale=random.uniform(0.5, 2) if size == 7 else 1.0)


def added_up(way: list[Edge]) -> Edge:
    total = way[0]
    for one in way[1:]:
        total = total.then(one)
    return total


@pytest.mark.parametrize('size', [6, 7])
def test_a_way_is_what_its_edges_add_up_to(size: int) -> None:
    random = np.random.default_rng(size)
    a, b, c, d, e = (edge(*ends, random, size) for ends in ((1, 2), (2, 3), (4, 2), (4, 5), (6, 7)))
    ways = Ways([a, b, c, d, e])
    for start, end, way in (
            (1, 3, [a, b]), (3, 1, [b.reversed(), a.reversed()]), (5, 3, [d.reversed(), c, b]), (4, 2, [c]),
            (1, 5, [a, c.reversed(), d])):
        found, expected = ways.between(start, end), added_up(way)
        assert (found.start, found.end) == (start, end) and found.scale == pytest.approx(expected.scale)
        np.testing.assert_allclose(found.T_start_end, expected.T_start_end, atol=1e-9)
        np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-6, atol=1e-9)
    assert ways.between(1, 6) is None and ways.between(1, 9) is None
