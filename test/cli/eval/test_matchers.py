"""``superslam eval matchers``."""

from __future__ import annotations

import json
from pathlib import Path

from superslam_ros.cli.main import main


def words(demo_bag, *more: str) -> list[str]:
    """Return the command on the demo bag."""
    return ['eval', 'matchers', str(demo_bag.bag), '--ground-truth', str(demo_bag.truth), '--mode', 'stereo',
            '--set', 'extractor.max_keypoints=300', '--set', 'extractor.precision=float32', *more]


def test_frames_are_found_in_the_map_of_what_was_seen_before(demo_bag, tmp_path: Path, capsys) -> None:
    assert main(words(demo_bag, '--gap', '0.4', '99', '--out', str(tmp_path))) == 0
    assert 'in a map of 0.4 s before' in capsys.readouterr().out
    content = json.loads((tmp_path / 'matchers.json').read_text())
    assert list(content['gap_s']) == ['0.4']
    by_name = content['gap_s']['0.4']
    assert list(by_name) == ['nearest', 'supermap']
    for figures in by_name.values():
        assert figures['frames'] >= 3 and figures['wrong'] == 0
        assert figures['near'] == figures['right'] == figures['found'] == figures['frames']
        assert figures['inliers_median'] >= 25 and figures['away_median_m'] > 0


def test_errors_are_one_line_and_status_2(demo_bag, capsys) -> None:
    assert main(words(demo_bag, '--gap', '0')) == 2
    assert '--gap 0' in capsys.readouterr().err
