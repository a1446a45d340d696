"""Ways over the edges of a pose graph, from any keyframe to any other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.geometry.similarity import carry, resized, resized_covariance, rotate, widened
from superslam_ros.maps.parts import Edge


class _Node(NamedTuple):
    """A keyframe as seen from the root of its tree.

    ``covariance``: of the motion of all that is behind the way to it, about the root's origin, along the root's axes:
    such covariances of one step after the other are added.
    """

    T_root_keyframe: np.ndarray
    scale: float
    covariance: np.ndarray
    before: int
    depth: int


class Ways:
    """A tree over edges for each set of keyframes that hang together: each way in it is told at once.

    Building it takes as long as there are edges, and a way no longer than there are edges on it.
    """

    def __init__(self, edges: Sequence[Edge]) -> None:
        """Lay the trees, each keyframe over the fewest edges from its root."""
        self._size = max((len(edge.covariance) for edge in edges), default=6)
        leaving: dict[int, list[Edge]] = {}
        for edge in edges:
            leaving.setdefault(edge.start, []).append(edge)
            leaving.setdefault(edge.end, []).append(edge)
        self._nodes: dict[int, _Node] = {}
        for root in leaving:
            if root in self._nodes:
                continue
            self._nodes[root] = _Node(np.eye(4), 1.0, np.zeros((self._size, self._size)), 0, 0)
            queue = deque([root])
            while queue:
                number = queue.popleft()
                for edge in leaving[number]:
                    end = edge.end if edge.start == number else edge.start
                    if end not in self._nodes:
                        self._nodes[end] = self._after(number, edge if edge.start == number else edge.reversed())
                        queue.append(end)

    def _after(self, number: int, step: Edge) -> _Node:
        """Return a keyframe one step from another."""
        before = self._nodes[number]
        T = before.T_root_keyframe @ resized(step.T_start_end, before.scale)
        added = rotate(before.T_root_keyframe[:3, :3], resized_covariance(widened(step.covariance, self._size),
                                                                          before.scale))
        return _Node(T, before.scale * step.scale, before.covariance + carry(added, -T[:3, 3]), number,
                     before.depth + 1)

    def between(self, start: int, end: int) -> Edge | None:
        """Return the edge that the way from one keyframe to another adds up to; None where there is no way."""
        if start not in self._nodes or end not in self._nodes:
            return None
        first, last, common = self._nodes[start], self._nodes[end], self._common(start, end)
        if common is None:
            return None
        covariance = first.covariance + last.covariance - 2 * self._nodes[common].covariance
        covariance = rotate(first.T_root_keyframe[:3, :3].T, carry(covariance, last.T_root_keyframe[:3, 3]))
        return Edge(
            start, end, resized(inverse(first.T_root_keyframe) @ last.T_root_keyframe, 1 / first.scale),
            resized_covariance(covariance, 1 / first.scale), scale=last.scale / first.scale)

    def _common(self, one: int, other: int) -> int | None:
        """Return the last keyframe that the ways from the root to two of them have in common."""
        nodes = self._nodes
        while one != other:
            if nodes[one].depth < nodes[other].depth:
                one, other = other, one
            if not nodes[one].depth:        # two roots
                return None
            one = nodes[one].before
        return one
