"""Which mount, scale and clock make two measurements of the same rotations agree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REACH_S, STEP_S = 0.25, 0.01
"""Offsets of the clocks that are looked at."""
ENOUGH, LEAST_RAD_S = 30, 0.05
"""Intervals, and how much (1 sigma) rates change over them, for anything to be said."""
KEEP = 1e-3
"""How much the mount that is believed weighs against what is measured, where that leaves it open."""


class Fit(NamedTuple):
    """What fits best.

    :ivar late_s: how much later the unit's stamps are than the camera's; ``late_sigma_s`` 1 sigma.
    :ivar R_imu_camera: (3, 3), a reflection with ``mirrored``; ``scale``: the unit's rates by the camera's.
    :ivar correlation: 1 where nothing is left over, by these.
    :ivar information: (3, 3) of an error of that rotation, along the axes of the camera (1/rad^2).
    """

    late_s: float
    late_sigma_s: float
    R_imu_camera: np.ndarray
    mirrored: bool
    scale: float
    correlation: float
    information: np.ndarray


def fit(
    edges_s: np.ndarray, turned_rad: np.ndarray, seconds: np.ndarray, rates: np.ndarray, R_imu_camera: np.ndarray,
) -> Fit | None:
    """Correlate the angular velocities of camera and unit over the offset of their clocks.

    At every offset, the mount is the one of Kabsch (Acta Cryst. A32, 1976), so that none need be known, and means are
    taken off, by which a bias does not matter.

    :param edges_s: (M, 2) beginning and end of intervals in which the camera turned by ``turned_rad`` (M, 3), along
        its own axes.
    :param seconds: (N,) times of the unit's ``rates`` (N, 3), which reach ``REACH_S`` beyond the intervals.
    :param R_imu_camera: (3, 3) that is believed.
    :returns: None where too little turns.
    """
    lengths = np.diff(edges_s, axis=1)
    seen = _centred(turned_rad / lengths) if len(edges_s) >= ENOUGH else np.zeros((1, 3))
    if np.sqrt((seen**2).sum(1).mean()) < LEAST_RAD_S:
        return None
    summed = np.concatenate([np.zeros((1, 3)), np.cumsum((rates[1:] + rates[:-1]) / 2 * np.diff(seconds)[:, None], 0)])

    def measured(late_s: float) -> np.ndarray:
        ends = np.stack([np.interp(edges_s + late_s, seconds, axis) for axis in summed.T], -1)
        return _centred((ends[:, 1] - ends[:, 0]) / lengths)

    def correlation(late_s: float) -> float:
        found = measured(late_s)
        return float(np.linalg.norm(found.T @ seen, 'nuc') / max(np.linalg.norm(found) * np.linalg.norm(seen), 1e-9))

    offsets = np.arange(-REACH_S, REACH_S + STEP_S / 2, STEP_S)
    scores = np.array([correlation(offset) for offset in offsets])
    best = int(np.clip(scores.argmax(), 1, len(offsets) - 2))
    before, at, after = scores[best - 1:best + 2]
    bend = before - 2 * at + after
    late_s = float(offsets[best] + (STEP_S * np.clip((before - after) / (2 * bend), -1, 1) if bend < 0 else 0.0))
    found = measured(late_s)
    C = found.T @ seen
    U, _, Vt = np.linalg.svd(C + KEEP * np.linalg.norm(C) * R_imu_camera)
    R = U @ Vt
    scale = float((R * C).sum() / (seen**2).sum())
    at = float((R * C).sum() / (np.linalg.norm(found) * np.linalg.norm(seen)))
    slope = (measured(late_s + STEP_S) - measured(late_s - STEP_S)) / (2 * STEP_S)
    left = (found**2).sum() * max(1 - at**2, 1e-6) / found.size
    information = ((seen**2).sum() * np.eye(3) - seen.T @ seen) * scale**2 / left
    return Fit(late_s, float(np.sqrt(left / max((slope**2).sum(), 1e-12))), R, bool(np.linalg.det(R) < 0), scale, at,
               information)


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(0)
