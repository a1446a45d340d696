"""What holds the poses of one odom, from its beginning on: a level floor, or an accelerometer that knows what is up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.mapping.map import View
from superslam_ros.slam.odometry_config import OdometryConfig
from superslam_ros.slam.tracking.ground import Ground
from superslam_ros.slam.tracking.upright import Upright, begin_level, measured


class Holding:
    """Holds poses of the ideal camera (:func:`~superslam_ros.geometry.camera.rectification`); at first, nothing does.

    In ``two_d`` the floor holds every frame and keyframe; else an odom that began level is held so at keyframes.
    """

    def __init__(self, warn: Callable[[str, str], None]) -> None:
        """Hold nothing; ``warn`` says something, and what it is about, once."""
        self._warn, self._began_level = warn, False
        self._ground: Ground | None = None
        self._upright: tuple[View, Upright] | None = None

    def begin(
        self, config: OdometryConfig, imu: Imu | None, T_odom_camera: np.ndarray, T_base_camera: np.ndarray,
        R_camera_ideal: np.ndarray, stamp_ns: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Begin odom with the first frame, level by the IMU if that knows what is up.

        :param R_camera_ideal: (4, 4), without translation.
        :returns: the pose (4, 4) of the ideal camera, and how much less sure (6, 6) the IMU makes it.
        """
        level = None if imu is None else begin_level(imu, T_odom_camera, stamp_ns)
        self._began_level = level is not None
        start, covariance = level or (T_odom_camera, np.zeros((6, 6)))
        if config.two_d:
            self._ground = Ground(start @ R_camera_ideal, T_base_camera @ R_camera_ideal, config.two_d_sigma_m,
                                  config.two_d_sigma_rad)
        return start @ R_camera_ideal, covariance

    @property
    def in_plane(self) -> bool:
        """Whether every pose is held in the plane."""
        return self._ground is not None

    @property
    def beyond(self) -> int:
        """Poses that were beyond the plane, and left as vision has them."""
        return 0 if self._ground is None else self._ground.beyond

    def hold(self, T: np.ndarray, covariance: np.ndarray, metric: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return a pose and its covariance, held in the plane if there is one."""
        return (T, covariance) if self._ground is None else self._ground.hold(T, covariance, metric)

    def hold_upright(self, view: View, imu: Imu | None, R_ideal_camera: np.ndarray, metric: bool) -> None:
        """Hold a keyframe that vision has placed upright, if anything does; ``two_d`` holds more."""
        if imu is None or not self._began_level or self._ground is not None:
            return
        upright = measured(imu, R_ideal_camera, metric)
        if upright is None:
            return
        held = upright.hold(view.T_odom_camera, view.covariance)
        if held is None:
            self._warn(upright.beyond(view.T_odom_camera), 'level')
            return
        imu.moved(held[0] @ inverse(view.T_odom_camera))
        view.T_odom_camera, view.covariance = held
        self._upright = view, upright

    def prior(self, keyframe: View, metric: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Return where a keyframe is held, and a covariance (6, 6) that leaves the rest free; None where it is not."""
        upright = self._upright_of(keyframe)
        if upright is not None:
            return upright.prior(keyframe.T_odom_camera)
        return self._ground and self._ground.prior(keyframe.T_odom_camera, metric)

    def at_least(self, keyframe: View, metric: bool) -> np.ndarray:
        """Return the covariance (6, 6) of a keyframe that a prior holds, nowhere surer than what holds it."""
        upright = self._upright_of(keyframe)
        if upright is not None:
            return upright.at_least(keyframe.covariance)
        return self._ground.at_least(keyframe.covariance, metric)

    def _upright_of(self, keyframe: View) -> Upright | None:
        return self._upright[1] if self._upright is not None and self._upright[0] is keyframe else None
