"""What a map is told of the odometry: every keyframe once, tied to an earlier one, with its landmarks in its frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from places import all_round
from points import TURNED, PointWorld, Walk, names, trajectory

from superslam_ros.geometry.pose import compose, difference, inverse, transform
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed, keyframe_of


def told(walk: Walk, poses: list[np.ndarray], **options: bool) -> tuple[list[Keyframe], dict[int, np.ndarray]]:
    """Return all keyframes of a walk, and the true pose of every frame by its stamp."""
    feed, keyframes, true = KeyframeFeed(walk.motion), [], {}
    for T in poses:
        walk.step(T, **options)
        true[walk.stamp_ns] = T
        keyframes += feed.new()
    return keyframes, true


def test_every_keyframe_is_told_once_and_tied_to_the_one_before() -> None:
    walk = Walk(all_round())
    keyframes, true = told(walk, trajectory(40, step_m=0.03, turn_rad=0.06))
    assert len(keyframes) == walk.motion.map.total > 4 and KeyframeFeed(walk.motion).new()
    assert keyframes[0].previous_stamp_ns is None and {one.segment for one in keyframes} == {1}
    for before, one in zip(keyframes, keyframes[1:]):
        assert one.previous_stamp_ns == before.stamp_ns
        T = inverse(true[before.stamp_ns]) @ true[one.stamp_ns]
        assert np.abs(difference(one.T_previous_camera, T)).max() < 1e-4
        assert np.abs(difference(one.T_odom_camera, true[one.stamp_ns])).max() < 1e-4


def test_landmarks_are_where_they_are_in_the_keyframes_own_frame() -> None:
    """The descriptor names the landmark."""
    world = all_round()
    keyframe = told(Walk(world), trajectory(20, step_m=0.03, turn_rad=0.06))[0][-1]
    known = keyframe.landmark_ids > 0
    assert known.sum() > 100 and np.array_equal(known, np.isfinite(keyframe.points).all(1))
    seen = keyframe.descriptors[known] @ names(len(world.landmarks)).T
    points = transform(keyframe.T_odom_camera, keyframe.points[known])
    np.testing.assert_allclose(points, world.landmarks[seen.argmax(1)], atol=2e-3)
    np.testing.assert_allclose(keyframe.pinhole.project(keyframe.points[known]), keyframe.pixels[known], atol=0.05)
    assert (np.linalg.eigvalsh(keyframe.point_covariance[known]) > 0).all()


def test_errors_of_edges_are_what_their_covariance_says() -> None:
    """Normalised squared errors: chi-square with 6 degrees has mean 6."""
    squares = []
    for seed in range(4):
        keyframes, true = told(Walk(all_round(seed, 0.5), pixel_sigma=0.5), trajectory(30, step_m=0.05, turn_rad=0.06))
        for one in keyframes[1:]:
            T = inverse(true[one.previous_stamp_ns]) @ true[one.stamp_ns]
            error = difference(one.T_previous_camera, T)
            squares.append(error @ np.linalg.solve(one.edge_covariance, error))
    assert len(squares) > 12 and 3 < np.mean(squares) < 9


def test_a_keyframe_made_while_lost_owns_up_to_it_and_the_next_one_is_tied_to_what_it_sees() -> None:
    """The camera is carried away and back: what was seen before ties, not the keyframe of nowhere."""
    walk = Walk(PointWorld.around())
    feed, poses = KeyframeFeed(walk.motion), trajectory(12, step_m=0.02)
    away = compose(TURNED, [0, 0, 0])
    for T in [*poses, *[away] * 6]:
        walk.step(T)
    *_, before, lost = feed.new()
    assert lost.previous_stamp_ns == before.stamp_ns
    error = difference(lost.T_previous_camera, inverse(poses[0]) @ away)
    assert np.sqrt(lost.edge_covariance[0, 0]) > 0.1 and np.linalg.norm(error[3:]) > 1
    for T in [poses[0]] * 8 + trajectory(40, turn_rad=0.05):
        walk.step(T)
    again = feed.new()
    assert again and lost.stamp_ns not in [one.previous_stamp_ns for one in again]
    assert np.trace(again[0].edge_covariance) < 1e-4 * np.trace(lost.edge_covariance)


def test_a_reset_begins_a_new_segment() -> None:
    walk = Walk(all_round())
    feed = KeyframeFeed(walk.motion)
    for T in trajectory(10):
        walk.step(T)
    assert feed.new()[-1].segment == 1
    walk.motion.reset()
    walk.temporal.reset()
    assert not feed.new()
    walk.step(trajectory(1)[0])
    first, = feed.new()
    assert first.segment == 2 and first.previous_stamp_ns is None


def test_the_strongest_keypoints_are_those_of_landmarks_then_those_of_high_score() -> None:
    keyframe = told(Walk(all_round()), trajectory(1))[0][0]
    ids, scores = np.zeros(len(keyframe), dtype=int), np.linspace(0, 1, len(keyframe))
    ids[[3, 7]] = 5, 6
    few = replace(keyframe, landmark_ids=ids, scores=scores).strongest(4)
    np.testing.assert_array_equal(few.pixels, keyframe.pixels[[3, 7, -2, -1]])
    assert few.descriptors.shape == (4, 32) and len(few.strongest(9)) == 4


def test_keypoints_beside_the_ideal_camera_are_left_out() -> None:
    walk = Walk(all_round())
    walk.step(trajectory(1)[0])
    view = walk.motion.map.keyframes[-1]
    whole = keyframe_of(walk.motion, 1)
    view.pixels[4] = np.nan
    assert len(keyframe_of(walk.motion, 1)) == len(whole) - 1


@pytest.mark.parametrize('name', ['pixels', 'T_odom_camera', 'descriptors', 'edge_covariance'])
def test_wrong_fields_are_named(name: str) -> None:
    keyframe = told(Walk(all_round()), trajectory(1))[0][0]
    value = getattr(keyframe, name)
    with pytest.raises(ValueError, match=f'{name} has shape'):
        replace(keyframe, **{name: value[:-1]})
    with pytest.raises(ValueError, match=f'{name} holds NaN'):
        replace(keyframe, **{name: np.full_like(value, np.nan)})


def test_what_has_to_be_positive_is_checked() -> None:
    keyframe = told(Walk(all_round()), trajectory(1))[0][0]
    with pytest.raises(ValueError, match='sigma_px must be positive'):
        replace(keyframe, sigma_px=np.zeros(len(keyframe)))
