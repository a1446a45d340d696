"""Tracks of the same point joined: those that broke, and those of a place that is seen again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.improve.structure import MOST_ERROR_PX, Structure, mean_errors, structure
from superslam_ros.improve.tracks import MOST_DISTANCE, Tracks, join, tracks
from superslam_ros.slam.mapping.map import match_near

STEPS = 4
"""Of :func:`reconstruct`."""
EVERY, NEAR, FAR = 5, 30, 12
"""Tracks are looked for in every so many frames: those of frames so near in time, and of so many farther ones."""
RADIUS_PX, REVISIT_PX = 4.0, 12.0
"""How far from its point's projection a track is looked for; the odometry has drifted until a place is seen again."""
_SAME = 0.1
"""Part by which distances of the same point differ at most."""
_TURN, _AWAY = 0.8, 0.5
"""Cosine of the angle between views of one place, and how far they are apart, as a part of how far they see."""


def reconstruct(evidence: Evidence, step: Callable[[], None] = lambda: None) -> tuple[Tracks, Structure]:
    """Return the tracks of a recording, joined where they show the same, and the structure that they make.

    :param step: called :data:`STEPS` times, as it goes on.
    :raises ImportError, BundleError: as :func:`~superslam_ros.improve.structure.structure`.
    """
    found = tracks(evidence)
    step()
    built = structure(evidence, found)
    step()
    joined = merge(evidence, found, built)
    step()
    if len(joined) != len(found):
        found, built = joined, structure(evidence, joined)
    step()
    return found, built


def merge(evidence: Evidence, found: Tracks, built: Structure) -> Tracks:
    """Join tracks: the points of one are projected into frames that may show them, and looked for among the others."""
    known = np.isfinite(built.points[:, 0]) & (mean_errors(found, built.errors) < MOST_ERROR_PX)
    of = found.track_of()
    owner = np.full(len(evidence.pixels), -1)
    rows = evidence.first[found.frame] + found.keypoint
    owner[rows] = of
    order = np.argsort(found.frame, kind='stable')
    begin = np.searchsorted(found.frame[order], np.arange(len(evidence) + 1))
    seen = [order[begin[k]:begin[k + 1]] for k in range(len(evidence))]
    pairs: dict[tuple[int, int], int] = {}
    for frame in range(0, len(evidence), EVERY):
        if evidence.segment[frame] == LOST:
            continue
        for frames, radius in _places(evidence, built, found, frame, seen):
            sightings = np.concatenate([seen[other] for other in frames] + [np.zeros(0, int)]).astype(int)
            sightings = sightings[known[of[sightings]] & ~np.isin(of[sightings], of[seen[frame]])]
            _, first = np.unique(of[sightings], return_index=True)
            sightings = sightings[first]
            for pair in _look(evidence, built, frame, of[sightings], rows[sightings], owner, known, radius):
                pairs[pair] = pairs.get(pair, 0) + 1
    return join(found, sorted(pairs, key=lambda pair: (-pairs[pair], pair)))


def _places(
    evidence: Evidence, built: Structure, found: Tracks, frame: int, seen: list[np.ndarray]
) -> list[tuple[np.ndarray, float]]:
    """Return frames that may show the same as a frame, with how far off what they show may be."""
    frames = np.arange(0, len(evidence), EVERY)
    frames = frames[(evidence.segment[frames] == evidence.segment[frame]) & (frames != frame)]
    away = np.abs(frames - frame)
    T, others = built.T_world_camera[frame], built.T_world_camera[frames]
    points = built.points[found.track_of()[seen[frame]]]
    distances = np.linalg.norm(points - T[:3, 3], axis=1)
    reach = np.nanmedian(distances) if np.isfinite(distances).any() else 0.0
    apart = np.linalg.norm(others[:, :3, 3] - T[:3, 3], axis=1)
    again = np.flatnonzero((others[:, :3, 2] @ T[:3, 2] > _TURN) & (apart < _AWAY * reach) & (away > NEAR))
    again = again[np.argsort(apart[again], kind='stable')[:FAR]]
    return [(frames[away <= NEAR], RADIUS_PX), (frames[again], REVISIT_PX)]


def _look(
    evidence: Evidence, built: Structure, frame: int, candidates: np.ndarray, looks: np.ndarray, owner: np.ndarray,
    known: np.ndarray, radius_px: float,
) -> list[tuple[int, int]]:
    """Return pairs of tracks, one of the candidates (N,) and one that a frame sees, that are the same.

    :param looks: (N,) rows of keypoints that show the candidates; ``owner`` (keypoints,) their tracks, -1 for none.
    """
    mine = evidence.rows(frame)
    own = np.arange(mine.start, mine.stop)[owner[mine] >= 0]
    own = own[known[owner[own]]]
    if not len(own) or not len(candidates):
        return []
    T = built.T_world_camera[frame]
    there = (built.points[candidates] - T[:3, 3]) @ T[:3, :3]
    keypoint, candidate = match_near(
        evidence.pixels[own].astype(np.float64), evidence.descriptors[own].astype(np.float32),
        evidence.pinhole.project(there), evidence.descriptors[looks].astype(np.float32), radius_px,
        1 - MOST_DISTANCE**2 / 2)
    tracks_here = owner[own[keypoint]]
    here = ((built.points[tracks_here] - T[:3, 3]) @ T[:3, :3])[:, 2]
    same = np.abs(here - there[candidate, 2]) < _SAME * here
    return [tuple(sorted(pair)) for pair in zip(candidates[candidate[same]].tolist(), tracks_here[same].tolist())]
