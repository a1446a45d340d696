"""Tracks: keypoints of consecutive frames that are each other's nearest, whatever they turn out to show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.improve.points import Seen, triangulate

MOST_DISTANCE = 0.7
"""Of the descriptors of consecutive keypoints."""
JUMP_PX, JUMP_TIMES = 3.0, 4.0
"""A track is split where its error changes by so much, and by so many times its usual change."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """T tracks with M observations in all; those of track t are rows ``first[t]`` to ``first[t + 1]``, by frame.

    ``first`` (T + 1,) int64; ``frame`` (M,) int64; ``keypoint`` (M,) int64, its number within the frame. A keypoint is
    observed at most once, and a track has at most one of each frame.
    """

    first: np.ndarray
    frame: np.ndarray
    keypoint: np.ndarray

    def __len__(self) -> int:
        """Return the number of tracks."""
        return len(self.first) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(T,) number of observations."""
        return np.diff(self.first)

    def track_of(self) -> np.ndarray:
        """Return the (M,) track of every observation."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @classmethod
    def of(cls, track: np.ndarray, frame: np.ndarray, keypoint: np.ndarray) -> Tracks:
        """Make tracks of observations (M,) in any order, numbered anew; those of one observation are left out."""
        order = np.lexsort((frame, track))
        _, number, count = np.unique(track[order], return_inverse=True, return_counts=True)
        kept = order[count[number] > 1]
        return cls(np.concatenate([[0], np.cumsum(count[count > 1])]), frame[kept], keypoint[kept])


def tracks(evidence: Evidence) -> Tracks:
    """Return the tracks of a recording, split where they slip from one keypoint to another."""
    return split(evidence, chain(evidence))


def seen(evidence: Evidence, found: Tracks, T_world_camera: np.ndarray) -> Seen:
    """Return what tracks see from poses (F, 4, 4)."""
    rows = evidence.first[found.frame] + found.keypoint
    return Seen(evidence.pixels[rows].astype(np.float64), T_world_camera, found.frame,
                evidence.depth_m[rows].astype(np.float64), found.first)


def chain(evidence: Evidence) -> Tracks:
    """Return the keypoints of consecutive frames of a segment that are mutual nearest neighbours, one after another."""
    track = np.arange(len(evidence.pixels))
    for frame in range(len(evidence) - 1):
        if evidence.segment[frame] == LOST or evidence.segment[frame] != evidence.segment[frame + 1]:
            continue
        one, two = evidence.rows(frame), evidence.rows(frame + 1)
        here, there = nearest(evidence.descriptors[one], evidence.descriptors[two])
        track[two.start + there] = track[one.start + here]
    frame = evidence.frame_of()
    return Tracks.of(track, frame, np.arange(len(track)) - evidence.first[frame])


def nearest(here: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (M,) of descriptors (N, D) and (K, D) that are each other's nearest, and near enough."""
    if not len(here) or not len(there):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    similar = here.astype(np.float32) @ there.astype(np.float32).T
    best, back = similar.argmax(1), similar.argmax(0)
    rows = np.arange(len(here))
    # Of unit vectors, the squared distance is 2 - 2 cos.
    chosen = (back[best] == rows) & (similar[rows, best] >= 1 - MOST_DISTANCE**2 / 2)
    return rows[chosen], best[chosen]


def split(evidence: Evidence, found: Tracks) -> Tracks:
    """Split tracks where they jump, by the odometry's poses: what moves does so in every frame, a slip but once."""
    for _ in range(3):
        errors = triangulate(evidence.pinhole, seen(evidence, found, evidence.T_world_camera)).errors
        cut = _jumps(found, errors)
        if not cut.any():
            break
        found = Tracks.of(np.cumsum(cut), found.frame, found.keypoint)
    return found


def _jumps(found: Tracks, errors: np.ndarray) -> np.ndarray:
    """Return (M,) bool: where tracks begin, and where the errors (M, 2) of one jump most."""
    begins = np.zeros(len(found.frame), bool)
    begins[found.first[:-1]] = True
    change = np.zeros(len(errors))
    with np.errstate(invalid='ignore'):
        change[1:] = np.nan_to_num(np.linalg.norm(np.diff(errors, axis=0), axis=1), posinf=1e6)
    change[begins] = 0
    of = found.track_of()
    order = np.lexsort((change, of))
    usual = change[order[found.first[:-1] + found.lengths // 2]]
    last = order[found.first[1:] - 1]
    jumps = (change[last] > JUMP_PX) & (change[last] > JUMP_TIMES * usual) & (found.lengths > 2)
    begins[last[jumps]] = True
    return begins


def join(found: Tracks, pairs: Iterable[tuple[int, int]]) -> Tracks:
    """Join tracks that show the same, the surest pairs first; never two that one frame shows apart."""
    group = np.arange(len(found))
    frames = [set(found.frame[found.first[t]:found.first[t + 1]].tolist()) for t in range(len(found))]

    def root(number: int) -> int:
        while group[number] != number:
            group[number] = group[group[number]]
            number = int(group[number])
        return number

    for one, other in pairs:
        a, b = root(one), root(other)
        if a != b and not frames[a] & frames[b]:
            group[b] = a
            frames[a] |= frames[b]
    group = np.array([root(number) for number in range(len(found))], dtype=np.int64)
    return Tracks.of(group[found.track_of()], found.frame, found.keypoint)
