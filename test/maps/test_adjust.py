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


@pytest.mark.parametrize('shift_px', [-60, 60])
def test_pixels_that_do_not_belong_together_do_not_throw_a_landmark_far_off(shift_px: float) -> None:
    """As where two that look alike were taken for one: seen parallel, or behind the cameras; and much too near."""
    one = mapper()
    run(one, look(all_round(), lap(12)))
    table, wrong = one.map.landmarks, []
    for number, keyframe in list(one.map.keyframes.items())[1::3]:
        rows = table.rows(keyframe.landmark_ids)
        at = int(np.flatnonzero((table.host[rows] == number - 1) & (table.count[rows] == 2))[0])
        keyframe.pixels[at, 0] += shift_px
        table.covariance[rows[at]] *= 1e6
        wrong.append(rows[at])
    before = np.linalg.norm(table.points[wrong], axis=1)
    adjust(one.map)
    ratio = np.linalg.norm(table.points[wrong], axis=1) / before
    assert ((ratio < 2) & (ratio > 0.5)).all()


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
