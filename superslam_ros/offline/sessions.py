"""The odometry of a recording, as a map takes it: its keyframes, and where the frames between them are."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.geometry.pose import inverse
from superslam_ros.geometry.similarity import resized
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed
from superslam_ros.maps.localizer import Outcome
from superslam_ros.maps.mapper import Mapper
from superslam_ros.offline.fleet import Tell
from superslam_ros.offline.guess import place_on_base
from superslam_ros.offline.imu import follow_imu
from superslam_ros.offline.opened import opened
from superslam_ros.slam import SlamConfig, VisualOdometry


class Passed(NamedTuple):
    """A frame that the odometry has taken: the keyframes that came of it, and where it is; None where skipped."""

    keyframes: list[Keyframe]
    stamp_ns: int | None
    T_odom_camera: np.ndarray | None


@dataclass(frozen=True)
class Task:
    """A recording, how its odometry is run, and the file for what comes of it: pickles, that we alone read.

    ``base_camera``: x, y, z, roll, pitch, yaw of the optical frame on the base; None where it is not said.
    ``imu``: whether to turn by the IMU of the recording, and begin with z up.
    """

    recording: Path
    config: SlamConfig
    options: ReaderOptions
    store: Path
    base_camera: tuple[float, ...] | None = None
    imu: bool = False


def work(task: Task, tell: Tell) -> int:
    """Run the odometry of a recording; return how many frames there were.

    :raises BagError: when it cannot be used, or no frame of it, or the file cannot be written.
    """
    used = 0
    with opened(task.recording, task.config, task.options) as (frames, config), task.store.open('wb') as store:
        odometry = VisualOdometry(config)
        place_on_base(frames, odometry, task.options.guess, task.base_camera)
        imu = follow_imu(frames, odometry, task.options) if task.imu else None
        feed = KeyframeFeed(odometry.motion)
        for number, recorded in enumerate(frames, 1):
            if imu is not None:
                imu.until(recorded.frame.stamp_ns)
            step = odometry.process(recorded.frame)
            seen = (None, None) if step is None else (step.motion.stamp_ns, step.motion.T_odom_camera)
            used += step is not None
            pickle.dump(Passed(feed.new(), *seen), store, protocol=pickle.HIGHEST_PROTOCOL)
            tell(number, frames.count)
    if not used:
        raise BagError(f'{task.recording}: no frame could be used')
    return used


def read(store: Path) -> Iterator[Passed]:
    """Yield what :func:`work` has written."""
    with store.open('rb') as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return


class Session:
    """A recording whose keyframes go into a map; frames are remembered as seen from their keyframe."""

    def __init__(self, name: str) -> None:
        """Begin."""
        self.name = name
        self._outcomes: list[Outcome] = []
        self._keyframe: Keyframe | None = None
        self.frames: list[tuple[int, int, np.ndarray]] = []
        """Stamp, that of the keyframe, T_keyframe_camera."""

    def take(self, passed: Passed, mapper: Mapper) -> None:
        """Take a frame, and what keyframes came of it."""
        for keyframe in passed.keyframes:
            self._outcomes.append(mapper.add(keyframe))
            self._keyframe = keyframe
        if passed.stamp_ns is not None and self._keyframe is not None:
            self.frames.append((passed.stamp_ns, self._keyframe.stamp_ns,
                                inverse(self._keyframe.T_odom_camera) @ passed.T_odom_camera))

    def poses(self, keyframes: dict[int, np.ndarray], units: dict[int, float]) -> tuple[list[int], np.ndarray]:
        """Return stamps and T_map_camera (N, 4, 4) of the frames whose keyframes are in the map, by those of these.

        :param units: by keyframe, what lengths of the odometry are multiplied by to be those of the map.
        """
        known = [(stamp, keyframes[of] @ resized(T, units[of])) for stamp, of, T in self.frames if of in keyframes]
        return [stamp for stamp, _ in known], np.array([T for _, T in known]).reshape(-1, 4, 4)

    def summary(self, keyframes: dict[int, np.ndarray]) -> dict[str, Any]:
        """Return what came of it."""
        return {'bag': self.name, 'frames': len(self.frames), 'keyframes': len(self._outcomes),
                'kept': sum(one.added for one in self._outcomes), 'loops': sum(one.loop for one in self._outcomes),
                'located': any(of in keyframes for _, of, _ in self.frames)}
