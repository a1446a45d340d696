"""Where the camera is believed to be in a map, and what speaks for another place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from superslam_ros.geometry.pose import carry_covariance, difference, inverse
from superslam_ros.geometry.similarity import resized
from superslam_ros.maps.agreement import IN_A_ROW, Candidate, advanced, agrees, belief, loop_edge
from superslam_ros.maps.localizer import Fix, Outcome, Reason, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import Edge

AGAINST = 3
"""Keyframes in a row that must speak against what was believed."""
TOLD_RAD = np.pi / 3
"""By so much a camera may look elsewhere than its hint says: of places that look alike, many are turned by more."""


class Whereabouts:
    """Where the camera is believed to be, from one keyframe of a segment of the odometry to the next.

    :ivar edge: from a place of the map to the latest keyframe, None before the camera has been found.
    :ivar candidate: a fix that waits for others that agree with it.
    :ivar T_odom_camera: (4, 4) of the latest keyframe.
    """

    def __init__(self) -> None:
        """Begin where nothing is known."""
        self.edge: Edge | None = None
        self.candidate: Candidate | None = None
        self.T_odom_camera: np.ndarray | None = None

    def advance(self, step: Edge | None, T_odom_camera: np.ndarray, within: Map) -> None:
        """Go on to the next keyframe by a step of the odometry, and forget places that the map no longer has."""
        if self.edge is not None:
            self.edge = advanced(self.edge, step) if self.edge.start in within.keyframes else None
        if self.candidate is not None:
            there = self.candidate.edge.start in within.keyframes
            self.candidate = self.candidate.then(step) if there else None
        self.T_odom_camera = T_odom_camera

    def in_map(self, T_odom_camera: np.ndarray, within: Map) -> np.ndarray | None:
        """Return T_map_camera (4, 4) of a frame of the same odometry; None before the camera has been found."""
        if self.edge is None:
            return None
        return belief(self.edge, within)[0] @ resized(inverse(self.T_odom_camera) @ T_odom_camera, self.edge.scale)

    def odom(self, within: Map) -> tuple[np.ndarray, np.ndarray] | None:
        """Return T_map_odom (4, 4) and its covariance (6, 6) in the map's axes; None before it has been found."""
        if self.edge is None:
            return None
        T, covariance = belief(self.edge, within)
        T_map_odom = T @ inverse(self.T_odom_camera)
        return T_map_odom, carry_covariance(covariance, T_map_odom[:3, 3] - T[:3, 3])

    def judge(self, answer: Fix | Refusal, within: Map, told: bool = False) -> Outcome:
        """Say whether a fix of the latest keyframe is believed, and believe it.

        :param told: somebody else says so, too: the first needs no second one then.
        """
        if isinstance(answer, Refusal):
            return Outcome(answer.reason, answer.text)
        if self.edge is not None and agrees(self.edge, answer, within):
            self.edge, self.candidate = loop_edge(answer, within), None
            return Outcome(Reason.OK, fix=answer)
        self.candidate = candidate = self.weigh(answer, within)
        needed = AGAINST if self.edge is not None else 1 if told else IN_A_ROW
        if candidate.count < needed:
            reason, text = Reason.UNCONFIRMED, 'the next keyframe has to be found where the odometry says'
            if self.edge is not None:
                reason, text = Reason.DISAGREES, 'it was found elsewhere than the odometry says since it was last found'
            return Outcome(reason, f'{text} ({candidate.count} of {needed} in a row)', answer,
                           in_a_row=candidate.count)
        moved = self.edge is not None
        self.edge, self.candidate = candidate.found, None
        return Outcome(Reason.OK, fix=answer, moved=moved)

    def weigh(self, fix: Fix, within: Map) -> Candidate:
        """Return a fix as a candidate: how many in a row agree, this one included."""
        before, found = self.candidate, loop_edge(fix, within)
        count = before.count + 1 if before is not None and agrees(before.edge, fix, within) else 1
        return Candidate(found, found, fix, count)

    def grow(self, growth: Mapping[int, float]) -> None:
        """Take over by how much surroundings of keyframes have grown."""
        if self.edge is not None:
            self.edge = self.edge.grown(growth.get(self.edge.start, 1.0), 1.0)
        if self.candidate is not None:
            self.candidate = self.candidate.grown(growth)


def as_told(answer: Fix | Refusal, hint: np.ndarray | None, radius: float) -> bool:
    """Whether a camera was found near where it is said to be, looking about that way.

    :param hint: T_map_camera; None where nothing is said.
    """
    if hint is None or isinstance(answer, Refusal):
        return False
    away = difference(answer.T_map_camera, hint)
    return bool(np.linalg.norm(away[:3]) <= radius and np.linalg.norm(away[3:]) <= TOLD_RAD)
