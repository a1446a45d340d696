"""What an inertial measurement unit tells of the camera that it is fixed to."""

from __future__ import annotations

from collections import Counter

import numpy as np

from superslam_ros.geometry.pose import compose
from superslam_ros.slam.imu.comparison import Comparison, Seen, variance
from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.gravity import GRAVITY_M_S2, Gravity
from superslam_ros.slam.imu.samples import Samples
from superslam_ros.slam.imu.turning import turn, turns
from superslam_ros.slam.tracking.prediction import Relative

MOST_TILT_RAD = 0.2
"""With less certainty than this (1 sigma), what is up is not known."""
SECOND_NS = 1_000_000_000
STILL_RAD_S, STILL_M_S2 = 0.02, 0.15
"""At rest, samples scatter by less than this in a second (1 sigma of every axis)."""
MOST_BIAS_RAD_S = 0.15
"""A steady turn that is faster than this is no bias; ``REST_RAD_S``: one slower than this is not seen to be one."""
REST_RAD_S = 0.001
ENOUGH = 10
"""Samples in a second, for a mean."""
NO_GRAVITY_M_S2 = 1.5
"""A mean that is farther from gravity than this is none."""


class Imu:
    """A :class:`Predictor` of rotations, to which messages come as they are measured.

    :ivar T_imu_camera: (4, 4) of the optical frame of the left, or only, image; None as long as it is not known: then
        nothing is told.
    :ivar comparison: with vision: bias, and whether both agree.
    """

    def __init__(self, config: ImuConfig | None = None, T_imu_camera: np.ndarray | None = None) -> None:
        """Begin without messages."""
        self.config, self.T_imu_camera = config or ImuConfig(), T_imu_camera
        self._samples = Samples(self.config.max_gap)
        self.reset()

    def reset(self) -> None:
        """Forget all messages, and the bias."""
        self._samples.reset()
        self._begin()
        self._second_ns = 0

    def _begin(self) -> None:
        """Know nothing of the bias, nor of what vision sees."""
        self.comparison = Comparison(self._samples, self.config)
        self._gravity = Gravity(self._samples, self.config)

    @property
    def refused(self) -> Counter[str]:
        """Reason -> how many messages were not believed for it."""
        return self._samples.refused

    @property
    def last_ns(self) -> int:
        """Stamp of the last message, ``time_offset`` added; 0 without."""
        return self._samples.last_ns

    @property
    def offset_ns(self) -> int:
        """What is added to stamps."""
        return round(self.config.time_offset * 1e9)

    def add(self, stamp_ns: int, angular_rad_s: np.ndarray, linear_m_s2: np.ndarray) -> None:
        """Take a message; one that makes no sense is counted, logged, and not believed.

        :param angular_rad_s: (3,) along the axes of the unit, as ``linear_m_s2`` (3,), in which gravity is.
        """
        stamp_ns += self.offset_ns
        last_ns = self.last_ns
        if not self._samples.add(stamp_ns, angular_rad_s, linear_m_s2):
            return
        if stamp_ns < last_ns:
            self._begin()
        if not self._second_ns <= stamp_ns < self._second_ns + 2 * SECOND_NS:
            self._second_ns = stamp_ns
        elif stamp_ns >= self._second_ns + SECOND_NS:
            self._look_for_rest(self._second_ns)
            self._second_ns += SECOND_NS

    def _look_for_rest(self, start_ns: int) -> None:
        """Take the mean rate of a second at rest for the bias, unless vision looks: a steady turn seems to be one."""
        if start_ns < self.comparison.looked_ns + 3 * SECOND_NS:
            return
        _, values = self._samples.within(start_ns, start_ns + SECOND_NS)
        if len(values) < ENOUGH:
            return
        if _at_rest(values):
            noise, bias = self.config.gyroscope_noise**2 + REST_RAD_S**2, self.comparison.bias
            bias.measure(start_ns + SECOND_NS, values[:, :3].mean(0) - bias.mean, np.eye(3), np.eye(3) * noise)

    def bias(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the bias (3,) of the gyroscope, rad/s, along the unit's axes, and its covariance (3, 3) at a time."""
        bias = self.comparison.bias
        return bias.mean.copy(), bias.covariance(stamp_ns)

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera turned from one instant to a later one; None without samples of all that time."""
        usable = self.T_imu_camera is not None and self.comparison.believed
        part = self._samples.part(stamp0_ns, stamp1_ns) if usable else None
        if part is None:
            return None
        bias, bias_covariance = self.bias(stamp1_ns)
        R_imu_camera = self.T_imu_camera[:3, :3]
        turned = turn(part.seconds, part.angular - bias)
        covariance = turned.per_bias @ bias_covariance @ turned.per_bias.T
        covariance += np.eye(3) * variance(part, turned.angle, self.config)
        covariance *= self.comparison.inflation
        whole = np.eye(6)
        whole[3:, 3:] = R_imu_camera.T @ covariance @ R_imu_camera
        return Relative(compose(R_imu_camera.T @ turned.R @ R_imu_camera, np.zeros(3)), whole, rotation_only=True)

    def see(self, stamp_ns: int, T_odom_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Compare with a pose (4, 4) that vision has found, and learn the bias.

        :param covariance: (6, 6) of it in odom, against the map alone.
        """
        if self.T_imu_camera is not None:
            self.comparison.see(Seen(stamp_ns, T_odom_camera[:3, :3], covariance[3:, 3:]), self.T_imu_camera[:3, :3])
        self._gravity.see(stamp_ns, T_odom_camera, covariance)

    def moved(self, T_odom_before: np.ndarray) -> None:
        """Take over that the pose which was seen last has been corrected, by (4, 4) from the left: all have been."""
        self.comparison.moved(T_odom_before[:3, :3])
        self._gravity.moved(T_odom_before)

    def interrupt(self) -> None:
        """Vision is lost."""
        self.comparison.interrupt()
        self._gravity.interrupt()

    def up(self, metric: bool) -> tuple[np.ndarray, float] | None:
        """Return what is up, a unit vector (3,) along the axes of the camera that was seen last, and its sigma (rad).

        It is the mean over the last two seconds, without accelerations, as far as vision knows them in metres. None
        where vision or messages are missing in them, or the gyroscope is not believed.
        """
        if self.T_imu_camera is None or not (self.config.gravity and self.comparison.believed):
            return None
        return self._gravity.up(self.T_imu_camera, self.comparison.bias.mean, metric)

    def level(self, stamp_ns: int) -> tuple[np.ndarray, float] | None:
        """Return what is up, a unit vector (3,) along the axes of the camera, and its sigma (rad).

        It is the mean of the second before an instant and the one after it, as far as they have come, from which
        rotations are taken out; where the camera accelerates, the sigma is larger. None without samples then, or where
        the mean is no gravity.
        """
        forces = self._forces_around(stamp_ns)
        if self.T_imu_camera is None or len(forces) < ENOUGH:
            return None
        mean = forces.mean(0)
        if abs(np.linalg.norm(mean) - GRAVITY_M_S2) > NO_GRAVITY_M_S2:
            self._samples.refuse('no gravity', f'the accelerometer measures {np.linalg.norm(mean):.2f} m/s^2 on '
                                 f'average, in place of {GRAVITY_M_S2}: roll and pitch of the start are not taken from '
                                 'it (in units of g, or with gravity taken off?)', len(forces))
            return None
        # At rest what is left is the accelerometer's bias; else the mean acceleration.
        spread = forces.std(0)
        moving = 0.0 if (spread < STILL_M_S2).all() else float(np.linalg.norm(spread))
        sigma = np.hypot(self.config.accelerometer_bias, moving) / GRAVITY_M_S2
        if sigma > MOST_TILT_RAD:
            return None
        return self.T_imu_camera[:3, :3].T @ mean / np.linalg.norm(mean), float(sigma)

    def covers(self, stamp_ns: int) -> bool:
        """Whether :meth:`level` has what it needs: where the camera is, and samples around an instant."""
        return self.T_imu_camera is not None and len(self._forces_around(stamp_ns)) >= ENOUGH

    def _forces_around(self, stamp_ns: int) -> np.ndarray:
        """Return the specific forces (N, 3) of up to a second before and after an instant, in the unit's axes then."""
        start_ns = max(stamp_ns - SECOND_NS, self._samples.first_ns)
        middle_ns, end_ns = max(stamp_ns, start_ns), min(stamp_ns + SECOND_NS, self.last_ns)
        if middle_ns - stamp_ns > self.config.max_gap * 1e9:
            return np.zeros((0, 3))
        _, values = self._samples.within(start_ns, end_ns)
        if len(values) >= ENOUGH and _at_rest(values):
            return values[:, 3:]
        bias, found = self.comparison.bias.mean, [np.zeros((0, 3))]
        for part, to_end in ((self._samples.part(start_ns, middle_ns), True),
                             (self._samples.part(middle_ns, max(middle_ns, end_ns)), False)):
            if part is not None:
                R = turns(part.seconds, part.angular - bias)
                found.append(((R[-1].T if to_end else np.eye(3)) @ R @ part.linear[..., None])[..., 0])
        return np.concatenate(found)


def _at_rest(values: np.ndarray) -> bool:
    """Return whether rates and forces (N, 6) are those of a unit at rest."""
    scatter = values.std(0)
    return bool((scatter[:3] < STILL_RAD_S).all() and (scatter[3:] < STILL_M_S2).all()
                and np.linalg.norm(values[:, :3].mean(0)) < MOST_BIAS_RAD_S)
