"""One camera without scale: loops take out its drift, and its unit is found where it is seen from outside."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from laps import LAP, drifting, in_map, look, mapper, other_side, run, second
from places import all_round, check, lap
from points import PointWorld

from superslam_ros.evaluation import trajectory
from superslam_ros.geometry.pose import compose, difference, inverse, perturb, rotation_exp, transform
from superslam_ros.geometry.similarity import resized
from superslam_ros.maps import graph, merging, similarity, storage
from superslam_ros.maps.export import export
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Reason, Refusal
from superslam_ros.maps.mapper import LOCALIZE
from superslam_ros.maps.parts import LOOP, Edge

pytestmark = pytest.mark.skipif(not similarity.available(), reason='GTSAM 4.3 is not installed')

ROUND, TRUE, SCALE = 60, 8, 0.02
STEP, LOOPED = np.append(np.repeat([0.01, 0.004], 3), SCALE), np.append(np.repeat([0.02, 0.005], 3), 0.01)


class Laps:
    """Two laps around a square of a camera whose unit drifts, with the noise that the covariances tell of."""

    def __init__(self, seed: int = 0) -> None:
        """Walk, and see places of the first lap in the second."""
        self.random = np.random.default_rng(seed)
        self.truth, self.units, self.drifted, self.edges = [np.eye(4)], [1.0], {1: np.eye(4)}, []
        for number in range(2, 2 * ROUND + 1):
            turn = 0.5 * np.pi * (number % (ROUND // 4) == 0)
            self.truth.append(self.truth[-1] @ compose(rotation_exp([0, 0, turn]), [0.4, 0, 0]))
            self.units.append(self.units[-1] * np.exp(0.01 + SCALE * self.random.normal()))
            edge = self.edge(number - 1, number, STEP)
            self.edges.append(replace(edge, scale=1.0))     # of a drift, odometry knows nothing
            self.drifted[number] = self.drifted[number - 1] @ edge.T_start_end
        for number in np.linspace(ROUND + 3, 2 * ROUND, TRUE).astype(int).tolist():
            self.edges.append(self.edge(number - ROUND, number, LOOPED, LOOP))

    def edge(self, start: int, end: int, sigma: np.ndarray, kind: str = 'odometry') -> Edge:
        """Return an edge with its noise; a length of its start's unit is ``units`` metres."""
        T = resized(inverse(self.truth[start - 1]) @ self.truth[end - 1], 1 / self.units[start - 1])
        error = sigma * self.random.normal(size=7)
        scale = self.units[end - 1] / self.units[start - 1] * np.exp(error[6])
        return Edge(start, end, perturb(T, error[:6]), np.diag(sigma**2), kind, scale=scale)

    def lie(self, count: int) -> None:
        """Add false loops, each by itself."""
        for _ in range(count):
            start, end = self.random.integers([1, ROUND + 1], [ROUND, 2 * ROUND])
            T = compose(rotation_exp(0.5 * self.random.normal(size=3)), self.random.normal(size=3))
            self.edges.append(Edge(int(start), int(end), T, np.diag(LOOPED**2), LOOP, scale=1.0))

    def ate_m(self, poses: dict[int, np.ndarray]) -> float:
        """Return the error of the positions, root mean square, the unit brought to the metre."""
        stamps, true = np.arange(2 * ROUND) * 10**9, np.array(self.truth)
        return trajectory.compare(stamps, np.array(list(poses.values())), stamps, true, align='sim3').ate_rmse_m


def monocular(keyframes: list[Keyframe], unit: float = 0.4, drift: float = 0.0, seed: int = 5) -> list[Keyframe]:
    """Return what an odometry of one camera makes of them: its unit is ``unit`` metres at first, and drifts."""
    random, found = np.random.default_rng(seed), {}
    for one in keyframes:
        unit *= np.exp(drift * (1 + random.normal()))
        step = resized(one.T_previous_camera, 1 / unit)
        T = resized(one.T_odom_camera, 1 / unit)
        if one.previous_stamp_ns in found:
            T = found[one.previous_stamp_ns].T_odom_camera @ step
        found[one.stamp_ns] = replace(one, T_odom_camera=T, T_previous_camera=step, points=one.points / unit,
                                      point_covariance=one.point_covariance / unit**2, metric=False)
    return list(found.values())


@pytest.fixture(scope='module')
def world() -> PointWorld:
    """Return landmarks on all sides."""
    return all_round()


@pytest.mark.parametrize('seed', [0, 1])
def test_loops_take_the_drift_of_the_scale_out_with_as_many_false_ones(seed: int) -> None:
    laps = Laps(seed)
    before, alone = laps.ate_m(laps.drifted), graph.optimise(laps.drifted, laps.edges)
    laps.lie(TRUE)
    found = graph.optimise(laps.drifted, laps.edges)
    after = laps.ate_m(found.poses)
    assert alone.inliers.all() and found.inliers[:-TRUE].all() and not found.inliers[-TRUE:].any()
    assert after < before / 3 and after < 1.05 * laps.ate_m(alone.poses)
    drift, left = (np.std(np.log(values)) for values in (
        laps.units, [found.scales[number] / unit for number, unit in enumerate(laps.units, 1)]))
    assert left < drift / 3
    np.testing.assert_allclose(found.poses[1], np.eye(4), atol=1e-6)
    assert found.scales[1] == pytest.approx(1, abs=1e-6)


def test_what_an_odometry_in_metres_said_gives_the_unit() -> None:
    laps = Laps()
    laps.edges = [replace(edge, covariance=edge.pose_covariance, scale=1.0)
                  if edge.kind != LOOP and edge.start > ROUND else edge for edge in laps.edges]
    found = graph.optimise(laps.drifted, laps.edges)
    assert all(found.scales[number] == 1 for number in range(ROUND + 1, 2 * ROUND + 1))
    assert found.scales[1] != pytest.approx(1, abs=0.05)


@pytest.mark.parametrize('similar', [False, True])
def test_edges_are_turned_around_and_joined_with_their_covariance(similar: bool) -> None:
    random, size = np.random.default_rng(0), 7 if similar else 6

    def draw() -> Edge:
        A = 1e-3 * random.normal(size=(size, size))
        T = compose(rotation_exp(random.normal(size=3)), random.normal(size=3))
        return Edge(1, 2, T, A @ A.T, scale=1.7 if similar else 1.0)

    def moved(edge: Edge, error: np.ndarray) -> Edge:
        return replace(edge, T_start_end=perturb(edge.T_start_end, error[:6]),
                       scale=edge.scale * np.exp(error[6:].sum()))

    def jacobian(change: object, at: Edge) -> np.ndarray:
        exact, step = change(at), 1e-6
        return np.array([exact.difference((near := change(moved(at, step * axis))).T_start_end, near.scale) / step
                         for axis in np.eye(size)]).T

    one, other = draw(), draw()
    J = jacobian(Edge.reversed, one)
    np.testing.assert_allclose(one.reversed().covariance, J @ one.covariance @ J.T, rtol=1e-3, atol=1e-11)
    J, K = jacobian(lambda edge: edge.then(other), one), jacobian(lambda edge: one.then(edge), other)
    np.testing.assert_allclose(one.then(other).covariance, J @ one.covariance @ J.T + K @ other.covariance @ K.T,
                               rtol=1e-3, atol=1e-11)
    back = one.then(one.reversed())
    np.testing.assert_allclose(back.T_start_end, np.eye(4), atol=1e-12)
    assert back.scale == pytest.approx(1)


def test_an_edge_costs_what_gtsam_has_it_cost() -> None:
    random = np.random.default_rng(1)
    A = 1e-3 * random.normal(size=(7, 7))
    edge = Edge(1, 2, compose(rotation_exp([0.3, -0.2, 0.9]), [1, 2, 3]), A @ A.T, LOOP, scale=1.3)
    space = similarity.Similarities([edge], {1: 1, 2: 1})
    values = similarity.gtsam.Values()
    values.insert(1, space.value(np.eye(4)))
    error = 1e-4 * random.normal(size=7)
    scale = edge.scale * np.exp(error[6])
    values.insert(2, similarity._to_gtsam(perturb(edge.T_start_end, error[:6]), scale))
    expected = error @ np.linalg.solve(edge.covariance, error)
    assert 2 * space.factor(edge).error(values) == pytest.approx(expected, rel=1e-3)


def test_the_unit_is_found_among_wrong_landmarks_and_with_its_covariance(world: PointWorld) -> None:
    random, squares = np.random.default_rng(2), []
    one = monocular(look(world, lap(1)))[0]
    noise, T = 0.05, one.T_odom_camera
    covariance = np.tile((noise * 0.4)**2 * np.eye(3), (len(one), 1, 1))
    known = replace(one, point_covariance=np.tile(noise**2 * np.eye(3, dtype=np.float32), (len(one), 1, 1)))
    rows = np.arange(len(one))
    for _ in range(50):
        points = transform(resized(T, 0.4), 0.4 * known.points + noise * 0.4 * random.normal(size=(len(one), 3)))
        points[::4] += 2 * random.random((len(points[::4]), 1)) * (points[::4] - 0.4 * T[:3, 3])
        seen = replace(known, points=known.points + noise * random.normal(size=(len(one), 3)))
        pose = np.diag(np.repeat([0.02, 0.002], 3)**2)
        error = np.sqrt(np.diag(pose)) * random.normal(size=6)
        unit = similarity.unit_of(seen, rows, points, covariance, perturb(resized(T, 0.4), error), pose)
        assert unit.scale == pytest.approx(0.4, rel=0.1)
        whole = unit.with_pose(pose)
        both = np.append(error, np.log(unit.scale / 0.4))
        assert (np.linalg.eigvalsh(whole) > 0).all()
        squares.append(both @ np.linalg.solve(whole, both))
    assert 3 < np.mean(squares) < 14
    few = known.select(rows[:similarity.LEAST - 1])
    assert similarity.unit_of(few, np.arange(len(few)), points[:len(few)], covariance[:len(few)], T, pose) is None


def test_a_second_lap_of_one_camera_brings_the_first_back_to_one_unit(world: PointWorld) -> None:
    poses = lap(LAP) * 2
    keyframes = monocular(drifting(look(world, poses)), drift=0.01)
    one = mapper()
    outcomes = run(one, keyframes)
    assert any(outcome.loop and outcome.moved for outcome in outcomes) and not one.map.metric
    check(one.map)
    found, true = one.trajectory(), np.array([in_map(T) for T in poses])
    stamps = [keyframe.stamp_ns for keyframe in keyframes]
    assert list(found) == stamps
    before, after = (trajectory.compare(stamps, np.array(of), stamps, true, align='sim3').ate_rmse_m for of in (
        [keyframe.T_odom_camera for keyframe in keyframes], list(found.values())))
    assert after < before / 3
    # By how much the odometry's unit has grown since it began is known of every keyframe.
    true_units = np.array([np.linalg.norm(exact.points, axis=1).mean() / np.linalg.norm(keyframe.points, axis=1).mean()
                           for exact, keyframe in zip(look(world, poses), keyframes)])
    left = np.log(np.array(list(one.units().values())) / true_units)
    assert np.std(left) < np.std(np.log(true_units)) / 2
    one.finish()
    assert trajectory.compare(stamps, np.array(list(one.trajectory().values())), stamps, true,
                              align='sim3').ate_rmse_m < before / 3


def test_one_camera_is_found_in_a_map_in_metres_and_its_unit_with_it(world: PointWorld) -> None:
    made = mapper()
    run(made, look(world, lap(LAP)))
    poses, one = other_side(8), mapper(made.map, LOCALIZE)
    keyframes = monocular(second(world, poses), drift=0.01)
    assert [outcome.reason for outcome in run(one, keyframes)] == [Reason.UNCONFIRMED] + 7 * [Reason.OK]
    T = one.T_map_odom @ keyframes[-1].T_odom_camera
    assert np.abs(difference(T, in_map(poses[-1]))).max() < 0.01
    assert np.abs(difference(one.in_map(keyframes[-2].T_odom_camera), in_map(poses[-2]))).max() < 0.02
    assert one.unit == pytest.approx(0.4 * np.exp(0.08), rel=0.1) and one.map.metric
    assert (np.linalg.eigvalsh(one.T_map_odom_covariance) > 0).all()


def test_a_keyframe_without_landmarks_is_believed_by_what_was_known_of_the_unit_only(world: PointWorld) -> None:
    made = mapper()
    run(made, look(world, lap(LAP)))
    keyframes, one = monocular(second(world, other_side(4))), mapper(made.map, LOCALIZE)
    bare = [replace(keyframe, points=np.full_like(keyframe.points, np.nan)) for keyframe in keyframes]
    outcome = one.add(bare[0])
    assert outcome.reason is Reason.FEW_INLIERS and 'unit' in outcome.text
    assert [outcome.reason for outcome in run(one, keyframes[1:3])] == [Reason.UNCONFIRMED, Reason.OK]
    assert one.add(bare[3]).reason is Reason.OK and one.unit == pytest.approx(0.4, rel=0.02)


def test_a_stereo_camera_is_found_in_a_map_of_one_camera(world: PointWorld) -> None:
    made = mapper()
    run(made, monocular(look(world, lap(LAP))))
    poses, one = other_side(5), mapper(made.map, LOCALIZE)
    assert [outcome.reason for outcome in run(one, second(world, poses))] == [Reason.UNCONFIRMED] + 4 * [Reason.OK]
    assert one.unit == pytest.approx(1 / 0.4, rel=0.02)


@pytest.mark.parametrize('metric', ['first', 'second'])
def test_sessions_of_one_camera_and_in_metres_become_a_map_in_metres(world: PointWorld, metric: str) -> None:
    poses, one = other_side(10), mapper()
    first, later = look(world, lap(LAP)), drifting(second(world, poses))
    run(one, monocular(first) if metric == 'second' else first)
    assert one.map.metric == (metric == 'first')
    outcomes = run(one, monocular(later) if metric == 'first' else later)
    assert [outcome.reason for outcome in outcomes] == [Reason.UNCONFIRMED] + 9 * [Reason.OK]
    assert one.map.metric and len(one.map.sessions) == 2
    check(one.map)
    found = np.array([T[:3, 3] for T in one.trajectory().values()])
    true = np.array([in_map(T)[:3, 3] for T in [*lap(LAP), *poses]])
    assert np.linalg.norm(found - true, axis=1).max() < 0.1
    one.finish()
    assert one.map.metric
    found = np.array([T[:3, 3] for T in one.trajectory().values()])
    assert np.linalg.norm(found - true, axis=1).max() < 0.1


@pytest.mark.parametrize('kinds', ['mono into stereo', 'stereo into mono', 'mono into mono'])
def test_maps_are_merged_by_a_similarity(world: PointWorld, kinds: str, tmp_path) -> None:
    made, other = mapper(), mapper()
    first, later = look(world, lap(LAP)), second(world, other_side(8))
    run(made, first if kinds.endswith('stereo') else monocular(first))
    run(other, later if kinds.startswith('stereo') else monocular(later, 0.7))
    storage.save(other.map, tmp_path / 'other.map')
    merged = merging.merge(made.map, storage.load(tmp_path / 'other.map'), made.localizer)
    assert not isinstance(merged, Refusal)
    check(made.map)
    unit = 1.0 if 'stereo' in kinds else 0.4
    assert made.map.metric == ('stereo' in kinds)
    assert len(made.trajectory()) == LAP
    places = {one.stamp_ns: unit * one.T_map_camera[:3, 3] for one in made.map.keyframes.values()}
    for keyframe, T in zip(later, other_side(8)):
        assert np.linalg.norm(places.get(keyframe.stamp_ns, in_map(T)[:3, 3]) - in_map(T)[:3, 3]) < 0.05
    for kind in ('g2o', 'tum', 'ply'):
        export(made.map, tmp_path / f'map.{kind}', kind)
    assert 'nan' not in (tmp_path / 'map.g2o').read_text()


def test_without_gtsam_4_3_one_camera_maps_without_loops_and_is_told_so(
    world: PointWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = {name: value for name, value in vars(similarity.gtsam).items() if not name.endswith('FactorSimilarity3')}
    monkeypatch.setattr(similarity, 'gtsam', SimpleNamespace(**old))
    one = mapper()
    keyframes = monocular(look(world, lap(LAP) + lap(LAP)[:4]))
    outcomes = run(one, keyframes)
    assert all(outcome.added and not outcome.loop for outcome in outcomes)
    assert not any(edge.kind == LOOP for edge in one.map.edges) and 'gtsam>=4.3' in caplog.text
    later = one.add(monocular(second(world, other_side(1)))[0])
    assert later.reason is Reason.NOT_METRIC and 'gtsam>=4.3' in later.text and 'odometry.camera_height' in later.text
    refused = merging.merge(one.map, one.map, one.localizer)
    assert isinstance(refused, Refusal) and refused.reason is Reason.NOT_METRIC
    one.finish()
    # To be found in a map, a graph is not needed.
    lost = mapper(one.map, LOCALIZE)
    assert [outcome.reason for outcome in run(lost, monocular(second(world, other_side(3))))][-1] is Reason.OK
