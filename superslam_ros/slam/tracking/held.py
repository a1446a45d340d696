"""Poses that something else than vision holds in some directions, whose errors repeat from frame to frame."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import perturb

CHI2_999 = (13.8, 16.3)
"""Quantiles of chi-square, for two and three degrees of freedom."""
FREE = 100.0
"""Standard deviation (m, rad) of what is not held, in a prior that needs one."""


def condition(
    T: np.ndarray, covariance: np.ndarray, rows: np.ndarray, away: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Condition a pose (4, 4) and its covariance (6, 6) on being held; what is less sure becomes as sure as that.

    :param rows: (K, 6) what an error (dp, dtheta) in odom does to what is held, K being 2 or 3.
    :param away: (K,) how far away the pose is, ``sigma`` (K,) how well it is held.
    :returns: None for a pose that is beyond the 99.9 % quantile.
    """
    away, rows = away / sigma, rows / sigma[:, None]
    prior = rows @ covariance @ rows.T      # in units of the holder's own variance
    if away @ np.linalg.solve(prior + np.eye(len(away)), away) > CHI2_999[len(away) - 2]:
        return None
    values, axes = np.linalg.eigh(prior)
    # Kalman's update by independent axes, with the noise that leaves a variance of 1 where there was more.
    part = np.where(values > 1, (values - 1) / np.maximum(values, 1)**2, 0.0)
    gain = covariance @ rows.T @ (axes * part) @ axes.T
    T = perturb(T, -gain @ away)
    covariance = covariance - gain @ rows @ covariance
    return T, (covariance + covariance.T) / 2


def no_surer(covariance: np.ndarray, rows: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return a covariance (6, 6) that is nowhere surer of what is held (rows, orthonormal) than that is."""
    values, axes = np.linalg.eigh(rows @ covariance @ rows.T / np.outer(sigma, sigma))
    more = (axes * np.maximum(1 - values, 0)) @ axes.T * np.outer(sigma, sigma)
    return covariance + rows.T @ more @ rows


def tilt(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return axis times angle (3,) of the smallest rotation that takes one unit vector (3,) to another one."""
    axis = np.cross(a, b)
    sine = np.linalg.norm(axis)
    return axis * (np.arctan2(sine, a @ b) / sine if sine > 0 else 1.0)
