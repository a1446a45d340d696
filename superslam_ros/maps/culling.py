"""Which keyframes and landmarks a map can do without, and how they leave it."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.maps.content import Content
from superslam_ros.maps.parts import LOOP, Edge

OTHERS = 3
"""Keyframes that must see a landmark, too, for one to be superfluous to it (ORB-SLAM's rule; Mur-Artal, Montiel and
Tardos, T-RO 2015, section VI-E)."""
ABOUT = 1.5
"""Seen from so many times as far, or as near, it is seen from about the same distance."""
YOUNG = 3
"""Keyframes of its session after which a landmark must have been seen twice."""


def redundancy(content: Content, keyframe_id: int) -> float:
    """Return which part of a keyframe's landmarks three others see from about the same distance; 0 without any."""
    others = _others(content, keyframe_id)
    return float((others >= OTHERS).mean()) if len(others) else 0.0


def _others(content: Content, keyframe_id: int) -> np.ndarray:
    """Return how many other keyframes see each landmark (K,) of a keyframe from about the same distance."""
    own = np.sort(content.keyframes[keyframe_id].landmark_ids)
    others, seen = content.sharing(keyframe_id)
    which = np.searchsorted(own, seen)
    points = content.points_of(content.landmarks.rows(own))
    numbers, at = np.unique(others, return_inverse=True)
    centres = np.array([content.keyframes[one].T_map_camera[:3, 3] for one in numbers.tolist()]).reshape(-1, 3)
    distance = np.linalg.norm(points - content.keyframes[keyframe_id].T_map_camera[:3, 3], axis=1)[which]
    ratio = np.linalg.norm(points[which] - centres[at.ravel()], axis=1) / np.maximum(distance, 1e-9)
    about = (ratio < ABOUT) & (ratio > 1 / ABOUT)
    return np.bincount(which[about], minlength=len(own))


def known_to(content: Content, keyframe_id: int, others: set[int]) -> float:
    """Return which part of a keyframe's landmarks some others see; 0 without any."""
    keyframes, seen = content.sharing(keyframe_id)
    known = np.unique(seen[np.isin(keyframes, list(others))])
    return len(known) / max(len(content.keyframes[keyframe_id].landmark_ids), 1)


def fewer(content: Content, count: int, kept: set[int]) -> Iterator[int]:
    """Yield which keyframes to remove, one at a time, until ``count`` are left: those that are missed least first.

    Every further sighting of a landmark is worth half of the one before. Each keyframe is removed by who asks before
    the next one is asked for. Of equals, the oldest goes.

    :param kept: are not to be removed.
    """
    if len(content) <= count:
        return

    def missed(number: int) -> float:
        return float((0.5**_others(content, number)).sum())

    worth = {one: missed(one) for one in content.keyframes if one not in kept}
    queue = [(value, one) for one, value in worth.items()]
    heapq.heapify(queue)
    while len(content) > count and queue:
        value, number = heapq.heappop(queue)
        if worth.get(number) != value:      # it has changed since
            continue
        around = content.neighbours(number, len(content))
        del worth[number]
        yield number
        for one in around:
            if one in worth:
                worth[one] = missed(one)
                heapq.heappush(queue, (worth[one], one))


def latest(content: Content, sessions: set[int], count: int) -> set[int]:
    """Return so many keyframes of each of some sessions, the latest."""
    found: dict[int, list[int]] = {one: [] for one in sessions}
    missing = count * len(sessions)
    for one in reversed(content.keyframes.values()):
        if not missing:
            break
        if one.session in found and len(found[one.session]) < count:
            found[one.session].append(one.id)
            missing -= 1
    return {number for ids in found.values() for number in ids}


def remove(content: Content, keyframe_id: int, heirs: Collection[int] = ()) -> Edge | None:
    """Remove a keyframe, and the landmarks that only it sees.

    :param heirs: shall stand in for it rather than others.
    :returns: the edge by which another now stands in for it, which its other edges have been joined to; None where it
        had none.
    """
    _rehost(content, keyframe_id)
    del content.keyframes[keyframe_id]
    content.revision += 1
    touching = [edge for edge in content.edges if edge.touches(keyframe_id)]
    if not touching:
        return None
    content.edges = [edge for edge in content.edges if not edge.touches(keyframe_id)]
    leaving = [edge if edge.start == keyframe_id else edge.reversed() for edge in touching if edge.inlier]
    if not leaving:
        return None
    best = min(leaving, key=lambda edge: (
        edge.end not in heirs, edge.kind == LOOP, np.trace(edge.covariance), edge.end))
    instead = best.reversed()
    ends = {edge.end for edge in leaving}
    there = {(edge.kind, *sorted((edge.start, edge.end))) for edge in content.edges
             if edge.start in ends and edge.end in ends}
    for edge in (instead.then(other) for other in leaving if other.end != best.end):
        if (edge.kind, *sorted((edge.start, edge.end))) not in there:   # of many passes of one place one is enough
            content.edges.append(edge)
    return instead


def _rehost(content: Content, keyframe_id: int) -> None:
    """Give the landmarks that a keyframe hosts to the first other one that sees them, or remove them."""
    table = content.landmarks
    rows = table.rows(content.keyframes[keyframe_id].landmark_ids)
    rows = np.sort(rows[table.host[rows] == keyframe_id])
    others, seen = content.sharing(keyframe_id)
    found, first = np.unique(seen, return_index=True)      # in the order of keyframes
    hosts = dict(zip(found.tolist(), others[first].tolist()))
    new = np.array([hosts.get(number, 0) for number in table.ids[rows].tolist()], dtype=np.int64)
    T_map_old = content.keyframes[keyframe_id].T_map_camera
    for host in np.unique(new[new > 0]).tolist():
        mine = rows[new == host]
        T = inverse(content.keyframes[host].T_map_camera) @ T_map_old
        R = T[:3, :3]
        table.points[mine] = table.points[mine] @ R.T + T[:3, 3]
        table.direction[mine] = table.direction[mine] @ R.T
        table.covariance[mine] = R @ table.covariance[mine] @ R.T
        table.host[mine] = host
    table.remove(rows[new == 0])
    content.hand_over(keyframe_id, np.unique(new[new > 0]).tolist())


def forget_unconfirmed(content: Content, keyframe_ids: Iterable[int]) -> None:
    """Remove landmarks that only one of the keyframes has ever seen although others of its session have come since."""
    table = content.landmarks
    there = [number for number in keyframe_ids if number in content.keyframes]
    young = latest(content, {content.keyframes[number].session for number in there}, YOUNG)
    for number in there:
        if number not in young:
            keyframe = content.keyframes[number]
            rows = table.rows(keyframe.landmark_ids)
            alone = table.count[rows] < 2
            if alone.any():
                keyframe.keep(~alone)
                table.remove(rows[alone])
                content.revision += 1
