"""The true trajectory that a recording is compared with: given, that of the data set, or ``NAME.tum`` beside it."""

from __future__ import annotations

import logging
from pathlib import Path

from superslam_ros.bags.files import BagError
from superslam_ros.evaluation import trajectory
from superslam_ros.inputs.frames import Frames, Truth

log = logging.getLogger(__name__)

NONE = Path('none')
"""Given in place of a file: there is to be no comparison."""


def truth_of(path: Path, frames: Frames, given: Path | None) -> Truth | None:
    """Return the true trajectory of a recording that is open; of one that is found, not given, say why it is not used.

    :raises BagError: when the file that is given cannot be read.
    :raises RuntimeError: when one is given, and evo is not installed.
    """
    if given == NONE:
        return None
    if given is not None:
        return read_truth(given)
    try:
        truth, near = frames.truth(), beside(path)
        if truth is None and near is not None:
            return read_truth(near)
        if truth is not None:
            trajectory.require_evo()
    except RuntimeError as problem:
        log.warning('%s: the ground truth that belongs to it is not compared with: %s', path, problem)
        return None
    return truth


def read_truth(path: Path) -> Truth:
    """Read a ground truth to compare with.

    :raises BagError: naming the file, when it cannot be read.
    :raises RuntimeError: when evo is not installed.
    """
    trajectory.require_evo()
    try:
        return Truth(path, *trajectory.read_tum(path))
    except (OSError, ValueError) as error:
        raise BagError(f'--ground-truth {path}: {error}') from error


def beside(path: Path) -> Path | None:
    """Return the ground truth beside a recording, None where there is none."""
    file = trajectory.beside(Path(path))
    return file if file.is_file() else None
