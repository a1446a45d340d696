"""A map grows by what is new, is asked about its places, and is true whatever is moved, merged or taken from it."""

from __future__ import annotations

import numpy as np
import pytest
from places import EMBEDDING, Looker, all_round, built, check, lap, numbers_in, true_to
from points import PointWorld

from superslam_ros.geometry.pose import compose, inverse, rotation_exp, transform
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import MapError

ELSEWHERE = compose(rotation_exp([0.1, -0.2, 0.7]), [3.0, -1, 0.5])


def known_again(
    made: Map, world: PointWorld, keyframe: Keyframe, looker: Looker, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of some keypoints (M,) show landmarks of the map, and which."""
    seen = made.landmarks_of(made.keyframes).ids
    ids = dict(zip(numbers_in(made, world, list(made.keyframes)).tolist(), seen.tolist()))
    found = np.array([ids.get(number, 0) for number in (keyframe.landmark_ids[rows] - looker.first_id).tolist()])
    return rows[found > 0], found[found > 0]


def test_landmarks_are_listed_once_and_are_where_they_are() -> None:
    world, poses = all_round(), lap(12)
    made, _ = built(world, poses)
    check(made)
    true_to(made, dict(enumerate(poses, 1)))
    numbers = numbers_in(made, world, list(made.keyframes))
    assert len(np.unique(numbers)) == len(numbers) == len(made.landmarks) > 500
    seen = made.landmarks_of(made.keyframes)
    np.testing.assert_allclose(seen.points, world.landmarks[numbers], atol=1e-4)
    assert (seen.count > 1).sum() > 400
    for one in made.keyframes.values():
        points = made.points_of(made.landmarks.rows(one.landmark_ids))
        pixels = made.cameras[one.camera][0].project(transform(inverse(one.T_map_camera), points))
        np.testing.assert_allclose(pixels, one.pixels, atol=1e-2)


def test_a_place_is_asked_for_in_the_axes_of_the_map() -> None:
    world, poses = all_round(), lap(12)[:4]
    made, _ = built(world, poses)
    seen = made.landmarks_of([3, 4])
    assert (np.diff(seen.ids) > 0).all() and (seen.count <= 4).all()
    few = made.landmarks_of([4])
    assert set(few.ids) < set(seen.ids) and set(made.keyframes[4].landmark_ids) == set(few.ids)
    # Landmarks of one keyframe alone are seen along its rays.
    alone = few.select(few.count == 1)
    ways = alone.points - poses[3][:3, 3]
    assert len(alone) and np.allclose(alone.direction, ways / np.linalg.norm(ways, axis=1)[:, None], atol=1e-4)
    np.testing.assert_allclose(few.covariance, np.tile(1e-4 * np.eye(3), (len(few), 1, 1)), atol=1e-8)
    assert not len(made.landmarks_of([])) and made.landmarks_of([]).points.shape == (0, 3)


def test_neighbours_share_landmarks_and_those_that_share_most_come_first() -> None:
    made, _ = built(all_round(), lap(12))
    own = made.keyframes[6].landmark_ids
    shared = {one: len(np.intersect1d(own, made.keyframes[one].landmark_ids)) for one in made.keyframes if one != 6}
    expected = [one for one in sorted(shared, key=lambda one: -shared[one]) if shared[one]]
    assert made.neighbours(6, 99) == expected and set(expected[:2]) == {5, 7}
    assert made.neighbours(6, 1) == expected[:1]


def test_landmarks_move_with_their_keyframes() -> None:
    world, poses = all_round(), lap(8)
    made, _ = built(world, poses)
    before, revision = made.landmarks_of(made.keyframes), made.revision
    made.move({number: ELSEWHERE @ one.T_map_camera for number, one in made.keyframes.items()})
    after = made.landmarks_of(made.keyframes)
    np.testing.assert_allclose(after.points, transform(ELSEWHERE, before.points), atol=1e-5)
    np.testing.assert_allclose(after.direction, before.direction @ ELSEWHERE[:3, :3].T, atol=1e-5)
    assert made.revision > revision


def test_a_map_without_scale_is_made_larger_and_goes_on_so() -> None:
    world, poses = all_round(), lap(12)
    made, looker = built(world, poses[:8])
    larger = {number: compose(T[:3, :3], 2 * T[:3, 3]) for number, T in enumerate(poses, 1)}
    made.move({number: larger[number] for number in made.keyframes}, dict.fromkeys(made.keyframes, 2.0))
    for number in range(9, 12):
        made.add(looker.look(poses[number - 1]), larger[number], 1, EMBEDDING)
    check(made)
    true_to(made, larger)
    numbers = numbers_in(made, world, list(made.keyframes))
    np.testing.assert_allclose(made.landmarks_of(made.keyframes).points, 2 * world.landmarks[numbers], atol=1e-4)


def test_what_is_known_again_is_not_added_again() -> None:
    """A second session, whose odometry has other names for all; half of its keypoints are matched to the map."""
    world, poses = all_round(), lap(8)
    made, _ = built(world, poses)
    count = len(made.landmarks)
    looker = Looker(world, 10**12, 2, 5001)
    session = made.add_session('second', 10**12)
    keyframe = looker.look(poses[3])
    rows, found = known_again(made, world, keyframe, looker, np.arange(0, len(keyframe), 2))
    number = made.add(keyframe, poses[3], session, EMBEDDING, (rows, found))
    check(made)
    assert len(made.landmarks) == count + len(keyframe) - len(rows)
    assert made.keyframes[number].session == session and len(made.keyframes[number].landmark_ids) == len(keyframe)
    # From now on the odometry's own names tell.
    made.add(looker.look(poses[3]), poses[3], session, EMBEDDING)
    check(made)
    assert len(made.landmarks) == count + len(keyframe) - len(rows)
    last_seen = made.landmarks_of([number]).last_seen_ns
    assert (last_seen == looker.stamp_ns).all()


def test_merged_landmarks_are_one() -> None:
    world, poses = all_round(), lap(8)
    made, _ = built(world, poses)
    numbers = numbers_in(made, world, list(made.keyframes))
    ids = dict(zip(numbers.tolist(), made.landmarks_of(made.keyframes).ids.tolist()))
    count = len(made.landmarks)
    looker, session = Looker(world, 10**12, 2, 5001), made.add_session('second', 10**12)
    added = [made.add(looker.look(T), T, session, EMBEDDING) for T in poses[:4]]
    doubles = made.landmarks_of(added).ids
    pairs = np.stack([[ids[number] for number in numbers_in(made, world, added).tolist()], doubles], 1)
    assert not made.neighbours(added[1], 99)[2:]
    assert made.merge_landmarks(pairs) == len(doubles) and made.merge_landmarks(pairs) == 0
    check(made)
    assert len(made.landmarks) == count and {1, 2, 3} <= set(made.neighbours(added[1], 99))
    np.testing.assert_allclose(
        made.landmarks_of(added).points, world.landmarks[numbers_in(made, world, added)], atol=1e-4)
    # The odometry's names lead to what the landmarks have become.
    made.add(looker.look(poses[3]), poses[3], session, EMBEDDING)
    check(made)
    assert len(made.landmarks) == count


def test_what_one_keyframe_sees_as_two_keypoints_is_two_landmarks() -> None:
    made, _ = built(all_round(), lap(4))
    first, second, third = made.keyframes[1].landmark_ids[:3].tolist()
    assert made.merge_landmarks(np.array([[first, second], [third, first]])) == 0
    check(made)


def test_a_keyframe_that_goes_leaves_landmarks_and_edges_true() -> None:
    world, poses = all_round(), lap(12)
    made, looker = built(world, poses)
    count = len(made.landmarks)
    own = made.landmarks_of([5])
    for number in (5, 6, 12):
        made.remove(number)
        check(made)
    assert count - len(made.landmarks) >= (own.count == 1).sum()
    true_to(made, dict(enumerate(poses, 1)))
    assert {(edge.start, edge.end) for edge in made.edges} >= {(3, 4), (7, 8)} and len(made.edges) == 8
    seen = made.landmarks_of(made.keyframes)
    np.testing.assert_allclose(seen.points, world.landmarks[numbers_in(made, world, list(made.keyframes))], atol=1e-4)
    # The odometry goes on from a keyframe that is not there any more, and from one that never came.
    number = made.add(looker.look(poses[0]), poses[0], 1, EMBEDDING)
    looker.look(poses[1])
    last = made.add(looker.look(poses[2]), poses[2], 1, EMBEDDING)
    check(made)
    true_to(made, {**dict(enumerate(poses, 1)), number: poses[0], last: poses[2]})
    assert [(edge.start, edge.end) for edge in made.edges][-2:] == [(11, number), (number, last)]


def test_the_last_keyframe_of_a_map_may_go() -> None:
    made, looker = built(all_round(), lap(4)[:1])
    made.remove(1)
    check(made)
    assert not len(made) and not len(made.landmarks)
    made.add(looker.look(lap(4)[0]), lap(4)[0], 1, EMBEDDING)
    check(made)
    assert list(made.keyframes) == [2] and not made.edges


def test_a_camera_that_stays_where_it_is_fills_no_map() -> None:
    """Of thirty keyframes of one place few stay; of a walk past ever new things all do."""
    world = all_round()
    made, _ = built(world, [lap(12)[0]] * 30)
    assert len(made.cull()) >= 25 and len(made) <= 5
    check(made)
    assert 30 in made.keyframes
    made, _ = built(world, lap(10))
    assert made.cull() == []


@pytest.mark.parametrize('same_session', [False, True])
def test_a_second_lap_adds_next_to_nothing(same_session: bool) -> None:
    """Of its keypoints less than half are known again; it makes no difference whether the odometry went on."""
    world, poses, random = all_round(), lap(30), np.random.default_rng(0)
    made, looker = built(world, poses)
    keyframes, landmarks, session = len(made), len(made.landmarks), 1
    if same_session:
        looker.first_id = 5001
    else:
        looker, session = Looker(world, 10**12, 2, 5001), made.add_session('second', 10**12)
    for T in poses:
        keyframe = looker.look(T)
        rows = np.flatnonzero(random.random(len(keyframe)) < 0.45)
        number = made.add(keyframe, T, session, EMBEDDING, known_again(made, world, keyframe, looker, rows))
        made.cull(range(number - 5, number + 1))
    check(made)
    added = [one for one in made.keyframes if one > keyframes]
    assert len(added) <= 2 and len(made.landmarks) - landmarks <= made.keyframes[number].keypoints
    true_to(made, {one: poses[(one - 1) % 30] for one in made.keyframes})


def test_the_most_superfluous_go_first() -> None:
    """A map of at most eight keyframes: those that are left still see most of the landmarks."""
    world = all_round()
    poses = lap(24)
    made, _ = built(world, poses)
    before = made.landmarks_of(made.keyframes)
    made.cull(max_keyframes=8)
    check(made)
    true_to(made, dict(enumerate(poses, 1)))
    assert len(made) == 8 and 24 in made.keyframes
    confirmed = before.ids[before.count > 2]
    assert np.isin(confirmed, made.landmarks.ids[made.landmarks.living()]).mean() > 0.9
    gaps = np.diff([*made.keyframes, next(iter(made.keyframes)) + 24])
    assert gaps.max() <= 6


def test_landmarks_that_nobody_has_seen_again_go() -> None:
    world, poses = all_round(), lap(12)
    made, looker = built(world, poses[:1])
    some = np.random.default_rng(0).random(len(world.landmarks)) < 0.5
    for T in [poses[0]] * 4:
        made.add(looker.look(T, some), T, 1, EMBEDDING)
    before = len(made.landmarks)
    made.cull([1])
    check(made)
    assert len(made.landmarks) == some[numbers_in(made, world, [1])].sum() < 0.7 * before


@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_two_maps_become_one_and_a_session_goes_on(scale: float) -> None:
    """The other map is of another origin (and unit); its odometry goes on in the joined one."""
    world, poses = all_round(), lap(12)
    made, _ = built(world, poses[:6])
    other, looker = Map(), Looker(world, 10**12, 1, 7001)
    other.add_session('other', 10**12)
    small = [inverse(ELSEWHERE) @ T for T in poses]
    small = [compose(T[:3, :3], T[:3, 3] / scale) for T in small]
    for T_world, T in zip(poses[5:9], small[5:9]):
        other.add(looker.look(T_world), T, 1, EMBEDDING)
    if scale != 1:      # the odometry's unit is the world's: so is the map's, once it is told
        for one in other.keyframes.values():
            one.T_map_camera[:3, 3] *= scale
        other.move({}, dict.fromkeys(other.keyframes, 1 / scale))
        other.move({number: compose(one.T_map_camera[:3, :3], one.T_map_camera[:3, 3] / scale)
                    for number, one in other.keyframes.items()})
    joined = made.join(other, ELSEWHERE, scale)
    check(made)
    check(other)
    assert joined.keyframes == {1: 7, 2: 8, 3: 9, 4: 10} and joined.sessions == {1: 2} and len(other) == 4
    last = made.add(looker.look(poses[9]), poses[9], 2, EMBEDDING)
    check(made)
    true = {**dict(enumerate(poses[:6], 1)), **dict(enumerate(poses[5:10], 7))}
    true_to(made, true, 1e-5)
    for number, T in true.items():
        np.testing.assert_allclose(made.keyframes[number].T_map_camera, T, atol=1e-9)
    seen = made.landmarks_of([9, last])
    np.testing.assert_allclose(seen.points, world.landmarks[numbers_in(made, world, [9, last])], atol=1e-4)
    assert made.neighbours(last, 99)[0] == 10


def test_maps_that_do_not_fit_are_not_joined() -> None:
    made, other = Map(), Map()
    made.add_session('one', 0, 'a' * 64)
    with pytest.raises(MapError, match=r'aaaaaaaaaaaa .* bbbbbbbbbbbb: use the same'):
        made.add_session('two', 0, 'b' * 64)
    other.add_session('two', 0, 'b' * 64)
    with pytest.raises(MapError, match=r'different weights'):
        made.join(other, np.eye(4))
    world, T = all_round(), lap(4)[0]
    made, _ = built(world, [T])
    other = Map()
    other.add(Looker(world).look(T), T, other.add_session('short', 0), EMBEDDING[:4])
    with pytest.raises(MapError, match=r'embeddings of 4 and 8'):
        made.join(other, np.eye(4))
    with pytest.raises(MapError, match=r'by 8 numbers, and this keyframe has 4: .* build a new map'):
        made.add(Looker(world).look(T), T, 1, EMBEDDING[:4])


def test_a_landmark_is_as_exact_as_the_odometry_knows_by_now() -> None:
    """Its first place was wrong and unsure; a later keyframe of the session knows better."""
    world, T = all_round(), lap(4)[0]
    looker, made = Looker(world), Map()
    session = made.add_session('first', 0)
    unsure = looker.look(T)
    unsure.points[:] *= 1.1
    unsure.point_covariance[:] *= 100
    made.add(unsure, T, session, EMBEDDING)
    made.add(looker.look(lap(40)[1]), lap(40)[1], session, EMBEDDING)
    seen = made.landmarks_of([2])
    np.testing.assert_allclose(seen.points, world.landmarks[numbers_in(made, world, [2])], atol=1e-4)
