"""Whether where a keyframe was found fits with where the one before was found, and the odometry between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.geometry.pose import carry_covariance, difference, inverse, rotate_covariance
from superslam_ros.geometry.similarity import rotate, widened
from superslam_ros.maps import similarity
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Fix, Reason, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, Edge, step_of

CHI2_999 = 22.46
"""99.9 % quantile of chi-square with six degrees of freedom: how far apart what agrees may be."""
BENT, SCALE_BENT = np.diag(np.repeat([0.02, 0.01], 3)**2), 0.02
"""Covariance (m^2, rad^2) of how a map is bent from one place to the next, and deviation of how its scale is."""
IN_A_ROW = 2
"""Keyframes that must be found where the others say, before one is believed."""
REMEMBERED = 50
"""Keyframes that the next one may be tied to."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fix that waits for others that agree with it.

    :ivar edge: from a place of the map to the latest keyframe; ``found``: to that which was found.
    :ivar count: so many in a row agree.
    :ivar keyframe: id of that which was found, where it has become one of a map; ``own`` (N,) ids of the landmarks that
        its keypoints show by the odometry, 0 where they show none; ``unit``: what lengths of the odometry are
        multiplied by to be those around it.
    """

    edge: Edge
    found: Edge
    fix: Fix
    count: int
    keyframe: int = 0
    own: np.ndarray | None = None
    unit: float = 1.0

    def grown(self, growth: Mapping[int, float]) -> Candidate:
        """Return it after surroundings of keyframes have been multiplied by some factors."""
        start, end = growth.get(self.found.start, 1.0), growth.get(self.keyframe, 1.0)
        return replace(self, edge=self.edge.grown(start, 1.0), found=self.found.grown(start, 1.0), unit=end * self.unit)

    def loop(self) -> Edge:
        """Return the edge to the keyframe that was found."""
        return replace(self.found, end=self.keyframe, scale=self.found.scale / self.unit)

    def then(self, step: Edge) -> Candidate:
        """Return it after a step of the odometry."""
        return replace(self, edge=advanced(self.edge, step))


class Trail:
    """The way from each keyframe of an odometry to the next."""

    def __init__(self) -> None:
        """Begin with the next keyframe."""
        self._last: Keyframe | None = None
        self._poses: dict[int, np.ndarray] = {}     # by stamp, each as seen from the one it was tied to

    def follows(self, keyframe: Keyframe) -> bool:
        """Whether a keyframe is of the same segment as the last one."""
        return self._last is not None and self._last.segment == keyframe.segment

    def step(self, keyframe: Keyframe) -> Edge | None:
        """Take the next keyframe, and return the way to it from the one before; None for the first of a segment."""
        last = self._last
        if not self.follows(keyframe):
            self._poses = {}
            last = None
        tied = self._poses.get(keyframe.previous_stamp_ns)
        T = keyframe.T_odom_camera if tied is None else tied @ keyframe.T_previous_camera
        step = None
        if last is not None:
            T_last = self._poses[last.stamp_ns] if tied is not None else last.T_odom_camera
            covariance = keyframe.edge_covariance
            if keyframe.previous_stamp_ns != last.stamp_ns:     # over a third one, or by where odometry put them
                grown = keyframe.covariance - carry_covariance(
                    last.covariance, keyframe.T_odom_camera[:3, 3] - last.T_odom_camera[:3, 3])
                values, axes = np.linalg.eigh(rotate_covariance(last.T_odom_camera[:3, :3].T, grown))
                covariance = covariance + (axes * np.abs(values)) @ axes.T
            known = last.landmark_ids[last.landmark_ids > 0]
            step = step_of(keyframe, inverse(T_last) @ T, covariance, int(np.isin(keyframe.landmark_ids, known).sum()))
            if tied is None:
                T = self._poses[last.stamp_ns] @ step.T_start_end
        self._poses[keyframe.stamp_ns], self._last = T, keyframe
        for old in list(self._poses)[:-REMEMBERED]:
            del self._poses[old]
        return step


def loop_edge(fix: Fix, within: Map) -> Edge:
    """Return where a keyframe was found, as seen from the place of the map; its end, 0, is in the odometry's unit."""
    T_map_place, unit = within.keyframes[fix.place].T_map_camera, fix.unit
    covariance = fix.covariance if unit is None else unit.with_pose(fix.covariance)
    return Edge(fix.place, 0, inverse(T_map_place) @ fix.T_map_camera, rotate(T_map_place[:3, :3].T, covariance), LOOP,
                scale=1.0 if unit is None else unit.scale)


def belief(edge: Edge, within: Map) -> tuple[np.ndarray, np.ndarray]:
    """Return T_map_camera and its covariance (6, 6) by an edge from a place of the map."""
    T_map_place = within.keyframes[edge.start].T_map_camera
    return T_map_place @ edge.T_start_end, rotate_covariance(T_map_place[:3, :3], edge.pose_covariance)


def advanced(edge: Edge, step: Edge) -> Edge:
    """Return the edge to the next keyframe."""
    return replace(edge.then(step), kind=edge.kind)


def agrees(edge: Edge, fix: Fix, within: Map) -> bool:
    """Whether a keyframe was found where an edge from a place of the map has it."""
    R, found = within.keyframes[edge.start].T_map_camera[:3, :3], fix.covariance
    error, bent = difference(fix.T_map_camera, belief(edge, within)[0]), BENT
    if fix.unit is not None:
        error, found = np.append(error, np.log(fix.unit.scale / edge.scale)), fix.unit.with_pose(found)
        bent = widened(BENT, 7, SCALE_BENT**2)
    known = widened(edge.covariance, len(error))[:len(error), :len(error)]
    return float(error @ np.linalg.solve(rotate(R, known) + found + bent, error)) < CHI2_999


def with_unit(fix: Fix, keyframe: Keyframe, within: Map, known: Edge | None) -> Fix | Refusal:
    """Return a fix with the unit of the odometry, by the landmarks whose distance both know.

    :param known: an edge to the keyframe, whose scale is taken where too few landmarks tell; else it is a refusal.
    """
    rows = within.landmarks.rows(fix.landmarks)
    R = within.hosts(rows)[:, :3, :3]
    unit = similarity.unit_of(keyframe, fix.keypoints, within.points_of(rows), R @ within.landmarks.covariance[rows]
                              @ R.transpose(0, 2, 1), fix.T_map_camera, fix.covariance)
    if unit is None and known is not None:
        unit = similarity.Unit(known.scale, np.append(np.zeros(6), known.covariance[6, 6]))
    if unit is None:
        return Refusal(Reason.FEW_INLIERS, f'of {fix.inliers} landmarks that agree, the odometry knows the distance of '
                       f'fewer than {similarity.LEAST}: its unit is not known yet; move sideways')
    return replace(fix, unit=unit)
