"""Two maps that become one: the keyframes of one are found in the other."""

from __future__ import annotations

from collections import Counter

import numpy as np

from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.maps import culling, loops, similarity
from superslam_ros.maps.agreement import IN_A_ROW, Candidate, agrees, loop_edge, with_unit
from superslam_ros.maps.joining import Joined
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import unit
from superslam_ros.maps.localizer import Fix, Localizer, Reason, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import Edge, MapKeyframe
from superslam_ros.maps.reembedding import adopt

TRIED = 100
"""Keyframes of a map that are looked for in another, spread evenly over it."""
DRIFT = np.repeat([0.02, 0.005], 3)
"""Deviation that two keyframes of a map gain per metre between them (m, rad)."""
SCALE_DRIFT = 0.02
"""The same of the logarithm of the scale, where there is no metre."""

KNOWN = 0.5
"""A keyframe goes when the other map knew so much of its landmarks."""


def merge(within: Map, other: Map, localizer: Localizer) -> Joined | Refusal:
    """Add a map to another, where at least two keyframes of it are found there that agree with each other.

    Keyframes that show little else than what the other map knew go again.

    :returns: the new ids of what was added, or why it was not; then nothing has changed.
    :raises MapError: when the maps were made with different weights.
    """
    found, refusals = [], Counter()
    metric = within.metric and other.metric
    if not metric and not similarity.available():
        return Refusal(Reason.NOT_METRIC, similarity.NOT_METRIC)
    for one in (within, other):
        adopt(one, localizer.vocabulary)
    numbers = sorted(other.keyframes)
    for number in numbers[::-(-len(numbers) // TRIED)] if numbers else ():
        keyframe = as_seen(other, number).strongest(localizer.config.max_keypoints)
        answer = localizer.locate(keyframe, within, embedding=other.keyframes[number].embedding.astype(np.float32))
        if isinstance(answer, Fix) and not metric:
            answer = with_unit(answer, keyframe, within, None)
        if isinstance(answer, Fix):
            edge = loop_edge(answer, within)
            found.append(Candidate(edge, edge, answer, 1, number, keyframe.landmark_ids))
        else:
            refusals[answer.reason] += 1
    best = max((_agreeing(one, found, within, other) for one in found), key=len, default=[])
    if len(best) < IN_A_ROW:
        reason = refusals.most_common(1)[0][0] if refusals else Reason.UNCONFIRMED
        tried = len(found) + sum(refusals.values())
        said = f'{len(found)} of {tried} keyframes found in the other map'
        if len(found) > 1:
            said += f', but no {IN_A_ROW} of them where the others say'
        return Refusal(reason, f'{said}; {IN_A_ROW} that agree with each other are needed: do the maps overlap?')
    before = set(within.keyframes)
    joined = loops.join(within, other, best)[0]
    return joined._replace(gone=_thin(within, before))


def as_seen(within: Map, number: int) -> Keyframe:
    """Return a keyframe of a map as if the odometry had just made it: its keypoints are those of landmarks."""
    one = within.keyframes[number]
    pinhole, image_size = within.cameras[one.camera]
    rows = within.landmarks.rows(one.landmark_ids)
    count, T = len(rows), inverse(one.T_map_camera)
    R = T[:3, :3] @ within.hosts(rows)[:, :3, :3]
    return Keyframe(
        one.stamp_ns, 0, pinhole, image_size, one.T_map_camera, np.eye(6), None, np.eye(4), np.eye(6), one.pixels,
        one.sigma_px, np.ones(count), np.ones(count), unit(within.landmarks.descriptors[rows]), one.landmark_ids,
        transform(T, within.points_of(rows)), R @ within.landmarks.covariance[rows] @ R.transpose(0, 2, 1),
        within.sessions[one.session].metric)


def _thin(within: Map, before: set[int]) -> tuple[MapKeyframe, ...]:
    """Remove keyframes that were joined to a map, most of whose landmarks are seen by those there before."""
    gone = [one for number, one in within.keyframes.items()
            if number not in before and culling.known_to(within, number, before) >= KNOWN]
    for one in gone:
        within.remove(one.id, heirs=before)
    return tuple(gone)


def _agreeing(one: Candidate, found: list[Candidate], within: Map, other: Map) -> list[Candidate]:
    """Return the candidates that are where they have to be if one of them is true, which comes first."""
    T_one = inverse(other.keyframes[one.keyframe].T_map_camera)
    good = [one]
    for another in found:
        T = T_one @ other.keyframes[another.keyframe].T_map_camera
        drift = np.diag((np.append(DRIFT, SCALE_DRIFT) * np.linalg.norm(T[:3, 3]))**2)
        way = Edge(0, 0, T, drift if one.found.similar else drift[:6, :6])
        if another is not one and agrees(one.found.then(way), another.fix, within):
            good.append(another)
    return good
