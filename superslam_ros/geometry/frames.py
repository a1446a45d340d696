"""Frames of a robot and where they are in each other, as TF tells it."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import inverse


class FrameTree:
    """Keeps the latest transform of each frame to its parent."""

    def __init__(self) -> None:
        """Begin without frames."""
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def add(self, parent: str, child: str, T_parent_child: np.ndarray) -> None:
        """Put a frame into its parent."""
        self._parents[child.lstrip('/')] = parent.lstrip('/'), T_parent_child

    def lookup(self, frame_a: str, frame_b: str) -> np.ndarray | None:
        """Return T_a_b (4, 4), or None where the frames are not connected."""
        from_a, from_b = self._ancestors(frame_a), self._ancestors(frame_b)
        common = next((frame for frame in from_a if frame in from_b), None)
        return None if common is None else inverse(from_a[common]) @ from_b[common]

    def _ancestors(self, frame: str) -> dict[str, np.ndarray]:
        """Return T_ancestor_frame of the frame itself and all above it, the nearest first."""
        frame = frame.lstrip('/')
        found, T = {frame: np.eye(4)}, np.eye(4)
        while frame in self._parents:
            frame, T_parent_frame = self._parents[frame]
            if frame in found:
                break   # a loop, which TF forbids
            T = T_parent_frame @ T
            found[frame] = T
        return found
