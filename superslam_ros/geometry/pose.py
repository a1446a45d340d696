"""Rigid motions as 4x4 matrices, and the covariance that goes with them.

A pose error is (dp, dtheta) with axes fixed to the parent frame: p' = p + dp, R' = Exp(dtheta) R.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

T_BODY_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From an optical frame (z forward, x right, y down) to a body frame (x forward, y left, z up); REP-103."""


def inverse(T_a_b: np.ndarray) -> np.ndarray:
    """Return T_b_a."""
    R = T_a_b[:3, :3].T
    return compose(R, -R @ T_a_b[:3, 3])


def compose(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return the 4x4 matrix of a rotation (3, 3) and a translation (3,)."""
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = np.ravel(t)
    return T


def transform(T_a_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (N, 3) of frame b to frame a."""
    return points @ T_a_b[:3, :3].T + T_a_b[:3, 3]


def skew(v: np.ndarray) -> np.ndarray:
    """Return (..., 3, 3) matrices with ``skew(v) @ w == cross(v, w)``."""
    v = np.asarray(v, dtype=np.float64)
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    zero = np.zeros_like(x)
    return np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)


def rotation_exp(vector: np.ndarray) -> np.ndarray:
    """Return the rotation by an axis times an angle (radians)."""
    return cv2.Rodrigues(np.asarray(vector, dtype=np.float64).reshape(3, 1))[0]


def rotation_log(R: np.ndarray) -> np.ndarray:
    """Return axis times angle (3,) of a rotation."""
    R = np.asarray(R, dtype=np.float64)
    if np.trace(R) > 2:  # below 60 degrees; Rodrigues rounds small angles to 0
        axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2
        sine = np.linalg.norm(axis)
        return axis * (np.arcsin(sine) / sine if sine > 0 else 1.0)
    return cv2.Rodrigues(R)[0].ravel()


def shortest_rotation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the smallest rotation (3, 3) that takes the direction of a (3,) to that of b (3,)."""
    axis = np.cross(a, b)
    length = np.linalg.norm(axis)
    if length < 1e-12 * np.linalg.norm(a) * np.linalg.norm(b):      # along each other, or opposite: about any axis
        axis, length = np.cross(a, np.eye(3)[np.argmin(np.abs(a))]), 1.0
        axis /= np.linalg.norm(axis)
        return rotation_exp(axis * (0.0 if a @ b > 0 else np.pi))
    return rotation_exp(axis / length * np.arctan2(length, a @ b))


def perturb(T: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Apply a pose error (6,) as defined above."""
    return compose(rotation_exp(error[3:]) @ T[:3, :3], T[:3, 3] + error[:3])


def difference(T: np.ndarray, T_true: np.ndarray) -> np.ndarray:
    """Return the pose error (6,) of ``T``: ``perturb(T_true, difference(T, T_true)) == T``."""
    return np.concatenate([T[:3, 3] - T_true[:3, 3], rotation_log(T[:3, :3] @ T_true[:3, :3].T)])


def quaternion(R: np.ndarray) -> np.ndarray:
    """Return (x, y, z, w) of a rotation, w not negative (Shepperd's method)."""
    m = np.asarray(R, dtype=np.float64)
    squares = np.array([
        1 + m[0, 0] - m[1, 1] - m[2, 2], 1 - m[0, 0] + m[1, 1] - m[2, 2],
        1 - m[0, 0] - m[1, 1] + m[2, 2], 1 + m[0, 0] + m[1, 1] + m[2, 2]])
    k = int(np.argmax(squares))
    i, j = (k + 1) % 3, (k + 2) % 3
    q = np.empty(4)
    if k == 3:
        q[:] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]
    else:
        q[k], q[i], q[j], q[3] = squares[k], m[i, k] + m[k, i], m[j, k] + m[k, j], m[j, i] - m[i, j]
    q /= np.linalg.norm(q)
    return -q if q[3] < 0 else q


def rotation(q: np.ndarray) -> np.ndarray:
    """Return the rotation of a quaternion (x, y, z, w), which need not have unit length.

    :raises ValueError: for a quaternion of zeros.
    """
    q = np.asarray(q, dtype=np.float64)
    norm = np.linalg.norm(q)
    if not norm > 0:
        raise ValueError('quaternion of zero length')
    x, y, z, w = q / norm
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]])


def from_xyz_rpy(values: Sequence[float]) -> np.ndarray:
    """Return the pose (4, 4) of x, y, z (m), roll, pitch, yaw (rad), about fixed axes in this order (REP-103)."""
    x, y, z, roll, pitch, yaw = values
    turns = [rotation_exp(angle * axis) for angle, axis in zip((yaw, pitch, roll), np.eye(3)[::-1])]
    return compose(turns[0] @ turns[1] @ turns[2], [x, y, z])


def read_pose(text: str) -> np.ndarray:
    """Return the pose (4, 4) of 6 numbers, as of :func:`from_xyz_rpy`, or of x y z qx qy qz qw.

    :raises ValueError: for a text that is neither.
    """
    try:
        values = [float(word) for word in text.replace(',', ' ').split()]
    except ValueError:
        values = []
    if len(values) not in (6, 7) or not np.isfinite(values).all():
        raise ValueError(f'{text!r} is no pose: x y z roll pitch yaw, or x y z qx qy qz qw')
    return from_xyz_rpy(values) if len(values) == 6 else compose(rotation(np.array(values[3:])), values[:3])


def at_least(covariance: np.ndarray, sigma_linear: float, sigma_angular: float) -> np.ndarray:
    """Return a covariance (6, 6) whose deviations are in no direction smaller than these; 0: as they are."""
    scale = np.repeat([max(sigma_linear, 1e-9), max(sigma_angular, 1e-9)], 3)
    values, axes = np.linalg.eigh(covariance / np.outer(scale, scale))
    if values[0] >= 1:
        return covariance
    raised = (axes * np.maximum(values, 1)) @ axes.T * np.outer(scale, scale)
    return (raised + raised.T) / 2


def tum_line(stamp_ns: int, T: np.ndarray) -> str:
    """Return a line ``seconds x y z qx qy qz qw`` of a TUM file."""
    seconds, nanoseconds = divmod(int(stamp_ns), 10**9)
    values = (*T[:3, 3], *quaternion(T[:3, :3]))
    return f'{seconds}.{nanoseconds:09d} ' + ' '.join(f'{value:.9f}' for value in values) + '\n'


def carry_covariance(covariance: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return what the pose error of a frame means for another one rigidly behind it.

    :param covariance: (6, 6) of the first frame's pose.
    :param offset: (3,) from the first frame's origin to the second's, in the parent frame.
    """
    A = np.eye(6)
    A[:3, 3:] = -skew(offset)
    return A @ covariance @ A.T


def rotate_covariance(R_a_b: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Express a 6x6 covariance given along the axes of b along those of a."""
    A = np.kron(np.eye(2), R_a_b)
    return A @ covariance @ A.T
