"""How an executable begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from superslam_ros import cores

HALF = str(max(1, cores.available() // 2))


@pytest.mark.parametrize(('given', 'told'), [
    ({}, HALF), ({'OMP_NUM_THREADS': '7'}, '7'), ({'OMP_NUM_THREADS': ''}, HALF)])
def test_pytorch_gets_half_of_the_cores_unless_told_otherwise(given: dict, told: str, tmp_path: Path) -> None:
    """Before it is imported; the status of ``main`` is that of the process."""
    (tmp_path / 'telling.py').write_text(
        'import os\ndef main():\n    print(os.environ["OMP_NUM_THREADS"])\n    return 5\n')
    others = {name: value for name, value in os.environ.items() if name != 'OMP_NUM_THREADS'}
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, '-c', 'from superslam_ros.nodes.shared.start import start; start("telling")'],
        env={**others, 'PYTHONPATH': path, **given}, capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == (told, 5), done.stderr
