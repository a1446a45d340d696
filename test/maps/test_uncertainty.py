"""Keyframes that their pixels have put a little off know by how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from places import all_round, built, lap

from superslam_ros.geometry.pnp import refine_pose
from superslam_ros.geometry.pose import carry_covariance, difference
from superslam_ros.geometry.reprojection import Observations
from superslam_ros.maps import uncertainty


def test_a_keyframe_is_known_as_well_as_its_pixels_say() -> None:
    made, _ = built(all_round(), lap(40))
    made.landmarks.covariance[:] = 1e-10 * np.eye(3)
    random, squares = np.random.default_rng(0), []
    hosts = {int(number) for number in made.landmarks.host}
    for number in sorted(made.keyframes.keys() - hosts) or sorted(made.keyframes):
        one = made.keyframes[number]
        rows, true = made.landmarks.rows(one.landmark_ids), one.T_map_camera
        points, unknown = made.points_of(rows), np.full(len(rows), np.nan)
        pixels = one.pixels + random.normal(size=one.pixels.shape)
        seen = Observations(points, np.zeros((len(rows), 3, 3)), pixels, np.ones(len(rows)), unknown, unknown)
        found = refine_pose(seen, made.cameras[one.camera][0], true).T_world_camera
        error = difference(found, true)
        squares.append(error @ np.linalg.solve(uncertainty.of_keyframe(made, number), error))
    assert 6 - 3.3 * np.sqrt(12 / len(squares)) < np.mean(squares) < 6 + 3.3 * np.sqrt(12 / len(squares))


def test_what_is_seen_from_a_keyframe_is_no_surer_than_that() -> None:
    made, _ = built(all_round(), lap(4))
    T, own = made.keyframes[2].T_map_camera.copy(), 1e-6 * np.eye(6)
    T[:3, 3] += [1, 0, 0]
    total = uncertainty.as_seen_from(made, 2, T, own)
    np.testing.assert_allclose(total - own, carry_covariance(uncertainty.of_keyframe(made, 2), np.array([1., 0, 0])))
    made.keyframes[2] = replace(made.keyframes[2], **{
        name: getattr(made.keyframes[2], name)[:0] for name in ('pixels', 'sigma_px', 'landmark_ids')})
    np.testing.assert_allclose(uncertainty.of_keyframe(made, 2), np.eye(6) / uncertainty.LEAST_KNOWN)
