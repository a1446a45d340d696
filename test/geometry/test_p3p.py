"""Pose from three landmarks at a time."""

from __future__ import annotations

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.p3p import draw_pose, three_points
from superslam_ros.geometry.pose import compose, difference, inverse, rotation_exp, transform

CAMERA = Pinhole(300, 310, 320, 240)


def seen(count: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points, pixels of which a part is wrong, and T_world_camera."""
    random = np.random.default_rng(seed)
    T = compose(rotation_exp(random.normal(size=3)), random.normal(size=3))
    local = random.uniform([-2, -2, 1.5], [2, 2, 8], (count, 3))
    pixels = CAMERA.project(local) + random.normal(size=(count, 2))
    bad = random.permutation(count)[:round(wrong * count)]
    pixels[bad] = random.uniform(0, [640, 480], (len(bad), 2))
    return transform(T, local), pixels, T


def test_one_of_the_cameras_that_see_three_points_is_the_right_one() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        T = compose(rotation_exp(random.normal(size=3)), random.normal(size=3))
        local = random.uniform([-2, -2, 1], [2, 2, 6], (3, 3))
        R, t = three_points(transform(T, local)[None], (local / np.linalg.norm(local, axis=1, keepdims=True))[None])
        assert 0 < len(R) <= 4
        found = [np.abs(difference(inverse(compose(*one)), T)).max() for one in zip(R, t)]
        assert min(found) < 1e-5


def test_points_on_a_line_and_equal_points_have_no_solution() -> None:
    line = np.array([[0.0, 0, 2], [0, 0, 2], [1, 0, 2]])
    R, _ = three_points(line[None], (line / np.linalg.norm(line, axis=1, keepdims=True))[None])
    assert not np.isfinite(R).all(axis=(1, 2)).any()


def test_a_pose_is_found_among_three_quarters_of_wrong_matches_always_the_same() -> None:
    for seed in range(5):
        points, pixels, T = seen(200, 0.75, seed)
        found = draw_pose(points, pixels, CAMERA, 4.0, 25)
        assert np.abs(difference(found, T)).max() < 0.04
        np.testing.assert_array_equal(found, draw_pose(points, pixels, CAMERA, 4.0, 25))


def test_weights_tell_which_of_two_poses_it_is() -> None:
    points, pixels, T = seen(120, 0.0)
    other = T @ compose(rotation_exp(np.array([0.0, 0.3, 0.0])), np.array([1.0, 0, 0]))
    pixels[:70] = CAMERA.project(transform(inverse(other), points[:70]))
    good = np.isfinite(pixels).all(1)
    weights = np.where(np.arange(120) < 70, 0.2, 0.9)[good]
    points, pixels = points[good], pixels[good]
    assert np.abs(difference(draw_pose(points, pixels, CAMERA, 4.0, 25), other)).max() < 0.05
    assert np.abs(difference(draw_pose(points, pixels, CAMERA, 4.0, 25, weights=weights), T)).max() < 0.05


def test_there_is_no_pose_where_all_is_wrong_or_too_little_is_known() -> None:
    points, pixels, _ = seen(200, 1.0)
    assert draw_pose(points, pixels, CAMERA, 4.0, 25) is None
    points, pixels, _ = seen(24, 0.0)
    assert draw_pose(points, pixels, CAMERA, 4.0, 25) is None
    assert draw_pose(points[:2], pixels[:2], CAMERA, 4.0, 2) is None
