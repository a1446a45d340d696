"""The rendered world is the one whose answer is known, so its answers are checked first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.data import Camera


@pytest.fixture(scope='module')
def pose() -> np.ndarray:
    return worlds.look_at((-0.9, 0.15, 0.1), (0, 0.02, 0), roll=0.1)


def refine(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-4)
    return cv2.cornerSubPix(image, pixels.astype(np.float32)[:, None].copy(), (4, 4), (-1, -1), criteria)[
        :, 0
    ]


def test_a_corner_appears_where_it_projects(pose: np.ndarray) -> None:
    """The pixel convention end to end: a corner found in the image lies on its projection."""
    world, corners = worlds.checkerboard_world()
    camera = worlds.pinhole(320, 240)
    image = worlds.render(world, camera, pose, supersample=4).image
    pixels, _ = worlds.project(camera, pose, corners)
    inside = ((pixels > 12) & (pixels < np.array([307, 227]))).all(axis=1)
    assert inside.sum() >= 20
    error = refine(image, pixels[inside]) - pixels[inside]
    assert np.abs(error).max() < 0.12
    assert np.abs(error.mean(axis=0)).max() < 0.03


def test_a_distorted_camera_bends_the_image(pose: np.ndarray) -> None:
    world, corners = worlds.checkerboard_world()
    straight = worlds.pinhole(320, 240)
    camera = Camera(320, 240, straight.K, np.array([-0.3, 0.08, 0.001, -0.001, 0.0]), 'plumb_bob')
    image = worlds.render(world, camera, pose, supersample=4).image
    pixels, _ = worlds.project(camera, pose, corners)
    inside = ((pixels > 12) & (pixels < np.array([307, 227]))).all(axis=1)
    error = refine(image, pixels[inside]) - pixels[inside]
    assert np.abs(error).max() < 0.15
    assert np.abs(pixels - worlds.project(straight, pose, corners)[0]).max() > 1


def test_depth_is_along_z_and_exact(pose: np.ndarray) -> None:
    world, _ = worlds.checkerboard_world()
    camera = worlds.pinhole(64, 48)
    depth = worlds.render(world, camera, pose).depth_m
    x, y = np.meshgrid(np.arange(64), np.arange(48))
    points = worlds.cast(world, camera, pose, np.stack([x.ravel(), y.ravel()], axis=-1))
    seen = np.isfinite(points).all(axis=1)
    assert seen.any() and not seen.all()
    assert np.array_equal(seen, np.isfinite(depth).ravel())
    assert np.abs(points[seen, 0]).max() < 1e-9
    local = (points[seen] - pose[:3, 3]) @ pose[:3, :3]
    np.testing.assert_allclose(depth.ravel()[seen], local[:, 2], rtol=1e-5)


def test_stereo_disparity_is_focal_times_baseline_over_depth(room: worlds.World) -> None:
    left, right = worlds.stereo_pair(320, 240, baseline_m=0.1)
    pose = worlds.demo_trajectory(2)[0]
    depth = worlds.render(room, left, pose).depth_m
    pixels = np.array([[40, 60], [160, 120], [250, 200]])
    matched, visible = worlds.correspondences(room, left, pose, pixels, right, worlds.right_pose(pose, right))
    disparity = left.K[0, 0] * 0.1 / depth[pixels[:, 1], pixels[:, 0]]
    assert visible.any()
    np.testing.assert_allclose((pixels - matched)[visible, 0], disparity[visible], rtol=1e-5)
    np.testing.assert_allclose(matched[visible, 1], pixels[visible, 1], atol=1e-9)


def test_the_two_images_agree_at_corresponding_pixels(room: worlds.World) -> None:
    camera = worlds.pinhole(320, 240)
    poses = worlds.demo_trajectory(60)[[0, 6]]
    views = [worlds.render(room, camera, pose).image for pose in poses]
    x, y = np.meshgrid(np.arange(4, 316, 3), np.arange(4, 236, 3))
    pixels = np.stack([x.ravel(), y.ravel()], axis=-1)
    matched, visible = worlds.correspondences(room, camera, poses[0], pixels, camera, poses[1])
    assert 0.5 < visible.mean() < 1
    sampled = cv2.remap(views[1], matched[None].astype(np.float32), None, cv2.INTER_LINEAR)[0]
    difference = np.abs(sampled.astype(int) - views[0][pixels[:, 1], pixels[:, 0]])
    assert np.median(difference[visible]) <= 1
    assert np.mean(difference[visible] > 25) < 0.03


def test_what_is_behind_something_is_not_visible() -> None:
    texture = worlds.Texture(np.full((16, 16), 200, np.uint8))
    wall, _ = worlds.checkerboard_world()
    screen = worlds.box((-0.4, 0, -0.1), (0.02, 0.2, 0.2), 0.0, lambda size: texture)
    world = worlds.World((*wall.surfaces, *screen))
    camera = worlds.pinhole(160, 120)
    centre, beside = worlds.look_at((-1, 0, 0), (0, 0, 0)), worlds.look_at((-1, 0.5, 0), (0, 0, 0))
    point = worlds.project(camera, beside, np.array([[0.0, 0.0, 0.0]]))[0]
    _, visible = worlds.correspondences(world, camera, beside, point, camera, centre)
    assert not visible[0]
    image, depth, _ = worlds.render(world, camera, centre)
    assert image[60, 80] == 200
    assert depth[60, 80] == pytest.approx(0.59, abs=1e-5)


def test_behind_the_camera_and_beside_the_world_there_is_nothing() -> None:
    world, corners = worlds.checkerboard_world()
    camera = worlds.pinhole(64, 48)
    away = worlds.look_at((-1, 0, 0), (-2, 0, 0))
    image, depth, surface = worlds.render(world, camera, away)
    assert (image == 128).all() and np.isnan(depth).all() and (surface == -1).all()
    pixels, depths = worlds.project(camera, away, corners)
    assert np.isnan(pixels).all() and (depths < 0).all()
    assert np.isnan(worlds.cast(world, camera, away, np.array([[10.0, 10.0]]))).all()
    _, visible = worlds.correspondences(world, camera, away, np.array([[10.0, 10.0]]), camera, away)
    assert not visible.any()


def test_the_same_seed_paints_the_same_room() -> None:
    camera, pose = worlds.pinhole(96, 72), worlds.demo_trajectory(2)[0]
    views = [worlds.render(worlds.room_world(seed, 30), camera, pose).image for seed in (1, 1, 2)]
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


def test_the_room_has_corners_everywhere(room: worlds.World) -> None:
    camera = worlds.pinhole(320, 240)
    for pose in worlds.demo_trajectory(120)[::30]:
        view = worlds.render(room, camera, pose)
        assert np.isfinite(view.depth_m).all()
        corners = cv2.goodFeaturesToTrack(view.image, 500, 0.02, 5)
        assert len(corners) > 120
        cells = {tuple(cell) for cell in (corners[:, 0] // 80).astype(int)}
        assert len(cells) >= 9


def test_a_texture_must_be_gray_bytes() -> None:
    with pytest.raises(ValueError, match='uint8'):
        worlds.Texture(np.zeros((4, 4), np.float32))
