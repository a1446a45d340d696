"""The IMU of the demo: what it measures, where it is, and that a run and a map find it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.bags import bag
from superslam_ros.bags.bag import open_bag
from superslam_ros.cli.main import main
from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.geometry.pose import inverse
from superslam_ros.messages import imu_of
from superslam_ros.offline import demo
from superslam_ros.offline.imu import Feed
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.tracking.held import CHI2_999

FRAMES, RATE_HZ = 24, 10.0


@pytest.fixture(scope='module')
def recorded(tmp_path_factory) -> Path:
    """Return the demo with an IMU, as the command writes it."""
    folder = tmp_path_factory.mktemp('demo_imu')
    assert main(['bag', 'demo', '--imu', '--frames', str(FRAMES), '--rate', str(RATE_HZ), '--out', str(folder)]) == 0
    return folder / 'demo'


def test_rates_are_those_of_the_true_path(recorded) -> None:
    stamps, poses = read_tum(recorded.with_suffix('.tum'))
    with open_bag(recorded) as reader:
        read = [(log_ns, message) for _, log_ns, message in bag.read(reader, reader.of_topic(demo.IMU))]
    log_ns, samples = [at for at, _ in read], [imu_of(message) for _, message in read]
    found = np.array([stamp for stamp, _, _ in samples])
    assert log_ns == found.tolist() and (np.diff(found) == 5_000_000).all()
    assert (found[0], found[-1]) == (stamps[0], stamps[-1])
    assert {message.header.frame_id for _, message in read} == {'imu_link'}
    assert read[0][1].angular_velocity_covariance[[0, 4, 8]] == pytest.approx(2e-4)     # (1e-3)^2 * 200
    assert read[0][1].linear_acceleration_covariance[[0, 4, 8]] == pytest.approx(5e-3)  # (5e-3)^2 * 200
    T_world_imu = poses @ inverse(demo.T_IMU_CAMERA)
    angular = np.array([rate for _, rate, _ in samples])
    for start, end, T0, T1 in zip(stamps, stamps[1:], T_world_imu, T_world_imu[1:]):
        turned = T0[:3, :3].T @ T1[:3, :3]
        axis = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]]) / 2
        mean = angular[(found >= start) & (found <= end)].mean(0)
        assert np.abs(mean - axis * RATE_HZ).max() < 0.08      # three sigma of the bias, and noise
    assert abs(np.mean([force[2] for _, _, force in samples]) - 9.81) < 0.6         # z of imu_link is up


def test_a_run_finds_it_and_odom_is_level(recorded, tmp_path: Path, capsys) -> None:
    assert main(['run', str(recorded), '--imu', '--features', 'orb', '--mode', 'rgbd', '--out', str(tmp_path)]) == 0
    assert 'IMU' not in capsys.readouterr().out        # nothing is wrong with it
    said = json.loads((tmp_path / 'summary.json').read_text())['imu']
    bias = said.pop('bias_rad_s')
    assert said == {'topic': '/imu/data', 'refused': {}, 'time_offset_s': 0.0, 'agrees_with_vision': True,
                    'disagreements': 0}
    assert len(bias) == 3 and 0 < np.abs(bias).max() < 0.1
    with open_bag(tmp_path / 'result') as reader:
        _, _, first = next(iter(bag.read(reader, reader.of_topic('/superslam/odometry'))))
    covariance = np.reshape(first.pose.covariance, (6, 6))
    up, truly = (read_tum(file)[1][0][2, :3] for file in (tmp_path / 'trajectory.tum', recorded.with_suffix('.tum')))
    assert 0.003 < np.sqrt(covariance[3, 3]) < 0.2
    assert np.arccos(min(1.0, up @ truly))**2 < CHI2_999[1] * covariance[3, 3]


def test_what_is_refused_is_in_the_summary_and_said(recorded, tmp_path: Path, capsys, monkeypatch) -> None:
    def often_no_number(message) -> tuple:
        stamp_ns, angular, linear = imu_of(message)
        return stamp_ns, angular * (np.nan if stamp_ns % 100_000_000 == 0 else 1), linear

    monkeypatch.setattr('superslam_ros.offline.imu.imu_of', often_no_number)
    chain = tmp_path / 'chain.yaml'
    chain.write_text(json.dumps({'cam0': {'T_cam_imu': inverse(demo.T_IMU_CAMERA).tolist(),
                                          'timeshift_cam_imu': -0.004}}))
    assert main(['run', str(recorded), '--imu', '/imu/data', '--imu-calibration', str(chain), '--features', 'orb',
                 '--mode', 'rgbd', '--max-rate', '5', '--out', str(tmp_path / 'out')]) == 0
    said = json.loads((tmp_path / 'out/summary.json').read_text())['imu']
    assert said['time_offset_s'] == 0.004 and said['refused'] == {'no number': FRAMES}
    assert f'IMU: {FRAMES} messages not believed: no number' in capsys.readouterr().out


def test_a_disagreement_is_in_the_summary() -> None:
    imu = Imu()
    feed = Feed('/imu', imu, iter(()))
    assert feed.summary()['agrees_with_vision'] is None     # never compared
    imu.comparison.looked_ns, imu.comparison.believed, imu.comparison.disagreements = 0, False, 3
    assert (feed.summary()['agrees_with_vision'], feed.summary()['disagreements']) == (False, 3)


def test_a_map_is_level(recorded, tmp_path: Path, capsys) -> None:
    common = ['map', 'build', str(recorded), '--mode', 'rgbd', '--set', 'extractor.max_keypoints=200', '--set',
              'extractor.octaves=1', '--max-rate', '5', '--trajectories', str(tmp_path)]
    truth, tilts = read_tum(recorded.with_suffix('.tum'))[1][0][2, :3], []
    for said in ([], ['--imu']):
        assert main([*common, '--out', str(tmp_path / f'{len(said)}.map'), *said]) == 0
        tilts.append(np.degrees(np.arccos(min(1.0, read_tum(tmp_path / 'demo.tum')[1][0][2, :3] @ truth))))
    assert tilts[1] < 3 < tilts[0]
    assert main([*common, '--out', str(tmp_path / 'none.map'), '--imu', '/other']) == 2
    assert '--imu /other' in capsys.readouterr().err
    assert main([*common, '--out', str(tmp_path / 'none.map'), '--imu-calibration', 'chain.yaml']) == 2
    assert 'says nothing without --imu' in capsys.readouterr().err


def test_every_world_has_a_smooth_path() -> None:
    building = demo.worlds.BuildingOptions()
    for options in (demo.DemoOptions(), demo.DemoOptions(120, building=building, rate_hz=10.0)):
        path = options.recording()
        found = demo.worlds.measure(path.poses, path.rate_hz, np.random.default_rng(0), demo.T_IMU_CAMERA)
        assert np.abs(np.linalg.norm(found.linear_m_s2, axis=1) - 9.81).max() < 3
        assert np.abs(found.angular_rad_s).max() < 2
