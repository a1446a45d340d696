"""The commands on inputs that are no bags."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from inputs import layouts
from superslam_ros.cli.main import main
from superslam_ros.inputs.shots import ImageOptions, shots, sources


def test_one_image_of_a_recording_is_matched(demo_bag, stereo_frames, camera_file, tmp_path: Path, capsys) -> None:
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    file = tmp_path / '5.png'
    layouts.write_image(file, stereo_frames[5].image)
    seen = {}
    for name, pair in (('video', (f'{video}:0', f'{video}:5')), ('bag', (f'{demo_bag.bag}:0', file))):
        assert main(['match', *map(str, pair), '--out', str(tmp_path / name), '--features', 'orb']) == 0
        result = json.loads((tmp_path / name / 'matches.json').read_text())
        assert len(result['matches']) > 50
        seen[name] = result['matches']
    assert seen['video'] == seen['bag'] and result['images'][0]['file'] == 'demo:0'
    capsys.readouterr()
    for path, reason in ((video, 'which of its images? Say it, as'), (f'{video}:77', 'has no image 77; there are 6'),
                         (tmp_path / 'x.png', 'x.png: no such image')):
        assert main(['match', str(path), str(file), '--out', str(tmp_path / 'm'), '--features', 'orb']) == 2
        assert reason in capsys.readouterr().err


def test_the_topic_of_an_image_may_be_said(demo_bag, tmp_path: Path) -> None:
    def keypoints(*more: str) -> list:
        image, out = f'{demo_bag.bag}:0', tmp_path / str(len(more))
        assert main(['match', image, image, '--out', str(out), '--features', 'orb', *more]) == 0
        return json.loads((out / 'matches.json').read_text())['images'][0]['keypoints']

    assert keypoints() != keypoints('--image', '/camera/right/image_rect')


def test_images_of_videos_and_data_sets_for_training(stereo_frames, true_poses, tmp_path: Path, capsys) -> None:
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    kitti = layouts.write_kitti(tmp_path / 'k', stereo_frames, true_poses)
    for path, stem, more in ((video, 'clip', []), (kitti, '07', ['--image', 'image_0'])):
        out = tmp_path / f'images_{stem}'
        assert main(['bag', 'images', str(path), '--out', str(out), '--every', '2', *more]) == 0
        assert sorted(file.name for file in out.glob('*.png')) == [f'{stem}_{n:06d}.png' for n in (0, 2, 4)]
        np.testing.assert_array_equal(cv2.imread(str(out / f'{stem}_000004.png'), 0), stereo_frames[4].image)
    arguments = ['train', 'label', '--images', str(video), str(kitti), '--out', str(tmp_path / 'labels'),
                 '--views', '1', '--size', '64', '64', '--top', '10', '--device', 'cpu']
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f'6 images in {tmp_path / "labels/images/clip.avi"}' in out
    assert f'6 images in {tmp_path / "labels/images/07"}' in out


def test_boards_are_looked_for_in_videos_and_data_sets(stereo_frames, true_poses, tmp_path: Path, capsys) -> None:
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    kitti = layouts.write_kitti(tmp_path / 'k', stereo_frames, true_poses)
    found = sources([video, kitti], ImageOptions())
    assert [source.count for source in found] == [6, 6]
    taken = list(shots(found, ImageOptions(every=3)))
    assert [shot.name for shot in taken] == [
        f'{video}:000000', f'{video}:000003', f'{kitti}:000000', f'{kitti}:000003']
    assert taken[0].camera is None and 'no calibration is given' in taken[0].problem
    np.testing.assert_allclose(taken[2].camera.K, stereo_frames[0].camera.K)
    assert taken[2].stamp_ns == stereo_frames[0].stamp_ns


def test_a_map_of_a_data_set_and_a_video_in_it(stereo_frames, true_poses, camera_file, tmp_path: Path, capsys) -> None:
    euroc = layouts.write_euroc(tmp_path / 'V1', stereo_frames, true_poses, np.eye(4))
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    fast = ['--set', 'extractor.max_keypoints=200']
    assert main(['map', 'build', str(euroc), '--out', str(tmp_path / 'room.map'), *fast]) == 0
    assert 'V1: 6 frames' in capsys.readouterr().out
    main(['map', 'localize', str(tmp_path / 'room.map'), str(video), '--out', str(tmp_path / 'out'),
          '--camera-info', str(camera_file), *fast])
    assert 'clip.avi in room.map: ' in capsys.readouterr().out


def test_info_of_what_is_no_bag(stereo_frames, true_poses, tmp_path: Path, capsys) -> None:
    euroc = layouts.write_euroc(tmp_path / 'V1', stereo_frames, true_poses, np.eye(4))
    video = layouts.write_video(tmp_path / 'clip.avi', [frame.image for frame in stereo_frames])
    assert main(['bag', 'info', str(euroc)]) == 0
    out = ' '.join(capsys.readouterr().out.split())
    assert 'V1: EuRoC, 6 images' in out and 'as stereo, not rectified: image cam0 right image cam1 calibration' in out
    assert 'ground truth data.csv, 6 poses imu 1 readings' in out
    assert main(['bag', 'info', str(video), '--json']) == 0
    assert json.loads(capsys.readouterr().out) == {
        'kind': 'video', 'mode': 'mono', 'rectified': False, 'topics': {'image': {'name': 'clip.avi'}}}
