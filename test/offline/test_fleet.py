"""Work on many recordings: what one of them does, does nothing to the others."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from superslam_ros.offline import fleet
from superslam_ros.offline.fleet import Done, Tell, remembered

ITEMS = {'a': 1, 'bad': -1, 'b': 2, 'killed': -2, 'gone': -3, 'interrupted': -4}


def work(item: int, tell: Tell) -> dict[str, Any]:
    """Fail, die, or double."""
    tell(1, 2)
    if item == -1:
        raise ValueError('no good')
    if item == -2:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == -3:
        os._exit(3)
    if item == -4:
        raise KeyboardInterrupt     # as Python answers SIGINT, which those who start us may ignore
    return {'twice': 2 * item}


def by_name(ended: list[Done]) -> dict[str, Done]:
    return {done.name: done for done in ended}


def test_side_by_side(capfd: pytest.CaptureFixture) -> None:
    """One that raises, one that is killed and one that exits are errors of their own; progress is told."""
    told = []
    ended = by_name(list(fleet.each(work, ITEMS, 2, on_progress=lambda *said: told.append(said))))
    assert set(ended) == set(ITEMS) and ended['a'].result == {'twice': 2} and ended['b'].result == {'twice': 4}
    assert ended['bad'].error == 'no good' and 'signal 9' in ended['killed'].error and 'memory' in ended['killed'].error
    assert 'status 3' in ended['gone'].error and ('a', 1, 2) in told
    assert 'status 130' in ended['interrupted'].error and 'Traceback' not in capfd.readouterr().err


def test_one_after_the_other() -> None:
    """In this process, in order."""
    told = []
    some = {'a': 1, 'bad': -1, 'b': 2}
    ended = list(fleet.each(work, some, 1, on_progress=lambda *said: told.append(said)))
    assert [done.name for done in ended] == list(some) and ended[1].error == 'no good' and ended[2].result
    assert told == [(name, 1, 2) for name in some]


def test_a_bug_is_not_an_error_of_the_input() -> None:
    def broken(item: int, tell: Tell) -> dict[str, Any]:
        raise TypeError('a bug')

    with pytest.raises(TypeError):
        list(fleet.each(broken, {'a': 1}))


def test_what_is_done_is_known_by_input_and_options(tmp_path: Path) -> None:
    """A torn record, other options and another file are not taken for it."""
    recording = tmp_path / 'bag'
    recording.mkdir()
    (recording / 'data').write_bytes(b'1')
    told = remembered.identity(recording, 'options')
    assert remembered.figures(tmp_path, told) is None
    remembered.keep(tmp_path, told, {'frames': 3})
    assert remembered.figures(tmp_path, told) == {'frames': 3}
    assert remembered.figures(tmp_path, remembered.identity(recording, 'others')) is None
    (recording / 'data').write_bytes(b'12')
    assert remembered.figures(tmp_path, remembered.identity(recording, 'options')) is None
    (tmp_path / 'done.json').write_text('{"identity":')
    assert remembered.figures(tmp_path, told) is None


def test_ray_that_is_missing_or_not_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(RuntimeError, match=r'pip install "superslam_ros\[ray\]"'):
        list(fleet.each(work, {'a': 1}, ray='auto'))


def test_on_a_cluster_of_two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as on this machine."""
    pytest.importorskip('ray')
    tests = Path(__file__).resolve().parents[__name__.count('.')]       # where its processes find this module
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(tests), os.getcwd()]))
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={'num_cpus': 1, 'include_dashboard': False})
    try:
        cluster.add_node(num_cpus=1)
        told = []
        ended = by_name(list(fleet.each(
            work, {'a': 1, 'bad': -1, 'b': 2, 'killed': -2}, ray=cluster.address,
            on_progress=lambda *said: told.append(said))))
        assert ended['a'].result == {'twice': 2} and ended['b'].result == {'twice': 4}
        assert ended['bad'].error == 'no good' and ended['killed'].error.startswith('on the cluster')
    finally:
        cluster.shutdown()
