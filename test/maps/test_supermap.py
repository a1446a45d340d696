"""The network behind the matcher of maps: finds what a camera sees, knows places again, takes what odd maps hold."""

from dataclasses import replace

import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose
from superslam_ros.maps import supermap
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.landmarks import PlaceLandmarks
from superslam_ros.maps.matching import NearestLandmarks, joined
from superslam_ros.maps.supermap import SuperMapConfig, SuperMapMatcher, in_view, view_of

PINHOLE, SIZE = Pinhole(500, 500, 319.5, 239.5), (640, 480)
# Looks along x of the map, z is up.
LEVEL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


@pytest.fixture(scope='module')
def matcher() -> SuperMapMatcher:
    return SuperMapMatcher(SuperMapConfig(device='cpu', precision='float32'))


def some_place(count: int = 150, seed: int = 0) -> PlaceLandmarks:
    """Return landmarks 3 to 7 m in front of the origin, along x."""
    rng = np.random.default_rng(seed)
    points = np.stack([rng.uniform(3, 7, count), rng.uniform(-2, 2, count), rng.uniform(-1.2, 1.2, count)], 1)
    descriptors = rng.normal(size=(count, 256))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    direction = points / np.linalg.norm(points, axis=1, keepdims=True)
    return PlaceLandmarks(
        np.arange(1, count + 1), points, np.tile(1e-4 * np.eye(3), (count, 1, 1)), descriptors.astype(np.float32),
        np.zeros(count, dtype=np.float32), np.full(count, 3, dtype=np.int32), direction.astype(np.float32),
        np.full(count, 10**9), np.ones(count, dtype=np.int64))


def seen_from(place: PlaceLandmarks, T_map_camera: np.ndarray, strangers: int = 30) -> tuple[Keyframe, np.ndarray]:
    """Return a keyframe that shows a place, and the row of the landmark that each keypoint shows; -1 for none."""
    rng = np.random.default_rng(1)
    pixels = PINHOLE.project((place.points - T_map_camera[:3, 3]) @ T_map_camera[:3, :3])
    rows = np.flatnonzero(((pixels > 0) & (pixels < SIZE)).all(1))
    rows = rng.permutation(rows)
    descriptors = place.descriptors[rows] + rng.normal(size=(len(rows), 256)) * 0.02
    pixels = np.concatenate([pixels[rows], rng.uniform(0, 480, (strangers, 2))])
    descriptors = np.concatenate([descriptors, rng.normal(size=(strangers, 256))])
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    count = len(pixels)
    keyframe = Keyframe(
        0, 1, PINHOLE, SIZE, np.eye(4), np.eye(6), None, np.eye(4), np.eye(6), pixels, np.ones(count),
        np.full(count, 0.2), np.ones(count), descriptors, np.zeros(count), np.full((count, 3), np.nan),
        np.full((count, 3, 3), np.nan))
    return keyframe, np.concatenate([rows, np.full(strangers, -1)])


@pytest.mark.parametrize('given', [True, False])
def test_what_a_camera_sees_is_found(matcher, given):
    place = some_place()
    keyframe, shows = seen_from(place, compose(LEVEL, [0.3, 0.2, 0.1]))
    keypoints, rows, confidences = matcher.match(keyframe, place, compose(LEVEL, np.zeros(3)) if given else None)
    assert len(rows) > 0.6 * (shows >= 0).sum() and (shows[keypoints] == rows).mean() > 0.95
    assert len(set(keypoints)) == len(set(rows)) == len(rows)
    assert ((confidences > 0) & (confidences <= 1)).all()


def test_a_place_is_known_again_until_it_changes(matcher, monkeypatch):
    place = some_place(seed=5)
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    first = matcher.match(keyframe, place, compose(LEVEL, np.zeros(3)))
    made = []
    remember = matcher.network.remember
    monkeypatch.setattr(matcher.network, 'remember', lambda one: made.append(one) or remember(one))
    again = matcher.match(keyframe, place, compose(LEVEL, np.zeros(3)))
    assert not made and all(np.array_equal(*pair) for pair in zip(first, again))
    matcher.match(keyframe, replace(place, points=place.points + 0.01), compose(LEVEL, np.zeros(3)))
    assert len(made) == 1


def test_far_from_the_maps_origin_matches_are_the_same(matcher):
    place, away = some_place(), np.array([3e5, -2e5, 50])
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    near = matcher.match(keyframe, place, compose(LEVEL, np.zeros(3)))
    far = matcher.match(keyframe, replace(place, points=place.points + away), compose(LEVEL, away))
    assert np.array_equal(near[0], far[0]) and np.array_equal(near[1], far[1])


def test_only_so_many_landmarks_are_looked_at_those_seen_most_often_first():
    place = some_place(400)
    place = replace(place, count=np.where(np.arange(400) % 2, 9, 1))
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    rows = in_view(place, compose(LEVEL, np.zeros(3)), keyframe, 50)
    assert len(rows) == 50 and (place.count[rows] == 9).all() and (np.diff(rows) > 0).all()


def test_the_view_made_of_landmarks_is_where_cameras_were():
    place = some_place()
    eye = np.array([1.0, 0.5, 0.2])
    direction = place.points - eye
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    T = view_of(replace(place, direction=direction.astype(np.float32)))
    np.testing.assert_allclose(T[:3, 3], eye, atol=1e-4)
    np.testing.assert_allclose(T[:3, :3].T @ T[:3, :3], np.eye(3), atol=1e-9)
    assert T[0, 2] > 0.9 and T[2, 1] < -0.9        # forward along x, down is down
    one = place.select(np.arange(1))
    assert np.isfinite(view_of(one)).all()


def test_nothing_to_match_is_no_matches(matcher):
    place = some_place()
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    empty = np.zeros(0, dtype=int)
    for one, landmarks in ((keyframe.select(empty), place), (keyframe, place.select(empty))):
        assert all(len(part) == 0 for part in matcher.match(one, landmarks, None))


def test_what_the_network_leaves_alone_goes_to_the_nearest(matcher):
    place = some_place()
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    nearest = NearestLandmarks().match(keyframe, place, None)
    behind = matcher.match(keyframe, place, compose(LEVEL, [20.0, 0, 0]))
    assert all(np.array_equal(*pair) for pair in zip(behind, nearest))
    of_network = np.array([0, 1]), np.array([7, 8]), np.array([0.9, 0.8])
    others = np.array([1, 2, 3]), np.array([9, 7, 6]), np.array([0.5, 0.5, 0.5])
    both = joined(of_network, others, 0.5)
    assert [part.tolist() for part in both] == [[0, 1, 3], [7, 8, 6], [0.9, 0.8, 0.25]]


def test_descriptors_of_another_network_are_refused(matcher):
    place = some_place()
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    with pytest.raises(ValueError, match=r'of the keyframe have 128 values.*match to the nearest'):
        matcher.match(replace(keyframe, descriptors=keyframe.descriptors[:, :128]), place, None)


def test_places_are_kept_up_to_a_number(matcher, monkeypatch):
    monkeypatch.setattr(supermap, 'PLACES', 2)
    place, made = some_place(80), []
    keyframe, _ = seen_from(place, compose(LEVEL, np.zeros(3)))
    remember = matcher.network.remember
    monkeypatch.setattr(matcher.network, 'remember', lambda one: made.append(one) or remember(one))
    for shift in (0.1, 0.2, 0.1, 0.3, 0.1, 0.2):
        matcher.match(keyframe, place, compose(LEVEL, [shift, 0, 0]))
    assert len(made) == 4       # the one not used for longest goes first
