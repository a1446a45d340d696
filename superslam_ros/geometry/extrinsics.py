"""From the camera to what it is mounted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from superslam_ros.data import Motion
from superslam_ros.geometry.pose import carry_covariance, inverse, rotate_covariance


def motion_of_base(motion: Motion, T_base_camera: np.ndarray) -> Motion:
    """Return the motion of a base that the camera is fixed to: its pose in odom, and its velocity along its own axes.

    :param T_base_camera: (4, 4), taken as exact.
    :returns: a copy whose ``T_odom_camera``, ``velocity`` and covariances are those of the base.
    """
    T_camera_base = inverse(T_base_camera)
    R, offset = T_base_camera[:3, :3], T_camera_base[:3, 3]
    linear, angular = motion.velocity[:3], motion.velocity[3:]
    return replace(
        motion,
        T_odom_camera=motion.T_odom_camera @ T_camera_base,
        covariance=carry_covariance(motion.covariance, motion.T_odom_camera[:3, :3] @ offset),
        velocity=np.concatenate([R @ (linear + np.cross(angular, offset)), R @ angular]),
        velocity_covariance=rotate_covariance(R, carry_covariance(motion.velocity_covariance, offset)))
