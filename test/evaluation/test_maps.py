"""Maps of a rendered building: what is measured of them is what is true."""

import json
from dataclasses import replace

import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.evaluation import laps, maps, sessions, walks
from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp
from superslam_ros.maps.localizer import Fix, Reason
from superslam_ros.maps.parts import LOOP
from superslam_ros.slam import ExtractorConfig, SlamConfig

BUILDING = worlds.BuildingOptions(
    length_m=8.5, width_m=8.5, corridor_m=2.0, columns=1, rows=1, texels_per_metre=80)


@pytest.fixture(scope='module')
def made():
    """Map a few steps around a corner."""
    walk = worlds.Walk(laps=0.12, start=0.15, rate_hz=3.0, visits=())
    slam = SlamConfig(ExtractorConfig(max_keypoints=400, precision='float32'))
    return maps.build(walks.Setting(BUILDING, walk, (160, 120), slam=slam))


@pytest.fixture(scope='module')
def taken(made):
    """Return the keyframes of a second session."""
    return list(sessions.walk(sessions.otherwise(made.setting)))


def test_the_map_knows_its_own_frames_and_no_others(made):
    assert len(made.map) >= 3 and made.lost <= 1
    poses = np.array([made.truth[one.stamp_ns] for one in made.map.keyframes.values()])[:3]
    found = maps.locate(made, walks.look(made.setting, BUILDING, poses))
    assert all(one.reason is Reason.OK and one.within(*maps.NEAR) and one.overlap > 0.9 for one in found)
    twin = worlds.BuildingOptions(**{**vars(BUILDING), 'paint': 1})
    strangers = maps.locate(made, walks.look(made.setting, twin, poses), there=False)
    assert not any(one.reason is Reason.OK for one in strangers)
    figures = maps.loop_figures(found, strangers)
    assert (figures['precision'], figures['recall'], figures['twins_found']) == (1.0, 1.0, 0)
    again = maps.relocalization_figures(found)
    assert (again['near'], again['wrong']) == (1.0, 0) and again['nees'] > 0


def test_the_error_of_a_fix_is_what_was_put_in(made):
    number, place = next(iter(made.map.keyframes.items()))
    true = made.truth[place.stamp_ns] @ compose(rotation_exp([0, 0.1, 0]), [0.2, 0, 0.1])
    T_map_camera = place.T_map_camera @ inverse(made.truth[place.stamp_ns]) @ true
    put_in = np.array([0.03, -0.02, 0.01, 0.004, 0.002, -0.001])
    fix = Fix(perturb(T_map_camera, put_in), np.eye(6), number, np.zeros(0, int), np.zeros(0, int), 0.5)
    np.testing.assert_allclose(made.fix_error(fix, true), put_in, atol=1e-9)


def test_overlap_falls_to_nothing(made):
    """A keyframe shows itself wholly, less of what is seen from beside it, and nothing of what is behind."""
    place = next(iter(made.map.keyframes.values()))
    T, building = made.truth[place.stamp_ns], worlds.building(BUILDING)

    def overlap(pose):
        camera = worlds.pinhole(160, 120)
        return made.overlap(worlds.render(building.seen_from(camera, pose), camera, pose).depth_m, pose)

    turned = T @ compose(rotation_exp([0, -0.35, 0]), np.zeros(3))
    behind = T @ compose(rotation_exp([0, np.pi, 0]), np.zeros(3))
    assert overlap(T) > 0.95 > overlap(turned) > 0.3
    assert overlap(behind) == 0


def test_false_edges_are_false_and_do_no_harm(made):
    loops = [replace(edge, kind=LOOP) for edge in made.map.edges[:3]]
    false = laps.false_edges(made, loops, 0)
    assert len(false) == 3
    for edge in false:
        start, end = (made.truth[made.map.keyframes[number].stamp_ns] for number in (edge.start, edge.end))
        error = difference(edge.T_start_end, inverse(start) @ end)
        assert np.linalg.norm(error[:3]) > 4 or np.degrees(np.linalg.norm(error[3:])) > 5
    made.map.edges += loops
    figures = laps.lap_figures(made)
    del made.map.edges[-3:]
    assert figures['loops'] == figures['loops_true'] == figures['false_edges'] == 3
    assert figures['false_edges_believed'] == figures['drifting']['false_edges_believed'] == 0
    assert 0 < figures['drifting']['ate_after_m'] < 0.2
    assert figures['ate_map_m'] < 0.1 and figures['path_m'] > 1.5
    assert figures['ate_keyframes_with_false_m'] == pytest.approx(figures['ate_keyframes_after_m'], abs=0.02)


def test_a_second_session_is_found_in_the_map_and_adds_little_to_it(made, taken):
    assert all(one.keyframe.stamp_ns > max(made.truth) for one in taken)
    size, steps = len(made.map), sessions.localise(made, taken)
    figures = sessions.session_figures(steps)
    assert figures['keyframes'] == len(taken) >= 3 and len(made.map) == size
    assert steps[0].reason is Reason.UNCONFIRMED and steps[0].error is None and figures['before_the_first'] == 1
    assert all(step.reason is Reason.OK for step in steps[1:]) and figures['wrong'] == 0
    assert figures['near'] == figures['exact'] == figures['found'] == 1 - 1 / len(taken) and figures['nees'] > 0
    grown = sessions.grown(made, taken)
    assert grown['joined'] and grown['before'] == len(made.map) == size <= grown['after'] <= size + len(taken)
    assert not sessions.grown(made, taken[:1])['added']


def test_poses_elsewhere_than_the_truth_are_wrong(made, taken):
    aside = [one._replace(T_world_camera=one.T_world_camera @ compose(np.eye(3), [1, 0, 0])) for one in taken]
    figures = sessions.session_figures(sessions.localise(made, aside))
    assert figures['wrong'] == len(taken) - 1 and figures['near'] == 0


def test_a_worse_odometry_is_worse_by_what_was_put_in(made):
    worse = laps.drifting(made.keyframes, 0)
    assert [one.stamp_ns for one in worse] == [one.stamp_ns for one in made.keyframes]
    by_stamp = {one.stamp_ns: one for one in worse}
    for one, before in zip(worse[1:], made.keyframes[1:]):
        error = difference(one.T_previous_camera, before.T_previous_camera)
        assert 0 < np.linalg.norm(error[:3]) < 6 * laps.DRIFT_M
        np.testing.assert_allclose(
            by_stamp[one.previous_stamp_ns].T_odom_camera @ one.T_previous_camera, one.T_odom_camera, atol=1e-9)
    figures = laps.mapped_again(made, 0)
    assert figures['ate_odometry_m'] > made.ate(made.odometry)
    assert figures['ate_finished_m'] < 0.1


@pytest.mark.parametrize(('command', 'said'), [
    ('loops', '3 of 3 loops are true; 0 of 3 false ones'),
    ('relocalization --strangers 2', '0 of 2 frames of another building were found')])
def test_commands(made, command, said, tmp_path, monkeypatch, capsys):
    from superslam_ros.cli.eval import buildings
    from superslam_ros.cli.main import main

    monkeypatch.setattr(buildings, 'mapped', lambda arguments: made)
    loops = [replace(edge, kind=LOOP) for edge in made.map.edges[:3]]
    made.map.edges += loops
    assert main(['eval', *command.split(), '--frames', '2', '--out', str(tmp_path)]) == 0
    del made.map.edges[-3:]
    assert said in ' '.join(capsys.readouterr().out.split())
    written = json.loads(next(tmp_path.glob('*.json')).read_text())
    assert written['keyframes_in_map'] == len(made.map) and 'places' in written['weights']


def test_the_commands_say_what_makes_no_sense(capsys):
    from superslam_ros.cli.main import main

    for option in ('--frames', '--laps', '--rate'):
        assert main(['eval', 'loops', option, '0']) == 2
        assert f'{option} 0' in capsys.readouterr().err


def test_frames_are_looked_at_where_the_walk_is(made):
    poses = walks.walked(made.setting, 6, seed=3)
    np.testing.assert_array_equal(poses, walks.walked(made.setting, 6, seed=3))
    lap = worlds.lap(BUILDING)
    away = np.linalg.norm(poses[:, None, :2, 3] - lap[None], axis=2).min(1)
    assert away.max() < 0.35 and away.std() > 0.01
