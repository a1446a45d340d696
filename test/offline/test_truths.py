"""Which true trajectory a recording is compared with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from inputs import layouts

from superslam_ros.cli.main import main
from superslam_ros.geometry import tum


@pytest.fixture
def pairs(demo_bag, tmp_path: Path) -> Path:
    """Return a sequence without poses of its own, with those of the bag beside it."""
    frames = layouts.frames_of(demo_bag.bag, 'stereo')[:5]
    folder = layouts.write_kitti(tmp_path, frames, tum.read_tum(demo_bag.truth)[1][:5], 'walk')
    shutil.rmtree(tmp_path / 'poses')
    shutil.copy(demo_bag.truth, folder.with_name('walk.tum'))
    return folder


def run(recording: Path, out: Path, *more: str) -> dict:
    assert main(['run', str(recording), '--features', 'orb', '--out', str(out), *more]) == 0
    return json.loads((out / 'summary.json').read_text())


def test_what_is_beside_a_recording(pairs: Path, tmp_path: Path, capsys) -> None:
    found = run(pairs, tmp_path / 'a')
    assert found['ground_truth'] == 'walk.tum' and found['ate']['rmse_m'] < 0.02
    assert '(walk.tum), RPE' in capsys.readouterr().out
    assert 'ate' not in run(pairs, tmp_path / 'b', '--ground-truth', 'none')
    assert 'walk.tum' not in ''.join(capsys.readouterr())


@pytest.mark.parametrize(('content', 'reason'), [
    ('9000 0 0 0 0 0 0 1\n', 'no estimated pose has a true one'), ('hello\n', 'line 1')])
def test_what_does_not_fit_is_said_and_left_out(
        pairs: Path, tmp_path: Path, capsys, content: str, reason: str) -> None:
    pairs.with_name('walk.tum').write_text(content)
    assert 'ate' not in run(pairs, tmp_path / 'out')
    assert reason in ' '.join(capsys.readouterr().err.split())
    assert main(['eval', 'odometry', str(pairs), '--features', 'orb']) == 0
    assert reason in ' '.join(capsys.readouterr().err.split())


def test_another_truth_makes_a_run_anew(pairs: Path, tmp_path: Path, capsys) -> None:
    """Of several recordings, what is done is not done again, unless what it is compared with has changed."""
    other = shutil.copytree(pairs, pairs.with_name('other'))
    words = ['run', str(pairs), str(other), '--features', 'orb', '--out', str(tmp_path / 'out')]
    for truth, before in ((False, 0), (False, 2), (True, 1)):
        if truth:
            shutil.copy(pairs.with_name('walk.tum'), pairs.with_name('other.tum'))
        assert main(words) == 0
        assert capsys.readouterr().out.count('done before') == before
