"""Stereo images in two folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from inputs import layouts
from inputs.test_data_sets import read
from superslam_ros.bags.files import BagError
from superslam_ros.cli.main import main
from superslam_ros.data import Frame

EPOCH = 1_403_636_579_000_000_000


@pytest.fixture
def files(stereo_frames, tmp_path: Path) -> dict[str, Path]:
    """Return the calibration of both cameras, as options of a reader."""
    return {name: layouts.write_camera_yaml(tmp_path / f'{name}.yaml', camera) for name, camera in (
        ('camera_file', stereo_frames[0].camera), ('right_camera_file', stereo_frames[0].right_camera))}


def write(folder: Path, frames: list[Frame], name: Callable[[int, Frame], str], right: bool = False) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        layouts.write_image(folder / f'{name(number, frame)}.png', frame.right_image if right else frame.image)
    return folder


def same(found: list[Frame], frames: list[Frame]) -> bool:
    return len(found) == len(frames) and all(
        np.array_equal(one.image, other.image) and np.array_equal(one.right_image, other.right_image)
        for one, other in zip(found, frames))


@pytest.mark.parametrize(('left', 'right'), [
    (lambda n, frame: f'{n:04d}', lambda n, frame: f'{n:04d}'),
    (lambda n, frame: f'Left_{n}', lambda n, frame: f'right_{n}'),
    (lambda n, frame: f'a{n}', lambda n, frame: f'b{n}'),
    (lambda n, frame: str(EPOCH + frame.stamp_ns), lambda n, frame: str(EPOCH + frame.stamp_ns + 900_000))],
    ids=['the same names', 'named by side', 'in order', 'times of two clocks'])
def test_what_belongs_together(stereo_frames, files, tmp_path: Path, left, right) -> None:
    write(tmp_path / 'both/left', stereo_frames, left)
    write(tmp_path / 'both/right', stereo_frames, right, right=True)
    found, skipped = read(tmp_path / 'both', **files)
    assert same(found, stereo_frames) and not skipped
    assert found[0].right_camera.baseline_m == pytest.approx(stereo_frames[0].right_camera.baseline_m)
    assert found[0].right_camera.frame_id == 'right_optical'
    for where in ('right', str(tmp_path / 'both/right')):       # beside the left one, and from here
        assert same(read(tmp_path / 'both/left', right_image=where, **files)[0], stereo_frames)
    assert found[1].stamp_ns - found[0].stamp_ns in (100_000_000, stereo_frames[1].stamp_ns - stereo_frames[0].stamp_ns)


def test_images_without_a_partner_are_left_out(stereo_frames, files, tmp_path: Path) -> None:
    write(tmp_path / 'image_0', stereo_frames, lambda n, frame: f'{n:06d}')
    write(tmp_path / 'image_1', stereo_frames, lambda n, frame: f'{n + 1:06d}', right=True)
    found, skipped = read(tmp_path, **files)
    assert len(found) == len(stereo_frames) - 1
    assert skipped['right image: there is no left image of its name (first: 000006.png)'] == 1
    assert sum(skipped.values()) == 2


def test_what_is_missing_is_said(stereo_frames, files, tmp_path: Path, capsys) -> None:
    left = write(tmp_path / 'left', stereo_frames, lambda n, frame: f'a{n}')
    write(tmp_path / 'right', stereo_frames[1:], lambda n, frame: f'b{n}', right=True)
    with pytest.raises(BagError, match=r'holds 6 images and .*right 5, and no names are the same'):
        read(tmp_path, **files)
    assert len(read(tmp_path / 'left', mode='mono', **{'camera_file': files['camera_file']})[0]) == 6
    for options, reason in (({'right_image': 'nowhere'}, '--right-image nowhere: is no folder with images'),
                            ({'right_image': str(left)}, 'is the folder of the left images'),
                            ({'mode': 'stereo'}, 'images without --right-image FOLDER, which has mono only')):
        with pytest.raises(BagError, match=reason):
            read(left, **options)
    (tmp_path / 'right/b9.png').write_bytes((tmp_path / 'right/b0.png').read_bytes())
    with pytest.raises(BagError, match='nothing says what the left camera is; give --camera-info FILE, or --mode mono'):
        read(tmp_path)


def test_commands(stereo_frames, files, tmp_path: Path, capsys) -> None:
    left = write(tmp_path / 'left', stereo_frames, lambda n, frame: f'{n}')
    write(tmp_path / 'right', stereo_frames, lambda n, frame: f'{n}', right=True)
    given = ['--camera-info', str(files['camera_file']), '--right-camera-info', str(files['right_camera_file'])]
    out = ['--features', 'orb', '--out', str(tmp_path / 'out')]
    assert main(['run', str(left), '--right', 'right', *given, *out]) == 0
    assert 'left: stereo, orb; 6 frames' in capsys.readouterr().out
    assert main(['match', f'{tmp_path}:0', f'{tmp_path}:5', *out]) == 0
