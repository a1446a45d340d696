"""Where landmarks come from: measured depths, and two views of a moving camera."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry import two_view
from superslam_ros.geometry.pnp import landmark_information
from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.slam.mapping.map import View

CERTAIN = 6.0
"""Deviations of the angle between two rays that a parallax must have."""
LOOSE = 1e-9
"""Information (1/m^2) added to every landmark's, which keeps a nearly unknown depth invertible."""


def from_depth(view: View, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (M, 3) in odom of keypoints with a measured depth, and their covariance given the pose."""
    rays = view.pinhole.rays(view.pixels[indices])
    points = transform(view.T_odom_camera, rays / view.inverse_depth[indices][:, None])
    return points, covariance_of(points, [(view, indices)])


def from_two_views(
    reference: View, view: View, index0: np.ndarray, index1: np.ndarray, min_parallax_deg: float, threshold_px: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangulate pairs of keypoints of two views whose poses are known.

    :returns: which pairs meet well enough (indices), their points (M, 3) in odom, and covariances (M, 3, 3).
    """
    T_0_1 = inverse(reference.T_odom_camera) @ view.T_odom_camera
    # Of many points without parallax, the noise of a few looks like one: only what noise cannot make counts.
    noise_rad = np.sqrt(2) * float(np.median(view.pixel_sigma)) / view.pinhole.fx
    min_parallax_rad = max(np.radians(min_parallax_deg), CERTAIN * noise_rad)
    local = two_view.triangulate(
        reference.pixels[index0], view.pixels[index1], reference.pinhole, T_0_1, min_parallax_rad, threshold_px,
        view.pinhole)
    good = np.flatnonzero(np.isfinite(local[:, 0]))
    points = transform(reference.T_odom_camera, local[good])
    return good, points, covariance_of(points, [(reference, index0[good]), (view, index1[good])])


def covariance_of(points: np.ndarray, seen_by: list[tuple[View, np.ndarray]]) -> np.ndarray:
    """Return the covariance (M, 3, 3) of points, each seen by the same views as the given keypoints (M,) of them."""
    information = LOOSE * np.eye(3)
    for view, indices in seen_by:
        nothing = np.zeros((len(points), 3, 3))
        information = information + landmark_information(
            view.observing(indices, points, nothing), view.pinhole, view.T_odom_camera)
    return np.linalg.inv(information)
