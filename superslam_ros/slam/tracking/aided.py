"""What other sensors than the camera tell of its motion, and how that compares with what it sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np

from superslam_ros.geometry.pnp import PoseEstimate
from superslam_ros.geometry.pose import compose
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.tracking.agreement import Agreement
from superslam_ros.slam.tracking.dynamics import Dynamics
from superslam_ros.slam.tracking.prediction import Predictor, Relative, fused

FEW = 60
"""Landmarks that agree on a pose; so many are believed in any case."""


class Aided(ABC):
    """An estimator of the camera's motion, as far as other sensors aid it.

    :ivar predictor: what else knows how the camera moves, if anything.
    :ivar imu: knows how the camera turns, and what is up; None where there is none. With a predictor as well, the turn
        is that of both (:func:`~superslam_ros.slam.tracking.prediction.fused`).
    :ivar agreement: whether the predictor agrees with vision.
    """

    def __init__(self, predictor: Predictor | None) -> None:
        """Begin without an IMU."""
        self.predictor = predictor
        self.imu: Imu | None = None
        self._R_ideal_camera = np.eye(3)

    @property
    @abstractmethod
    def without_scale(self) -> bool:
        """Whether there is a map, in other units than metres: metres are of no use to it."""

    def _compare_anew(self) -> None:
        """Forget how the predictor agreed, and what vision saw."""
        self.agreement = Agreement(self._told)
        if self.imu is not None:
            self.imu.interrupt()

    def _interrupt(self) -> None:
        """Vision is lost: begin to compare with the next frame that it places."""
        self.agreement.interrupt()
        if self.imu is not None:
            self.imu.interrupt()

    def _told(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the ideal camera moved from one instant to a later one, by the predictor."""
        motion = None if self.predictor is None else self.predictor.between(stamp0_ns, stamp1_ns)
        if motion is None:
            return None
        return motion.turned(self._R_ideal_camera)._replace(rotation_only=motion.rotation_only or self.without_scale)

    def _guess(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return the same, believed less where it has disagreed with vision lately, together with the IMU's turn."""
        motion = self._told(stamp0_ns, stamp1_ns)
        if motion is not None:
            motion = motion._replace(covariance=motion.covariance * self.agreement.inflation)
        turned = None if self.imu is None else self.imu.between(stamp0_ns, stamp1_ns)
        return fused(motion, turned and turned.turned(self._R_ideal_camera))

    def _compare(self, stamp_ns: int, T_odom_camera: np.ndarray, relative: np.ndarray) -> None:
        """Show a pose that was seen, with its covariance (6, 6) against the map, to what knows motions otherwise."""
        self.agreement.see(stamp_ns, T_odom_camera, relative)
        if self.imu is not None:
            R_ideal_camera = compose(self._R_ideal_camera, np.zeros(3))
            self.imu.see(stamp_ns, T_odom_camera @ R_ideal_camera, relative)

    def _with_gyroscope(
        self, estimate: PoseEstimate | None, dynamics: Dynamics, honesty: float
    ) -> tuple[PoseEstimate | None, bool]:
        """Return a pose on which few landmarks agree, as in blurred images, with the rotation that the gyroscope tells.

        :param honesty: by how much the covariance of the pose is too small.
        :returns: None, and True, where the gyroscope excludes it.
        """
        if estimate is None or self.imu is None or estimate.inliers.sum() >= FEW or not self.imu.comparison.believed:
            return estimate, False
        T, covariance = dynamics.turned_to(estimate.T_world_camera, estimate.covariance * honesty)
        if T is None:
            return None, True
        return replace(estimate, T_world_camera=T, covariance=covariance / honesty), False
