"""What a map becomes where a place is seen again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.pose import inverse
from superslam_ros.geometry.similarity import resized, widened
from superslam_ros.maps import graph, similarity
from superslam_ros.maps.adjust import adjust
from superslam_ros.maps.agreement import Candidate
from superslam_ros.maps.joining import Joined
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Fix
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, Edge

log = logging.getLogger(__name__)

FITS = 5.0
"""An edge that costs less than this changes nothing."""
LOOSE, SCALE_LOOSE = np.diag(np.repeat([0.005, 0.002], 3)**2), 0.005
"""Covariance (m^2, rad^2) that is added to a loop's, since maps are bent, and deviation of its scale."""
MEASURED = 3
"""Most edges between two keyframes."""
JUMP_M = 0.01
"""A motion of a map's keyframes that is told to others."""
GRID, RICH, KNOWN = 6, 5, 0.8
"""Of so many by so many parts of an image, those with so many keypoints have to be known so often."""


def close(within: Map, candidates: Sequence[Candidate]) -> tuple[bool, bool]:
    """Put loops into a map, make it fit to them, and make one landmark of what is seen to be one.

    :returns: whether one of them is believed, and whether the map has moved.
    """
    candidates = [one for one in candidates if {one.keyframe, one.found.start} <= within.keyframes.keys()]
    moved = insert(within, [_loosened(one.loop()) for one in candidates])
    true = {(edge.start, edge.end) for edge in within.edges if edge.inlier and edge.kind == LOOP}
    pairs = [np.stack([one.fix.landmarks, one.own[one.fix.keypoints]], 1) for one in candidates
             if (one.found.start, one.keyframe) in true]
    if pairs:
        both = np.concatenate(pairs)
        within.merge_landmarks(both[(both[:, 1] > 0) & (both[:, 0] != both[:, 1])])
    return bool(pairs), moved


def join(within: Map, other: Map, candidates: Sequence[Candidate]) -> tuple[Joined, list[Candidate], bool, bool]:
    """Add a map to another where keyframes of it were found, in metres where one of them was; where the first says.

    :returns: the new ids, the candidates as they were renamed, and what :func:`close` returns.
    """
    first, metric = candidates[0], within.metric
    scale, T = first.found.scale, other.keyframes[first.keyframe].T_map_camera
    joined = within.join(other, first.fix.T_map_camera @ inverse(resized(T, scale)), scale)
    candidates = [_renamed(one, joined) for one in candidates]
    closed = close(within, candidates)
    if within.metric and not metric:
        within.rescale(1 / scale)
    return joined, candidates, *closed


def measure(within: Map, edge: Edge, found: Edge) -> bool:
    """Put into a map what the odometry says of two of its places that a camera was found at; whether it has moved.

    :param edge: from the first place to the camera, by the odometry; ``found``: from the second one.
    """
    edge = replace(edge.then(_loosened(found).reversed()), end=found.start, kind=LOOP)
    same = [one for one in within.edges if {one.start, one.end} == {edge.start, edge.end}]
    if edge.start == edge.end or len(same) >= MEASURED:
        return False
    return insert(within, [edge])


def _loosened(edge: Edge) -> Edge:
    size = len(edge.covariance)
    return replace(edge, covariance=edge.covariance + widened(LOOSE, size, SCALE_LOOSE**2))


def insert(within: Map, edges: Sequence[Edge]) -> bool:
    """Put edges into a map, and correct it where they ask for it; whether it has moved."""
    within.edges += edges
    poses = {number: one.T_map_camera for number, one in within.keyframes.items()}
    return max((graph.cost(edge, poses) for edge in edges), default=0.0) > FITS and optimise(within)


def optimise(within: Map) -> bool:
    """Move the keyframes of a map to where all edges agree best; whether one of them has moved by a centimetre."""
    before = {number: one.T_map_camera for number, one in within.keyframes.items()}
    if len(before) < 2 or not similarity.possible(within.edges):
        return False
    try:
        solution = graph.optimise(before, within.edges)
    except graph.GraphError as error:
        log.warning('the map could not be corrected (%s)', error)
        return False
    within.edges = [replace(edge, inlier=bool(inlier)) if edge.kind == LOOP else edge
                    for edge, inlier in zip(within.edges, solution.inliers)]
    within.move(solution.poses, solution.scales)
    return max(np.linalg.norm(T[:3, 3] - before[number][:3, 3]) for number, T in solution.poses.items()) > JUMP_M


def finish(within: Map) -> float:
    """Correct a map by its edges, then by all pixels (:func:`~superslam_ros.maps.adjust.adjust`).

    :returns: by how much the last has moved keyframes (m), root mean square.
    """
    optimise(within)
    try:
        return 0.0 if bundle.gtsam is None else adjust(within)
    except bundle.BundleError as error:
        log.warning('the map could not be adjusted (%s)', error)
        return 0.0


def knows(fix: Fix, keyframe: Keyframe) -> bool:
    """Whether a map knows all that a keyframe sees: in most parts of the image where it has keypoints."""
    cells = (keyframe.pixels * (GRID / np.array(keyframe.image_size, dtype=np.float32))).astype(int).clip(0, GRID - 1)
    which = cells[:, 0] + GRID * cells[:, 1]
    rich = np.bincount(which, minlength=GRID**2) >= RICH
    found = np.bincount(which[fix.keypoints], minlength=GRID**2) > 0
    return bool(rich.any() and found[rich].mean() >= KNOWN)


def _renamed(candidate: Candidate, joined: Joined) -> Candidate:
    """Return a candidate of a map that was joined to another, by its ids there."""
    own = np.array([joined.landmarks.get(number, 0) for number in candidate.own.tolist()], dtype=np.int64)
    return replace(candidate, keyframe=joined.keyframes.get(candidate.keyframe, 0), own=own,
                   unit=joined.scale * candidate.unit)
