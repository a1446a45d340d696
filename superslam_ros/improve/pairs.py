"""Pairs of frames of a recording to judge front-ends by: narrow ones, and wide ones, that have little in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.evaluation.pose_pairs import PosePairs
from superslam_ros.geometry import pose
from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.overlap import Overlap

GAPS = (2, 5, 10, 20, 30, 45, 60)
"""Frames between the two of a pair."""
NARROW, WIDE = (0.6, 1.01), (0.1, 0.4)
"""Which share of the points of the first frame the second one sees: of fewer, nothing can be said."""
NEAR = 0.03
"""Of the median depth: below this baseline its direction is left unjudged, since the truth is not that exact."""
MOST = 200
"""Pairs of either kind, evenly over the time."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Pairs of frames, in order of the first one: ``frames`` (P, 2), and ``wide`` (P,) bool, the others are narrow."""

    frames: np.ndarray
    wide: np.ndarray


def candidates(evidence: Evidence, overlap: Overlap) -> Candidates:
    """Return the pairs of a recording."""
    count = len(evidence.stamps_ns)
    found = []
    for second in range(count):
        first = np.array([second - gap for gap in GAPS if gap <= second], np.int64)
        if len(first) and overlap.placed[second]:
            found += [(one, second, share) for one, share in zip(first, overlap.shares(first, second))]
    table = np.array(found, np.float64).reshape(-1, 3)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    (narrow, wide) = ((table[:, 2] >= low) & (table[:, 2] < high) for low, high in (NARROW, WIDE))
    return Candidates(table[narrow | wide, :2].astype(np.int64), wide[narrow | wide])


def pose_pairs(
    evidence: Evidence, overlap: Overlap, chosen: Candidates, test: np.ndarray, poses: np.ndarray, most: int = MOST
) -> PosePairs:
    """Return the pairs of the frames that are held out, at most so many of either kind.

    :param test: (F,) bool; ``poses`` (F, 4, 4) T_world_camera, NaN where not known.
    """
    frames = chosen.frames
    usable = test[frames].all(1) & np.isfinite(poses[frames]).all((1, 2, 3))
    kept = np.sort(np.concatenate([
        _evenly(np.flatnonzero(usable & (chosen.wide == kind)), most) for kind in (True, False)]))
    frames = frames[kept]
    T_1_0 = np.array([pose.inverse(poses[second]) @ poses[first] for first, second in frames]).reshape(-1, 4, 4)
    depths = np.array([overlap.depth(first) for first, _ in frames])
    return PosePairs(
        evidence.name, evidence.image, evidence.pinhole, frames,
        (evidence.stamps_ns[frames[:, 0]] - evidence.stamps_ns[0]) * 1e-9, T_1_0, chosen.wide[kept],
        np.linalg.norm(T_1_0[:, :3, 3], axis=1) < NEAR * depths)


def _evenly(index: np.ndarray, most: int) -> np.ndarray:
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).round().astype(int)]
