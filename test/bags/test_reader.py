"""Bags to frames: what is found, and what happens to what cannot be used."""

from __future__ import annotations

import json
import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from superslam_ros import worlds
from superslam_ros.bags.bag import BagError, open_bag
from superslam_ros.bags.calibration import write_camera
from superslam_ros.cli.main import main

DEPTH, LEFT, RIGHT = '/cam/depth/image', '/cam/left/image_rect', '/cam/right/image_rect'


def stereo(bag, count: int = 3, baseline: float = 0.1) -> None:
    left, right = worlds.stereo_pair(64, 48, baseline_m=baseline)
    for index in range(count):
        bag.info(index, left, '/cam/left/camera_info')
        bag.info(index, right, '/cam/right/camera_info')
        bag.image(index, topic=LEFT)
        bag.image(index, topic=RIGHT)


def test_mono(bag, read) -> None:
    bag.frames(3)
    frames, skipped = read(bag.write())
    assert [frame.stamp_ns for frame in frames] == [100_000_000, 200_000_000, 300_000_000]
    assert frames[0].image.shape == (48, 64)
    assert frames[0].camera.K[0, 0] == bag.camera.K[0, 0]
    assert not skipped


def test_stereo_with_the_baseline_of_P(bag, read) -> None:
    stereo(bag)
    frames, _ = read(bag.write())
    assert len(frames) == 3
    assert frames[0].right_camera.baseline_m == pytest.approx(0.1)
    assert not np.array_equal(frames[1].image, frames[0].image)


def test_a_right_image_that_is_missing_leaves_the_frame_out(bag, read) -> None:
    stereo(bag, 5)
    bag.messages = [m for m in bag.messages if not (m[0] == RIGHT and m[1] == 300_000_000)]
    frames, skipped = read(bag.write())
    assert len(frames) == 4
    assert skipped == {'no right image within 5 ms of the image (first: the nearest is 100.0 ms earlier)': 1}


def test_masks_come_with_their_images(bag, read) -> None:
    """An image without one is left out: what it would have masked is not to be believed."""
    bag.frames(4)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:] = 255
    for index in (0, 1, 3):
        bag.image(index, mask, topic='/cam/mask')
    frames, skipped = read(bag.write(), mask='/cam/mask')
    assert len(frames) == 3 and all((frame.mask == mask).all() for frame in frames)
    assert [*skipped] == ['no mask within 20 ms of the image (first: the nearest is 100.0 ms earlier)']
    with pytest.raises(BagError, match='no topic /mask in this bag'):
        read(bag.write(), mask='/mask')


def test_depth_with_stamps_of_its_own(bag, read) -> None:
    for index in range(4):
        bag.info(index)
        bag.image(index)
        depth = np.full((48, 64), index + 1, np.float32)
        stamp = (index + 1) * 100_000_000 + (-12_000_000 if index % 2 else 15_000_000)
        bag.image(index, depth, DEPTH, stamp_ns=stamp)
    frames, skipped = read(bag.write())
    assert [frame.depth_m[0, 0] for frame in frames] == [1, 2, 3, 4]
    assert not skipped
    _, skipped = read(bag.path, tolerance_s=0.001)
    assert skipped == {'no depth within 1 ms of the image (first: the nearest is 15.0 ms later)': 4}


def test_depth_of_nan_and_of_another_size(bag, read) -> None:
    for index, shape in enumerate([(48, 64), (24, 32)]):
        bag.info(index)
        bag.image(index)
        bag.image(index, np.full(shape, np.nan, np.float32), DEPTH)
    frames, skipped = read(bag.write())
    assert len(frames) == 1 and np.isnan(frames[0].depth_m).all()
    assert [reason for reason in skipped if 'register the depth' in reason]


@pytest.mark.parametrize('frame, warned', [('depth_optical', True), ('optical', False), ('', False)])
def test_depth_of_another_frame_is_warned_of(bag, read, caplog, frame: str, warned: bool) -> None:
    bag.frames(2)
    for index in range(2):
        bag.image(index, np.ones((48, 64), np.float32), DEPTH, header=bag.make.header((index + 1) * 100_000_000, frame))
    frames, _ = read(bag.write())
    assert frames[0].depth_m is not None and ('unless it is registered' in caplog.text) == warned


def test_baseline_of_two_cameras_that_are_measured_from_a_third(bag, read) -> None:
    """KITTI's colour pair: both P have an offset."""
    left, right = worlds.stereo_pair(64, 48, baseline_m=0.1)
    offset = np.array([[0, 0, 0, 0.03 * left.P[0, 0]], [0, 0, 0, 0], [0, 0, 0, 0]])
    for index in range(2):
        bag.info(index, replace(left, P=left.P + offset), '/cam/left/camera_info')
        bag.info(index, replace(right, P=right.P + offset), '/cam/right/camera_info')
        bag.image(index, topic=LEFT)
        bag.image(index, topic=RIGHT)
    frames, _ = read(bag.write())
    assert frames[0].right_camera.baseline_to(frames[0].camera) == pytest.approx(0.1)


def test_a_camera_file_does_not_rename_the_frame(bag, read, tmp_path: Path) -> None:
    """Its camera_name is that of the device."""
    file = tmp_path / 'camera.yaml'
    file.write_text('{image_width: 64, image_height: 48, camera_name: narrow, '
                    'camera_matrix: [60, 0, 32, 0, 60, 24, 0, 0, 1]}')
    bag.frames(2)
    frames, _ = read(bag.write(), camera_file=file)
    assert frames[0].camera.frame_id == 'optical' and frames[0].camera.K[0, 0] == 60


def write_pair(tmp_path: Path, baseline: float = 0.3) -> tuple[Path, Path]:
    files = tmp_path / 'left.yaml', tmp_path / 'right.yaml'
    for file, camera in zip(files, worlds.stereo_pair(64, 48, baseline_m=baseline, focal_px=70.0)):
        write_camera(file, camera)
    return files


@pytest.mark.parametrize('given', [{'left'}, {'right'}, {'left', 'right'}])
def test_what_a_file_says_of_a_camera_no_message_takes_back(bag, read, tmp_path: Path, given: set[str]) -> None:
    stereo(bag, 4)
    left, right = write_pair(tmp_path)
    frames, skipped = read(bag.write(), camera_file=left if 'left' in given else None,
                           right_camera_file=right if 'right' in given else None)
    assert len(frames) == 4 and not skipped
    for frame in frames:
        assert frame.camera.K[0, 0] == pytest.approx(70.0 if 'left' in given else 54.4)
        assert frame.right_camera.K[0, 0] == pytest.approx(70.0 if 'right' in given else 54.4)
        assert frame.right_camera.baseline_m == pytest.approx(0.3 if 'right' in given else 0.1)
        assert 'left' not in given or frame.camera.frame_id == 'optical'     # that of the images, not of the file


def test_a_calibration_that_changes_does_not_replace_that_of_a_file(bag, read, tmp_path: Path, caplog) -> None:
    bag.frames(2)
    bag.info(2, worlds.pinhole(64, 48, focal_px=99.0))
    bag.image(2)
    write_camera(tmp_path / 'camera.yaml', worlds.pinhole(64, 48, focal_px=77.0))
    frames, _ = read(bag.write(), camera_file=tmp_path / 'camera.yaml')
    assert [frame.camera.K[0, 0] for frame in frames] == [77.0] * 3 and 'calibration changes' not in caplog.text


def test_a_file_and_a_topic_for_one_camera_contradict_each_other(bag, read, tmp_path: Path) -> None:
    stereo(bag)
    left, right = write_pair(tmp_path)
    with pytest.raises(BagError, match='--right-camera-info and --right-camera-info-topic both say'):
        read(bag.write(), right_camera_file=right, right_camera_info='/cam/right/camera_info')
    with pytest.raises(BagError, match='--camera-info and --camera-info-topic both say'):
        read(bag.path, camera_file=left, camera_info='/cam/left/camera_info')
    with pytest.raises(BagError, match=r'--right-camera-info .*: there is no right image'):
        read(bag.path, mode='mono', right_camera_file=right)


def test_camera_info_slower_and_later_than_the_images(bag, read) -> None:
    for index in range(5):
        bag.image(index)
    bag.info(4)
    frames, skipped = read(bag.write())
    assert len(frames) == 5 and all(frame.camera is not None for frame in frames) and not skipped


def test_calibration_that_changes_is_followed(bag, read, caplog) -> None:
    bag.frames(2)
    bag.info(2, worlds.pinhole(64, 48, focal_px=99.0))
    bag.image(2)
    frames, _ = read(bag.write())
    assert [frame.camera.K[0, 0] for frame in frames] == [54.4, 54.4, 99.0]
    assert 'calibration changes' in caplog.text


def test_camera_info_of_zeros(bag) -> None:
    bag.info(0, k=np.zeros(9))
    bag.image(0)
    with pytest.raises(BagError, match=r'/cam/camera_info: .*not calibrated.*--camera-info FILE'), \
            open_bag(bag.write()) as reader:
        from superslam_ros.bags.reader import BagFrames
        BagFrames(reader)


def test_one_bad_camera_info_leaves_the_last_in_force(bag, read, caplog) -> None:
    bag.frames(2)
    bag.info(2, k=np.zeros(9))
    bag.image(2)
    frames, skipped = read(bag.write())
    assert len(frames) == 3 and not skipped
    assert 'not calibrated' in caplog.text


def test_without_camera_info_the_error_says_what_to_do(bag, read) -> None:
    bag.image(0)
    with pytest.raises(BagError, match=r'no camera_info for /cam/image_raw .*--camera-info FILE.yaml'):
        read(bag.write())


def test_camera_info_of_another_size(bag, read) -> None:
    bag.info(0, worlds.pinhole(32, 24))
    bag.image(0)
    frames, skipped = read(bag.write())
    assert not frames and skipped == {
        'image and its calibration do not belong together (first: the image is 64x48, its calibration 32x24)': 1}


@pytest.mark.parametrize('changes, reason', [
    ({'encoding': 'h264'}, "image: unknown image encoding 'h264'"),
    ({'width': 0, 'height': 0, 'step': 0, 'data': np.zeros(0, np.uint8)},
     'image: image without pixels (first: its size is 0x0)'),
    ({'step': 10}, 'image: step is shorter than a row of the image (first: step 10; 64 pixels of mono8 are 64 bytes)'),
    ({'data': np.zeros(100, np.uint8)},
     'image: image has too few bytes of data (first: 100 bytes of data, 3072 expected for 64x48 mono8)'),
])
def test_an_image_that_cannot_be_read_is_left_out_once(bag, read, caplog, changes, reason) -> None:
    bag.frames(2)
    bag.info(2)
    bag.image(2, **changes)
    bag.frames(2, start=3)
    with caplog.at_level(logging.WARNING):
        frames, skipped = read(bag.write())
    assert len(frames) == 4
    assert skipped == {reason: 1}
    assert caplog.text.count(reason) == 1 and '/cam/image_raw' in caplog.text


def test_what_differs_from_message_to_message_is_one_entry(bag, read, caplog) -> None:
    """Sizes and counts of bytes stand in what is said of the first, and not in what is counted."""
    bag.info(0)
    for index in range(4):
        bag.image(index, data=np.zeros(100 + index, np.uint8))
        bag.image(index + 4, np.zeros((30 + index, 40), np.uint8))
        bag.image(index + 8, encoding='rgb8', step=192 - 1 - index, data=np.zeros(48 * 192, np.uint8))
    frames, skipped = read(bag.write())
    assert not frames and sorted(skipped.values()) == [4, 4, 4]
    assert caplog.text.count('said once') == 3


def test_binning_of_camera_info_is_applied(bag, read) -> None:
    for index in range(2):
        bag.info(index, worlds.pinhole(128, 96), binning_x=2, binning_y=2)
        bag.image(index)
    frames, skipped = read(bag.write())
    assert not skipped and frames[0].camera.image_size == (64, 48)
    np.testing.assert_allclose(frames[0].camera.K[:2], worlds.pinhole(128, 96).K[:2] / 2)


def test_levels_of_more_than_8_bits_keep_their_contrast(bag, read, caplog) -> None:
    bag.info(0)
    gray = np.random.default_rng(1).integers(0, 256, (48, 64), dtype=np.uint8)
    for index in range(3):
        bag.image(index, (7500 + 3 * gray.astype(np.uint16)), encoding='mono16')
    frames, _ = read(bag.write(), image='/cam/image_raw')
    assert all(np.ptp(frame.image) > 180 for frame in frames) and caplog.text.count('are stretched') == 1
    frames, _ = read(bag.path, image='/cam/image_raw', black_level=7500.0, white_level=8265.0)
    np.testing.assert_array_equal(frames[0].image, gray)


def test_a_leading_slash_makes_no_other_frame(bag, read, caplog) -> None:
    bag.frames(2)
    for index in range(2):
        header = bag.make.header((index + 1) * 100_000_000, 'optical')
        header.frame_id = '/optical'
        bag.image(index, np.ones((48, 64), np.float32), DEPTH, header=header)
    frames, _ = read(bag.write())
    assert frames[0].depth_m is not None and 'registered' not in caplog.text


def test_images_of_one_pixel_and_of_another_size_are_left_out(bag, read) -> None:
    bag.frames(2)
    bag.image(2, np.zeros((1, 1), np.uint8))
    bag.image(3, np.zeros((24, 32), np.uint8))
    bag.frames(1, start=4)
    frames, skipped = read(bag.write())
    assert len(frames) == 3
    assert sum(skipped.values()) == 2


def test_padding_big_endian_black_and_white(bag, read) -> None:
    bag.info(0)
    padded = np.pad(np.full((48, 64), 7, np.uint8), ((0, 0), (0, 16)))
    bag.image(0, step=80, data=padded.ravel())
    sixteen = np.full((48, 64), 0x1234, '>u2')
    bag.image(1, encoding='mono16', step=128, is_bigendian=1, data=np.frombuffer(sixteen.tobytes(), np.uint8))
    bag.image(2, np.zeros((48, 64), np.uint8))
    bag.image(3, np.full((48, 64), 255, np.uint8))
    frames, skipped = read(bag.write())
    assert [int(frame.image[5, 60]) for frame in frames] == [7, 0x12, 0, 255] and not skipped


def test_stamps_that_repeat_jump_back_or_are_zero(bag, read) -> None:
    bag.info(0)
    for index, stamp in enumerate([100, 200, 200, 150, 0, 300, -1]):
        bag.image(index, stamp_ns=stamp * 1_000_000)
    frames, skipped = read(bag.write())
    assert [frame.stamp_ns // 1_000_000 for frame in frames] == [100, 200, 200, 150, 300]
    assert list(skipped.values()) == [2] and 'stamp is zero' in next(iter(skipped))
    frames, skipped = read(bag.path, receive_time=True)
    assert [frame.stamp_ns // 1_000_000 for frame in frames] == [100, 200, 300, 400, 500, 600, 700] and not skipped


def test_a_stereo_bag_that_loops_is_paired_again(bag, read) -> None:
    left, right = worlds.stereo_pair(64, 48)
    bag.info(0, left, '/cam/left/camera_info')
    bag.info(0, right, '/cam/right/camera_info')
    for index in range(60):
        stamp = (index % 30 + 1) * 100_000_000
        bag.image(index, topic=RIGHT, stamp_ns=stamp)
        bag.image(index, topic=LEFT, stamp_ns=stamp)
    frames, skipped = read(bag.write())
    assert len(frames) == 60 and not skipped


@pytest.mark.parametrize('baseline', [0.0, -0.1])
def test_a_baseline_that_is_not_positive_is_refused(bag, read, baseline: float) -> None:
    stereo(bag, baseline=baseline)
    with pytest.raises(BagError, match=r'/cam/right/camera_info: .*baseline is not positive.*--mode mono'):
        read(bag.write())
    assert len(read(bag.path, mode='mono')[0]) == 3


def test_a_message_whose_bytes_are_damaged_is_left_out(bag, read) -> None:
    bag.frames(3)
    source, broken = bag.write(), bag.path.with_name('broken')
    with open_bag(source) as reader, Writer(broken, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        added = {c.topic: writer.add_connection(c.topic, c.msgtype, typestore=bag.make.store)
                 for c in reader.connections}
        for count, (connection, log_ns, raw) in enumerate(reader.messages()):
            writer.write(added[connection.topic], log_ns, raw[:40] if count == 3 else raw)
    frames, skipped = read(broken)
    assert len(frames) == 2 and skipped == {'image: message cannot be read': 1}


@pytest.mark.parametrize('plugin', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_both_storages_as_directory_and_as_file(bag, read, plugin: StoragePlugin) -> None:
    bag.frames(3)
    path = bag.path.with_name('other')
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        connections = {}
        for topic, log_ns, message in bag.messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=bag.make.store)
            writer.write(connections[topic], log_ns, bag.make.store.serialize_cdr(message, message.__msgtype__))
    assert len(read(path)[0]) == 3
    file = next(file for file in path.iterdir() if file.suffix != '.yaml')
    assert len(read(file)[0]) == 3
    (path / 'metadata.yaml').unlink()
    assert len(read(path)[0]) == 3


def test_a_bag_that_is_missing_empty_or_none(tmp_path: Path) -> None:
    (tmp_path / 'empty.mcap').touch()
    (tmp_path / 'notes.txt').write_text('hello')
    (tmp_path / 'noise.mcap').write_bytes(bytes(range(256)) * 40)
    (tmp_path / 'noise.db3').write_bytes(bytes(range(256)) * 40)
    (tmp_path / 'noise.bag').write_bytes(bytes(range(256)) * 40)
    (tmp_path / 'folder').mkdir()
    for name, reason in (
        ('nothing', 'no such bag'),
        ('empty.mcap', 'empty'),
        ('notes.txt', 'not a bag'),
        ('noise.mcap', 'cannot be read'),
        ('noise.db3', 'cannot be read'),
        ('noise.bag', 'cannot be read'),
        ('folder', 'neither metadata.yaml nor a file of a bag'),
    ):
        with pytest.raises(BagError, match=f'{name}.*{reason}'), open_bag(tmp_path / name):
            pass


def test_a_run_on_a_damaged_bag_says_so_and_leaves_out_what_is_damaged(demo_bag, tmp_path: Path) -> None:
    shutil.copytree(demo_bag.bag, tmp_path / 'demo')
    file = next((tmp_path / 'demo').glob('*.mcap'))
    content = bytearray(file.read_bytes())
    last_chunk = content.rindex(b'\x28\xb5\x2f\xfd')     # where zstd begins
    content[last_chunk] = 0xff
    file.write_bytes(content)
    assert main(['run', str(tmp_path / 'demo'), '--features', 'orb', '--out', str(tmp_path / 'out')]) == 1
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert re.search(r'demo.mcap: the messages in bytes \d+ to \d+ are lost', summary['damage'])
    assert 0 < summary['frames'] < demo_bag.frames and not summary['interrupted']


def test_a_bag_without_images_and_one_without_messages(bag, tmp_path: Path, read) -> None:
    bag.info(0)
    with pytest.raises(BagError, match=r'no image topic.*/cam/camera_info \(CameraInfo\)'):
        read(bag.write())
    with Writer(tmp_path / 'silent', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection('/cam/image_raw', 'sensor_msgs/msg/Image', typestore=bag.make.store)
    with pytest.raises(BagError, match=r'no image topic|cannot be read'):
        read(tmp_path / 'silent')


def test_named_topics_must_be_there(bag, read) -> None:
    bag.frames(1)
    with pytest.raises(BagError, match=r'no topic /nowhere in this bag; it has /cam/camera_info'):
        read(bag.write(), image='/nowhere')
