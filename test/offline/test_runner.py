"""A bag through the whole chain, with ORB and SIFT features, which need no weights."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.bags.bag import BagError, deserialize, list_topics, open_bag
from superslam_ros.bags.calibration import write_camera
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.cli.main import main
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.offline import runner
from superslam_ros.offline.opened import opened
from superslam_ros.offline.recorder import Recorder
from superslam_ros.offline.runner import RunOptions
from superslam_ros.pictures import view
from superslam_ros.slam import ExtractorConfig, OdometryConfig, SlamConfig

ORB = RunOptions(features='orb')


@pytest.fixture(scope='module')
def stereo(demo_bag, tmp_path_factory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp('run')
    return out, runner.run(demo_bag.bag, out, options=RunOptions('sift', ground_truth=demo_bag.truth))


def files(folder: Path) -> dict[str, bytes]:
    content = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob('*') if file.is_file()}
    summary = json.loads(content.pop('summary.json'))
    del summary['timing']
    return {**content, 'summary': json.dumps(summary).encode()}


def test_stereo_follows_the_ground_truth(stereo, demo_bag) -> None:
    out, summary = stereo
    assert summary['mode'] == 'stereo' and summary['metric'] and summary['rectified']
    assert (summary['frames'], summary['lost_frames'], summary['skipped']) == (demo_bag.frames, 0, {})
    assert summary['ate']['pairs'] == demo_bag.frames
    assert summary['ate']['rmse_m'] < 0.08
    assert json.loads((out / 'summary.json').read_text()) == summary
    stamps, poses = read_tum(out / 'trajectory.tum')
    true_stamps, _ = read_tum(demo_bag.truth)
    assert np.array_equal(stamps, true_stamps)
    np.testing.assert_allclose(poses[0][:3, :3] @ [0, 0, 1], [1, 0, 0], atol=1e-9)


def test_the_picture_is_one(stereo) -> None:
    picture = cv2.imread(str(stereo[0] / 'overview.png'))
    assert picture.shape[1] == 1920 and picture.shape[0] > 700
    assert picture.std() > 20


def test_the_result_bag_holds_what_the_nodes_publish(stereo, demo_bag) -> None:
    with open_bag(stereo[0] / 'result') as reader:
        counts = {topic.name: topic.count for topic in list_topics(reader)}
        messages = {c.topic: deserialize(raw, c) for c, _, raw in reader.messages()}
    every = ('features', 'features_right', 'matches', 'matches_stereo', 'odometry', 'status')
    assert {counts[f'/superslam/{name}'] for name in every} == {demo_bag.frames}
    assert counts['/tf'] == demo_bag.frames and counts['/superslam/path'] == 1
    assert len(messages['/superslam/path'].poses) == demo_bag.frames
    status, matches = messages['/superslam/status'], messages['/superslam/matches']
    assert (status.frames, status.state, status.lost) == (demo_bag.frames, 1, 0)
    assert len(matches.scores) == status.matches == len(matches.keypoints0) // 2
    odometry = messages['/superslam/odometry']
    assert (odometry.header.frame_id, odometry.child_frame_id) == ('odom', 'camera_left_optical')
    assert np.linalg.eigvalsh(odometry.pose.covariance.reshape(6, 6)).min() > 0
    assert messages['/superslam/landmarks'].width > 50
    keyframes, = messages['/superslam/keyframes'].markers
    assert len(keyframes.points) == 16 * status.keyframes and keyframes.ns == 'keyframes'
    assert counts['/superslam/observations'] == demo_bag.frames and counts['/superslam/overlay'] == 1
    observations, = messages['/superslam/observations'].markers
    assert len(observations.points) > 20 and vars(observations.points[0]) == vars(odometry.pose.pose.position)
    overlay = messages['/superslam/overlay']
    assert (overlay.width, overlay.height, overlay.encoding) == (320, 240, 'rgb8')
    assert np.ptp(overlay.data.reshape(-1, 3).astype(int), axis=1).max() > 100      # colours on grey


def test_the_picture_of_a_result_shows_all_that_rviz_does(stereo) -> None:
    shown = view.read(stereo[0] / 'result')
    assert set(shown.messages) == set(view.NAMES)
    assert len(shown.lines('keyframes')[0]) > 8 and len(shown.lines('observations')[0]) > 10


def test_the_command_is_kept_beside_the_timing(stereo, demo_bag, tmp_path: Path) -> None:
    """It names --out, so that what is the same in every run is what is left without both."""
    command = f'superslam run {demo_bag.bag} --out {tmp_path} --features sift --ground-truth {demo_bag.truth}'
    options = RunOptions('sift', ground_truth=demo_bag.truth, command=command)
    summary = runner.run(demo_bag.bag, tmp_path, options=options)
    assert summary.pop('command') == command and 'command' not in stereo[1]
    assert {**summary, 'timing': None} == {**stereo[1], 'timing': None}


def test_a_second_run_writes_the_same_bytes(stereo, demo_bag, tmp_path: Path) -> None:
    runner.run(demo_bag.bag, tmp_path, options=RunOptions('sift', ground_truth=demo_bag.truth))
    assert files(tmp_path) == files(stereo[0])
    runner.run(demo_bag.bag, tmp_path, options=RunOptions('sift', ground_truth=demo_bag.truth))
    assert files(tmp_path) == files(stereo[0])


@pytest.mark.parametrize('mode', ['rgbd', 'mono'])
def test_other_modes_with_images_and_descriptors_recorded(demo_bag, tmp_path: Path, mode: str) -> None:
    options = RunOptions('orb', ReaderOptions(mode=mode), demo_bag.truth, record_images=True, record_descriptors=True)
    summary = runner.run(demo_bag.bag, tmp_path, options=options)
    assert summary['mode'] == mode and summary['metric'] == (mode == 'rgbd')
    assert summary['tracked_frames'] > 10
    assert summary['ate']['pairs'] == summary['tracked_frames'] + (mode == 'rgbd')
    if mode == 'rgbd':
        assert summary['ate']['rmse_m'] < 0.1
    with open_bag(tmp_path / 'result') as reader:
        counts = {topic.name: topic.count for topic in list_topics(reader)}
        features = [deserialize(raw, c) for c, _, raw in reader.messages()
                    if c.topic == '/superslam/features']
    assert counts['/camera/left/image_rect'] == counts['/superslam/overlay'] == demo_bag.frames
    assert ('/camera/depth/image_rect' in counts) == (mode == 'rgbd')
    assert len(features[0].descriptors) == 256 * len(features[0].scores)
    # What was recorded runs again.
    again = runner.run(tmp_path / 'result', tmp_path / 'again', options=replace(options, record_images=False))
    assert again['ate'] == summary['ate']


def test_the_calibration_of_a_file_is_recorded_in_place_of_that_of_the_messages(demo_bag, tmp_path: Path) -> None:
    write_camera(tmp_path / 'camera.yaml', worlds.pinhole(320, 240, focal_px=300.0))
    options = RunOptions('orb', ReaderOptions(mode='mono', camera_file=tmp_path / 'camera.yaml'), record_images=True)
    summary = runner.run(demo_bag.bag, tmp_path / 'a', options=options)
    assert summary['calibration_from'] == 'camera.yaml' and 'camera_info' not in summary['topics']
    runner.run(tmp_path / 'a/result', tmp_path / 'b', options=RunOptions('orb'))
    assert (tmp_path / 'a/trajectory.tum').read_bytes() == (tmp_path / 'b/trajectory.tum').read_bytes()


def test_what_the_configuration_says_of_the_images_holds(demo_bag) -> None:
    """A file of the nodes' parameters says it there; --rectified says it, too, and is heard first."""
    config = SlamConfig(odometry=OdometryConfig(rectified=False), extractor=ExtractorConfig(white_level=99.0))
    with opened(demo_bag.bag, config, ReaderOptions()) as (frames, for_them):
        assert not frames.rectified and not for_them.odometry.rectified and frames.levels.range == (0, 99)
    with opened(demo_bag.bag, config, ReaderOptions(rectified='yes')) as (frames, for_them):
        assert frames.rectified and for_them.odometry.rectified


def test_a_looped_bag_starts_over_and_says_so(bag, room, tmp_path: Path) -> None:
    from superslam_ros import worlds
    camera = worlds.pinhole(160, 120)
    poses = worlds.demo_trajectory(14, 10.0)
    views = [worlds.render(room, camera, pose) for pose in poses]
    order = [*range(14), *range(6)]
    for index, which in enumerate(order):
        bag.info(index, camera)
        bag.image(index, views[which].image, stamp_ns=(which + 1) * 10**8)
        bag.image(index, views[which].depth_m, '/cam/depth/image', stamp_ns=(which + 1) * 10**8)
    summary = runner.run(bag.write(), tmp_path / 'out', options=ORB)
    assert summary['frames'] == 20 and sum(summary['resets'].values()) == 1
    stamps, _ = read_tum(tmp_path / 'out' / 'trajectory.tum')
    assert len(stamps) == 14 and (np.diff(stamps) > 0).all()


def test_images_without_anything_to_see_do_not_stop_the_run(bag, tmp_path: Path) -> None:
    for index, level in enumerate((0, 255, 0, 0, 255)):
        bag.info(index)
        bag.image(index, np.full((48, 64), level, np.uint8))
        bag.image(index, np.full((48, 64), np.nan, np.float32), '/cam/depth/image')
    summary = runner.run(bag.write(), tmp_path / 'out', options=ORB)
    assert summary['frames'] == 5 and summary['keypoints']['max'] == 0
    assert (tmp_path / 'out' / 'overview.png').stat().st_size > 10_000


def test_one_frame_is_enough(bag, tmp_path: Path) -> None:
    bag.frames(1)
    assert runner.run(bag.write(), tmp_path / 'out', options=ORB)['frames'] == 1


def test_when_no_frame_can_be_used_the_reasons_are_given(bag, tmp_path: Path) -> None:
    bag.info(0)
    for index in range(3):
        bag.image(index, encoding='h264')
    with pytest.raises(BagError, match=r"no frame could be used: 3 x image: unknown image encoding 'h264'"):
        runner.run(bag.write(), tmp_path / 'out', options=ORB)


def test_ground_truth_that_does_not_fit(demo_bag, tmp_path: Path) -> None:
    truth = tmp_path / 'truth.tum'
    for content, reason in (
        ('9000 0 0 0 0 0 0 1\n', 'no estimated pose'), ('hello\n', 'line 1'), ('', 'no poses'),
    ):
        truth.write_text(content)
        with pytest.raises(BagError, match=rf'--ground-truth .*truth.tum.*{reason}'):
            runner.run(demo_bag.bag, tmp_path / 'out', options=replace(ORB, ground_truth=truth))
        if reason == 'no estimated pose':
            # Found out at the end: nothing else is lost.
            summary = json.loads((tmp_path / 'out/summary.json').read_text())
            assert summary['tracked_frames'] == demo_bag.frames - 1 and 'ate' not in summary
            assert (tmp_path / 'out/overview.png').exists()


def test_nothing_that_is_not_ours_is_overwritten(demo_bag, bag, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    with pytest.raises(BagError, match='--out'):
        runner.run(demo_bag.bag, tmp_path / 'file', options=ORB)
    (tmp_path / 'out' / 'result').mkdir(parents=True)
    (tmp_path / 'out' / 'result' / 'precious.txt').touch()
    with pytest.raises(BagError, match='in the way'):
        runner.run(demo_bag.bag, tmp_path / 'out', options=ORB)
    bag.path = tmp_path / 'result'
    bag.frames(2)
    source = bag.write()
    with pytest.raises(BagError, match='would be overwritten'):
        runner.run(source, tmp_path, options=ORB)
    assert source.is_dir()


def test_an_interrupted_run_keeps_what_it_has(demo_bag, tmp_path: Path) -> None:
    def stop_after(frames: int) -> Callable[[], None]:
        left = iter(range(frames))

        def count() -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt
        return count

    summary = runner.run(demo_bag.bag, tmp_path, options=ORB, on_frame=stop_after(5))
    assert summary['interrupted'] and summary['frames'] == 5
    with open_bag(tmp_path / 'result') as reader:
        assert {topic.count for topic in list_topics(reader) if topic.name == '/tf'} == {5}


def test_without_evo_a_ground_truth_is_refused_before_the_run(demo_bag, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(trajectory, 'find_spec', lambda name: None)
    with pytest.raises(RuntimeError, match='pip install evo'):
        runner.run(demo_bag.bag, tmp_path / 'out', options=RunOptions('orb', ground_truth=demo_bag.truth))
    assert not (tmp_path / 'out').exists()


def test_a_result_that_cannot_be_written_is_named_and_the_rest_kept(demo_bag, tmp_path: Path, monkeypatch) -> None:
    write, left = Recorder.write, iter(range(8))

    def full(*arguments: object) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(*arguments)

    monkeypatch.setattr(Recorder, 'write', full)
    with pytest.raises(BagError, match=r'result: cannot be written .No space left on device.*9 frames'):
        runner.run(demo_bag.bag, tmp_path, options=ORB)
    assert len(read_tum(tmp_path / 'trajectory.tum')[0]) > 5
    assert json.loads((tmp_path / 'summary.json').read_text())['interrupted']


def test_a_run_that_is_terminated_keeps_what_it_has(demo_bag, tmp_path: Path) -> None:
    """`docker stop` and launch files do that."""
    process = subprocess.Popen(
        [sys.executable, '-c', SLOWLY, 'run', demo_bag.bag, '--out', tmp_path, '--features', 'orb'],
        stdout=subprocess.PIPE, text=True)
    assert [process.stdout.readline() for _ in range(3)] == ['frame\n'] * 3
    process.terminate()
    assert process.wait(60) == 130
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['interrupted'] and 0 < summary['frames'] < demo_bag.frames
    process.stdout.close()


SLOWLY = """
import sys, time
from superslam_ros.cli import main as cli
from superslam_ros.offline import runner

run = runner.run

def slowly(*arguments, on_frame, **more):
    def pause():
        on_frame()
        print('frame', flush=True)
        time.sleep(0.5)
    return run(*arguments, on_frame=pause, **more)

runner.run = slowly
sys.exit(cli.main())
"""


def test_depth_that_contributes_nothing_is_in_summary_and_report(bag, tmp_path: Path, capsys) -> None:
    """Floating-point millimetres: an RGB-D run without scale says that it is one."""
    bag.frames(3)
    for index in range(3):
        bag.image(index, np.full((48, 64), 2100, np.float32), '/cam/depth/image_rect')
    assert main(['run', str(bag.write()), '--features', 'orb', '--out', str(tmp_path / 'out')]) == 0
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert summary['mode'] == 'rgbd' and not summary['metric'] and 'millimetres' in summary['no_scale']
    assert 'no scale: ' in capsys.readouterr().out
