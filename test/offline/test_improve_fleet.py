"""Recordings of `superslam improve` side by side, and on a cluster: what comes of them is the same."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from superslam_ros.improve.evidence import ARRAYS, DESCRIPTORS, image_file
from superslam_ros.offline import improve_recordings
from superslam_ros.offline.improve_recordings import Task, side_by_side
from superslam_ros.offline.judging import Watch
from superslam_ros.offline.work import Work
from superslam_ros.slam import ExtractorConfig, SlamConfig

from .improving import walk_through, write

CONFIG = SlamConfig(extractor=ExtractorConfig(device='cpu'))
MADE = ARRAYS, DESCRIPTORS, image_file(Path(), 3)


@pytest.fixture(scope='module')
def tasks(room, tmp_path_factory):
    """Give a walk that is too short, one without calibration, and what is made of both in this process."""
    folder = tmp_path_factory.mktemp('walks')
    frames = [frame for frame, _ in walk_through(room)[:24]]
    bags = write(folder / 'short', frames), write(folder / 'bare', frames[:3], calibrated=False)
    made = {bag.name: Task(bag, number, Work(folder / 'work', {}), CONFIG, improve_recordings.ReaderOptions())
            for number, bag in enumerate(bags)}
    return made, side_by_side(made, 1, '', Watch())


def the_same(tasks, folder, jobs, ray):
    made, refused = tasks
    told = []
    elsewhere = {name: replace(task, work=Work(folder / 'work', {})) for name, task in made.items()}
    assert side_by_side(elsewhere, jobs, ray, Watch(tell=lambda *said: told.append(said))) == refused
    for name in MADE:
        here, there = (one['short'].work.folder / 'evidence_0' / name for one in (made, elsewhere))
        assert here.read_bytes() == there.read_bytes(), name
    assert ('short', 1, 24) in told
    return elsewhere


def test_side_by_side(tasks, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    _, refused = tasks
    assert 'record for longer' in refused['short'] and '--camera-info' in refused['bare']
    elsewhere = the_same(tasks, tmp_path, 2, '')
    (tmp_path / 'work/structure_1.npz').touch()     # there is something of it: it is not done again
    assert side_by_side(elsewhere, 1, '', Watch()) == {'short': refused['short']}


def test_what_is_no_fault_of_a_recording_ends_the_command_when_all_are_done(tasks, tmp_path, monkeypatch):
    made, _ = tasks
    bare = made['bare']
    locked = replace(made['short'], work=Work(tmp_path / 'other', {}))
    shutil.rmtree(tmp_path / 'other')
    (tmp_path / 'other').touch()        # no folder
    done = []
    monkeypatch.setattr(improve_recordings, '_make', spy(improve_recordings._make, done))
    with pytest.raises(RuntimeError, match=r'^short: .*other.*the same command goes on'):
        side_by_side({'short': locked, 'bare': bare}, 1, '', Watch())
    assert done == ['short', 'bare']
    with pytest.raises(ValueError, match='is of other weights'):
        improve_recordings.prepare(replace(made['short'], weights='0' * 64), None, Watch())


def spy(function, names):
    def called(task, watch):
        names.append(task.bag.name)
        return function(task, watch)
    return called


def test_on_a_cluster_of_two_workers(tasks, tmp_path, monkeypatch):
    pytest.importorskip('ray')
    monkeypatch.setenv('PYTHONPATH', os.getcwd())
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'include_dashboard': False})
    try:
        cluster.add_node(num_cpus=1)
        the_same(tasks, tmp_path, 1, cluster.address)
    finally:
        cluster.shutdown()
