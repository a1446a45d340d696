"""An IMU in a bag: its topic, where it is, its clock, and Kalibr's files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from superslam_ros.bags.bag import BagError, as_cdr, open_bag
from superslam_ros.bags.calibration.inertial import read_inertial
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.bags.writer import BagWriter
from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.geometry.pose import compose, inverse, rotation_exp
from superslam_ros.offline.imu import configured
from superslam_ros.offline.runner import RunOptions, run
from superslam_ros.slam.imu import ImuConfig
from superslam_ros.worlds.imu import measure

T_IMU_CAMERA = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, 0, 0])
NOISES = {'gyroscope_noise_density': 2e-3, 'gyroscope_random_walk': 2e-5, 'accelerometer_noise_density': 0.02,
          'accelerometer_random_walk': 3e-3, 'update_rate': 200.0}


def record(demo, path: Path, topics: tuple[str, ...] = ('/imu',), mount: bool = True, shift_ns: int = 0) -> Path:
    """Return a bag, the demo's left images with an IMU, whose stamps are ``shift_ns`` late."""
    make, (stamps, poses) = Messages(typestore()), read_tum(demo.truth)
    rate_hz = 1e9 / np.median(np.diff(stamps))
    found = measure(poses, rate_hz, np.random.default_rng(0), T_IMU_CAMERA, start_ns=int(stamps[0]))
    with open_bag(demo.bag) as reader, BagWriter(path, make.store) as writer:
        if mount:
            writer.write('/tf_static', int(stamps[0]), make.transform(
                int(stamps[0]), 'imu', 'camera_left_optical', T_IMU_CAMERA))
        left = [one for one in reader.connections if one.topic.startswith('/camera/left')]
        todo = [(log_ns, one.topic, one.msgtype, as_cdr(raw, one)) for one, log_ns, raw in reader.messages(left)]
        units = [(int(at), topic, angular, linear) for at, angular, linear in zip(
            found.stamps_ns, found.angular_rad_s, found.linear_m_s2) for topic in topics]
        for item in sorted([*todo, *units], key=lambda item: item[0]):
            if item[1] in topics:
                at, topic, angular, linear = item
                writer.write(topic, at, make.imu(at + shift_ns, 'imu', angular, linear))
            else:
                at, topic, kind, raw = item
                writer.write_raw(topic, kind, at, raw)
    return path


def chain(path: Path, **fields) -> Path:
    """Write a camera chain of Kalibr with an IMU."""
    one = {'T_cam_imu': inverse(T_IMU_CAMERA).tolist(), 'timeshift_cam_imu': 0.03, 'camera_model': 'pinhole',
           'intrinsics': [300.0, 300.0, 160.0, 120.0], 'resolution': [320, 240], 'rostopic': '/camera/left/image_rect'}
    one = {name: value for name, value in {**one, **fields}.items() if value is not None}
    path.write_text(yaml.safe_dump({'cam0': one}))
    return path


@pytest.fixture(scope='module')
def moved(demo_bag, tmp_path_factory) -> Path:
    """Return the demo with an IMU."""
    return record(demo_bag, tmp_path_factory.mktemp('imu') / 'moved')


def options(mode: str = 'mono', **said) -> RunOptions:
    """Return those of a run with the IMU."""
    return RunOptions('orb', ReaderOptions(mode, **said), imu=True)


def tilt(demo, folder: Path) -> float:
    """Return how far, in degrees, z of odom is from up at the first frame."""
    (stamps, poses), (true_ns, true) = read_tum(folder / 'trajectory.tum'), read_tum(demo.truth)
    up, truly = poses[0][2, :3], true[int(np.flatnonzero(true_ns == stamps[0])[0])][2, :3]
    return float(np.degrees(np.arccos(min(1.0, up @ truly))))


def test_odom_is_level_by_the_transforms_of_the_bag(moved, demo_bag, tmp_path: Path) -> None:
    run(moved, tmp_path / 'by_tf', options=options())
    run(moved, tmp_path / 'named', options=options(imu='/imu'))
    run(moved, tmp_path / 'none', options=replace(options(), imu=False))
    assert tilt(demo_bag, tmp_path / 'by_tf') < 3 < tilt(demo_bag, tmp_path / 'none')
    trajectories = [(tmp_path / name / 'trajectory.tum').read_bytes() for name in ('by_tf', 'named')]
    assert trajectories[0] == trajectories[1]


def test_late_stamps_are_those_of_the_chain(demo_bag, tmp_path: Path, monkeypatch) -> None:
    """t_imu = t_cam + timeshift_cam_imu: with stamps 30 ms late, a run of the same messages as without."""
    from superslam_ros.slam.imu import Imu

    told, add = [], Imu.add
    monkeypatch.setattr(Imu, 'add', lambda unit, *sample: (add(unit, *sample), told.append(unit))[0])
    bag = record(demo_bag, tmp_path / 'late', mount=False, shift_ns=30_000_000)
    run(bag, tmp_path / 'out', options=options(imu_files=(chain(tmp_path / 'chain.yaml'),)))
    assert told[0].config.time_offset == -0.03
    np.testing.assert_allclose(told[0].T_imu_camera, T_IMU_CAMERA, atol=1e-12)
    assert told[0].last_ns == read_tum(demo_bag.truth)[0][-1] and tilt(demo_bag, tmp_path / 'out') < 3


def test_noises_hold_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    flat, nested = tmp_path / 'imu.yaml', tmp_path / 'nested.yaml'
    flat.write_text(yaml.safe_dump({'rostopic': '/imu', **NOISES}))
    nested.write_text(yaml.safe_dump({'imu0': {'T_i_b': np.eye(4).tolist(), **NOISES}}))
    expected = {'gyroscope_noise': 2e-3, 'gyroscope_walk': 2e-5, 'accelerometer_noise': 0.02}
    for file in (flat, nested):
        assert read_inertial([file]) == (None, expected)
    both = read_inertial([flat, chain(tmp_path / 'chain.yaml')])
    assert both.options == {**expected, 'time_offset': -0.03} and both.T_imu_camera is not None
    found = configured(ImuConfig(gyroscope_walk=0.5), both.options)
    assert (found.gyroscope_noise, found.gyroscope_walk, found.time_offset) == (2e-3, 0.5, -0.03)


@pytest.mark.parametrize('fields, said', [
    ({'T_cam_imu': None}, 'cam0: T_cam_imu is missing'),
    ({'T_cam_imu': [[1, 0, 0]]}, 'cam0: T_cam_imu must be 4 rows'),
    ({'T_cam_imu': np.diag([1.0, 1, -1, 1]).tolist()}, 'of a rotation'),
    ({'timeshift_cam_imu': 'late'}, "cam0: timeshift_cam_imu: 'late' is no number"),
    ({'timeshift_cam_imu': 5.0}, '1 s at most'),
    ({'resolution': [640, 480]}, 'is of another camera'),
    ({'rostopic': '/right'}, 'cam0 is the right camera')])
def test_a_wrong_chain_is_refused_by_its_key(tmp_path: Path, fields, said) -> None:
    with pytest.raises(BagError, match=rf'chain.yaml: .*{said}'):
        read_inertial([chain(tmp_path / 'chain.yaml', **fields)], '/left', (320, 240), '/right')


@pytest.mark.parametrize('text, said', [
    ('gyroscope_noise_density: 0.001\n', 'gyroscope_random_walk is missing'),
    ('rate: 3\n', 'neither cameras'), ('- 1\n', 'is no camchain'), ('{', 'cannot be read')])
def test_wrong_noises_are_refused(tmp_path: Path, text, said) -> None:
    file = tmp_path / 'imu.yaml'
    file.write_text(text)
    with pytest.raises(BagError, match=rf'imu.yaml: .*{said}'):
        read_inertial([file])
    with pytest.raises(BagError, match='cannot be read'):
        read_inertial([tmp_path / 'nowhere.yaml'])


def test_what_cannot_be_used_is_named(moved, demo_bag, tmp_path: Path) -> None:
    def refused(bag: Path, said: str, **more) -> None:
        with pytest.raises(BagError, match=said):
            run(bag, tmp_path / 'out', options=options(**more))

    refused(demo_bag.bag, 'no topic of sensor_msgs/msg/Imu with messages')
    refused(moved, r'--imu /camera/left/image_rect: no topic of sensor_msgs/msg/Imu in this bag; there is /imu',
            imu='/camera/left/image_rect')
    refused(record(demo_bag, tmp_path / 'two', ('/imu', '/other')), r'there are /imu, /other: name one')
    refused(record(demo_bag, tmp_path / 'bare', mount=False),
            r"where on 'imu' the camera 'camera_left_optical' is; say it with --imu-calibration")
    clock = record(demo_bag, tmp_path / 'clock', shift_ns=10**12)
    refused(clock, r'its stamps are 1000.000 s after those of the images .* another clock; --receive-time')
    run(clock, tmp_path / 'by_receipt', options=options(receive_time=True))
    assert tilt(demo_bag, tmp_path / 'by_receipt') < 3
