"""Rigid motions with a change of the unit, and the covariance that goes with them.

Of a similarity, T is the pose (4, 4) and s the scale: ``p_a = s R p_b + t``, lengths in b being in a unit of its own.
Its error is that of the pose and of the logarithm of the scale: (dp, dtheta, ds), axes fixed to the parent frame, as in
:mod:`superslam_ros.geometry.pose`. Covariances are (7, 7), or (6, 6) where the scale is exact.
"""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import compose, skew


def resized(T: np.ndarray, scale: float) -> np.ndarray:
    """Return a pose with its position multiplied by a scale."""
    return compose(T[:3, :3], scale * T[:3, 3])


def resized_covariance(covariance: np.ndarray, scale: float) -> np.ndarray:
    """Return the covariance of what :func:`resized` returns."""
    by = np.ones(len(covariance))
    by[:3] = scale
    return covariance * np.outer(by, by)


def widened(covariance: np.ndarray, size: int = 7, log_scale_variance: float = 0.0) -> np.ndarray:
    """Return a covariance with as many rows as asked for; what it does not have of the scale is independent."""
    if len(covariance) >= size:
        return covariance
    wide = np.zeros((size, size))
    wide[:6, :6], wide[6, 6] = covariance, log_scale_variance
    return wide


def carry(covariance: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return what the error of a similarity means for a frame rigidly behind it, at an offset (3,) in the parent."""
    A = np.eye(len(covariance))
    A[:3, 3:6] = -skew(offset)
    if len(A) == 7:
        A[:3, 6] = offset
    return A @ covariance @ A.T


def rotate(R_a_b: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Express a covariance given along the axes of b along those of a."""
    A = np.eye(len(covariance))
    A[:3, :3] = A[3:6, 3:6] = R_a_b
    return A @ covariance @ A.T
