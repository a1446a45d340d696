"""`superslam improve`, killed at every stage, and on a disk that is full: the same command comes to the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .improving import walk_through, write

CODE = 'import sys; from offline.improving import run_until; run_until(*sys.argv[1:])'
DISK = """
mount -t tmpfs -o size=16k tmpfs "$1" || exit 1
for size in $2; do
    mount -o remount,size="$size" "$1"
    "$3" -c "$4" "$5" "$1/better" "" 2>"$6/said" && break
    tail -n 1 "$6/said" >&2
done
cp -r "$1/better" "$6"
"""
"""Run the command on a disk that grows: folder, sizes, Python, CODE, bag, folder for what comes of it."""
PAGE = 4096
STAGES = ('demo', 'demo: tracks, structure, labels', 'step 2', 'weights', 'measure before', 'measure after 1')


@pytest.fixture(scope='module')
def walk(room, tmp_path_factory):
    return write(tmp_path_factory.mktemp('walk') / 'demo', [frame for frame, _ in walk_through(room)])


def run(walk, out, point=''):
    """Run the command in a process of its own, until it is killed at a point."""
    return ended([sys.executable, '-c', CODE, str(walk), str(out), point])


def ended(words):
    tests = Path(__file__).resolve().parents[__name__.count('.')]
    paths = os.pathsep.join([str(tests), os.getcwd(), os.environ.get('PYTHONPATH', '')])
    return subprocess.run(words, capture_output=True, text=True, check=False,
                          env={**os.environ, 'PYTHONPATH': paths, 'OMP_NUM_THREADS': '1'})


@pytest.fixture(scope='module')
def whole(walk, tmp_path_factory):
    """Give the folder of a run that nothing has disturbed."""
    out = tmp_path_factory.mktemp('whole') / 'better'
    done = run(walk, out)
    assert done.returncode == 0, done.stderr
    return out


def written(out):
    return {path.name: path.read_bytes() for path in out.glob('*.*')}


@pytest.mark.long
def test_killed_at_every_stage_it_comes_to_the_same_bytes(walk, whole, tmp_path):
    for point in STAGES:
        killed = run(walk, tmp_path / 'better', point)
        assert killed.returncode == -signal.SIGKILL, (point, killed.stderr)
        assert not (tmp_path / 'better/report.json').exists()
    done = run(walk, tmp_path / 'better')
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / 'better') == written(whole)
    for weights in ('trained.safetensors', 'weights_1.safetensors'):
        assert (tmp_path / 'better/work' / weights).read_bytes() == (whole / 'work' / weights).read_bytes()


@pytest.mark.long
@pytest.mark.skipif(shutil.which('unshare') is None or subprocess.run(
    ['unshare', '-rm', 'true'], capture_output=True, check=False).returncode != 0, reason='no disk can be mounted here')
def test_on_a_full_disk_it_says_so_and_goes_on_when_there_is_room(walk, whole, tmp_path):
    (tmp_path / 'disk').mkdir()
    evidence, structure, training = (sum(
        -(-path.stat().st_size // PAGE) * PAGE for path in (whole / 'work').rglob('*')
        if path.is_file() and path.relative_to(whole / 'work').parts[0].startswith(name))
        for name in ('evidence', 'structure', 'training'))
    # Too small for the evidence, the structure, the first checkpoint of training.
    sizes = evidence // 2, evidence + structure // 2, evidence + structure + training // 4, 4 * (evidence + training)
    done = ended(['unshare', '-rm', 'sh', '-c', DISK, 'sh', str(tmp_path / 'disk'), ' '.join(map(str, sizes)),
                  sys.executable, CODE, str(walk), str(tmp_path)])
    said = done.stderr.splitlines()
    assert len(said) == 3, done.stderr
    for line, name in zip(said, ('evidence_0', 'structure_0.npz', 'training/checkpoint.pt')):
        assert f'{name} cannot be written' in line and 'disk is full' in line.replace('is the disk', 'disk is'), line
    assert written(tmp_path / 'better') == written(whole)
