"""``superslam eval bag``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superslam_ros.cli.main import main


def words(demo_bag, *more: str) -> list[str]:
    """Return the command on the demo bag."""
    return ['eval', 'bag', str(demo_bag.bag), '--ground-truth', str(demo_bag.truth), '--features', 'sift', *more]


def test_gaps_of_the_demo_bag(demo_bag, tmp_path: Path, capsys) -> None:
    assert main(words(demo_bag, '--mode', 'mono', '--gap', '10', '4', '99', '--out', str(tmp_path))) == 0
    out, err = capsys.readouterr()
    assert '16 pairs, 4 frames apart' in out and '10 pairs, 10 frames apart' in out and '--gap 99' in out + err
    content = json.loads((tmp_path / 'bag.json').read_text())
    assert list(content['gap']) == ['4', '10']
    figures = content['gap']['4']['sift']
    assert figures['rotation_5'] > 0.8 and figures['auc_20'] > 0.5 and figures['precision'] > 0.7
    assert content['gap']['10']['sift']['precision'] < figures['precision']
    assert main(words(demo_bag, '--mode', 'mono', '--gap', '4', '--plain-ransac', '--out', str(tmp_path))) == 0
    plain = json.loads((tmp_path / 'bag.json').read_text())
    assert (content['plain_ransac'], plain['plain_ransac']) == (False, True)
    assert content['weights'] == {} and content['command'].startswith('superslam eval bag ')
    assert plain['gap']['4']['sift']['precision'] == figures['precision']
    assert plain['gap']['4']['sift']['auc_5'] < figures['auc_5']


@pytest.mark.parametrize('more, reason', [
    (['--gap', '0'], '--gap 0'), (['--gap', '99'], '99 frames apart'), (['--image', '/nope'], 'no topic /nope'),
    (['--features', 'surf'], "'surf' is not one of superglue, superpoint, orb, sift"),
    (['--ground-truth', 'nope.tum'], 'nope.tum')])
def test_errors_are_one_line_and_status_2(demo_bag, capsys, more: list[str], reason: str) -> None:
    assert main(words(demo_bag, '--mode', 'mono', *more)) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith('superslam: ') and err.count('\n') == 1 and reason in err
