"""``superslam bag info`` of what is no bag: what `superslam run` would use of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from superslam_ros.inputs.frames import Frames


def lines(path: Path, frames: Frames) -> Iterator[str]:
    """Yield the description of an input, line by line."""
    count = 'images as long as it runs' if frames.count is None else f'{frames.count} images'
    yield f'{path}: {frames.kind}, {count}'
    yield f'superslam run would take this as {frames.mode}, {"rectified" if frames.rectified else "not rectified"}:'
    truth, imu = frames.truth(), frames.imu()
    parts = {**frames.streams, 'calibration': frames.guessed or frames.calibration,
             'ground truth': truth and f'{truth.file.name}, {len(truth.poses)} poses',
             'imu': imu and f'{len(imu.stamps_ns)} readings'}
    for role, name in parts.items():
        if name:
            yield f'  {role.replace("_", " "):17} {name}'


def camera(frames: Frames) -> dict[str, Any]:
    """Return what ``superslam run`` would use, as ``bags.describe.camera`` does of a bag."""
    return {'kind': frames.kind, 'mode': frames.mode, 'rectified': frames.rectified,
            'topics': {role: {'name': name} for role, name in frames.streams.items()}}
