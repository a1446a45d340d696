"""The local map: landmarks come and go, are found again near where they should be, and keep their descriptors."""

from __future__ import annotations

import numpy as np
from points import PointWorld, Walk, errors, names, trajectory

from superslam_ros.data import Features
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.slam.mapping.map import Landmarks, LocalMap, View, match_by_projection


def view(stamp_ns: int, pixels: np.ndarray, descriptors: np.ndarray, ids: list[int]) -> View:
    """Return a keyframe whose keypoints show landmarks."""
    count = len(pixels)
    features = Features(pixels, np.ones(count), descriptors, (640, 480))
    one = View(stamp_ns, np.eye(4), np.eye(6), features, pinhole=Pinhole(300, 300, 320, 240), pixels=pixels,
               pixel_sigma=np.ones(count), inverse_depth=np.full(count, np.nan), inverse_depth_sigma=np.ones(count))
    one.landmark_ids[:] = ids
    return one


def table(count: int) -> Landmarks:
    """Return landmarks with the first descriptors of all."""
    landmarks = Landmarks()
    landmarks.add(np.zeros((count, 3)), np.zeros((count, 3, 3)), names(count), 0)
    return landmarks


def test_ids_outlive_those_that_go() -> None:
    """Rows move, ids do not, and are never given again."""
    landmarks = table(5)
    landmarks.keep(np.array([True, False, True, True, False]))
    assert landmarks.ids.tolist() == [1, 3, 4]
    assert landmarks.rows(np.array([0, 1, 2, 3, 5])).tolist() == [-1, 0, -1, 1, -1]
    assert landmarks.add(np.zeros((1, 3)), np.zeros((1, 3, 3)), names(1), 3).tolist() == [6]
    landmarks.keep(np.zeros(4, dtype=bool))
    assert landmarks.rows(np.array([1])).tolist() == [-1] and not len(landmarks)


def test_search_finds_the_right_keypoint_nearby_and_no_other() -> None:
    """The landmark's own keypoint, a stranger nearer by, one too far, and two that cannot be told apart."""
    own = names(6)
    seen = view(0, np.array([[100.0, 100], [103, 100], [200, 209], [300, 300], [302, 300]]),
                np.stack([own[5], own[0], own[1], own[2], own[2]]), [0] * 5)
    projected = np.array([[101.0, 100], [200, 200], [301, 300]])
    indices, rows = match_by_projection(seen, table(3), np.arange(3), np.arange(5), projected, 6.0, 0.75)
    assert indices.tolist() == [1] and rows.tolist() == [0]
    indices, rows = match_by_projection(seen, table(3), np.arange(3), np.arange(5), projected, 12.0, 0.75)
    assert indices.tolist() == [1, 2] and rows.tolist() == [0, 1]
    # A keypoint that is taken is not given away.
    assert not len(match_by_projection(seen, table(3), np.arange(3), np.array([0]), projected, 6.0, 0.75)[0])


def test_culling_forgets_what_is_seen_once_and_what_nobody_shows() -> None:
    """A landmark may be new; then a second keyframe must show it."""
    local_map = LocalMap(10)
    local_map.landmarks.add(np.zeros((3, 3)), np.zeros((3, 3, 3)), names(3), 0)
    pixels, own = np.zeros((3, 2)), names(3)
    local_map.add(view(0, pixels, own, [1, 2, 0]))
    local_map.cull()
    assert local_map.landmarks.ids.tolist() == [1, 2]     # nobody shows the third
    for number in range(1, 4):
        local_map.add(view(number, pixels, own, [1, 0, 0]))
        local_map.cull()
    assert local_map.landmarks.ids.tolist() == [1]


def test_descriptors_are_fused() -> None:
    """The mean of what the keyframes saw, of unit length."""
    local_map, own = LocalMap(10), names(4)
    local_map.landmarks.add(np.zeros((1, 3)), np.zeros((1, 3, 3)), own[:1], 0)
    for number in range(3):
        local_map.add(view(number, np.zeros((1, 2)), own[number:number + 1], [1]))
    local_map.fuse_descriptors()
    mean = own[:3].mean(0)
    np.testing.assert_allclose(local_map.landmarks.descriptors[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_search_brings_back_what_the_matcher_missed() -> None:
    """A matcher that misses two of three costs few landmarks."""
    def lazy(first: Features, second: Features):
        matches = everything(first, second)
        return matches.select(np.arange(0, len(matches), 3))

    inliers = []
    for radius in (0.0, 6.0):
        walk = Walk(PointWorld.make(count=600), search_radius_px=radius)
        everything = walk.temporal.matcher
        walk.temporal.matcher = lazy
        found = [walk.step(T) for T in trajectory(12)]
        inliers.append(np.mean([one.inliers for one in found[2:]]))
    assert inliers[1] > 2 * inliers[0]


def test_keyframes_keep_what_a_larger_map_needs() -> None:
    """Features with descriptors, a pose with covariance, and which landmarks were seen."""
    walk = Walk(PointWorld.make())
    errors(walk, trajectory(30))
    for keyframe in walk.motion.map.keyframes:
        assert keyframe.features.descriptors.shape == (len(keyframe.landmark_ids), 32)
        assert keyframe.T_odom_camera.shape == (4, 4) and (np.linalg.eigvalsh(keyframe.covariance) > 0).all()
    assert len(walk.motion.map.covisible(walk.motion.map.keyframes[-1])) >= 1
