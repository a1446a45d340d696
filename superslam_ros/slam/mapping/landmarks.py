"""Where landmarks come from: measured depths, and two views of a moving camera."""

from __future__ import annotations

import numpy as np

from superslam_ros.data import Matches
from superslam_ros.geometry import two_view
from superslam_ros.geometry.pnp import landmark_information
from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.slam.mapping.map import LocalMap, View
from superslam_ros.slam.odometry_config import OdometryConfig

CERTAIN = 6.0
"""Deviations of the angle between two rays that a parallax must have."""
LOOSE = 1e-9
"""Information (1/m^2) added to every landmark's, which keeps a nearly unknown depth invertible."""


def make(
    local_map: LocalMap, points: np.ndarray, covariance: np.ndarray, view: View, indices: np.ndarray
) -> np.ndarray:
    """Add landmarks that the given keypoints of a view show, made in the newest keyframe; return their ids (M,)."""
    return local_map.landmarks.add(points, covariance, view.features.descriptors[indices], local_map.total - 1)


def measure(local_map: LocalMap, view: View, config: OdometryConfig) -> None:
    """Add a landmark for every keypoint that shows none yet, and whose depth is measured well enough."""
    w, sigma = view.inverse_depth, view.inverse_depth_sigma
    with np.errstate(invalid='ignore'):
        new = np.flatnonzero(
            (view.landmark_ids == 0) & (sigma < config.max_relative_depth_sigma * w) & np.isfinite(view.pixels[:, 0]))
    if len(new):
        points, covariance = from_depth(view, new)
        view.landmark_ids[new] = make(local_map, points, covariance, view, new)


def triangulate(
    local_map: LocalMap, reference: View, view: View, matches: Matches, config: OdometryConfig
) -> None:
    """Add landmarks for matched keypoints that have no depth, where the parallax allows."""
    index0, index1 = matches.indices.T
    new = (reference.landmark_ids[index0] == 0) & (view.landmark_ids[index1] == 0)
    new &= np.isnan(reference.inverse_depth[index0]) & np.isnan(view.inverse_depth[index1])
    if new.any():
        index0, index1 = index0[new], index1[new]
        good, points, covariance = from_two_views(
            reference, view, index0, index1, config.min_parallax_deg, config.threshold_px)
        ids = make(local_map, points, covariance, view, index1[good])
        reference.landmark_ids[index0[good]] = view.landmark_ids[index1[good]] = ids


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
