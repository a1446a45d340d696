"""Whether poses from elsewhere are those of a recording."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry import pose

APART = 10
"""Frames between which motions are compared."""
FEWEST = 20
_ROTATION_DEG, _DIRECTION_DEG = 3.0, 25.0
"""Motions of the same camera differ by less, in the middle."""


def objection(estimate: np.ndarray, truth: np.ndarray, segment: np.ndarray) -> str:
    """Return why true poses do not fit to the estimated ones; empty where they do.

    Motions over 10 frames are compared: where frames of reference, scale and drift differ, they are still alike.

    :param estimate: (F, 4, 4) T_world_camera, ``truth`` likewise of the same frames; NaN where not known.
    :param segment: (F,) within which estimated poses are related, -1 where there is none.
    """
    known = np.isfinite(estimate).all((1, 2)) & np.isfinite(truth).all((1, 2)) & (segment >= 0)
    first = np.flatnonzero(known[:-APART] & known[APART:] & (segment[:-APART] == segment[APART:]))
    if len(first) < FEWEST:
        return (f'{int(known.sum())} frames have both a true pose and one of the odometry, too few to compare: the '
                'stamps must be those of the images, in seconds')
    found, wanted = (np.array([pose.inverse(poses[i]) @ poses[i + APART] for i in first])
                     for poses in (estimate, truth))
    turned = np.einsum('nij,nij->n', found[:, :3, :3], wanted[:, :3, :3])
    rotation = float(np.median(np.degrees(np.arccos(np.clip((turned - 1) / 2, -1, 1)))))
    lengths = np.linalg.norm(found[:, :3, 3], axis=1), np.linalg.norm(wanted[:, :3, 3], axis=1)
    moving = (lengths[0] > np.median(lengths[0]) / 2) & (lengths[1] > 0)
    along = (found[moving, :3, 3] * wanted[moving, :3, 3]).sum(1) / (lengths[0] * lengths[1])[moving]
    direction = float(np.median(np.degrees(np.arccos(np.clip(along, -1, 1))))) if moving.any() else 180.0
    if rotation > _ROTATION_DEG or direction > _DIRECTION_DEG:
        return (f'its motions differ from those of the odometry by {rotation:.1f} degrees of rotation and '
                f'{direction:.0f} degrees of direction in the middle: it is of another recording, of other stamps, or '
                'not of the optical frame')
    return ''
