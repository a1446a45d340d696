"""Whether a recording shows enough to learn from; if not, why, and what to do."""

from __future__ import annotations

import numpy as np

from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.structure import Structure

MOST_LOST = 0.4
"""Part of the frames in which the odometry was lost."""
FEWEST_FRAMES = 100
FEWEST_KEYPOINTS = 80
"""Per frame, in the middle; sharp images of places with anything in them have several hundred."""
FEWEST_STABLE = 300
"""Tracks that show that they are stable."""
LEAST_PARALLAX_DEG = 1.0
MOVING = 0.1
"""Part of the points that are seen under more parallax than that, where a camera moves."""

LEAST_RIGHT = 0.2
"""Of the keypoints of pairs to learn from; .5 to .87 on good recordings, .03 where the poses are shuffled."""


class Refusal(Exception):
    """Recordings, or the weights that were trained on them, are of no use: the reason."""


def of_frames(evidence: Evidence) -> str:
    """Return why frames and poses are of no use; empty where they are."""
    lost = float((evidence.segment < 0).mean())
    placed = int((evidence.segment >= 0).sum())
    keypoints = float(np.median(np.diff(evidence.first)))
    if keypoints < FEWEST_KEYPOINTS:
        return (f'its images have {keypoints:.0f} keypoints in the middle, of {FEWEST_KEYPOINTS} that are needed: they '
                'are blurred, dark, or of bare places; record with more light, or more slowly')
    if lost > MOST_LOST:
        return (f'the camera is lost in {lost:.0%} of its frames, so that their poses are not known: record more '
                'slowly, with more light, or with depth; `superslam run` shows where it is lost')
    if placed < FEWEST_FRAMES:
        return f'{placed} of its frames have a pose, of {FEWEST_FRAMES} that are needed: record for longer'
    return ''


def of_structure(structure: Structure, labels: np.ndarray) -> str:
    """Return why points and labels (T,) are of no use; empty where they are."""
    known = np.isfinite(structure.points[:, 0])
    moving = float((structure.parallax_deg[known] >= LEAST_PARALLAX_DEG).mean()) if known.any() else 0.0
    stable = int((labels > 0).sum())
    if moving < MOVING:
        return (f'the camera hardly moves: {moving:.0%} of the points are seen under {LEAST_PARALLAX_DEG:g} degree of '
                f'parallax, of {MOVING:.0%} that are needed; record while the robot drives')
    if stable < FEWEST_STABLE:
        return (f'{stable} points show that they are stable, of {FEWEST_STABLE} that are needed: record for longer, '
                'more slowly, or with more light')
    return ''


def of_pairs(right: float) -> str:
    """Return why pairs to learn from are of no use; empty where they are.

    :param right: share of the keypoints that, before training, look more like their place in the other frame, as the
        structure has it, than like any other keypoint there.
    """
    if right < LEAST_RIGHT:
        return (f'the structure does not fit the images: where, by it, another frame sees them, {right:.0%} of the '
                f'keypoints look as they should, of {LEAST_RIGHT:.0%} that are needed; is the calibration that of the '
                'images, and is the depth registered, and of their time?')
    return ''
