"""Nodes that run for long, on a bag that is played again and again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[1] / 'benchmarks/soak.py'
MINUTES = os.environ.get('SOAK_MINUTES', '60')


@pytest.mark.long
@pytest.mark.parametrize('nodes', [['superslam_node'], ['superpoint_node', 'superglue_node', 'odometry_node']])
def test_memory_files_and_threads_stay_as_they_are(tmp_path, nodes):
    done = subprocess.run([sys.executable, SOAK, '--minutes', MINUTES, '--out', tmp_path, '--nodes', *nodes],
                          capture_output=True, text=True, timeout=300 + 60 * float(MINUTES))
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert (tmp_path / 'soak.csv').read_text().count(nodes[0]) > 10
