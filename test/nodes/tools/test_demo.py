"""What ``make demo`` runs, on fewer frames."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from superslam_ros.nodes.tools import demo
from superslam_ros.pictures import view


def test_demo(tmp_path: Path) -> None:
    """The live node follows the truth, and everything that the last lines name is there, and right."""
    frames = 14
    ran = subprocess.run(
        [sys.executable, '-m', 'superslam_ros.nodes.tools.demo', '--out', str(tmp_path), '--frames', str(frames)],
        capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads((tmp_path / 'summary.json').read_text())
    # A frame for which the machine was too slow is counted, not hidden.
    assert summary['frames'] + summary['dropped'] + summary['skipped'] == frames and summary['frames'] >= frames // 2
    assert f"{summary['frames']} of {frames} frames processed live" in ran.stdout and '0 lost' in ran.stdout
    named = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith(' ' * 10)]
    assert len(named) == 4 and all(Path(name).exists() for name in named)
    assert summary['ate']['rmse_m'] < 0.01

    steps, landmarks, _ = demo.read_steps(tmp_path / 'demo', tmp_path / 'live')
    assert [step.frame.stamp_ns for step in steps] == sorted(step.frame.stamp_ns for step in steps)
    shown = view.read(tmp_path / 'live')
    assert set(shown.messages) == set(view.NAMES)
    # All of them in the room, in front of the camera, which looks along x at first.
    assert len(landmarks) > 300 and (landmarks[:, 0] > 0).mean() > 0.95 and np.abs(landmarks).max() < 20
