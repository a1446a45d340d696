"""Where odom is in the map, as it is told to others: what the map finds, at once or bit by bit."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import compose, difference, perturb


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
        self._unit, self._begin = 1.0, np.zeros(3)
        self._from, self._began_ns = np.zeros(6), 0

    def find(
        self, T_map_odom: np.ndarray | None, stamp_ns: int, unit: float = 1.0, position: np.ndarray | None = None
    ) -> None:
        """Take what the map has found at a time; None: nothing is known any more.

        :param unit: what lengths of the odometry are multiplied by to be those of the map; where it is not 1,
            ``T_map_odom`` is that of one ``position`` (3,) in odom, and moves along with it.
        """
        told = self.at(stamp_ns, position)
        self._unit = unit if position is not None else 1.0
        self._begin = np.zeros(3) if position is None else position
        self._target, self._began_ns = T_map_odom, stamp_ns
        self._from = np.zeros(6) if told is None or T_map_odom is None else difference(told, T_map_odom)

    def at(self, stamp_ns: int, position: np.ndarray | None = None) -> np.ndarray | None:
        """Return T_map_odom (4, 4) as it is to be told at a time and a position (3,) in odom; None: it is not known."""
        T = self._blended(stamp_ns)
        if T is None or position is None or self._unit == 1:
            return T
        R = T[:3, :3]
        return compose(R, T[:3, 3] + (self._unit - 1) * R @ (position - self._begin))

    def _blended(self, stamp_ns: int) -> np.ndarray | None:
        if self._target is None:
            return None
        left = 1.0
        if self._blend_s > 0:
            left -= (stamp_ns - self._began_ns) * 1e-9 / self._blend_s
        if self._blend_s <= 0 or left <= 0:
            return self._target
        return perturb(self._target, min(left, 1.0) * self._from)
