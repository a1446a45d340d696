"""The command line: what it prints, where it writes, how it fails."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros import worlds
from superslam_ros.bags.bag import open_bag
from superslam_ros.cli.main import main
from superslam_ros.evaluation import trajectory
from superslam_ros.offline import demo
from superslam_ros.version import VERSION


def test_run(demo_bag, tmp_path: Path, capsys) -> None:
    words = ['run', str(demo_bag.bag), '--out', str(tmp_path), '--features', 'orb', '--mode', 'rgbd',
             '--ground-truth', str(demo_bag.truth), '--set', 'extractor.max_keypoints=400']
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 0 and not err
    assert 'rgbd, orb; 20 frames' in out and 'ATE' in out and 'overview.png' in out
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['config']['extractor.max_keypoints'] == 400
    assert summary['keypoints']['max'] <= 400
    assert summary['version'] == VERSION and summary['weights'] == {}
    assert shlex.split(summary['command']) == ['superslam', *words]


def test_several_recordings(demo_bag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A folder each, by the default in superslam/; one table of all; what fails is in it; nothing is done twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'truths').mkdir()
    shutil.copy(demo_bag.truth, tmp_path / f'truths/{demo_bag.bag.name}.tum')
    shutil.copytree(demo_bag.bag, tmp_path / 'other')
    words = ['run', str(demo_bag.bag), 'other', 'nowhere', '--features', 'orb', '--mode', 'rgbd', '--ground-truth',
             'truths', '--jobs', '2']
    assert main(words) == 1
    table = Path('superslam/summary.csv').read_text().splitlines()
    rows = {row['recording']: row for row in csv.DictReader(table)}
    assert list(rows) == [demo_bag.bag.name, 'other', 'nowhere']
    assert float(rows[demo_bag.bag.name]['ate_m']) < 0.1 and rows['other']['ate_m'] == ''
    assert 'no such recording' in rows['nowhere']['remark']
    page = Path('superslam/summary.html').read_text()
    assert f'{demo_bag.bag.name}/overview.png' in page and 'no such recording' in page
    one, two = (Path('superslam') / name / 'trajectory.tum' for name in (demo_bag.bag.name, 'other'))
    assert one.read_bytes() == two.read_bytes()
    written = one.stat().st_mtime_ns
    capsys.readouterr()
    assert main(words[:2] + words[2:3] + words[4:]) == 0
    assert capsys.readouterr().out.count('done before') == 2 and one.stat().st_mtime_ns == written


def test_progress_in_a_terminal(demo_bag, tmp_path: Path) -> None:
    terminal, side = os.openpty()
    command = ['run', demo_bag.bag, '--features', 'orb', '--out', tmp_path]
    process = subprocess.Popen([sys.executable, '-m', 'superslam_ros.cli.main', *command],
                               stdout=subprocess.DEVNULL, stderr=side, env={**os.environ, 'TERM': 'xterm'})
    os.close(side)
    shown = b''
    with contextlib.suppress(OSError), open(terminal, 'rb', buffering=0) as screen:     # an error when it is closed
        while more := screen.read(4096):
            shown += more
    assert process.wait(60) == 0 and b'frames/s' in shown and b'Traceback' not in shown, shown


@pytest.mark.parametrize('arguments, reason', [
    (['run', 'nowhere.mcap', '--out', 'OUT'], 'nowhere.mcap: no such recording'),
    (['run', 'BAG', '--out', 'OUT', '--features', 'orb', '--image', '/nope'], 'no topic /nope'),
    (['run', 'BAG', '--out', 'OUT', '--set', 'extractor.nope=1'], 'extractor.nope'),
    (['run', 'BAG', '--out', 'OUT', '--set', 'extractor.weights=/no/such.pth'], '/no/such.pth'),
    (['run', 'BAG', '--out', 'OUT', '--config', 'nope.yaml'], 'nope.yaml'),
    (['run', 'BAG', '--out', 'OUT', '--features', 'orb', '--camera-info', 'nope.yaml'], 'nope.yaml'),
    (['run', 'BAG', '--out', 'OUT', '--sync-tolerance', '-1'], '--sync-tolerance'),
    (['match', 'a.png', 'b.png', '--out', 'OUT'], 'a.png: no such image'),
    (['bag', 'info', 'nowhere'], 'nowhere: no such recording'),
    (['bag', 'demo', '--out', 'OUT', '--frames', '1'], 'at least 2 frames'),
])
def test_errors_are_one_line_and_status_2(demo_bag, tmp_path: Path, capsys, arguments: list[str], reason: str) -> None:
    names = {'BAG': str(demo_bag.bag), 'OUT': str(tmp_path / 'out')}
    assert main([names.get(word, word) for word in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith('superslam: ') and err.count('\n') == 1 and reason in err


def test_bag_info(demo_bag, capsys) -> None:
    assert main(['bag', 'info', str(demo_bag.bag)]) == 0
    out = capsys.readouterr().out
    assert 'as stereo, rectified' in out
    assert '/camera/left/image_rect' in out and 'mono8, 320x240' in out and '16UC1' in out


def test_bag_info_says_what_is_missing(bag, capsys) -> None:
    bag.image(0)
    assert main(['bag', 'info', str(bag.write())]) == 0
    assert 'no camera_info for /cam/image_raw' in capsys.readouterr().out


def test_the_demo_bag_is_the_same_every_time(tmp_path: Path) -> None:
    for name in 'ab':
        demo.write_demo(tmp_path / name, demo.DemoOptions(frames=3, width=96, height=64, texels_per_metre=60))
    for file in ('demo/demo.mcap', 'demo/metadata.yaml', 'demo.tum'):
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes()


def test_bag_demo(tmp_path: Path, capsys) -> None:
    assert main(['bag', 'demo', '--out', str(tmp_path), '--frames', '2', '--size', '64', '64', '--seed', '3']) == 0
    out, err = capsys.readouterr()
    assert 'superslam run' in out and 'demo.tum' in out and not err
    assert main(['bag', 'info', str(tmp_path / 'demo')]) == 0


def test_bag_demo_of_a_building(tmp_path: Path, capsys, monkeypatch) -> None:
    small = {'length_m': 9.0, 'width_m': 8.0, 'corridor_m': 2.0, 'columns': 1, 'rows': 1, 'texels_per_metre': 20}
    monkeypatch.setattr(worlds, 'BuildingOptions', partial(worlds.BuildingOptions, **small))
    monkeypatch.setattr(worlds, 'Walk', partial(worlds.Walk, visits=(0,)))
    command = ['bag', 'demo', '--world', 'building', '--size', '64', '64', '--out', str(tmp_path)]
    assert main([*command, '--laps', '0.1', '--rate', '2', '--back', '--side', '0.2', '--light', 'night']) == 0
    poses = trajectory.read_tum(tmp_path / 'demo.tum')[1]
    assert f'{len(poses)} frames of 64x64 at 2 Hz' in capsys.readouterr().out
    expected = worlds.walk(worlds.BuildingOptions(), worlds.Walk(laps=0.1, rate_hz=2, back=True, side_m=0.2))
    np.testing.assert_allclose(poses, expected, atol=1e-6)
    assert main([*command, '--world', 'hazards', '--laps', '0.1', '--rate', '2', '--frames', '3']) == 0
    assert '3 frames of 64x64 at 2 Hz' in capsys.readouterr().out
    assert main([*command, '--light', 'dusk']) == 2
    assert 'no light dusk; there are day, evening, night' in capsys.readouterr().err
    assert main([*command, '--side', '2']) == 2
    assert 'at most 0.35 m to either side' in capsys.readouterr().err


def test_a_demo_that_makes_no_sense_leaves_the_old_one(tmp_path: Path) -> None:
    written = main(['bag', 'demo', '--out', str(tmp_path), '--frames', '2', '--size', '64', '64'])
    before = (tmp_path / 'demo/demo.mcap').read_bytes()
    assert written == 0 and main(['bag', 'demo', '--out', str(tmp_path), '--frames', '1']) == 2
    assert (tmp_path / 'demo/demo.mcap').read_bytes() == before


def test_static_transforms_are_latched_for_other_players(demo_bag) -> None:
    with open_bag(demo_bag.bag) as bag:
        assert {c.topic for c in bag.connections if c.latched} == {'/tf_static'}


def test_match(room, tmp_path: Path, capsys) -> None:
    camera = worlds.pinhole(320, 240)
    for index, pose in enumerate(worlds.demo_trajectory(8)[[0, 6]]):
        cv2.imwrite(str(tmp_path / f'{index}.png'), worlds.render(room, camera, pose).image)
    images = [str(tmp_path / '0.png'), str(tmp_path / '1.png')]
    assert main(['match', *images, '--out', str(tmp_path / 'out'), '--features', 'orb']) == 0
    assert 'matches between' in capsys.readouterr().out
    result = json.loads((tmp_path / 'out' / 'matches.json').read_text())
    assert len(result['matches']) > 50
    assert result['images'][0]['width'] == 320
    assert len({len(result['images'][0][name]) for name in ('keypoints', 'scores', 'scales')}) == 1
    assert max(match['index1'] for match in result['matches']) < len(result['images'][1]['keypoints'])
    assert cv2.imread(str(tmp_path / 'out' / 'matches.png')).shape[1] == 1920


def test_match_with_nothing_to_see(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'black.png'), np.zeros((64, 96), np.uint8))
    black = str(tmp_path / 'black.png')
    assert main(['match', black, black, '--out', str(tmp_path / 'out'), '--features', 'orb']) == 0
    assert json.loads((tmp_path / 'out' / 'matches.json').read_text())['matches'] == []


def test_help_and_unknown_commands(capsys) -> None:
    for arguments, status in ((['--help'], 0), (['nope'], 2), ([], 2), (['run'], 2), (['train', '--help'], 0)):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == status
    assert 'superpoint' in capsys.readouterr().out
