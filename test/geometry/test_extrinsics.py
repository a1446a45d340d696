"""The motion of a base that the camera is fixed to, against differences and samples."""

import numpy as np

from superslam_ros.data import Motion, TrackingState
from superslam_ros.geometry.extrinsics import motion_of_base
from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp

T_BASE_CAMERA = compose(rotation_exp(np.array([-1.5, 0.2, -1.4])), np.array([0.3, -0.1, 0.8]))
T_ODOM_CAMERA = compose(rotation_exp(np.array([0.4, -1.0, 0.7])), np.array([2.0, 3.0, -1.0]))
VELOCITY = np.array([0.5, -0.2, 1.0, 0.3, -0.6, 0.9])
SPREAD = np.tril(np.random.default_rng(0).normal(0, 1e-3, (6, 6)))


def base_of(T_odom_camera, velocity=VELOCITY, covariance=SPREAD @ SPREAD.T):
    motion = Motion(0, TrackingState.TRACKING, T_odom_camera, covariance, velocity, covariance)
    return motion_of_base(motion, T_BASE_CAMERA)


def test_the_pose_of_the_base_is_that_of_the_camera_moved():
    np.testing.assert_allclose(base_of(T_BASE_CAMERA).T_odom_camera, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(base_of(T_ODOM_CAMERA).T_odom_camera @ T_BASE_CAMERA, T_ODOM_CAMERA, atol=1e-12)


def test_the_velocity_of_the_base_is_what_its_poses_do():
    dt = 1e-5
    step = compose(rotation_exp(VELOCITY[3:] * dt), VELOCITY[:3] * dt)
    T0, T1 = (base_of(T).T_odom_camera for T in (T_ODOM_CAMERA, T_ODOM_CAMERA @ step))
    moved = difference(inverse(T0) @ T1, np.eye(4)) / dt
    np.testing.assert_allclose(base_of(T_ODOM_CAMERA).velocity, moved, atol=1e-4)


def test_the_covariances_are_those_of_samples():
    base = base_of(T_ODOM_CAMERA)
    samples = np.random.default_rng(1).normal(size=(20000, 6)) @ SPREAD.T
    poses = [difference(base_of(perturb(T_ODOM_CAMERA, error)).T_odom_camera, base.T_odom_camera)
             for error in samples[:4000]]
    velocities = np.array([base_of(T_ODOM_CAMERA, VELOCITY + error).velocity for error in samples])
    for found, errors in ((base.covariance, np.array(poses)), (base.velocity_covariance, velocities - base.velocity)):
        scale = np.sqrt(np.outer(np.diag(found), np.diag(found)))
        np.testing.assert_allclose(np.cov(errors.T) / scale, found / scale, atol=0.07)
