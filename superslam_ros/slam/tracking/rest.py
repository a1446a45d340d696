"""Whether the camera stands still, told from matches alone."""

from __future__ import annotations

import enum

import numpy as np

from superslam_ros.data import Matches

ENOUGH = 20
"""Keypoints that must have been seen before and now."""


class Rest(enum.Enum):
    """What two images say about the camera between them."""

    MOVING = 0
    STILL = 1
    REPEATED = 2
    """Every keypoint is where it was, to the last bit: the same image again."""


class RestDetector:
    """Compares every frame with an anchor: the frame at which the camera came to rest.

    A slow motion adds up against the anchor until it shows; only then the anchor moves on.
    """

    def __init__(self, threshold_px: float) -> None:
        """Remember how far (median) keypoints may be from where the anchor had them; 0 turns rest off."""
        self._threshold_px = threshold_px
        self.reset()

    def reset(self) -> None:
        """Forget the anchor."""
        self._anchor: Matches | None = None
        self._last: Matches | None = None

    def update(self, temporal: Matches) -> Rest:
        """Take a frame's temporal matches."""
        last, self._last = self._last, temporal
        moved, anchored = displacement(last, temporal), displacement(self._anchor, temporal)
        if len(moved) >= ENOUGH and not moved.any():
            return Rest.REPEATED
        if len(anchored) >= ENOUGH and np.median(anchored) < self._threshold_px:
            return Rest.STILL
        self._anchor = temporal
        return Rest.MOVING


def displacement(before: Matches | None, now: Matches) -> np.ndarray:
    """Return how far (pixels) keypoints have moved from one frame's image to another's.

    Both are known by their matches: to a common reference, or the later ones to the earlier frame itself.
    """
    if before is None or not len(now):
        return np.zeros(0)
    if now.stamp0_ns == before.stamp1_ns:
        return np.linalg.norm(now.keypoints1 - now.keypoints0, axis=1)
    if now.stamp0_ns != before.stamp0_ns:
        return np.zeros(0)
    _, at0, at1 = np.intersect1d(before.indices[:, 0], now.indices[:, 0], return_indices=True)
    return np.linalg.norm(now.keypoints1[at1] - before.keypoints1[at0], axis=1)
