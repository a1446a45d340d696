"""Two maps that become one: the keyframes of one are found in the other."""

from __future__ import annotations

from collections import Counter

import numpy as np

from superslam_ros.geometry.pose import difference, inverse, rotate_covariance
from superslam_ros.maps import loops
from superslam_ros.maps.agreement import BENT, CHI2_999, IN_A_ROW, Candidate, loop_edge
from superslam_ros.maps.joining import Joined
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import unit
from superslam_ros.maps.localizer import Fix, Localizer, Reason, Refusal
from superslam_ros.maps.map import Map

TRIED = 100
"""Keyframes of a map that are looked for in another, spread evenly over it."""
DRIFT = np.repeat([0.02, 0.005], 3)
"""Deviation that two keyframes of a map gain per metre between them (m, rad)."""


def merge(within: Map, other: Map, localizer: Localizer) -> Joined | Refusal:
    """Add a map to another, where at least two keyframes of it are found there that agree with each other.

    :returns: the new ids of what was added, or why it was not; then nothing has changed.
    :raises MapError: when the maps were made with different weights or vocabularies.
    """
    found, refusals = [], Counter()
    if not (within.metric and other.metric):
        return Refusal(Reason.NOT_METRIC, 'maps of one camera without scale cannot be merged')
    numbers = sorted(other.keyframes)
    for number in numbers[::-(-len(numbers) // TRIED)] if numbers else ():
        keyframe = as_seen(other, number).strongest(localizer.config.max_keypoints)
        answer = localizer.locate(keyframe, within, embedding=other.keyframes[number].embedding.astype(np.float32))
        if isinstance(answer, Fix):
            edge = loop_edge(answer, within)
            found.append(Candidate(edge, edge, answer, 1, number, keyframe.landmark_ids))
        else:
            refusals[answer.reason] += 1
    best = max((_agreeing(one, found, other) for one in found), key=len, default=[])
    if len(best) < IN_A_ROW:
        reason = refusals.most_common(1)[0][0] if refusals else Reason.UNCONFIRMED
        tried = len(found) + sum(refusals.values())
        return Refusal(reason, f'of {tried} keyframes {len(found)} were found in the other map, but no {IN_A_ROW} of '
                       'them agree with each other: the maps may not overlap')
    T = best[0].fix.T_map_camera @ inverse(other.keyframes[best[0].keyframe].T_map_camera)
    joined = within.join(other, T)
    loops.close(within, [loops.renamed(one, joined) for one in best])
    return joined


def as_seen(within: Map, number: int) -> Keyframe:
    """Return a keyframe of a map as if the odometry had just made it: its keypoints are those of landmarks."""
    one = within.keyframes[number]
    pinhole, image_size = within.cameras[one.camera]
    rows = within.landmarks.rows(one.landmark_ids)
    count, unknown = len(rows), np.full((len(rows), 3), np.nan)
    return Keyframe(
        one.stamp_ns, 0, pinhole, image_size, one.T_map_camera, np.eye(6), None, np.eye(4), np.eye(6), one.pixels,
        one.sigma_px, np.ones(count), np.ones(count), unit(within.landmarks.descriptors[rows]), one.landmark_ids,
        unknown, np.full((count, 3, 3), np.nan), within.sessions[one.session].metric)


def _agreeing(one: Candidate, found: list[Candidate], other: Map) -> list[Candidate]:
    """Return the candidates that are where they have to be if one of them is true, which comes first."""
    T_found_here = one.fix.T_map_camera @ inverse(other.keyframes[one.keyframe].T_map_camera)
    R = T_found_here[:3, :3]
    good = [one]
    for another in found:
        T = other.keyframes[another.keyframe].T_map_camera
        away = np.linalg.norm(T[:3, 3] - other.keyframes[one.keyframe].T_map_camera[:3, 3])
        covariance = one.fix.covariance + another.fix.covariance + BENT + rotate_covariance(
            R, np.diag((DRIFT * away)**2))
        error = difference(another.fix.T_map_camera, T_found_here @ T)
        if another is not one and error @ np.linalg.solve(covariance, error) < CHI2_999:
            good.append(another)
    return good
