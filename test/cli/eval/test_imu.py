"""``superslam eval imu``: two seconds of darkness in a fast turn, with and without a gyroscope."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superslam_ros.cli.main import main
from superslam_ros.evaluation import inertial


def test_a_dark_turn_is_survived_with_an_imu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture) -> None:
    cases = 'no IMU, dark', 'dark', 'IMU'
    monkeypatch.setattr(inertial, 'CASES', {name: inertial.CASES[name] for name in cases})
    assert main(['eval', 'imu', '--seeds', '3', '--laps', '0.14', '--features', 'orb', '--out', str(tmp_path)]) == 0
    out, found = capsys.readouterr().out, json.loads((tmp_path / 'imu.json').read_text())
    without, dark = (found['cases'][name][0] for name in cases[:2])
    assert 'off level' in out and found['seeds'] == [3] and dark['gap_turn_deg'] > 30
    assert dark['tilt_max_deg'] < 1 < without['tilt_max_deg'] and not dark['said']
    assert dark['gap_square'] < 16.3 and dark['gap_deg'] < 2 < without['gap_deg'] / 5


@pytest.mark.parametrize('laps, reason', [('0', '--laps 0: must be more than 0'), ('0.01', 'too short')])
def test_a_walk_of_no_length_is_refused(laps: str, reason: str, capsys: pytest.CaptureFixture) -> None:
    assert main(['eval', 'imu', '--laps', laps, '--features', 'orb']) == 2
    assert reason in capsys.readouterr().err
