"""Which way is up while the camera moves: the accelerometer, without the accelerations that vision sees."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.samples import Samples
from superslam_ros.slam.imu.turning import turns

GRAVITY_M_S2 = 9.81
HALF_NS = 1_000_000_000
"""Half of the time that is averaged over."""
LEAST = 0.7
"""Part of it that has to be there."""
UNKNOWN_M_S2 = 0.5
"""Mean acceleration of a camera without scale, over that time (1 sigma)."""
SCALE_ERROR = 0.005
"""What the accelerometer's mean may differ from gravity by, of it, besides the noise."""


class _Pose(NamedTuple):
    stamp_ns: int
    T: np.ndarray
    variance: float


class Gravity:
    """Weighs forces by a triangle over two seconds.

    With these weights, the mean acceleration is what three positions alone say: (p2 - 2 p1 + p0) / h^2, without the
    speeds. In between the gyroscope says how the unit is turned.
    """

    def __init__(self, samples: Samples, config: ImuConfig) -> None:
        """Begin."""
        self._samples, self._config = samples, config
        self._seen: deque[_Pose] = deque()

    def interrupt(self) -> None:
        """Vision is lost: what it saw before does not go on."""
        self._seen.clear()

    def see(self, stamp_ns: int, T_odom_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Take a pose (4, 4) that vision has found, with its covariance (6, 6)."""
        if self._seen and stamp_ns <= self._seen[-1].stamp_ns:
            self._seen.clear()
        self._seen.append(_Pose(stamp_ns, T_odom_camera, float(np.trace(covariance[:3, :3])) / 3))
        while self._seen[0].stamp_ns < stamp_ns - 2 * HALF_NS:
            self._seen.popleft()

    def moved(self, T_odom_before: np.ndarray) -> None:
        """Take over that odom has been turned (4, 4): poses from before are where it says now."""
        self._seen = deque(one._replace(T=T_odom_before @ one.T) for one in self._seen)

    def up(self, T_imu_camera: np.ndarray, bias: np.ndarray, metric: bool) -> tuple[np.ndarray, float] | None:
        """Return what is up, a unit vector (3,) along the axes of the last camera, and its sigma (rad).

        :param bias: (3,) of the gyroscope.
        :param metric: whether positions are in metres; else accelerations are not known.
        :returns: None where vision or samples are missing for a part of the time, or what is left is no gravity.
        """
        if not self._seen:
            return None
        first, last = self._seen[0], self._seen[-1]
        middle = min(self._seen, key=lambda one: abs(2 * one.stamp_ns - first.stamp_ns - last.stamp_ns))
        h0, h1 = ((b.stamp_ns - a.stamp_ns) * 1e-9 for a, b in ((first, middle), (middle, last)))
        if min(h0, h1) < LEAST * HALF_NS * 1e-9:
            return None
        T_camera_imu = inverse(T_imu_camera)
        force = self._mean_force(first, middle, last, bias)
        if force is None:
            return None
        up, variance = middle.T[:3, :3] @ T_camera_imu[:3, :3] @ force, UNKNOWN_M_S2**2
        if metric:
            p0, p1, p2 = (one.T[:3, :3] @ T_camera_imu[:3, 3] + one.T[:3, 3] for one in (first, middle, last))
            span = (h0 + h1) / 2
            up = up - ((p2 - p1) / h1 - (p1 - p0) / h0) / span
            variance = first.variance / h0**2 + middle.variance * (1 / h0 + 1 / h1)**2 + last.variance / h1**2
            variance /= span**2
        variance += self._config.accelerometer_bias**2 + self._config.accelerometer_noise**2 / (h0 + h1)
        size = float(np.linalg.norm(up))
        if abs(size - GRAVITY_M_S2) > 4 * np.sqrt(variance) + SCALE_ERROR * GRAVITY_M_S2:
            return None
        return last.T[:3, :3].T @ up / size, float(np.sqrt(variance)) / GRAVITY_M_S2

    def _mean_force(self, first: _Pose, middle: _Pose, last: _Pose, bias: np.ndarray) -> np.ndarray | None:
        """Return the weighted mean (3,) of the specific force, along the axes that the unit has in the middle."""
        before = self._samples.part(first.stamp_ns, middle.stamp_ns)
        after = self._samples.part(middle.stamp_ns, last.stamp_ns)
        if before is None or after is None:
            return None
        total, weight = np.zeros(3), 0.0
        for part, rising in ((before, True), (after, False)):
            R = turns(part.seconds, part.angular - bias)
            if rising:
                R = R[-1].T @ R
            along = part.seconds / part.seconds[-1]
            weights = along if rising else 1 - along
            forces = (R @ part.linear[..., None])[..., 0] * weights[:, None]
            steps = np.diff(part.seconds)
            total += steps @ (forces[1:] + forces[:-1]) / 2
            weight += float(steps @ (weights[1:] + weights[:-1])) / 2
        return total / weight
