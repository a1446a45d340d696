"""Walks through a rendered building, and what the odometry makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Frame, TrackingState
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed
from superslam_ros.slam import SlamConfig, VisualOdometry

EVERY_PX = 8
"""Of depth images so many pixels are kept."""
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Passes on items, and shows what they are, and how many of them have passed."""


def silent(items: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    """Show nothing."""
    return items


@dataclass(frozen=True)
class Setting:
    """What is mapped, and how: ``stereo`` depth, ``mono`` for none, or that of a depth camera."""

    building: worlds.BuildingOptions = field(default_factory=worlds.BuildingOptions)
    walk: worlds.Walk = field(default_factory=lambda: worlds.Walk(laps=1.1, rate_hz=4.0))
    size: tuple[int, int] = (320, 240)
    stereo: bool = False
    mono: bool = False
    slam: SlamConfig = field(default_factory=SlamConfig)
    map: MapConfig = field(default_factory=MapConfig)


class Taken(NamedTuple):
    """A keyframe of the odometry, where it truly was, and every eighth pixel of its depth image in metres."""

    keyframe: Keyframe
    T_world_camera: np.ndarray
    depth_m: np.ndarray


def keyframes(setting: Setting, recording: Iterable[tuple[Frame, np.ndarray]]) -> Iterator[tuple[bool, list[Taken]]]:
    """Run the odometry, and yield of each frame whether it was lost there, and which keyframes it has made."""
    odometry = VisualOdometry(setting.slam)
    feed, seen = KeyframeFeed(odometry.motion), {}
    for frame, pose in recording:
        used = frame if setting.stereo else replace(frame, right_image=None, right_camera=None)
        step = odometry.process(replace(used, depth_m=None) if setting.mono else used)
        seen[frame.stamp_ns] = pose, frame.depth_m[::EVERY_PX, ::EVERY_PX].copy()
        yield step.motion.state is TrackingState.LOST, [Taken(one, *seen[one.stamp_ns]) for one in feed.new()]


def record(setting: Setting, building: worlds.BuildingOptions, poses: np.ndarray, light: str = 'day',
           seed: int = 0) -> worlds.Recording:
    """Return what a camera, or a stereo pair, sees of a building at some poses."""
    left, right = worlds.stereo_pair(*setting.size)
    photometry = worlds.Photometry(replace(worlds.LIGHTS[light], seed=seed))
    return worlds.Recording(worlds.building(building), poses, setting.walk.rate_hz, photometry, left,
                            right if setting.stereo else None)


def walked(setting: Setting, count: int, seed: int = 1) -> np.ndarray:
    """Return (count, 4, 4) poses anywhere on the walk, each beside it, higher or lower and looking elsewhere."""
    rng, poses = np.random.default_rng(seed), []
    length = len(worlds.lap(setting.building, setting.walk.visits)) / 100
    for at in rng.permutation(count) / count:
        how = replace(setting.walk, laps=0.1 / length, start=float(at), rate_hz=20.0, seed=int(rng.integers(2**31)),
                      side_m=rng.uniform(-0.3, 0.3), heading_rad=rng.uniform(-0.4, 0.4),
                      height_m=setting.walk.height_m + rng.uniform(-0.25, 0.25))
        poses.append(worlds.walk(setting.building, how)[0])
    return np.array(poses)


def look(setting: Setting, building: worlds.BuildingOptions, poses: np.ndarray, light: str = 'day',
         seed: int = 1) -> worlds.Recording:
    """Return single frames of a building at some poses."""
    return record(replace(setting, stereo=False), building, poses, light, seed)
