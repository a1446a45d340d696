"""What rerun is sent, read back from the file it makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from superslam_ros import viewer
from superslam_ros.cli.main import main
from superslam_ros.viewer import Viewer


def test_a_run_into_a_file(demo_bag, tmp_path: Path) -> None:
    """Images, keypoints, matches, path, map and figures of all frames are in it, by rerun's own reading."""
    pytest.importorskip('rerun')
    file = tmp_path / 'new/run.rrd'
    assert main(['run', str(demo_bag.bag), '--features', 'orb', '--mode', 'rgbd', '--out', str(tmp_path / 'out'),
                 '--save-rrd', str(file)]) == 0
    program = Path(sys.executable).with_name('rerun')
    said = subprocess.run([program, 'rrd', 'print', file], capture_output=True, text=True, check=True).stdout
    for entity in ('/world/camera/image/keypoints', '/world/camera/image/matches', '/world/path/0', '/world/landmarks',
                   '/world/keyframes', '/world/covariance', '/times/extract', '/counts/inliers'):
        assert entity in said, entity
    subprocess.run([program, 'rrd', 'verify', file], capture_output=True, check=True)


def test_without_rerun_or_with_an_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is named."""
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(RuntimeError, match=r'pip install "superslam_ros\[viewer\]"'):
        Viewer(viewer.NATIVE)
    monkeypatch.setitem(sys.modules, 'rerun', type(sys)('rerun'))
    with pytest.raises(RuntimeError, match='pip install --upgrade rerun-sdk'):
        Viewer(viewer.NATIVE)


@pytest.mark.parametrize('words, reason', [
    (['--view', 'web', '--save-rrd', 'OUT/a.rrd'], 'at once are not to be had'),
    (['--view', 'nowhere'], 'viewer nowhere'),
    (['--save-rrd', '/proc/a.rrd'], '/proc/a.rrd'),
    (['--export', 'obj'], 'is not one of kitti, csv, ply, colmap'),
])
def test_errors_are_one_line(demo_bag, tmp_path: Path, capsys, words: list[str], reason: str) -> None:
    pytest.importorskip('rerun')
    words = [word.replace('OUT', str(tmp_path)) for word in words]
    assert main(['run', str(demo_bag.bag), '--features', 'orb', '--out', str(tmp_path / 'out'), *words]) == 2
    err = capsys.readouterr().err
    assert reason in err and err.count('\n') == 1
