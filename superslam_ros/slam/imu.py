"""An inertial measurement unit: how the camera turned between two instants, and which way is up at the start."""

from __future__ import annotations

import logging
import math

import numpy as np

from superslam_ros.geometry.pose import compose, rotation_exp
from superslam_ros.slam.tracking.prediction import Relative

log = logging.getLogger(__name__)

NOISE = 1e-3
"""Noise density of a cheap gyroscope (rad/s/sqrt(Hz)); ``WALK`` of its bias (rad/s^2/sqrt(Hz))."""
WALK = 1e-4
UNKNOWN_BIAS = 0.05
"""Standard deviation of a bias that no rest has shown (rad/s)."""
TURN_SIGMA = 0.01
"""Of what it turns, for axes and scale that are not exact."""
GRAVITY_M_S2 = 9.81
STILL_RAD_S, STILL_M_S2 = 0.02, 0.15
"""At rest, samples scatter by less than this in a second (1 sigma of every axis)."""
MOST_BIAS_RAD_S = 0.15
"""A steady turn that is faster than this is no bias."""
MAX_GAP_S = 0.1
SECOND_NS = 1_000_000_000


class Gyroscope:
    """A :class:`Predictor` of rotations, by what has been recorded: it looks back in time only.

    The bias is the mean over the last second at rest, with the random walk since then in the covariance (Woodman, An
    introduction to inertial navigation, 2007, sections 3.2 and 5.1). Rates are the mean of both ends of a sampling
    interval.
    """

    def __init__(
        self, stamps_ns: np.ndarray, angular_rad_s: np.ndarray, linear_m_s2: np.ndarray, T_imu_camera: np.ndarray,
    ) -> None:
        """Take samples.

        :param stamps_ns: (N,) in order; ``angular_rad_s`` and ``linear_m_s2`` (N, 3) along the axes of the unit.
        :param T_imu_camera: (4, 4) of the optical frame of the left, or only, image.
        :raises ValueError: when they are not in order, or hold what is no number.
        """
        if len(stamps_ns) < 2 or (np.diff(stamps_ns) <= 0).any():
            raise ValueError('the stamps of the IMU are not in order, or fewer than two')
        if not (np.isfinite(angular_rad_s).all() and np.isfinite(linear_m_s2).all()):
            raise ValueError('the IMU has measured NaN or infinity')
        self._stamps = np.asarray(stamps_ns, np.int64)
        self._angular, self._linear = angular_rad_s, linear_m_s2
        self._R = T_imu_camera[:3, :3]
        self._rests = self._find_rests()

    def _find_rests(self) -> list[tuple[int, np.ndarray]]:
        """Return the end (ns) of every second at rest, with the mean rate (3,) in it."""
        found = []
        for start_ns in range(int(self._stamps[0]), int(self._stamps[-1]) - SECOND_NS + 1, SECOND_NS):
            part = self._second(start_ns)
            if part.stop - part.start < 10:
                continue
            mean = self._angular[part].mean(0)
            if self._still(part) and np.linalg.norm(mean) < MOST_BIAS_RAD_S:
                found.append((start_ns + SECOND_NS, mean))
        return found

    def _second(self, start_ns: int) -> slice:
        return slice(*np.searchsorted(self._stamps, [start_ns, start_ns + SECOND_NS]).tolist())

    def _still(self, part: slice) -> bool:
        return bool((self._angular[part].std(0) < STILL_RAD_S).all() and (self._linear[part].std(0) < STILL_M_S2).all())

    def bias(self, stamp_ns: int) -> tuple[np.ndarray, float]:
        """Return the bias (3,), rad/s, along the unit's axes, as far as it is known by then, and its sigma."""
        before = [rest for rest in self._rests if rest[0] <= stamp_ns]
        if not before:
            return np.zeros(3), UNKNOWN_BIAS
        end_ns, mean = before[-1]
        return mean, math.hypot(NOISE, WALK * math.sqrt((stamp_ns - end_ns) * 1e-9))

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera turned from one instant to a later one; None without samples of all that time."""
        if not self._stamps[0] <= stamp0_ns <= stamp1_ns <= self._stamps[-1]:
            return None
        inside = slice(np.searchsorted(self._stamps, stamp0_ns, 'right'), np.searchsorted(self._stamps, stamp1_ns))
        around = self._stamps[max(0, inside.start - 1):inside.stop + 1]
        if len(around) > 1 and np.diff(around).max() > MAX_GAP_S * 1e9:
            return None
        # Relative to the first instant, doubles hold nanoseconds exactly.
        ends = np.array([0, *(self._stamps[inside] - stamp0_ns), stamp1_ns - stamp0_ns]) * 1e-9
        known = (around - stamp0_ns) * 1e-9
        rates = self._angular[max(0, inside.start - 1):inside.stop + 1]
        bias, bias_sigma = self.bias(stamp1_ns)
        rates = np.stack([np.interp(ends, known, axis) for axis in rates.T], 1) - bias
        R, turned = np.eye(3), 0.0
        for rate, seconds in zip((rates[1:] + rates[:-1]) / 2, np.diff(ends)):
            R = R @ rotation_exp(rate * seconds)
            turned += float(np.linalg.norm(rate)) * seconds
        elapsed = ends[-1]
        variance = NOISE**2 * elapsed + (bias_sigma * elapsed)**2 + (TURN_SIGMA * turned)**2 + 1e-8
        covariance = np.diag([1.0] * 3 + [variance] * 3)
        return Relative(compose(self._R.T @ R @ self._R, np.zeros(3)), covariance, rotation_only=True)

    def level(self, stamp_ns: int) -> tuple[np.ndarray, float] | None:
        """Return T_odom_camera (4, 4) of a camera at odom's origin, z being up and x ahead, and the tilt's sigma (rad).

        Gravity is the mean of the second from an instant on, over which rotations are taken out; where the camera
        accelerates in it, the sigma is larger. None without samples then, or where the mean is no gravity.
        """
        part = self._second(stamp_ns)
        count = part.stop - part.start
        if count < 10:
            return None
        up = np.zeros(3)
        for at, force in zip(self._stamps[part].tolist(), self._linear[part]):
            motion = self.between(stamp_ns, at)
            if motion is None:
                return None
            up += motion.T_0_1[:3, :3] @ self._R.T @ force / count
        if abs(np.linalg.norm(up) - GRAVITY_M_S2) > 1.5:
            log.warning('the accelerometer measures %.2f m/s^2 on average, not gravity: roll and pitch of the start '
                        'are not taken from it (units of g?)', np.linalg.norm(up))
            return None
        spread = float(np.linalg.norm(self._linear[part].std(0)))
        # At rest what is left is the accelerometer's bias, of some hundredths; else the mean acceleration.
        sigma = (0.05 if self._still(part) else 0.05 + spread) / GRAVITY_M_S2
        z = up / np.linalg.norm(up)
        ahead = np.array([0.0, 0, 1]) if abs(z[2]) < 0.99 else np.array([0.0, -1, 0]) * np.sign(-z[2] or 1)
        x = ahead - z * (ahead @ z)
        x /= np.linalg.norm(x)
        return compose(np.stack([x, np.cross(z, x), z]), np.zeros(3)), sigma
