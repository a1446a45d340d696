"""How exactly the keyframes of a map are where its landmarks say."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.pose import carry_covariance
from superslam_ros.geometry.reprojection import Observations, agree, linearise, normal_equations, whitening
from superslam_ros.maps.map import Map

LEAST_KNOWN = 1.0
"""Information (1/m^2, 1/rad^2) that is had of every keyframe."""


def of_keyframe(within: Map, keyframe_id: int) -> np.ndarray:
    """Return the covariance (6, 6) of a keyframe among the landmarks that it sees, in the map's axes.

    Landmarks agree with each other better than with any one keyframe: what is found by them is where they are, and a
    keyframe is off by what its own pixels leave open. Nothing is taken back of that for landmarks that it hosts.
    """
    one = within.keyframes[keyframe_id]
    pinhole, rows = within.cameras[one.camera][0], within.landmarks.rows(one.landmark_ids)
    R, unknown = within.hosts(rows)[:, :3, :3], np.full(len(rows), np.nan)
    seen = Observations(
        within.points_of(rows), R @ within.landmarks.covariance[rows] @ R.transpose(0, 2, 1),
        one.pixels.astype(np.float64), one.sigma_px.astype(np.float64), unknown, unknown)
    terms = linearise(seen, pinhole, one.T_map_camera, whitening(seen, pinhole, one.T_map_camera))
    information, _ = normal_equations(terms)
    good = agree(terms)
    excess = terms.squared[good].sum() / max(1.0, terms.freedom[good].sum() - 6)
    return np.linalg.inv(information / max(1.0, excess) + LEAST_KNOWN * np.eye(6))


def as_seen_from(within: Map, keyframe_id: int, T_map_camera: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return the covariance (6, 6) of a camera with respect to a keyframe, from that with respect to the landmarks.

    :param covariance: (6, 6) of the camera, in the map's axes, the landmarks taken for true.
    """
    arm = T_map_camera[:3, 3] - within.keyframes[keyframe_id].T_map_camera[:3, 3]
    return covariance + carry_covariance(of_keyframe(within, keyframe_id), arm)
