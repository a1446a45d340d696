"""Where a camera is as seen from a keyframe that, like all others, is a little off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from places import all_round, built, lap

from superslam_ros.geometry.pnp import refine_pose
from superslam_ros.geometry.pose import difference, inverse, perturb
from superslam_ros.geometry.reprojection import Observations
from superslam_ros.maps import uncertainty
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map

OFF_M, OFF_RAD, NOISE_PX, FAR = 0.005, 0.001, 0.5, 0.01
PLACE = [2, 1, 3, 4, 5]


def noisy(seed: int) -> tuple[Map, Keyframe, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a map whose keyframes are off and whose pixels and distances have errors, and a camera between two.

    :returns: the map; the camera's keyframe, rows of its keypoints and the landmarks that they show; where these alone
        have it; and where it is, as seen from the first of the place.
    """
    random, world = np.random.default_rng(seed), all_round()
    made, looker = built(world, lap(40)[:6])
    table, true = made.landmarks, {number: one.T_map_camera for number, one in made.keyframes.items()}
    T_true = perturb(true[2], [0.05, -0.03, 0.04, 0.02, -0.03, 0.05])
    camera = looker.look(T_true)
    camera = replace(camera, pixels=camera.pixels + random.normal(0, NOISE_PX, camera.pixels.shape))
    seen = made.landmarks_of(PLACE)
    alike = seen.descriptors @ camera.descriptors.T
    keypoints, landmarks = alike.argmax(1)[alike.max(1) > 0.99], seen.ids[alike.max(1) > 0.99]
    assert len(landmarks) > 60
    for one in made.keyframes.values():
        one.pixels = one.pixels + random.normal(0, NOISE_PX, one.pixels.shape).astype(np.float32)
        one.sigma_px = np.full(len(one.pixels), NOISE_PX, np.float32)
    # Landmarks are where their hosts' pixels and distances have them; keyframes are off from each other.
    for number, one in made.keyframes.items():
        mine = np.flatnonzero(table.host[table.rows(one.landmark_ids)] == number)
        rows = table.rows(one.landmark_ids[mine])
        z = table.points[rows, 2] / (1 + random.normal(0, FAR, len(rows)))
        pinhole = made.cameras[one.camera][0]
        table.points[rows] = pinhole.rays(one.pixels[mine].astype(np.float64)) * z[:, None]
        table.covariance[rows] = np.einsum('n,ij->nij', (FAR * z)**2, np.diag([1e-4, 1e-4, 1.0]))
    made.move({number: perturb(T, random.normal(0, np.repeat([OFF_M, OFF_RAD], 3)) * (number != 2))
               for number, T in true.items()})
    rows, unknown = table.rows(landmarks), np.full(len(landmarks), np.nan)
    R = made.hosts(rows)[:, :3, :3]
    start = refine_pose(Observations(
        made.points_of(rows), R @ table.covariance[rows] @ R.transpose(0, 2, 1), camera.pixels[keypoints].astype(float),
        np.full(len(rows), NOISE_PX), unknown, unknown), camera.pinhole, T_true).T_world_camera
    return made, camera, keypoints, landmarks, start, T_true


def test_a_camera_is_where_all_keyframes_of_the_place_say_and_as_surely() -> None:
    squares, before, after = [], [], []
    for seed in range(20):
        made, camera, keypoints, landmarks, start, true = noisy(seed)
        poses = {number: one.T_map_camera.copy() for number, one in made.keyframes.items()}
        T, covariance = uncertainty.as_seen_from(made, PLACE, camera, keypoints, landmarks, start)
        error = difference(T, true)
        squares.append(error @ np.linalg.solve(covariance, error))
        before.append(np.linalg.norm(difference(start, true)[:3]))
        after.append(np.linalg.norm(error[:3]))
        assert all((one.T_map_camera == poses[number]).all() for number, one in made.keyframes.items())
    assert np.median(after) < 0.7 * np.median(before)
    assert 6 - 3.3 * np.sqrt(12 / len(squares)) < np.mean(squares) < 6 + 3.3 * np.sqrt(12 / len(squares))


def test_as_seen_from_a_keyframe_that_nothing_ties_to_the_others_it_is_not_known() -> None:
    made, camera, keypoints, landmarks, start, _ = noisy(0)
    alone = made.keyframes[2]
    alone.keep(np.zeros(len(alone.landmark_ids), dtype=bool))
    T, covariance = uncertainty.as_seen_from(made, PLACE, camera, keypoints, landmarks, start)
    assert np.linalg.eigvalsh(covariance)[-1] > 0.1 and np.isfinite(T).all()
    assert np.linalg.norm((inverse(start) @ T)[:3, 3]) < 0.05
