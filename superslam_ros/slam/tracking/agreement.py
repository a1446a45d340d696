"""Whether what other sensors tell of the camera's motion agrees with what it sees."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from superslam_ros.geometry.pose import carry_covariance, difference, inverse, rotate_covariance
from superslam_ros.slam.tracking.prediction import Relative

log = logging.getLogger(__name__)

WINDOW_NS = 1_000_000_000
"""Motions are compared over so long: from frame to frame a slip is too small to be seen."""
CHI2_999 = {3: 16.3, 6: 22.5}
"""Quantiles of chi-square, by degrees of freedom."""
QUIET_NS = 10_000_000_000
"""A disagreement is said again after so long."""


class Agreement:
    """Compares both, second by second.

    :ivar inflation: by how much the covariance of the other sensors has been too small lately, 1 or more.
    :ivar disagreements: seconds in which the difference was beyond the 99.9 % quantile.
    """

    def __init__(self, relative: Callable[[int, int], Relative | None]) -> None:
        """Begin; ``relative`` tells how the camera moved between two instants."""
        self._relative = relative
        self.inflation, self.disagreements = 1.0, 0
        self._said_ns: int | None = None
        self.interrupt()

    def interrupt(self) -> None:
        """Vision is lost: begin a new second with the next frame that it places."""
        self._start: tuple[int, np.ndarray, np.ndarray] | None = None

    def see(self, stamp_ns: int, T_odom_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Take a pose (4, 4) that vision has found, with covariance (6, 6) of it against the map."""
        if self._start is None:
            self._start = stamp_ns, T_odom_camera, covariance
            return
        start_ns, T0, covariance0 = self._start
        if stamp_ns - start_ns < WINDOW_NS:
            return
        self._start = stamp_ns, T_odom_camera, covariance
        told = self._relative(start_ns, stamp_ns)
        if told is None:
            return
        seen = inverse(T0) @ T_odom_camera
        offset = T_odom_camera[:3, 3] - T0[:3, 3]
        both = told.covariance + rotate_covariance(T0[:3, :3].T, carry_covariance(covariance0, offset) + covariance)
        error, freedom = difference(told.T_0_1, seen), slice(3 if told.rotation_only else 0, 6)
        count = len(error[freedom])
        squared = float(error[freedom] @ np.linalg.solve(both[freedom, freedom], error[freedom]))
        self.inflation = max(1.0, 0.7 * self.inflation + 0.3 * squared / count)
        if squared > CHI2_999[count]:
            self.disagreements += 1
            self._tell(stamp_ns, (stamp_ns - start_ns) * 1e-9, told, seen)

    def _tell(self, stamp_ns: int, seconds: float, told: Relative, seen: np.ndarray) -> None:
        said = self._said_ns is not None and 0 <= stamp_ns - self._said_ns < QUIET_NS
        if not said:
            self._said_ns = stamp_ns
        way = '' if told.rotation_only else f'{np.linalg.norm(told.T_0_1[:3, 3]):.3f} m and '
        log.log(logging.DEBUG if said else logging.WARNING,
                'the guess disagrees with vision at %.3f s: in %.2f s %s%.2f degrees, as vision sees it %.3f m and '
                '%.2f degrees (slipping wheels, a wrong scale, frame or clock?); vision is believed, the guess less',
                stamp_ns * 1e-9, seconds, way, _degrees(told.T_0_1), np.linalg.norm(seen[:3, 3]), _degrees(seen))


def _degrees(T: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(T[:3, :3]) - 1) / 2, -1, 1))))
