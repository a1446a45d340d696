"""Folders of images and videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inputs import layouts
from inputs.test_data_sets import read
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.cli.main import main
from superslam_ros.inputs import folder
from superslam_ros.inputs.opening import open_frames

EPOCH = 1_403_636_579_000_000_000


def test_names_that_are_times(stereo_frames, camera_file, tmp_path: Path) -> None:
    for number, (scale, form) in enumerate(((1, '{}'), (10**3, 'left-{}'), (10**6, 'cam0_{}'))):
        images = tmp_path / str(number)
        images.mkdir()
        for frame in stereo_frames:
            layouts.write_image(images / f'{form.format((EPOCH + frame.stamp_ns) // scale)}.png', frame.image)
        found, _ = read(images, camera_file=camera_file)
        assert [frame.stamp_ns - EPOCH for frame in found] == [frame.stamp_ns for frame in stereo_frames]
        np.testing.assert_array_equal(found[3].image, stereo_frames[3].image)
        assert found[0].camera.K[0, 0] == stereo_frames[0].camera.K[0, 0]


def test_seconds_as_names_give_the_frames_of_the_bag(stereo_frames, camera_file, tmp_path: Path) -> None:
    (tmp_path / 'f').mkdir()
    for frame in stereo_frames:
        layouts.write_image(tmp_path / f'f/{frame.stamp_ns * 1e-9:.6f}.png', frame.image)
    found, skipped = read(tmp_path / 'f', camera_file=camera_file)
    assert not skipped and [frame.stamp_ns for frame in found] == [frame.stamp_ns for frame in stereo_frames]


def test_numbered_images_are_sorted_as_people_do_and_come_at_a_rate(stereo_frames, tmp_path: Path, caplog) -> None:
    (tmp_path / 'f').mkdir()
    for number, frame in enumerate(stereo_frames):
        layouts.write_image(tmp_path / f'f/Image {8 + number}.png', frame.image)
    found, _ = read(tmp_path / 'f')
    assert [frame.stamp_ns for frame in found] == [number * 100_000_000 for number in range(6)]
    np.testing.assert_array_equal(found[2].image, stereo_frames[2].image)
    assert '10 images a second are assumed; --rate HZ' in caplog.text
    found, _ = read(tmp_path / 'f', rate_hz=4.0)
    assert found[1].stamp_ns == 250_000_000


def test_a_rate_that_is_given_is_used_though_the_names_are_times(stereo_frames, tmp_path: Path) -> None:
    layouts.write_folder(tmp_path / 'f', stereo_frames, str(EPOCH // 10**10) + '{}')
    found, _ = read(tmp_path / 'f', rate_hz=20.0)
    assert found[1].stamp_ns == 50_000_000


def test_mixed_sizes_and_files_that_are_no_images(stereo_frames, tmp_path: Path) -> None:
    layouts.write_folder(tmp_path / 'f', stereo_frames)
    layouts.write_image(tmp_path / 'f/2.png', np.zeros((100, 200), np.uint8))
    (tmp_path / 'f/3.jpg').write_bytes(b'')
    found, skipped = read(tmp_path / 'f', rate_hz=1.0, camera_file=None)
    assert len(found) == 1 and 'the file cannot be read as an image' in ' '.join(skipped)
    assert 'image and its calibration do not belong together (first: the image is 320x240, its calibration 200x100)' \
        in skipped
    with pytest.raises(BagError, match='none of its 1 images can be read'):
        for file in (tmp_path / 'f').glob('*.png'):
            file.unlink()
        read(tmp_path / 'f', rate_hz=1.0)


def test_the_calibration_of_another_size_is_refused_at_once(stereo_frames, tmp_path: Path, camera_file) -> None:
    (tmp_path / 'f').mkdir()
    layouts.write_image(tmp_path / 'f/1.png', np.zeros((480, 640), np.uint8))
    with pytest.raises(BagError, match=r'first image is 640x480, its calibration 320x240 .*camera\.yaml'):
        read(tmp_path / 'f', camera_file=camera_file)


def test_the_results_do_not_go_among_the_images(stereo_frames, tmp_path: Path, capsys) -> None:
    images = layouts.write_folder(tmp_path / 'f', stereo_frames)
    assert main(['run', str(images), '--out', str(images), '--features', 'orb']) == 2
    assert 'is the recording itself' in capsys.readouterr().err and len(list(images.iterdir())) == 6


def test_images_of_16_bits_are_stretched(tmp_path: Path) -> None:
    (tmp_path / 'f').mkdir()
    rng = np.random.default_rng(0)
    layouts.write_image(tmp_path / 'f/1.png', rng.integers(7000, 7500, (48, 64)).astype(np.uint16))
    found, _ = read(tmp_path / 'f', rate_hz=1.0)
    assert np.ptp(found[0].image) > 150


def test_video(stereo_frames, camera_file, tmp_path: Path) -> None:
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames], 20.0)
    with open_frames(video, ReaderOptions(camera_file=camera_file)) as frames:
        assert (frames.kind, frames.mode, frames.count, frames.calibration) == ('video', 'mono', 6, 'camera.yaml')
        for _ in range(2):
            found = [recorded.frame for recorded in frames]
            assert [frame.stamp_ns for frame in found] == [number * 50_000_000 for number in range(6)]
            for one, other in zip(found, stereo_frames):
                np.testing.assert_array_equal(one.image, other.image)
        assert not frames.damage and not frames.guessed
    found, _ = read(video, rate_hz=5.0)
    assert found[2].stamp_ns == 400_000_000


def test_the_guess_of_the_focal_length_is_said_loudly(stereo_frames, tmp_path: Path, capsys) -> None:
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    assert main(['run', str(video), '--out', str(tmp_path / 'out'), '--features', 'orb']) == 0
    out, err = capsys.readouterr()
    assert 'guessed: the focal length is a guess (251 px' in out and 'the focal length is a guess' in err
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert summary['calibration_from'] == 'guessed' and '--camera-info FILE' in summary['guessed']
    assert (summary['kind'], summary['bag'], summary['images']) == ('video', 'clip.avi', 6)


def test_a_truncated_video_gives_what_is_there_and_is_called_damaged(tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(0)
    video = layouts.write_video(tmp_path / 'clip.avi', [
        rng.integers(0, 255, (96, 128), dtype=np.uint8) for _ in range(20)])
    video.write_bytes(video.read_bytes()[:video.stat().st_size * 6 // 10])
    with open_frames(video) as frames:
        found = list(frames)
        assert 5 < len(found) < 15
        damage, = frames.damage
    assert 'says that it has 20' in damage
    assert main(['run', str(video), '--out', str(tmp_path / 'out'), '--features', 'orb']) == 1
    assert 'damaged: it ends after' in capsys.readouterr().out
    video.write_bytes(b'RIFF nothing')
    with pytest.raises(BagError, match='cannot be decoded as a video'):
        read(video)


def test_images_are_recorded_with_their_calibration(stereo_frames, camera_file, tmp_path: Path) -> None:
    """The result bag of a video can be run itself, and gives the same trajectory."""
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    common = ['--features', 'orb', '--camera-info', str(camera_file)]
    assert main(['run', str(video), '--out', str(tmp_path / 'a'), '--record-images', *common]) == 0
    found, skipped = read(tmp_path / 'a/result')
    # ROS takes the time 0 for none.
    assert len(found) == 5 and list(skipped.values()) == [1]
    np.testing.assert_array_equal(found[0].image, stereo_frames[1].image)
    assert found[0].camera.same(stereo_frames[0].camera)


def test_natural_order() -> None:
    names = ['a10.png', 'a2.png', 'A1.png', '7.png', '07.png']
    assert [file.name for file in sorted(map(Path, names), key=folder._natural)] == [
        '07.png', '7.png', 'A1.png', 'a2.png', 'a10.png']
