"""EuRoC, TUM RGB-D and KITTI as they are downloaded: the same frames as from the bag they were written of."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from inputs import layouts
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Frame
from superslam_ros.geometry.pose import compose, inverse, rotation_exp, rotation_log
from superslam_ros.geometry.tum import read_tum
from superslam_ros.inputs.opening import open_frames
from superslam_ros.offline import runner
from superslam_ros.offline.runner import RunOptions

T_BODY_LEFT = np.array([[0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1.0]])


@pytest.fixture
def euroc(stereo_frames, true_poses, tmp_path: Path) -> Path:
    return layouts.write_euroc(tmp_path / 'V1_01_easy', stereo_frames, true_poses, T_BODY_LEFT)


@pytest.fixture
def tum(depth_frames, demo_bag, tmp_path: Path) -> Path:
    return layouts.write_tum(tmp_path / 'rgbd_dataset_freiburg1_desk', depth_frames, demo_bag.truth)


@pytest.fixture
def kitti(stereo_frames, true_poses, tmp_path: Path) -> Path:
    return layouts.write_kitti(tmp_path / 'dataset', stereo_frames, true_poses)


def read(path: Path, **options) -> tuple[list[Frame], dict[str, int]]:
    with open_frames(path, ReaderOptions(**options)) as frames:
        return [recorded.frame for recorded in frames], dict(frames.skipped)


def assert_same(found: list[Frame], expected: list[Frame]) -> None:
    assert [frame.stamp_ns for frame in found] == [frame.stamp_ns for frame in expected]
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one.image, other.image)
        if other.right_image is not None:
            np.testing.assert_array_equal(one.right_image, other.right_image)
            assert one.right_camera.baseline_to(one.camera) == pytest.approx(other.right_camera.baseline_m)
        if other.depth_m is not None:
            np.testing.assert_allclose(one.depth_m, np.where(other.depth_m > 0, other.depth_m, np.nan), rtol=1e-6)


def test_euroc(euroc, stereo_frames, true_poses) -> None:
    with open_frames(euroc) as frames:
        assert (frames.kind, frames.mode, frames.rectified, frames.count) == ('EuRoC', 'stereo', False, 6)
        assert frames.streams == {'image': 'cam0', 'right_image': 'cam1'} and frames.calibration == 'sensor.yaml'
        found = [recorded.frame for recorded in frames]
        truth, imu = frames.truth(), frames.imu()
    assert_same(found, stereo_frames)
    np.testing.assert_allclose(found[0].camera.P, stereo_frames[0].camera.P, atol=1e-9)
    np.testing.assert_allclose(truth.poses, true_poses, atol=1e-9)
    assert truth.stamps_ns.tolist() == [frame.stamp_ns for frame in stereo_frames]
    np.testing.assert_allclose(imu.T_imu_camera, T_BODY_LEFT, atol=1e-12)
    assert imu.angular_rad_s.tolist() == [[0.1, 0.2, 0.3]] and imu.linear_m_s2.tolist() == [[9, 0.5, 0.6]]
    assert imu.stamps_ns.tolist() == [1_000_000_000]


def test_kitti(kitti, stereo_frames, true_poses) -> None:
    with open_frames(kitti) as frames:
        assert (frames.kind, frames.mode, frames.rectified, frames.calibration) == (
            'KITTI', 'stereo', True, 'calib.txt')
        found, truth = [recorded.frame for recorded in frames], frames.truth()
    assert_same(found, stereo_frames)
    np.testing.assert_allclose(truth.poses, true_poses, atol=1e-8)
    assert truth.file.name == '07.txt'


def test_tum(tum, depth_frames, camera_file) -> None:
    with open_frames(tum, ReaderOptions(camera_file=camera_file)) as frames:
        assert (frames.kind, frames.mode, frames.rectified, frames.calibration) == (
            'TUM RGB-D', 'rgbd', False, 'camera.yaml')
        assert frames.truth().poses.shape == (20, 4, 4)
        assert_same([recorded.frame for recorded in frames], depth_frames)


def test_the_trajectory_is_that_of_the_bag_with_the_ground_truth_of_the_data_set(
    demo_bag, stereo_frames, euroc, kitti, tmp_path: Path,
) -> None:
    results = {}
    for name, path in (('bag', demo_bag.bag), ('euroc', euroc), ('kitti', kitti)):
        summary = runner.run(path, tmp_path / name, options=RunOptions('orb', ReaderOptions(mode='stereo')))
        lines = (tmp_path / name / 'trajectory.tum').read_text().splitlines()[:len(stereo_frames)]
        results[name] = lines
        assert summary['ground_truth'] == {'bag': 'demo.tum', 'euroc': 'data.csv', 'kitti': '07.txt'}[name]
        if name != 'bag':
            assert summary['ate']['pairs'] == len(stereo_frames) and summary['ate']['rmse_m'] < 0.1
    assert results['euroc'] == results['bag'] and results['kitti'] == results['bag']


def test_another_camera_of_a_data_set(euroc, kitti, stereo_frames) -> None:
    for path, name in ((euroc, 'cam1'), (kitti, 'image_1')):
        with open_frames(path, ReaderOptions(image=name)) as frames:
            assert (frames.mode, frames.streams) == ('mono', {'image': name})
            found, truth = next(iter(frames)).frame, frames.truth()
        np.testing.assert_array_equal(found.image, stereo_frames[0].right_image)
        moved = np.linalg.norm(truth.poses[0] - open_truth(path).poses[0])
        assert moved == pytest.approx(stereo_frames[0].right_camera.baseline_m, rel=1e-6)
        with pytest.raises(BagError, match=r'--image cam7: .* has (cam0, cam1|image_0, image_1)'):
            read(path, image='cam7')


def open_truth(path: Path):
    with open_frames(path) as frames:
        return frames.truth()


def test_the_calibration_of_a_freiburg_camera_is_known_by_the_name_of_the_folder(tum, tmp_path: Path) -> None:
    """Its images are of 640x480, and those of the demo are not."""
    with pytest.raises(BagError, match=r'image is 320x240, its calibration 640x480 \(that of freiburg1'):
        read(tum)
    other = tum.rename(tmp_path / 'desk')
    with open_frames(other) as frames:
        assert 'focal length is a guess' in frames.guessed


def test_right_images_that_are_missing_leave_the_frames_out(euroc, kitti, stereo_frames, caplog) -> None:
    (euroc / f'mav0/cam1/data/{stereo_frames[2].stamp_ns}.png').unlink()
    found, skipped = read(euroc)
    assert len(found) == 5
    assert skipped == {f'right image: the file is missing (first: {stereo_frames[2].stamp_ns}.png)': 1}
    (kitti / 'image_1/000003.png').unlink()
    (kitti / 'image_0/000004.png').write_bytes(b'no image')
    found, skipped = read(kitti)
    assert len(found) == 4 and list(skipped.values()) == [1, 1]
    assert [reason for reason in skipped if 'no right image within 5 ms' in reason]
    assert 'image: the file cannot be read as an image (first: 000004.png)' in skipped


def test_without_the_right_camera_it_is_mono_and_stereo_cannot_be_had(euroc, kitti) -> None:
    for path, right in ((euroc, euroc / 'mav0/cam1'), (kitti, kitti / 'image_1')):
        shutil.rmtree(right)
        with open_frames(path) as frames:
            assert frames.mode == 'mono'
        with pytest.raises(BagError, match=r'--mode stereo: .* without right images'):
            read(path, mode='stereo')


def test_lines_of_a_table_that_are_none_are_left_out_and_counted(euroc, tum, camera_file) -> None:
    table = euroc / 'mav0/cam0/data.csv'
    table.write_text(table.read_text() + 'soon,1.png\n12\n-5,2.png\n')
    found, skipped = read(euroc)
    reason, = skipped
    assert len(found) == 6 and skipped[reason] == 3
    assert reason.startswith("image: a line of data.csv is no time and file (first: line 8: ")
    table.write_text('#timestamp [ns],filename\nsoon,1.png\n')
    with pytest.raises(BagError, match=r'data\.csv: no line of it is a time and the name of a file'):
        read(euroc)
    (tum / 'depth.txt').write_text((tum / 'depth.txt').read_text() + 'nan depth/1.png\n')
    found, skipped = read(tum, camera_file=camera_file)
    assert len(found) == 6 and list(skipped.values()) == [1]


def test_unequal_counts(kitti) -> None:
    lines = (kitti / 'times.txt').read_text().splitlines()
    (kitti / 'times.txt').write_text('\n'.join(lines[:4]) + '\n')
    found, skipped = read(kitti)
    assert len(found) == 4
    assert skipped == {'image: times.txt has no line of this number (first: 000004.png)': 2,
                       'right image: times.txt has no line of this number (first: 000004.png)': 2}
    with open_frames(kitti) as frames, pytest.raises(BagError, match=r'6 poses, and times\.txt has 4 lines'):
        frames.truth()
    (kitti / 'times.txt').write_text('0.0\nsoon\n')
    with pytest.raises(BagError, match=r'times\.txt, line 2'):
        read(kitti)


def test_ground_truth_that_cannot_be_read_does_not_stop_the_run(euroc, tmp_path: Path, caplog) -> None:
    truth = euroc / 'mav0/state_groundtruth_estimate0/data.csv'
    truth.write_text(truth.read_text() + '1,2\n')
    summary = runner.run(euroc, tmp_path / 'out', options=RunOptions('orb', ReaderOptions(mode='mono')))
    assert 'ate' not in summary and 'data.csv, line 8: expected time, p_x' in caplog.text


def test_a_pair_without_calibration_says_what_to_give(euroc, kitti) -> None:
    (euroc / 'mav0/cam1/sensor.yaml').unlink()
    with pytest.raises(BagError, match=r'nothing says what the left camera is; give --camera-info FILE'):
        read(euroc)
    (kitti / 'calib.txt').write_text('P0: 1 2 3\n')
    with pytest.raises(BagError, match=r'calib\.txt, line 1: expected P0: and 12 numbers'):
        read(kitti)


def test_one_camera_of_a_raw_pair_is_not_replaced_alone(euroc, kitti, camera_file, stereo_frames) -> None:
    with pytest.raises(BagError, match='rectified together: give --camera-info and --right-camera-info'):
        read(euroc, camera_file=camera_file)
    found, _ = read(kitti, camera_file=camera_file)
    assert found[0].right_camera.baseline_m == pytest.approx(stereo_frames[0].right_camera.baseline_m)
    assert read(euroc, camera_file=camera_file, mode='mono')[0][0].camera.K[0, 0] == stereo_frames[0].camera.K[0, 0]


@pytest.mark.parametrize('options, reason', [
    ({'depth': '/depth'}, '--depth: says nothing of'), ({'receive_time': True}, '--receive-time: says nothing of'),
    ({'mode': 'rgbd'}, 'which has mono and stereo only'), ({'rate_hz': 5.0}, '--rate: says nothing of'),
    ({'mask': '/mask'}, '--mask: says nothing of')])
def test_options_that_say_nothing_of_it_are_refused(euroc, options, reason) -> None:
    with pytest.raises(BagError, match=reason):
        read(euroc, **options)


def test_a_folder_that_is_nothing_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('nothing')
    with pytest.raises(BagError, match=r'nothing in this folder is known; looked for: metadata\.yaml .*mav0/cam0/.*'
                                       r'rgb\.txt.*times\.txt.*\.png'):
        read(tmp_path)
    with pytest.raises(BagError, match='no such recording; give a rosbag2 folder'):
        read(tmp_path / 'nothing')
    with pytest.raises(BagError, match='neither a bag nor a video'):
        read(tmp_path / 'notes.txt')


def test_what_is_nearly_right_is_answered_with_what_is(euroc, kitti, tmp_path: Path, caplog) -> None:
    (tmp_path / 'V1.zip').write_bytes(b'PK')
    (tmp_path / 'V1.tar.gz').write_bytes(b'')
    for path, reason in ((kitti.parent.parent, f'; there is {kitti}: give that'),
                         (euroc / 'mav0/cam0', f'is a part of the data set {euroc / "mav0"}: give that'),
                         (tmp_path / 'V1.zip', 'is an archive; unpack it'), (tmp_path / 'V1.tar.gz', 'is an archive'),
                         (Path('/dev/video77'), 'a camera is camera:/dev/video77'),
                         (Path('7'), 'a camera is camera:7')):
        with pytest.raises(BagError, match=re.escape(reason)):
            read(path)
    assert read(kitti / 'image_0', rate_hz=10.0)[0][0].right_image is None
    assert f'is a part of the data set {kitti}, whose times and calibration are not used' in caplog.text


def test_an_imu_makes_odom_level(euroc, stereo_frames, true_poses, tmp_path: Path) -> None:
    """The unit is turned by T_BS; before and after the frames it rests."""
    T_body_imu = compose(rotation_exp([0.3, -0.2, 0.5]), np.zeros(3))
    R_world_imu = [(T @ inverse(T_BODY_LEFT) @ T_body_imu)[:3, :3] for T in true_poses]
    stamps = [frame.stamp_ns for frame in stereo_frames]
    stamps, R_world_imu = [stamps[0] - 900_000_000, *stamps, stamps[-1] + 1_100_000_000], \
        [R_world_imu[0], *R_world_imu, R_world_imu[-1]]
    rows = ['#timestamp [ns],w_x,w_y,w_z,a_x,a_y,a_z']
    for i, (start, end) in enumerate(zip(stamps, stamps[1:])):
        step = rotation_log(R_world_imu[i].T @ R_world_imu[i + 1])
        for at in range(start, end, 5_000_000):
            R = R_world_imu[i] @ rotation_exp(step * (at - start) / (end - start))
            rows.append(','.join(map(str, [at, *step / ((end - start) * 1e-9), *R.T @ [0, 0, 9.81]])))
    (euroc / 'mav0/imu0/sensor.yaml').write_text(f'T_BS: {{data: {T_body_imu.ravel().tolist()}}}\n')
    (euroc / 'mav0/imu0/data.csv').write_text('\n'.join(rows) + '\n')
    runner.run(euroc, tmp_path / 'out', options=RunOptions('orb', ReaderOptions(mode='mono'), imu=True))
    found_ns, found = read_tum(tmp_path / 'out/trajectory.tum')
    up, true = found[0][2, :3], true_poses[stamps.index(found_ns[0]) - 1][2, :3]
    assert np.degrees(np.arccos(min(1.0, up @ true))) < 0.5


def test_an_imu_that_is_not_there_is_said(euroc, kitti, tmp_path: Path) -> None:
    for path, said in ((kitti, 'KITTI inputs have none'), (euroc, 'not in order, or fewer than two')):
        with pytest.raises(BagError, match=said):
            runner.run(path, tmp_path / 'out', options=RunOptions('orb', ReaderOptions(mode='mono'), imu=True))
