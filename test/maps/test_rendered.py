"""The whole way: rendered frames with depth, the odometry's keyframes, a map, its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Frame
from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.maps import storage
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.keyframe import KeyframeFeed
from superslam_ros.maps.map import Map
from superslam_ros.slam import VisualOdometry

STEP_NS = 200_000_000


def test_a_map_of_a_rendered_room(room: worlds.World, tmp_path: Path) -> None:
    """Landmarks lie on the walls, as every keyframe sees them; the file is within its budget."""
    camera, poses = worlds.pinhole(320, 240), worlds.demo_trajectory(12, 5.0, 0)
    odometry, vocabulary, made = VisualOdometry(), Vocabulary.load(), Map()
    feed, session = KeyframeFeed(odometry.motion), made.add_session('room', STEP_NS)
    views = {}
    for number, T in enumerate(poses, 1):
        view = worlds.render(room, camera, T)
        views[number * STEP_NS] = view
        odometry.process(Frame(number * STEP_NS, view.image, camera, depth_m=view.depth_m))
        for keyframe in (one.strongest(600) for one in feed.new()):
            T_map_camera = inverse(poses[0]) @ poses[keyframe.stamp_ns // STEP_NS - 1]
            made.add(keyframe, T_map_camera, session, vocabulary.embed(keyframe.descriptors))
            made.cull()
    assert len(made) >= 3 and len(made.edges) == len(made) - 1
    errors = []
    for one in made.keyframes.values():
        local = transform(inverse(one.T_map_camera), made.points_of(made.landmarks.rows(one.landmark_ids)))
        columns, rows = np.rint(one.pixels).astype(int).T
        errors.append(local[:, 2] / views[one.stamp_ns].depth_m[rows, columns] - 1)
    errors = np.abs(np.concatenate(errors))
    assert np.median(errors) < 0.005 and np.nanquantile(errors, 0.9) < 0.05
    storage.save(made, tmp_path / 'room.map')
    assert (tmp_path / 'room.map').stat().st_size < 150_000 * len(made)
