"""What only looks at a bag starts at once: without PyTorch, and without the commands that need it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.cli.main import main
from superslam_ros.data import Motion, TrackingState
from superslam_ros.version import VERSION

AND_TELL = """
import sys
from superslam_ros.cli.main import main
try:
    status = main(sys.argv[1:])
except SystemExit as ended:
    status = ended.code
print('LOADED', *(name for name in ('torch', 'gtsam', 'evo') if name in sys.modules))
sys.exit(status)
"""


@pytest.mark.parametrize('words', [
    ['--help'], ['--version'], ['bag', '--help'], ['run', '--help'], ['match', '--help'],
    ['bag', 'info', 'BAG'], ['bag', 'info', '--json', 'BAG'], ['bag', 'images', 'BAG', '--out', 'OUT', '--every', '9'],
    ['bag', 'view', 'RESULT', '--out', 'OUT/view.png'],
    ['bag', 'demo', '--out', 'OUT', '--frames', '2', '--size', '64', '64'],
], ids=' '.join)
def test_a_command_that_runs_no_network_loads_none(demo_bag, bag, tmp_path: Path, words: list[str]) -> None:
    still = Motion(10**9, TrackingState.TRACKING, np.eye(4), np.eye(6), np.zeros(6), np.eye(6))
    bag.put('/superslam/odometry', 0, bag.make.odometry(still, 'odom', 'optical'))
    bag.put('/superslam/path', 0, bag.make.path('odom', [10**9], [np.eye(4)]))
    names = {'BAG': str(demo_bag.bag), 'RESULT': str(bag.write()), 'OUT': str(tmp_path),
             'OUT/view.png': str(tmp_path / 'view.png')}
    done = subprocess.run([sys.executable, '-c', AND_TELL, *(names.get(word, word) for word in words)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ['LOADED'], done.stdout


def test_version(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(['--version'])
    assert ended.value.code == 0 and capsys.readouterr().out == f'superslam {VERSION}\n'


@pytest.mark.parametrize('tool', ['play_bag', 'record_bag'])
def test_recorder_and_player_load_no_network(tool: str) -> None:
    code = f'import sys, superslam_ros.nodes.tools.{tool}; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], timeout=120).returncode == 0
