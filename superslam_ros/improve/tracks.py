"""Tracks: keypoints of consecutive frames that are each other's nearest, whatever they turn out to show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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

    def select(self, chosen: np.ndarray) -> Tracks:
        """Return some of the tracks, by a mask (T,)."""
        kept = np.repeat(chosen, self.lengths)
        return Tracks(np.concatenate([[0], np.cumsum(self.lengths[chosen])]), self.frame[kept], self.keypoint[kept])
