"""What an inertial measurement unit tells of the camera that it is fixed to."""

from __future__ import annotations

from collections import Counter

import numpy as np

from superslam_ros.geometry.pose import compose
from superslam_ros.slam.imu.bias import Bias
from superslam_ros.slam.imu.config import ImuConfig
from superslam_ros.slam.imu.samples import Part, Samples
from superslam_ros.slam.imu.turning import turn, turns
from superslam_ros.slam.tracking.prediction import Relative

GRAVITY_M_S2 = 9.81
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
SWERVE_RAD_S2 = 10.0
"""How fast rates change, after the last one (1 sigma)."""


class Imu:
    """A :class:`Predictor` of rotations, to which messages come as they are measured.

    :ivar T_imu_camera: (4, 4) of the optical frame of the left, or only, image; None as long as it is not known: then
        nothing is told.
    """

    def __init__(self, config: ImuConfig | None = None, T_imu_camera: np.ndarray | None = None) -> None:
        """Begin without messages."""
        self.config, self.T_imu_camera = config or ImuConfig(), T_imu_camera
        self._samples = Samples(self.config.max_gap)
        self.reset()

    def reset(self) -> None:
        """Forget all messages, and the bias."""
        self._samples.reset()
        self._bias = Bias(self.config.gyroscope_walk)
        self._second_ns = 0

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
            self._bias = Bias(self.config.gyroscope_walk)
        if not self._second_ns <= stamp_ns < self._second_ns + 2 * SECOND_NS:
            self._second_ns = stamp_ns
        elif stamp_ns >= self._second_ns + SECOND_NS:
            self._look_for_rest(self._second_ns)
            self._second_ns += SECOND_NS

    def _look_for_rest(self, start_ns: int) -> None:
        """Take the mean rate of a second at rest for the bias."""
        _, values = self._samples.within(start_ns, start_ns + SECOND_NS)
        if len(values) < ENOUGH:
            return
        mean = values[:, :3].mean(0)
        if _still(values) and np.linalg.norm(mean) < MOST_BIAS_RAD_S:
            variance = self.config.gyroscope_noise**2 + REST_RAD_S**2
            self._bias.measure(start_ns + SECOND_NS, mean - self._bias.mean, np.eye(3), np.eye(3) * variance)

    def bias(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the bias (3,) of the gyroscope, rad/s, along the unit's axes, and its covariance (3, 3) at a time."""
        return self._bias.mean.copy(), self._bias.covariance(stamp_ns)

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera turned from one instant to a later one; None without samples of all that time."""
        part = None if self.T_imu_camera is None else self._samples.part(stamp0_ns, stamp1_ns)
        if part is None:
            return None
        bias, bias_covariance = self.bias(stamp1_ns)
        R_imu_camera = self.T_imu_camera[:3, :3]
        turned = turn(part.seconds, part.angular - bias)
        covariance = turned.per_bias @ bias_covariance @ turned.per_bias.T
        covariance += np.eye(3) * self._variance(part, turned.angle)
        whole = np.eye(6)
        whole[3:, 3:] = R_imu_camera.T @ covariance @ R_imu_camera
        return Relative(compose(R_imu_camera.T @ turned.R @ R_imu_camera, np.zeros(3)), whole, rotation_only=True)

    def _variance(self, part: Part, angle: float) -> float:
        """Return the variance (rad^2) of a rotation but for the bias."""
        o = self.config
        return (o.gyroscope_noise**2 * part.seconds[-1] + (o.turn_sigma * angle)**2 +
                (SWERVE_RAD_S2 / 2 * part.beyond_s**2)**2 + 1e-8)

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
        return self.T_imu_camera[:3, :3].T @ mean / np.linalg.norm(mean), float(sigma)

    def _forces_around(self, stamp_ns: int) -> np.ndarray:
        """Return the specific forces (N, 3) of up to a second before and after an instant, in the unit's axes then."""
        bias, found = self._bias.mean, []
        before = self._samples.part(max(stamp_ns - SECOND_NS, self._samples.first_ns), stamp_ns)
        if before is not None:
            R = turns(before.seconds, before.angular - bias)
            found.append((R[-1].T @ R[:-1] @ before.linear[:-1, :, None])[..., 0])
        after = self._samples.part(stamp_ns, min(stamp_ns + SECOND_NS, max(stamp_ns, self.last_ns)))
        if after is not None:
            R = turns(after.seconds, after.angular - bias)
            found.append((R @ after.linear[..., None])[..., 0])
        return np.concatenate([np.zeros((0, 3)), *found])


def _still(values: np.ndarray) -> bool:
    return bool((values[:, :3].std(0) < STILL_RAD_S).all() and (values[:, 3:].std(0) < STILL_M_S2).all())
