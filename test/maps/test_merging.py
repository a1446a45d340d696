"""Maps are merged where their keyframes are found in each other, and only there."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from laps import LAP, drifting, in_map, look, mapper, other_side, run, second
from places import all_round, check, lap

from superslam_ros.geometry.pose import difference
from superslam_ros.maps.localizer import Reason, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.merging import merge

LATE = {'start_ns': 10**12, 'first_id': 5001}


@pytest.fixture
def made() -> Map:
    """Return a map of a lap."""
    one = mapper()
    run(one, look(all_round(), lap(LAP)))
    return one.map


def test_a_map_of_another_day_is_added_where_it_belongs(made: Map) -> None:
    poses, other = other_side(8), mapper()
    keyframes = look(all_round(), poses, **LATE)
    run(other, keyframes)
    size, true = len(made), {keyframe.stamp_ns: in_map(T) for keyframe, T in zip(keyframes, poses)}
    joined = merge(made, other.map, mapper().localizer)
    added = [*joined.gone, *(one for one in made.keyframes.values() if one.session == 2)]
    assert len(joined.keyframes) == len(added) == len(made) - size + len(joined.gone) and len(made.sessions) == 2
    for one in added:
        assert np.abs(difference(one.T_map_camera, true[one.stamp_ns])).max() < 0.02
    check(made)


def test_what_is_known_already_is_not_kept_twice(made: Map) -> None:
    size, landmarks, edges, localizer = len(made), len(made.landmarks), len(made.edges), mapper().localizer
    joined = merge(made, copy.deepcopy(made), localizer)
    assert len(joined.gone) == size == len(made) and len(made.landmarks) == landmarks
    assert len(made.edges) < edges + 2 * size
    check(made)
    for keyframe, T in zip(look(all_round(), lap(LAP), **LATE), lap(LAP)):
        assert np.abs(difference(localizer.locate(keyframe, made).T_map_camera, in_map(T))).max() < 0.02


def test_maps_that_share_a_few_places_keep_the_others() -> None:
    poses, one, other = lap(LAP), mapper(), mapper()
    run(one, look(all_round(), poses[:14]))
    run(other, look(all_round(), poses[10:], **LATE))
    merge(one.map, other.map, one.localizer)
    check(one.map)
    assert {keyframe.stamp_ns for keyframe in other.map.keyframes.values() if keyframe.id > 6} <= {
        keyframe.stamp_ns for keyframe in one.map.keyframes.values()}
    for keyframe, T in zip(look(all_round(), poses, start_ns=2 * 10**12), poses):
        assert np.abs(difference(one.localizer.locate(keyframe, one.map).T_map_camera, in_map(T))).max() < 0.02


def test_a_map_of_another_place_is_not_added_and_why_is_said(made: Map) -> None:
    other = mapper()
    run(other, [replace(keyframe, descriptors=np.roll(keyframe.descriptors, 1, 0))
                for keyframe in look(all_round(), other_side(6), **LATE)])
    size, edges = len(made), len(made.edges)
    for stranger in (other.map, Map()):
        answer = merge(made, stranger, mapper().localizer)
        assert isinstance(answer, Refusal) and 'do the maps overlap' in answer.text
    assert (len(made), len(made.edges), len(made.sessions)) == (size, edges, 1)
    assert merge(Map(), made, mapper().localizer).reason is Reason.NO_MAP


def test_sessions_that_ended_before_they_were_found_are_placed_at_the_end() -> None:
    """The second knows where the third was, which ended before the second was found."""
    world, poses = all_round(), lap(2 * LAP)
    one = mapper()
    run(one, look(world, poses[:8]))
    run(one, [replace(keyframe, segment=2) for keyframe in look(world, poses[20:24], **LATE)])
    bridge = look(world, poses[2:24], start_ns=2 * 10**12, first_id=9001)
    run(one, [replace(keyframe, segment=3) for keyframe in bridge])
    assert len(one.unplaced) == 1 and len(one.map.sessions) == 2
    one.finish()
    assert not one.unplaced and len(one.map.sessions) == 3
    trajectory = list(one.trajectory().values())
    assert len(trajectory) == 8 + 4 + 22
    for T, true in zip(trajectory, poses[:8] + poses[20:24] + poses[2:24]):
        assert np.abs(difference(T, in_map(true))).max() < 0.03
    check(one.map)


def test_what_was_never_found_is_handed_out(made: Map) -> None:
    one = mapper(made)
    run(one, drifting(replace(keyframe, descriptors=np.roll(keyframe.descriptors, 1, 0))
                      for keyframe in second(all_round(), other_side(6))))
    one.finish()
    other, = (held.map for held in one.unplaced)
    assert len(other) == 6 and len(made.sessions) == 1
