"""Where one camera was: by pycolmap, all frames together, where it is installed and does it; else by our odometry."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np

from superslam_ros.improve import colmap
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.offline.judging import Watch

POSES = 'poses.npz'
ODOMETRY = 'odometry'

log = logging.getLogger(__name__)


def installed() -> str:
    """Return the version of pycolmap; empty where there is none. It is not imported."""
    try:
        return metadata.version('pycolmap')
    except metadata.PackageNotFoundError:
        return ''


def place(evidence: Evidence, folder: Path, watch: Watch) -> None:
    """Write where the camera was, and by what that was found, to a folder that is not there yet.

    :param evidence: of one camera, as it is on disk.
    :raises OSError: when the folder cannot be written.
    """
    folder.mkdir()
    own = int((evidence.segment != LOST).sum())
    try:
        if not installed():
            raise _Failure('pycolmap is not installed: pip install pycolmap, where there is a wheel')
        found = _run(evidence, folder, watch)
        frames = int((found.segment != LOST).sum())
        if not frames or frames < own:
            raise _Failure(f'pycolmap {installed()} places {frames} of {len(evidence)} frames, and the odometry {own}')
        by = f'pycolmap {installed()}'
    except _Failure as failure:
        log.warning('%s: its poses are those of the odometry, %d of %d frames: %s', evidence.name, own, len(evidence),
                    failure)
        found, by = colmap.Placed(evidence.T_world_camera, evidence.segment), f'{ODOMETRY} ({failure})'
    np.savez(folder / POSES, by=np.array(by), **found._asdict())


def placed(evidence: Evidence, folder: Path) -> tuple[Evidence, str]:
    """Return the evidence with the poses that :func:`place` has written, and by what they were found."""
    with np.load(folder / POSES) as file:
        by = str(file['by'])
        return replace(evidence, **{name: file[name] for name in colmap.Placed._fields},
                       metric=evidence.metric and by.startswith(ODOMETRY)), by


class _Failure(Exception):
    """Why there are no poses by pycolmap."""


def _run(evidence: Evidence, folder: Path, watch: Watch) -> colmap.Placed:
    """Reconstruct in another process.

    :raises _Failure: with the reason, when it fails.
    """
    watch.start(f'{evidence.name}: one camera, by pycolmap', len(evidence))
    with tempfile.TemporaryDirectory(dir=folder) as scratch, open(Path(scratch) / 'log', 'w+') as said:
        command = [sys.executable, '-m', colmap.__name__, str(evidence.folder), scratch]
        path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, stdin=subprocess.DEVNULL,
                                   env={**os.environ, 'PYTHONPATH': path})
        try:
            for _ in process.stdout:
                watch.step()
            status = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if status:
            said.seek(0)
            last = [line.strip() for line in said if line.strip()][-1:]
            # Of a crash, the last line is one of a stack.
            reason = last[0] if last and status > 0 else f'exit status {status}'
            raise _Failure(f'pycolmap {installed()} failed: {reason}')
        with np.load(Path(scratch) / colmap.OUT) as file:
            return colmap.Placed(*(file[name] for name in colmap.Placed._fields))
