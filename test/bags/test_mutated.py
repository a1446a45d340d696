"""Mutated bags of all formats: refusals, skips and named damage, never a traceback, a hang or all of the memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HANGS_S = 300
GROWTH_MB = 400


def read(folder: Path, first: int, count: int, *more: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, '-m', 'bags.mutated', folder, str(first), str(count), *more], capture_output=True, text=True,
        cwd=TESTS, env={**os.environ, 'PYTHONPATH': str(TESTS.parent)}, timeout=HANGS_S + 20 * count)
    assert done.returncode == 0, f'bag {done.stderr.split()[-1:]}: {done.stderr[-2000:]}'
    found = json.loads(done.stdout)
    assert found['grown_mb'] < GROWTH_MB
    assert {key.rpartition(' ')[2] for key in found if key != 'grown_mb'} <= {'0', '1', '2'}
    return found


def test_a_few_mutated_bags(tmp_path: Path) -> None:
    found = read(tmp_path, 0, 16)
    assert sum(count for name, count in found.items() if name.startswith('bag info')) == 16
    assert found['bag info 1'] > 3                          # read, and damage named


@pytest.mark.long
def test_many_mutated_bags_through_the_whole_chain(tmp_path: Path) -> None:
    found = read(tmp_path, 1000, 200, 'run')
    assert found['run --features 1'] > 30 and found['run --features 2'] > 10
