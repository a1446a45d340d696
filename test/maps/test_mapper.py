"""Loops are closed, sessions joined and cameras found, and what is not true is not believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from laps import LAP, ate_m, drifting, in_map, look, mapper, other_side, run, second
from places import all_round, check, lap
from points import PointWorld, names

from superslam_ros.geometry.pose import compose, difference, rotation_exp
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Reason
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import LOCALIZE


@pytest.fixture(scope='module')
def world() -> PointWorld:
    """Return landmarks on all sides."""
    return all_round()


@pytest.fixture
def made(world: PointWorld) -> Map:
    """Return a map of a lap in it: its origin is odom's, as the first camera has it."""
    one = mapper()
    run(one, look(world, lap(LAP)))
    return one.map


def test_the_second_lap_closes_the_first_and_adds_next_to_nothing(world: PointWorld) -> None:
    poses = lap(LAP) * 2
    keyframes = drifting(look(world, poses))
    one = mapper()
    first = run(one, keyframes[:LAP])
    size = len(one.map)
    assert all(outcome.reason is Reason.OK and outcome.added and not outcome.loop for outcome in first[:LAP - 3])
    outcomes = run(one, keyframes[LAP:])
    assert any(outcome.loop and outcome.moved for outcome in first + outcomes)
    check(one.map)
    true = np.array([in_map(T)[:3, 3] for T in poses])
    before = ate_m(np.array([keyframe.T_odom_camera[:3, 3] for keyframe in keyframes]), true)
    trajectory = one.trajectory()
    assert list(trajectory) == [keyframe.stamp_ns for keyframe in keyframes]
    assert ate_m(np.array([T[:3, 3] for T in trajectory.values()]), true) < before / 3
    assert len(one.map) <= size + max(3, size // 10)


def test_the_same_keyframes_make_the_same_map(world: PointWorld) -> None:
    keyframes, found = drifting(look(world, lap(LAP) + lap(LAP)[:6])), []
    for _ in range(2):
        one = mapper()
        run(one, keyframes)
        found.append(one.trajectory())
    assert all(np.array_equal(found[0][stamp_ns], found[1][stamp_ns]) for stamp_ns in found[0])


def test_another_session_is_found_at_its_second_keyframe(world: PointWorld, made: Map) -> None:
    poses, one = other_side(12), mapper(made)
    outcomes = run(one, drifting(second(world, poses)))
    assert [outcome.reason for outcome in outcomes] == [Reason.UNCONFIRMED] + 11 * [Reason.OK]
    assert not outcomes[0].added and outcomes[1].loop
    assert len(made.sessions) == 2 and {keyframe.session for keyframe in made.keyframes.values()} == {1}
    for T, true in zip(one.trajectory().values(), poses):
        assert np.abs(difference(T, in_map(true))).max() < 0.05
    check(made)


def test_a_room_that_only_looks_like_it_is_not_believed(world: PointWorld, made: Map) -> None:
    """Every landmark is there, but elsewhere: retrieval is as sure as can be."""
    one, size = mapper(made), len(made)
    strangers = [replace(keyframe, descriptors=np.roll(keyframe.descriptors, 1, 0))
                 for keyframe in second(world, other_side(10))]
    outcomes = run(one, strangers)
    assert {outcome.reason for outcome in outcomes} <= {Reason.FEW_INLIERS, Reason.FEW_MATCHES}
    assert one.T_map_odom is None and len(made) == size and len(made.sessions) == 1


def test_localising_finds_the_camera_and_leaves_the_map_alone(world: PointWorld, made: Map) -> None:
    poses, one, revision = other_side(6), mapper(made, LOCALIZE), made.revision
    keyframes = second(world, poses)
    assert one.add(keyframes[0]).reason is Reason.UNCONFIRMED and one.T_map_odom is None
    outcomes = run(one, keyframes[1:])
    assert all(outcome.reason is Reason.OK and not outcome.added for outcome in outcomes)
    assert made.revision == revision
    T_map_camera = one.T_map_odom @ keyframes[-1].T_odom_camera
    assert np.abs(difference(T_map_camera, in_map(poses[-1]))).max() < 0.01
    assert (np.linalg.eigvalsh(one.T_map_odom_covariance) > 0).all()


def test_two_rooms_that_are_the_same_are_told_apart_by_a_hint_and_the_way_from_there(world: PointWorld) -> None:
    count, away = len(world.landmarks), np.array([0, 0, 60.0])
    both = PointWorld(np.concatenate([world.landmarks, world.landmarks + away]))

    def alike(keyframes: list[Keyframe]) -> list[Keyframe]:
        return [replace(one, descriptors=names(count)[(one.landmark_ids - 1) % 10000 % count]) for one in keyframes]

    there = [compose(np.eye(3), away) @ T for T in lap(LAP)]
    one = mapper(close_loops=False)
    run(one, alike(look(both, lap(LAP) + there)))
    keyframes = [replace(keyframe, segment=2) for keyframe in alike(look(both, there[3:7], start_ns=10**12))]
    lost = mapper(one.map, LOCALIZE)
    assert {outcome.reason for outcome in run(lost, keyframes)} == {Reason.AMBIGUOUS}
    lost.forget(hint=in_map(there[5]))
    assert [outcome.reason for outcome in run(lost, keyframes)] == 4 * [Reason.OK]
    assert np.abs(difference(lost.T_map_odom @ keyframes[-1].T_odom_camera, in_map(there[6]))).max() < 0.01
    session, size = mapper(one.map), len(one.map)
    session.hint = in_map(there[3])     # needed until it has been found: then the way tells them apart
    outcomes = run(session, keyframes)
    assert session.hint is None and [outcome.added for outcome in outcomes[2:]] == 2 * [False]
    assert len(one.map) <= size
    assert np.abs(difference(session.T_map_odom @ keyframes[-1].T_odom_camera, in_map(there[6]))).max() < 0.01


def test_a_wrong_hint_does_no_harm(world: PointWorld, made: Map) -> None:
    one, poses = mapper(made, LOCALIZE, hint_radius=1.0), other_side(3)
    one.hint = in_map(lap(LAP)[LAP // 2])
    outcomes = run(one, second(world, poses))
    assert outcomes[-1].reason is Reason.OK
    assert np.abs(difference(outcomes[-1].fix.T_map_camera, in_map(poses[-1]))).max() < 0.01


def test_a_camera_that_is_found_where_it_is_said_to_be_waits_for_no_second_keyframe(world, made: Map) -> None:
    """So a robot that stands still is found; what only lies near the hint, but looks elsewhere, waits."""
    T, = other_side(1)
    keyframe, = second(world, [T])
    for turn, reason in ((0.5, Reason.OK), (2.0, Reason.UNCONFIRMED)):
        one = mapper(made, LOCALIZE)
        one.hint = in_map(T @ compose(rotation_exp([0, turn, 0]), [1.0, 0, 0.5]))
        assert one.add(keyframe).reason is reason and (one.T_map_odom is None) == (reason is not Reason.OK)


def test_a_kidnapped_robot_is_believed_at_the_third_keyframe(world: PointWorld, made: Map) -> None:
    one, poses = mapper(made, LOCALIZE), [*other_side(4), *lap(LAP)[12:17]]
    keyframes = second(world, poses)
    # The odometry knows nothing of it.
    keyframes[4] = replace(keyframes[4], T_previous_camera=np.eye(4))
    reasons = [outcome.reason for outcome in run(one, keyframes)]
    assert reasons == [Reason.UNCONFIRMED] + 3 * [Reason.OK] + 2 * [Reason.DISAGREES] + 3 * [Reason.OK]


def test_furniture_that_was_moved_is_left_out(world: PointWorld, made: Map) -> None:
    random = np.random.default_rng(5)
    moved = random.random(len(world.landmarks)) < 0.5
    shift = np.where(moved[:, None], random.normal(0, 1.5, (len(moved), 3)), 0)
    one, poses = mapper(made, LOCALIZE), other_side(5)
    outcomes = run(one, second(PointWorld(world.landmarks + shift), poses))
    assert [outcome.reason for outcome in outcomes] == [Reason.UNCONFIRMED] + 4 * [Reason.OK]
    assert np.abs(difference(outcomes[-1].fix.T_map_camera, in_map(poses[-1]))).max() < 0.02


def test_after_a_new_segment_nothing_is_believed(world: PointWorld, made: Map) -> None:
    one = mapper(made, LOCALIZE)
    run(one, second(world, other_side(3)))
    assert one.T_map_odom is not None
    again = look(world, other_side(3), start_ns=2 * 10**12, segment=3)
    assert one.add(again[0]).reason is Reason.UNCONFIRMED and one.T_map_odom is None


def test_the_first_session_begins_at_the_origin_and_loops_may_be_left_out(world: PointWorld) -> None:
    one = mapper(close_loops=False)
    keyframes = look(world, lap(LAP))
    outcomes = run(one, keyframes + second(world, lap(LAP)[:0]))
    assert all(outcome.reason is Reason.OK and not outcome.loop for outcome in outcomes)
    np.testing.assert_allclose(one.T_map_odom, np.eye(4), atol=1e-9)
    assert not any(edge.kind == 'loop' for edge in one.map.edges)


def test_what_cannot_be_is_said(world: PointWorld, made: Map) -> None:
    keyframes = second(world, other_side(2))
    assert mapper(mode=LOCALIZE).add(keyframes[0]).reason is Reason.NO_MAP
    dark = keyframes[0].select(np.zeros(0, dtype=int))
    assert mapper(made, LOCALIZE).add(dark).reason is Reason.FEW_MATCHES
    with pytest.raises(ValueError, match='expected build or localize'):
        mapper(made, 'off')
    ours = Map()
    ours.add_session('first', 0, weights='a' * 64)
    other = mapper(ours).add(replace(keyframes[0], weights='b' * 64))
    assert other.reason is Reason.OTHER_WEIGHTS and 'extractor.weights' in other.text and not len(ours)
