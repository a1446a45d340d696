"""The last adjustment of a map, and of what it says of cameras that it does not keep."""

from __future__ import annotations

import numpy as np
import pytest
from laps import LAP, ate_m, drifting, in_map, look, mapper, run
from places import all_round, check, lap

from superslam_ros.geometry import bundle
from superslam_ros.geometry.pose import compose
from superslam_ros.maps.adjust import adjust
from superslam_ros.maps.map import Map


def test_pixels_bring_back_what_odometry_and_loops_leave() -> None:
    poses, one = lap(LAP) * 2, mapper()
    keyframes = drifting(look(all_round(), poses))
    run(one, keyframes)
    true = np.array([in_map(T)[:3, 3] for T in poses])

    def error_m() -> float:
        return ate_m(np.array([T[:3, 3] for T in one.trajectory().values()]), true)

    before, size = error_m(), len(one.map)
    assert one.finish() > 0 and len(one.map) == size
    assert error_m() < before / 4
    check(one.map)


def test_a_map_that_is_right_stays_as_it_is() -> None:
    one = mapper()
    run(one, look(all_round(), lap(LAP)))
    assert adjust(one.map) < 1e-4
    assert adjust(Map()) == 0


def test_keyframes_that_see_nothing_in_common_stay_where_they_are() -> None:
    one = mapper()
    run(one, look(all_round(), lap(2)))
    first, second = one.map.keyframes.values()
    assert not np.isin(first.landmark_ids, second.landmark_ids).any()
    assert adjust(one.map) < 1e-4


def test_what_cannot_be_solved_is_left_as_it_was() -> None:
    one = mapper()
    run(one, look(all_round(), lap(6)))
    one.map.keyframes[2].T_map_camera = compose(np.eye(3), [np.nan, 0, 0])
    poses = {number: keyframe.T_map_camera for number, keyframe in one.map.keyframes.items()}
    with pytest.raises(bundle.BundleError):
        adjust(one.map)
    assert all(keyframe.T_map_camera is poses[number] for number, keyframe in one.map.keyframes.items())
