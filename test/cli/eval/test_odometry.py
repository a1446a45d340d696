"""``superslam eval odometry``."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import cv2
import pytest

from superslam_ros.cli.main import main
from superslam_ros.evaluation import trajectory
from superslam_ros.offline import compare, posed
from superslam_ros.slam import SlamConfig
from superslam_ros.version import VERSION


def test_front_ends_are_compared_and_a_bag_that_fails_is_named(demo_bag, tmp_path: Path, capsys) -> None:
    """The ground truth is found beside the bag, which is tracked; the bag that is not there is told of."""
    words = ['eval', 'odometry', str(tmp_path / 'nowhere'), str(demo_bag.bag), '--features', 'orb,sift',
             '--out', str(tmp_path / 'out')]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert 'nowhere' in err and 'no such recording' in ' '.join(err.split())
    assert out.count(demo_bag.bag.name) == 2 and 'ATE' in out
    written = json.loads((tmp_path / 'out' / 'odometry.json').read_text())
    assert written['version'] == VERSION and written['weights'] == {}
    assert shlex.split(written['command']) == ['superslam', *words]
    content = written['bags'][demo_bag.bag.name]
    assert list(content) == ['orb', 'sift']
    for figures in content.values():
        assert figures['mode'] == 'stereo' and figures['metric'] and figures['poses'] == figures['frames']
        assert figures['ate']['rmse_m'] > 0 and figures['timing']['stage_ms']['motion']['median'] > 0
    sift = content['sift']
    assert sift['ate']['rmse_m'] < 0.01 < 0.02 * sift['ate']['true_path_m']
    assert sift['estimated_path'] == pytest.approx(sift['ate']['true_path_m'], rel=0.05)
    assert cv2.imread(str(tmp_path / 'out' / 'odometry.png')).std() > 5


@pytest.mark.parametrize(('name', 'extractor', 'matcher'), [
    ('superglue', 'superpoint', 'superglue'), ('superpoint', 'superpoint', 'nearest'), ('sift', 'sift', 'nearest')])
def test_front_ends_are_what_their_names_say(name: str, extractor: str, matcher: str) -> None:
    odometry = compare._odometry(name, SlamConfig())
    assert odometry.extractor.name == extractor and odometry.config.matcher.matcher == matcher
    assert (odometry.matcher.network is None) == (matcher == 'nearest')


def test_bags_of_one_name_are_told_apart(demo_bag, tmp_path: Path) -> None:
    bags = [tmp_path / name / 'walk_0.5' for name in 'ab']
    for bag in bags:
        shutil.copytree(demo_bag.bag, bag)
        shutil.copy(demo_bag.truth, bag.with_name('walk_0.5.tum'))
        assert trajectory.beside(bag) == bag.with_name('walk_0.5.tum')
    assert main(['eval', 'odometry', *map(str, bags), '--features', 'orb', '--out', str(tmp_path)]) == 0
    content = json.loads((tmp_path / 'odometry.json').read_text())['bags']
    assert list(content) == ['walk_0.5', 'walk_0.5 (2)'] and content['walk_0.5 (2)']['orb']['ate']['pairs'] > 0
    assert len(posed.read(bags[0])) > 10


def test_without_ground_truth_there_is_no_error(demo_bag, tmp_path: Path, capsys) -> None:
    alone = tmp_path / 'alone'
    shutil.copytree(demo_bag.bag, alone)
    assert main(['eval', 'odometry', str(alone), '--features', 'orb', '--mode', 'mono', '--out', str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert 'no ground truth' in err and ' - ' in out
    figures = json.loads((tmp_path / 'odometry.json').read_text())['bags']['alone']['orb']
    assert 'ate' not in figures and not figures['metric'] and figures['estimated_path'] > 0


@pytest.mark.parametrize('more, reason', [
    (['--features', 'surf'], 'surf'), (['--ground-truth', 'a.tum', 'b.tum'], '2 files for 1 bags'),
    (['--set', 'odometry.nothing=1'], 'odometry.nothing')])
def test_wrong_options_are_one_line_and_status_2(demo_bag, capsys, more: list[str], reason: str) -> None:
    assert main(['eval', 'odometry', str(demo_bag.bag), *more]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith('superslam: ') and err.count('\n') == 1 and reason in err
