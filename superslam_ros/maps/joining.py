"""Landmarks that turn out to be one, and maps that become one."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.similarity import resized
from superslam_ros.maps.content import Content
from superslam_ros.maps.parts import MapError, MapKeyframe


class Joined(NamedTuple):
    """New ids by the old ones of a map that was joined to another, and what its lengths were multiplied by.

    ``gone``: those of its keyframes, with their new ids, that were not needed and are removed again.
    """

    keyframes: dict[int, int]
    sessions: dict[int, int]
    landmarks: dict[int, int]
    scale: float = 1.0
    gone: tuple[MapKeyframe, ...] = ()


def merge_landmarks(content: Content, pairs: np.ndarray) -> dict[int, int]:
    """Make one landmark of each pair (M, 2) of ids, the first.

    A pair that one keyframe sees as two keypoints stays two. Of the two places the surer one is kept.

    :returns: by the ids that are gone, what they have become.
    """
    merged: dict[int, int] = {}
    seen_by = content.seen_by(np.unique(pairs))
    for kept, gone in np.asarray(pairs, dtype=np.int64).tolist():
        while kept in merged:
            kept = merged[kept]
        while gone in merged:
            gone = merged[gone]
        rows = content.landmarks.rows(np.array([kept, gone]))
        if kept == gone or (rows < 0).any() or seen_by[kept] & seen_by[gone]:
            continue
        _absorb(content, *rows[:, None])
        for one in seen_by[gone]:
            ids = content.keyframes[one].landmark_ids
            ids[ids == gone] = kept
        seen_by[kept] |= seen_by[gone]
        merged[gone] = kept
    content.landmarks.remove(content.landmarks.rows(np.array(list(merged), dtype=np.int64)))
    for one in sorted(set().union(*(seen_by[kept] for kept in merged.values()))):
        content.admit(one)
    content.revision += bool(merged)
    final = {}
    for gone, kept in merged.items():
        while kept in merged:
            kept = merged[kept]
        final[gone] = kept
    return final


def _absorb(content: Content, kept: np.ndarray, gone: np.ndarray) -> None:
    """Let one landmark take over what is known of another; both (1,) by row."""
    table = content.landmarks
    R_kept, R_gone = content.hosts(kept)[0, :3, :3], content.hosts(gone)[0, :3, :3]
    table.absorb(kept, gone, table.direction[gone] @ R_gone.T @ R_kept)
    if np.trace(table.covariance[gone[0]]) < np.trace(table.covariance[kept[0]]):
        table.direction[kept] = table.direction[kept] @ R_kept.T @ R_gone
        for column in (table.host, table.points, table.covariance):
            column[kept] = column[gone]


def join(content: Content, other: Content, T_map_other: np.ndarray, scale: float = 1.0) -> Joined:
    """Add all that another map holds; :meth:`Map.join` says how."""
    _check(content, other)
    first = max(content.sessions, default=0)
    sessions = {one: first + 1 + position for position, one in enumerate(other.sessions)}
    for one, new in sessions.items():
        content.sessions[new] = replace(other.sessions[one], id=new)
    keyframes = {one: content.next_id + position for position, one in enumerate(other.keyframes)}
    landmarks = _add_landmarks(content, other, keyframes, scale)
    for one in other.keyframes.values():
        ids = np.array([landmarks[number] for number in one.landmark_ids.tolist()], dtype=np.int64)
        content.put(replace(
            one, id=keyframes[one.id], session=sessions[one.session], camera=content.camera(*other.cameras[one.camera]),
            T_map_camera=T_map_other @ resized(one.T_map_camera, scale), pixels=one.pixels.copy(),
            sigma_px=one.sigma_px.copy(), landmark_ids=ids))
    content.edges += [replace(edge.grown(scale, scale), start=keyframes[edge.start], end=keyframes[edge.end])
                      for edge in other.edges]
    return Joined(keyframes, sessions, landmarks, scale)


def _check(content: Content, other: Content) -> None:
    """Refuse to join what does not fit together.

    :raises MapError: when the maps were made with different weights or vocabularies.
    """
    if content.weights and other.weights and content.weights != other.weights:
        raise MapError(f'the maps were made with different weights of SuperPoint ({content.weights[:12]} and '
                       f'{other.weights[:12]}): build one of them anew with the extractor.weights of the other')
    sizes = {one.embedding_size for one in (content, other) if len(one)}
    if len(sizes) > 1:
        raise MapError(f'the maps know places by different vocabularies (embeddings of {min(sizes)} and {max(sizes)} '
                       'numbers): build one of them anew')


def _add_landmarks(content: Content, other: Content, keyframes: dict[int, int], scale: float) -> dict[int, int]:
    """Append the landmarks of another map and return their new ids by the old ones."""
    table, rows = other.landmarks, other.landmarks.living()
    columns = {name: getattr(table, name)[rows] for name in (
        'covariance', 'octave', 'count', 'direction', 'first_seen_ns', 'last_seen_ns', 'descriptors')}
    columns['covariance'] = columns['covariance'] * scale**2
    hosts = np.array([keyframes[one] for one in table.host[rows].tolist()], dtype=np.int64)
    new = content.landmarks.append(host=hosts, points=scale * table.points[rows], **columns)
    return dict(zip(table.ids[rows].tolist(), new.tolist()))
