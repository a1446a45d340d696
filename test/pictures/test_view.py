"""The picture of what RViz shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.messages import Messages
from superslam_ros.data import Motion, TrackingState
from superslam_ros.geometry.pose import compose
from superslam_ros.pictures.view import Camera, draw_view, read

PATH, LANDMARKS, KEYFRAMES, ELLIPSOID = (45, 212, 191), (255, 0, 0), (0, 0, 255), (240, 183, 47)
POSES = [compose(np.eye(3), [0.2 * i, 0, 1]) for i in range(10)]


def fill(bag, names: set[str], std_m: float = 0.01) -> Path:
    """Write a result of one namespace with these topics: a straight path, landmarks in front of it, a keyframe."""
    motion = Motion(
        10**9, TrackingState.TRACKING, POSES[-1], np.eye(6) * std_m**2, np.zeros(6), np.eye(6), 5, 5, True, True)
    points = np.random.default_rng(0).uniform([1, 1, -1], [3, 3, 1], (300, 3))
    ends = np.array([[[0, 0, 1], [0, 1, 1]], [[0, 1, 1], [1, 1, 1]]])
    messages = {
        'odometry': bag.make.odometry(motion, 'odom', 'optical'),
        'path': bag.make.path('odom', range(1, 11), POSES),
        'landmarks': bag.make.points(10**9, 'odom', points, np.zeros(len(points))),
        'keyframes': blue_lines(bag.make, ends),
        'overlay': bag.make.image(10**9, 'optical', np.full((48, 64, 3), (255, 0, 255), np.uint8)),
    }
    for name in names:
        bag.put(f'/robot/superslam/{name}', 0, messages[name])
    return bag.write()


def blue_lines(make: Messages, ends: np.ndarray) -> Any:
    """Return a MarkerArray as the nodes publish it; rosbags wants every field named."""
    header = make.header(0, '')
    unused = {
        'lifetime': make.make('builtin_interfaces/Duration', sec=0, nanosec=0), 'frame_locked': False, 'colors': [],
        'texture_resource': '', 'uv_coordinates': [], 'text': '', 'mesh_resource': '',
        'texture': make.make('sensor_msgs/CompressedImage', header=header, format='', data=np.zeros(0, np.uint8)),
        'mesh_file': make.make('visualization_msgs/MeshFile', filename='', data=np.zeros(0, np.uint8)),
        'mesh_use_embedded_materials': False}

    class Complete(Messages):
        def make(self, name: str, /, **fields: Any) -> Any:
            return super().make(name, **fields, **(unused if name == 'visualization_msgs/Marker' else {}))

    return Complete(make.store).lines(10**9, 'odom', 'keyframes', ends, (0.0, 0.0, 1.0, 1.0), 0.01)


def pixels(path: Path, colour: tuple[int, int, int]) -> int:
    """Return how many pixels of a picture are of about one colour."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(int)
    return int((np.abs(picture - colour).max(-1) < 25).sum())


def test_camera_orbits() -> None:
    """What it looks at is in the middle, z is up, and what is behind it is not seen."""
    camera = Camera(np.array([1.0, 2.0, 3.0]), 5.0)
    np.testing.assert_allclose(camera.project(np.array([1.0, 2.0, 3.0])), [0, 0, 5], atol=1e-12)
    x, y, depth = camera.project(np.array([1.0, 2.0, 4.0]))
    assert abs(x) < 1e-12 and y > 0 and depth < 5
    assert np.isnan(camera.project(camera.focus - 10 * camera_direction(camera))).all()


def camera_direction(camera: Camera) -> np.ndarray:
    """Return the direction of view, found by looking."""
    near = camera.focus + np.eye(3) * 1e-3
    depths = camera.project(near)[:, 2] - camera.distance
    return depths / np.linalg.norm(depths)


def test_shows_what_is_recorded(bag, tmp_path: Path) -> None:
    """Each topic brings its own colour; the path is where its poses are."""
    result = fill(bag, {'odometry', 'path', 'landmarks', 'keyframes', 'overlay'})
    shown = read(result)
    np.testing.assert_allclose(shown.path, [pose[:3, 3] for pose in POSES])
    assert shown.landmarks.shape == (300, 4)
    draw_view(tmp_path / 'view.png', result)
    assert pixels(tmp_path / 'view.png', PATH) > 100 and pixels(tmp_path / 'view.png', LANDMARKS) > 500
    assert pixels(tmp_path / 'view.png', KEYFRAMES) > 50 and pixels(tmp_path / 'view.png', (255, 0, 255)) > 10_000


def test_odometry_alone(bag, tmp_path: Path) -> None:
    """Whatever was not recorded is missing, and nothing else; a large covariance is a large ellipsoid."""
    draw_view(tmp_path / 'view.png', fill(bag, {'odometry'}, std_m=0.3))
    assert pixels(tmp_path / 'view.png', PATH) == pixels(tmp_path / 'view.png', KEYFRAMES) == 0
    assert pixels(tmp_path / 'view.png', ELLIPSOID) > 200


def test_no_odometry(bag, tmp_path: Path) -> None:
    """A bag of something else is refused."""
    with pytest.raises(BagError, match='no topic superslam/odometry'):
        draw_view(tmp_path / 'view.png', fill(bag, {'path'}))
