"""Where a frame is, against the landmarks of the local map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from superslam_ros.data import Matches
from superslam_ros.geometry.pnp import Observations, PoseEstimate, refine_pose, rough_pose
from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.slam.mapping.map import LocalMap, View, match_by_projection
from superslam_ros.slam.odometry_config import OdometryConfig

COARSER = 4.0
"""Times the noise with which a pose is looked for a second time."""
_NEIGHBOUR = 10
"""Landmarks that a keyframe shares with the reference, for its others to be searched as well."""


def locate(
    view: View, reference: View, temporal: Matches, local_map: LocalMap, config: OdometryConfig
) -> PoseEstimate | None:
    """Find a frame against the map: by its matches to the reference, and by a search for what they missed.

    :param view: the frame, at its predicted pose. Its keypoints are given the ids of the landmarks they show; where
        only a coarser pose is found, they are believed less.
    :param temporal: matches from the reference to the frame.
    :returns: None where fewer than ``config.min_inliers`` landmarks agree on a pose.
    """
    positions, rows = local_map.known(reference, temporal.indices[:, 0])
    indices, predicted = temporal.indices[positions, 1], view.T_odom_camera

    def rough() -> np.ndarray | None:
        seen = _seen(view, reference, indices, rows, local_map)
        return rough_pose(seen, view.pinhole, predicted, config.threshold_px, config.min_inliers)

    pose = rough()
    if config.search_radius_px > 0 and len(view.features):
        found, more = _search(view, reference, predicted if pose is None else pose, indices, rows, local_map, config)
        indices, rows = np.concatenate([indices, found]), np.concatenate([rows, more])
        pose = rough() if pose is None else pose
    if pose is None:
        return None
    estimate = refine_pose(_seen(view, reference, indices, rows, local_map), view.pinhole, pose, config.min_inliers)
    if estimate is None:
        # From far away keypoints agree less exactly than from frame to frame.
        view.pixel_sigma, view.inverse_depth_sigma = COARSER * view.pixel_sigma, COARSER * view.inverse_depth_sigma
        estimate = refine_pose(
            _seen(view, reference, indices, rows, local_map), view.pinhole, pose, config.min_inliers)
        if estimate is None:
            return None
        pixel, mean = (COARSER**2 * value for value in (estimate.pixel_variance, estimate.mean_variance))
        estimate = replace(estimate, pixel_variance=pixel, mean_variance=mean)
    view.landmark_ids[indices[estimate.inliers]] = local_map.landmarks.ids[rows[estimate.inliers]]
    return estimate


def _seen(
    view: View, reference: View, indices: np.ndarray, rows: np.ndarray, local_map: LocalMap
) -> Observations:
    table = local_map.landmarks
    return view.observing(indices, table.points[rows], table.covariance[rows], local_map.hosts(rows, reference))


def _search(
    view: View, reference: View, near: np.ndarray, taken: np.ndarray, taken_rows: np.ndarray, local_map: LocalMap,
    config: OdometryConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """Look for landmarks of the reference's neighbourhood that are not matched yet, where ``near`` would show them."""
    table = local_map.landmarks
    neighbours = [reference, *(one for one, count in local_map.covisible(reference) if count >= _NEIGHBOUR)]
    candidates = np.unique(np.concatenate([local_map.known(one)[1] for one in neighbours]))
    candidates = np.setdiff1d(candidates, taken_rows)
    projected = view.pinhole.project(transform(inverse(near), table.points[candidates]))
    width, height = view.features.image_size
    with np.errstate(invalid='ignore'):
        inside = ((projected > -20) & (projected < [width + 20, height + 20])).all(1)
    free = np.setdiff1d(np.arange(len(view.features)), taken)
    return match_by_projection(
        view, table, candidates[inside], free, projected[inside], config.search_radius_px, config.min_similarity)
