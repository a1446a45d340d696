"""The table of times: every stage is there, and the paper's network is the unit."""

import json
import math

from superslam_ros.cli import main
from superslam_ros.offline import speed
from superslam_ros.slam import SlamConfig
from superslam_ros.slam.extract import ExtractorConfig


def test_every_stage_is_measured(tmp_path):
    """In small; figures are of no interest here."""
    status = main.main(['eval', 'speed', '--sizes', '160x120', '--frames', '2', '--out', str(tmp_path),
                        '--set', 'extractor.max_keypoints=64'])
    assert status == 0
    written = json.loads((tmp_path / 'speed.json').read_text())
    rows = {row['name']: row for row in written['160x120, 1 thread']}
    assert rows[speed.UNIT]['ratio'] == 1
    for name in ('extraction, SIFT', 'extraction, ORB', "extraction, the paper's SuperPoint, float32",
                 'matching, nearest neighbours', 'matching, SuperGlue', 'odometry, extract', 'odometry, match',
                 'odometry, motion', 'odometry, whole frame'):
        assert math.isclose(rows[name]['ratio'], rows[name]['median_ms'] / rows[speed.UNIT]['median_ms'])
    assert (tmp_path / 'speed.png').stat().st_size > 10000


def test_threads_are_as_before(monkeypatch):
    """What a measurement sets it sets back."""
    import torch

    before = torch.get_num_threads()
    rows = speed.measure(SlamConfig(extractor=ExtractorConfig(max_keypoints=16)),
                         speed.SpeedOptions((96, 72), frames=1, threads=2))
    assert torch.get_num_threads() == before
    assert speed.frames_per_second(rows) > 0


def test_a_size_that_is_none(capsys):
    """It is named."""
    assert main.main(['eval', 'speed', '--sizes', '640']) == 2
    assert '--sizes 640: must be WIDTHxHEIGHT' in capsys.readouterr().err
