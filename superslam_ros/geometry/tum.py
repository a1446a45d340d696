"""Trajectories in TUM files: lines of seconds x y z qx qy qz qw."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from superslam_ros.geometry import pose


def write_tum(path: Path | str, stamps_ns: Sequence[int], poses: np.ndarray) -> None:
    """Write poses (N, 4, 4) as lines of ``seconds x y z qx qy qz qw``, metres.

    :raises ValueError: when there are not as many stamps as poses.
    """
    if len(stamps_ns) != len(poses):
        raise ValueError(f'{path}: {len(stamps_ns)} stamps, {len(poses)} poses')
    with Path(path).open('w', encoding='utf-8') as file:
        for stamp, T in zip(stamps_ns, poses):
            file.write(pose.tum_line(stamp, T))


def beside(recording: Path) -> Path:
    """Return where the true poses of a recording are by default: ``NAME.tum`` beside it."""
    recording = recording.resolve()
    name = recording.name if recording.is_dir() else Path(recording.name.removesuffix('.zstd')).stem
    return recording.with_name(f'{name}.tum')


def read_tum(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read (stamps_ns (N,) int64, poses (N, 4, 4)) from a TUM file; ``#`` starts a comment.

    :raises ValueError: naming file and line, for a line that is not a pose; naming the file when it has none.
    """
    stamps, poses = [], []
    with Path(path).open(encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            words = line.partition('#')[0].split()
            if words:
                try:
                    stamp, T = _pose_of(words)
                except (ValueError, InvalidOperation) as error:
                    raise ValueError(
                        f'{path}, line {number}: {error}; expected "seconds x y z qx qy qz qw", '
                        f'got {line.strip()!r}'
                    ) from error
                stamps.append(stamp)
                poses.append(T)
    if not poses:
        raise ValueError(f'{path}: no poses')
    return np.array(stamps, np.int64), np.array(poses)


def _pose_of(words: Sequence[str]) -> tuple[int, np.ndarray]:
    if len(words) != 8:
        raise ValueError(f'{len(words)} values instead of 8')
    seconds, values = Decimal(words[0]), np.array([float(word) for word in words[1:]])
    if not (seconds.is_finite() and np.isfinite(values).all()):
        raise ValueError('a value is not finite')
    stamp_ns = int((seconds * 10**9).to_integral_value())
    if abs(stamp_ns) >= 2**63:
        raise ValueError('the time is not in seconds; nanoseconds?')
    return stamp_ns, pose.compose(pose.rotation(values[3:]), values[:3])
