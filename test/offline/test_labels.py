"""Labels of a rendered walk past things that move: most of what moves is found, and hardly anything else."""

import argparse

import cv2
import pytest

from superslam_ros import worlds
from superslam_ros.cli.eval import labels as command
from superslam_ros.offline import demo, evidence, labels
from superslam_ros.slam import ExtractorConfig, SlamConfig


@pytest.mark.parametrize('one_camera', [False, True])
def test_labels_find_what_moves(tmp_path, monkeypatch, one_camera):
    pytest.importorskip('gtsam')
    monkeypatch.setattr(evidence, 'FEWEST_TRACKED', 5)
    building = worlds.BuildingOptions(
        length_m=11.0, width_m=8.0, corridor_m=2.0, columns=2, rows=1, texels_per_metre=80)
    options = demo.DemoOptions(
        14, 3, 240, 180, rate_hz=10.0, building=building, walk=worlds.Walk(visits=()),
        hazards=worlds.HazardOptions(seed=3))
    found = labels.evaluate(options, SlamConfig(ExtractorConfig(max_keypoints=250)), out=tmp_path,
                            one_camera=one_camera)
    assert found['frames'] == 14 and found['moving'] > 5 and found['stable_tracks'] > 50
    assert found['unstable'] > 0.6 and found['stable'] > 0.9 and found['called_stable'] < 0.15
    assert cv2.imread(str(tmp_path / 'labels.png')) is not None
    assert found['moving'] == found['movers'] + found['highlights'] + found['shadows']


def test_the_command_shows_the_figures(monkeypatch, capsys, tmp_path):
    figures = {'frames': 9, 'lost': 1, 'tracks': 80, 'moving': 20, 'unstable': 0.8, 'called_stable': 0.05,
               'stable': 0.97, 'stable_tracks': 50, 'unstable_tracks': 16, 'unstable_mover': 0.9,
               'unstable_highlight': None, 'unstable_shadow': 0.7, 'movers': 10, 'highlights': 0, 'shadows': 10}
    wanted = []
    monkeypatch.setattr(labels, 'evaluate', lambda options, *_: wanted.append(options) or figures)
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    arguments = parser.parse_args(['labels', '--frames', '9', '--seed', '4', '--out', str(tmp_path)])
    assert arguments.handler(arguments) == 0
    shown = capsys.readouterr().out
    assert '9 frames, 1 lost; 80 tracks' in shown and '0.970' in shown and (tmp_path / 'labels.json').exists()
    assert wanted[0].hazards.seed == wanted[0].seed == 4 and wanted[0].frames == 9
