"""``superslam map``: what a user does with the demo: build, look, localise, export, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.cli.main import main
from superslam_ros.evaluation.trajectory import read_tum
from superslam_ros.maps import storage

FEW = ['--set', 'extractor.max_keypoints=300', '--set', 'extractor.octaves=1', '--set', 'extractor.precision=float32',
       '--mode', 'rgbd']


@pytest.fixture(scope='module')
def built(demo_bag, tmp_path_factory) -> Path:
    """Return a map of the demo, with the poses of its frames beside it."""
    folder = tmp_path_factory.mktemp('map')
    arguments = ['map', 'build', str(demo_bag.bag), '--out', str(folder / 'demo.map'), *FEW]
    assert main([*arguments, '--trajectories', str(folder)]) == 0
    return folder / 'demo.map'


def test_a_map_is_built_the_same_every_time(built, demo_bag, tmp_path, capsys) -> None:
    again = tmp_path / 'again.map'
    assert main(['map', 'build', str(demo_bag.bag), '--out', str(again), *FEW]) == 0
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(built.read_bytes()).digest()
    assert main(['map', 'build', str(demo_bag.bag), '--out', str(again), *FEW]) == 2
    assert '--overwrite' in capsys.readouterr().err


def test_the_frames_of_a_bag_are_found_in_its_map(built, demo_bag, tmp_path, capsys) -> None:
    assert main(['map', 'localize', str(built), str(demo_bag.bag), '--out', str(tmp_path), *FEW]) == 0
    summary = json.loads((tmp_path / 'summary.json').read_text())
    stamps, poses = read_tum(tmp_path / 'localized.tum')
    assert len(stamps) == summary['localised'] == summary['frames']
    of_map = dict(zip(*read_tum(built.with_name(f'{demo_bag.bag.name}.tum'))))
    apart = [np.linalg.norm(T[:3, 3] - of_map[stamp][:3, 3]) for stamp, T in zip(stamps.tolist(), poses)]
    assert max(apart) < 0.03
    assert 'frames localised' in capsys.readouterr().out


def test_a_map_is_shown_and_exported(built, tmp_path, capsys) -> None:
    assert main(['map', 'info', str(built)]) == 0
    assert 'keyframes' in capsys.readouterr().out
    assert main(['map', 'view', str(built), '--out', str(tmp_path / 'map.png')]) == 0
    assert (tmp_path / 'map.png').stat().st_size > 10_000
    for kind in ('ply', 'g2o', 'tum', 'colmap'):
        assert main(['map', 'export', str(built), '--format', kind, '--out', str(tmp_path / kind)]) == 0
        assert (tmp_path / kind).exists()


def test_what_is_no_map_is_named(built, demo_bag, tmp_path, capsys) -> None:
    damaged = tmp_path / 'damaged.map'
    content = bytearray(built.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (tmp_path / 'text.map').write_text('no map')
    for file in (damaged, tmp_path / 'text.map', tmp_path / 'nothing.map', tmp_path):
        assert main(['map', 'localize', str(file), str(demo_bag.bag), '--out', str(tmp_path / 'out'), *FEW]) == 2
        assert file.name in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_map_merged_with_itself_is_one_place(built, tmp_path, capsys) -> None:
    both = tmp_path / 'both.map'
    assert main(['map', 'merge', str(built), str(built), '--out', str(both)]) == 0
    assert main(['map', 'info', str(both)]) == 0
    assert capsys.readouterr().out.count('session ') == 2
    assert len(storage.load(both)) == len(storage.load(built))
