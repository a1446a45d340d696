"""A camera whose roll and pitch an accelerometer has measured, in an odom that began level."""

from __future__ import annotations

import logging

import numpy as np

from superslam_ros.geometry.pose import compose, rotation_exp, shortest_rotation
from superslam_ros.slam.imu import GRAVITY_M_S2, Imu
from superslam_ros.slam.tracking.held import CHI2_999, FREE, condition, no_surer, tilt

log = logging.getLogger(__name__)

Z = np.array([0.0, 0, 1])
ROWS, REST = np.eye(6)[3:5], np.eye(6)[[0, 1, 2, 5]]


def begin_level(imu: Imu, T_odom_camera: np.ndarray, stamp_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return where the first frame is, with what is up by the IMU along z, and how much less sure (6, 6) that is.

    Odom is turned about its origin by the smallest rotation that makes it level. None where the IMU does not say.
    """
    if not imu.config.gravity:
        return None
    level = imu.level(stamp_ns)
    if level is None:
        log.warning('the IMU does not say what is up at the first frame: odom begins with the camera as level as '
                    'without it')
        return None
    up, sigma = level
    log.info('odom is level by the IMU, with a standard deviation of %.1f degrees', np.degrees(sigma))
    turn = compose(shortest_rotation(T_odom_camera[:3, :3] @ up, Z), np.zeros(3))
    return turn @ T_odom_camera, ROWS.T @ ROWS * sigma**2


def measured(imu: Imu, R_ideal_camera: np.ndarray, metric: bool) -> Upright | None:
    """Return what holds the ideal camera of the last frame upright, by an IMU that may not know it."""
    up = imu.up(metric)
    return None if up is None else Upright(
        R_ideal_camera @ up[0], up[1], imu.config.accelerometer_bias / GRAVITY_M_S2)


class Upright:
    """Holds a pose of the camera to what is up.

    The errors of an accelerometer repeat (its bias), so that no number of keyframes makes the tilt surer than it.
    """

    def __init__(self, up_camera: np.ndarray, sigma_rad: float, repeating_rad: float) -> None:
        """Take what is up, a unit vector (3,) along the axes of the camera, and the part of its error that repeats."""
        self._up, self._sigma = up_camera, np.sqrt(2) * np.full(2, sigma_rad)
        self._repeating = np.sqrt(2) * np.full(2, repeating_rad)

    def away(self, T_odom_camera: np.ndarray) -> np.ndarray:
        """Return the tilts (2,) of a pose about x and y of odom (rad)."""
        return tilt(Z, T_odom_camera[:3, :3] @ self._up)[:2]

    def hold(self, T_odom_camera: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Condition a pose and its covariance on what is up; None where it is beyond the 99.9 % quantile."""
        return condition(T_odom_camera, covariance, ROWS, self.away(T_odom_camera), self._sigma)

    def beyond(self, T_odom_camera: np.ndarray) -> str:
        """Return what to say of a pose that is not held."""
        return (f'odom is {np.degrees(np.linalg.norm(self.away(T_odom_camera))):.1f} degrees off level by the '
                'accelerometer, which is more than both are unsure: roll and pitch are left as vision has them (wrong '
                'extrinsics of the IMU, or accelerations at the start?)')

    def at_least(self, covariance: np.ndarray) -> np.ndarray:
        """Return a covariance (6, 6) that is nowhere surer of the tilt than the accelerometer."""
        return no_surer(covariance, ROWS, self._repeating)

    def prior(self, T_odom_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the pose made upright, and a covariance (6, 6) that leaves all but the tilt free; None if far away."""
        away = self.away(T_odom_camera)
        if np.sum((away / self._sigma)**2) > 2 * CHI2_999[0]:
            return None
        held = compose(rotation_exp([*-away, 0]) @ T_odom_camera[:3, :3], T_odom_camera[:3, 3])
        return held, ROWS.T @ np.diag(self._sigma**2) @ ROWS + FREE**2 * REST.T @ REST
