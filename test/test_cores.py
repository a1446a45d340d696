"""How many cores there are, and what the user says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from superslam_ros import cores


@pytest.mark.parametrize(('text', 'told'), [
    ('1', True), ('16', True), ('4,2', True), (' 3 ', True), ('', False), ('0', False), ('-1', False), ('abc', False),
    ('1.5', False), ('4,', False)])
def test_what_openmp_takes_for_a_number(monkeypatch: pytest.MonkeyPatch, text: str, told: bool) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', text)
    assert cores.told() is told
    monkeypatch.delenv('OMP_NUM_THREADS')
    assert not cores.told()


@pytest.mark.parametrize(('quota', 'most'), [
    ('100000 100000', 1), ('150000 100000', 2), ('10000 100000', 1), ('max 100000', 64), ('nonsense', 64)])
def test_a_container_gets_as_many_as_it_has_time_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, most: int,
) -> None:
    monkeypatch.setattr('os.sched_getaffinity', lambda _: set(range(64)), raising=False)
    (tmp_path / 'cpu.max').write_text(f'{quota}\n')
    assert cores.available(tmp_path / 'cpu.max') == most
    assert cores.available(tmp_path / 'none') == 64
