"""Wheel odometry in a bag: the same core as live, and the pose goes on where the camera sees nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.bags.bag import BagError, as_cdr, deserialize, open_bag
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.bags.writer import BagWriter
from superslam_ros.conversions import stamp_ns
from superslam_ros.data import Motion, TrackingState
from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.geometry.pose import compose, from_xyz_rpy, inverse
from superslam_ros.offline.runner import RunOptions, run
from superslam_ros.offline.sessions import Task, read, work
from superslam_ros.slam import ExtractorConfig, OdometryConfig, SlamConfig

MOUNT = compose(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), [0.2, 0.0, 0.5])
DARK = range(8, 13)
SPREAD = np.diag([1e-6, 1e-6, 1e-8, 1e-8, 1e-8, 1e-7])


@dataclass
class Driven:
    """A bag with wheels, and its true poses."""

    bag: Path
    stamps: np.ndarray
    poses: np.ndarray


@pytest.fixture(scope='module')
def driven(demo_bag, tmp_path_factory) -> Driven:
    """Return the demo with wheels, and images that are black for a while."""
    path = tmp_path_factory.mktemp('wheels') / 'driven'
    stamps, poses = read_tum(demo_bag.truth)
    make = Messages(typestore())
    dark = {int(stamps[i]) for i in DARK}
    start = inverse(poses[0] @ inverse(MOUNT))
    with open_bag(demo_bag.bag) as reader, BagWriter(path, make.store) as writer:
        writer.write('/tf_static', int(stamps[0]), make.transform(int(stamps[0]), 'base_link', _frame(reader), MOUNT))
        told = set()
        for connection, log_ns, raw in reader.messages():
            if connection.topic.startswith('/tf'):
                continue
            message = deserialize(raw, connection)
            at = stamp_ns(message.header.stamp)
            if at not in told:
                i = int(np.flatnonzero(stamps == at)[0])
                told.add(at)
                motion = Motion(at, TrackingState.TRACKING, start @ poses[i] @ inverse(MOUNT), SPREAD * (i + 1),
                                np.zeros(6), np.zeros((6, 6)))
                writer.write('/wheels', log_ns, make.odometry(motion, 'odom', 'base_link'))
            if at in dark and 'image_rect' in connection.topic and 'depth' not in connection.topic:
                writer.write(connection.topic, log_ns, make.image(
                    at, message.header.frame_id, np.zeros((message.height, message.width), np.uint8)))
            else:
                writer.write_raw(connection.topic, connection.msgtype, log_ns, as_cdr(raw, connection))
    return Driven(path, stamps, poses)


def _frame(reader) -> str:
    connection = next(one for one in reader.connections if one.topic.endswith('left/image_rect'))
    return deserialize(next(iter(reader.messages([connection])))[2], connection).header.frame_id


def test_the_trajectory_has_no_gap(driven: Driven, tmp_path: Path) -> None:
    found = {}
    for guess in ('', '/wheels'):
        options = RunOptions('orb', ReaderOptions('rgbd', guess=guess), initial_pose='1 2 0 0 0 1.5' if guess else '')
        config = SlamConfig(odometry=OdometryConfig(two_d=not guess))
        found[guess] = run(driven.bag, tmp_path / f'out{guess.strip("/")}', config, options)
    # In a hand: not in a plane, which is said and harms nothing.
    assert found['']['beyond_plane'] > 2 and 'beyond_plane' not in found['/wheels']
    guessed = found['/wheels']['guessed_frames']
    assert found['']['guessed_frames'] == 0 and guessed == found['/wheels']['lost_frames'] >= len(DARK)
    assert found['/wheels']['poses'] == found['']['poses'] + found['']['lost_frames']
    stamps, poses = read_tum(tmp_path / 'outwheels' / 'trajectory.tum')
    np.testing.assert_allclose(poses[0], from_xyz_rpy([1, 2, 0, 0, 0, 1.5]) @ MOUNT, atol=1e-6)
    true = driven.poses[[int(np.flatnonzero(driven.stamps == stamp)[0]) for stamp in stamps]]
    true = poses[0] @ inverse(true[0]) @ true
    assert np.linalg.norm(poses[:, :3, 3] - true[:, :3, 3], axis=1).max() < 0.03


def test_a_map_is_built_with_wheels(driven: Driven, tmp_path: Path) -> None:
    """Frames in the dark are where the wheels say."""
    config = SlamConfig(ExtractorConfig(max_keypoints=200, precision='float32'))
    task = Task(driven.bag, config, ReaderOptions('rgbd', guess='/wheels', max_rate_hz=10), tmp_path / 'store')
    assert work(task, lambda done, of: None) >= len(driven.stamps) // 2 - 1
    passed = [one for one in read(task.store) if one.stamp_ns is not None]
    true = driven.poses[[int(np.flatnonzero(driven.stamps == one.stamp_ns)[0]) for one in passed]]
    true = passed[0].T_odom_camera @ inverse(true[0]) @ true
    off = [np.linalg.norm(one.T_odom_camera[:3, 3] - T[:3, 3]) for one, T in zip(passed, true)]
    assert max(off) < 0.03


def test_what_is_missing_is_named(driven: Driven, demo_bag, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--initial-pose: '1 2' is no pose"):
        run(driven.bag, tmp_path / 'a', None, RunOptions('orb', initial_pose='1 2'))
    with pytest.raises(BagError, match='no topic of nav_msgs/msg/Odometry in this bag; there is /wheels'):
        run(driven.bag, tmp_path / 'a', None, RunOptions('orb', ReaderOptions(guess='/odom')))
    bare = tmp_path / 'bare'
    make = Messages(typestore())
    with open_bag(driven.bag) as reader, BagWriter(bare, make.store) as writer:
        for connection, log_ns, raw in reader.messages():
            if connection.topic != '/tf_static':
                writer.write_raw(connection.topic, connection.msgtype, log_ns, as_cdr(raw, connection))
    with pytest.raises(BagError, match=r"where on 'base_link' the camera .* is; say it with --base-camera"):
        run(bare, tmp_path / 'b', None, RunOptions('orb', ReaderOptions(guess='/wheels')))
