"""A robot that drives on a level floor: its height, roll and pitch stay what they were at the start."""

from __future__ import annotations

import logging

import numpy as np

from superslam_ros.geometry.pose import compose, rotation_exp
from superslam_ros.slam.tracking.held import CHI2_999, FREE, condition, no_surer, tilt

log = logging.getLogger(__name__)

class Ground:
    """Holds poses of the camera in the plane of its start.

    A camera fixed to a base that moves in a plane moves in a parallel one, and turns about the normal: only the
    direction of the normal depends on how it is mounted. The floor's errors repeat from frame to frame (a slope that is
    not seen, a soft tyre), so that no number of frames makes height and tilt surer than the sigmas.

    :ivar beyond: frames that were off the plane, and not held.
    """

    def __init__(
        self, T_odom_camera: np.ndarray, T_base_camera: np.ndarray, sigma_m: float, sigma_rad: float
    ) -> None:
        """Begin with the first pose of the camera, and where on the base it is."""
        self._start, self.beyond = T_odom_camera, 0
        R_odom_base = T_odom_camera[:3, :3] @ T_base_camera[:3, :3].T
        # Twice the variance: where the floor is off the plane for long, the pose is off the floor by as much again.
        self._sigma = np.sqrt(2) * np.array([sigma_rad, sigma_rad, sigma_m])
        # Rows: what an error (dp, dtheta) in odom does to both tilts (about the base's x and y) and the height.
        self._rows = np.zeros((3, 6))
        self._rows[:2, 3:], self._rows[2, :3] = R_odom_base.T[:2], R_odom_base[:, 2]
        self._in_plane = np.zeros((3, 6))
        self._in_plane[:2, :3], self._in_plane[2, 3:] = R_odom_base.T[:2], R_odom_base[:, 2]
        self._up_camera = T_odom_camera[:3, :3].T @ R_odom_base[:, 2]

    def away(self, T_odom_camera: np.ndarray) -> np.ndarray:
        """Return both tilts (rad) and the height (m) of a pose over the plane of the start."""
        R_base_odom, up = self._rows[:2, 3:], self._rows[2, :3]
        # The tilt that takes the normal to where the camera has it.
        tilts = R_base_odom @ tilt(up, T_odom_camera[:3, :3] @ self._up_camera)
        height = up @ (T_odom_camera[:3, 3] - self._start[:3, 3])
        return np.append(tilts, height)

    def hold(
        self, T_odom_camera: np.ndarray, covariance: np.ndarray, metric: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Condition a pose (4, 4) and its covariance (6, 6) on being in the plane; without metres, on its tilt alone.

        What is less sure than the floor becomes as sure as that. A pose that is beyond the 99.9 % quantile is left as
        it is, and said.
        """
        count = 3 if metric else 2
        away = self.away(T_odom_camera)[:count]
        held = condition(T_odom_camera, covariance, self._rows[:count], away, self._sigma[:count])
        if held is None:
            self._tell(away)
            return T_odom_camera, covariance
        return held

    def at_least(self, covariance: np.ndarray, metric: bool = True) -> np.ndarray:
        """Return a covariance (6, 6) that is nowhere surer of the plane than the floor is level."""
        count = 3 if metric else 2
        return no_surer(covariance, self._rows[:count], self._sigma[:count])

    def prior(self, T_odom_camera: np.ndarray, metric: bool = True) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the nearest pose in the plane, and a covariance (6, 6) that leaves free what the floor does not hold.

        None for a pose that is too far away from the plane.
        """
        away, sigma = self.away(T_odom_camera), np.where([True, True, metric], self._sigma, FREE)
        if np.sum((away / sigma)[:2 + metric]**2) > 2 * CHI2_999[metric]:
            return None
        held = compose(rotation_exp(-self._rows[:2, 3:].T @ away[:2]) @ T_odom_camera[:3, :3],
                       T_odom_camera[:3, 3] - self._rows[2, :3] * away[2])
        return held, self._rows.T @ np.diag(sigma**2) @ self._rows + FREE**2 * self._in_plane.T @ self._in_plane

    def _tell(self, away: np.ndarray) -> None:
        self.beyond += 1
        height = '' if len(away) < 3 else f'{away[2]:+.3f} m high and '
        log.log(logging.WARNING if self.beyond == 1 else logging.DEBUG,
                'odometry.two_d: the robot does not move in the plane of its start: it is %s%.2f degrees tilted, '
                'beyond odometry.two_d_sigma_m and two_d_sigma_rad (a ramp, an uneven floor, or a wrong mounting of '
                'the camera); such poses are left as vision has them (said once)',
                height, np.degrees(np.linalg.norm(away[:2])))
