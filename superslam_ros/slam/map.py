"""Stage 4: the frames that later ones are tracked against, and their landmarks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from superslam_ros.data import Keyframe
from superslam_ros.slam.depth import DepthSource, NoDepth


@dataclass
class Reference(Keyframe):
    """A keyframe with the means to measure more of its landmarks when later matches need them."""

    depth: DepthSource = field(default_factory=NoDepth)


class LocalMap:
    """The latest keyframes, and the last frame, which stands in when the reference is out of sight."""

    def __init__(self, size: int) -> None:
        """Keep at most ``size`` keyframes."""
        self.keyframes: deque[Reference] = deque(maxlen=size)
        self.previous: Reference | None = None
        self.total = 0

    def add(self, keyframe: Reference) -> None:
        """Add a keyframe; the oldest one goes when there are too many."""
        self.keyframes.append(keyframe)
        self.total += 1

    def find(self, stamp_ns: int) -> Reference | None:
        """Return the keyframe, or the last frame, of a time."""
        if self.previous is not None and self.previous.stamp_ns == stamp_ns:
            return self.previous
        return next((one for one in reversed(self.keyframes) if one.stamp_ns == stamp_ns), None)

    def landmarks(self) -> np.ndarray:
        """Return (N, 3) float64 landmarks in odom, each once, of all keyframes kept, newest first."""
        ids, points = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3))]
        for keyframe in reversed(self.keyframes):
            known = keyframe.landmark_ids > 0
            ids.append(keyframe.landmark_ids[known])
            points.append(keyframe.landmarks[known])
        _, first = np.unique(np.concatenate(ids), return_index=True)
        return np.concatenate(points)[np.sort(first)]
