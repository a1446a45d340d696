"""Labels of tracks by what came of them (Self-improving visual odometry, arXiv 1812.03245, section 4.2).

A track is stable when one point explains all of its pixels, seen under some parallax: under none, any point would. It
is unstable when it is far from that at some time and not near it for long: a single slip from one keypoint to the next
says nothing.
"""

from __future__ import annotations

import numpy as np

from superslam_ros.improve.structure import Structure
from superslam_ros.improve.tracks import Tracks

STABLE, IGNORED, UNSTABLE = 1, 0, -1
FEWEST = 10
"""Observations."""
LEAST_PARALLAX_DEG = 1.0
STABLE_PX, FAR_PX, OFF_PX, OFF_PART = 1.0, 5.0, 3.0, 1 / 3


def label(structure: Structure, tracks: Tracks, noise_px: float) -> np.ndarray:
    """Return (T,) int8: stable 1, unstable -1, ignored 0.

    :param noise_px: mean error that well seen points of this recording have; below 1 px, 1 px.
    """
    labels = np.full(len(tracks), IGNORED, np.int8)
    if not len(tracks):
        return labels
    start, lengths = tracks.first[:-1], tracks.lengths
    errors = structure.errors.astype(np.float64)
    with np.errstate(invalid='ignore'):
        mean, most = np.add.reduceat(errors, start) / lengths, np.maximum.reduceat(errors, start)
        off = np.add.reduceat((errors > OFF_PX).astype(int), start) / lengths
        enough = (lengths >= FEWEST) & np.isfinite(structure.points[:, 0])
        labels[enough & (most >= FAR_PX) & (off > OFF_PART)] = UNSTABLE
        labels[enough & (mean <= max(STABLE_PX, noise_px)) & (structure.parallax_deg >= LEAST_PARALLAX_DEG)] = STABLE
    return labels
