"""Where odom is in the map, as it is told to others: what the map finds, at once or bit by bit."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import difference, perturb


class Correction:
    """The transform from the map to odom, which follows the one that the map has found.

    A controller that drives by the map is thrown by a jump; with ``blend_s`` the correction is spread over time.
    """

    def __init__(self, blend_s: float = 0.0) -> None:
        """Begin without one.

        :param blend_s: seconds that a correction takes; 0: it is made at once.
        """
        self._blend_s = blend_s
        self._target: np.ndarray | None = None
        self._from, self._began_ns = np.zeros(6), 0

    def find(self, T_map_odom: np.ndarray | None, stamp_ns: int) -> None:
        """Take what the map has found at a time; None: nothing is known any more."""
        told = self.at(stamp_ns)
        self._target, self._began_ns = T_map_odom, stamp_ns
        self._from = np.zeros(6) if told is None or T_map_odom is None else difference(told, T_map_odom)

    def at(self, stamp_ns: int) -> np.ndarray | None:
        """Return T_map_odom (4, 4) as it is to be told at a time, or None as long as it is not known."""
        if self._target is None:
            return None
        left = 1.0
        if self._blend_s > 0:
            left -= (stamp_ns - self._began_ns) * 1e-9 / self._blend_s
        if self._blend_s <= 0 or left <= 0:
            return self._target
        return perturb(self._target, min(left, 1.0) * self._from)
