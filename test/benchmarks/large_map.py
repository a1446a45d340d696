"""A mapper with a large map: how long keyframes take as it grows, how long a loop, and how long others wait for it.

    python test/benchmarks/large_map.py --keyframes 20000

A camera walks along a corridor that bends, every two metres is a keyframe, and odometry drifts. At every size that is
told, some keyframes are looked for in the map, and the walk crosses an earlier part of itself, so that a loop closes.
Keypoints are random, and found without images. CPU time is that of the thread; *others wait* is the longest time that
another thread of Python, which wakes every millisecond, was not let run.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, inverse, perturb, transform
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper

STEP_M, STEP_NS, AHEAD = 2.0, 2_000_000_000, 4
CAMERA, SIZE = Pinhole(300.0, 300.0, 320.0, 240.0), (640, 480)
SIGMA = np.repeat([0.002, 0.0003], 3)
"""Deviation of the odometry's step, along and about each axis."""
TOLD = 1000, 5000, 10000, 20000
LOOPED = 12
"""Keyframes along an earlier part of the walk."""


@lru_cache(64)
def cell(number: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 3) and descriptors (N, 256) of two metres of the corridor, along z from its beginning."""
    random = np.random.default_rng(number)
    points = np.column_stack([random.choice([-2.0, 2.0], count), random.uniform(-1.5, 1.5, count),
                              random.uniform(0, STEP_M, count)])
    descriptors = random.normal(size=(count, 256)).astype(np.float32)
    return points, descriptors / np.linalg.norm(descriptors, axis=1, keepdims=True)


class Walk:
    """Keyframes of a camera that goes along the corridor; landmarks are known as long as they are in sight."""

    def __init__(self, keypoints: int, seed: int = 0) -> None:
        """Begin."""
        self._per_cell, self._random = max(1, keypoints // AHEAD), np.random.default_rng(seed)
        self._stamp_ns, self._pass, self._odom = 0, 0, np.eye(4)
        self._last: int | None = None

    def at(self, number: int) -> Keyframe:
        """Return the next keyframe, at a cell of the corridor."""
        self._pass += self._last is not None and number != self._last + 1
        step = inverse(pose(number - 1 if self._last is None else self._last)) @ pose(number)
        step = perturb(step, self._random.normal(0, SIGMA))
        previous = self._stamp_ns if self._last is not None else None
        if previous is not None:
            self._odom = self._odom @ step
        self._stamp_ns, self._last = self._stamp_ns + STEP_NS, number
        ids, points, descriptors = [], [], []
        for one in range(number + 2, number + 2 + AHEAD):
            there, looks = cell(one, self._per_cell)
            points.append(transform(inverse(pose(number)) @ pose(one), there))
            descriptors.append(looks)
            ids.append(1 + (self._pass * 10**6 + one) * self._per_cell + np.arange(self._per_cell))
        ids, points, descriptors = np.concatenate(ids), np.concatenate(points), np.concatenate(descriptors)
        pixels = CAMERA.project(points) + self._random.normal(0, 0.5, (len(points), 2))
        seen = (points[:, 2] > 0.5) & ((pixels >= 0) & (pixels < SIZE)).all(1)
        count = int(seen.sum())
        looks = descriptors[seen] + self._random.normal(0, 0.005, (count, 256))
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        z = points[seen, 2]
        covariance = np.einsum('i,n->ni', [1e-6, 1e-6, 1e-5], z**2)[:, :, None] * np.eye(3)
        return Keyframe(
            self._stamp_ns, 1, CAMERA, SIZE, self._odom, 1e-4 * np.eye(6), previous, step, np.diag(SIGMA**2),
            pixels[seen], np.full(count, 0.7), np.ones(count), np.ones(count), looks, ids[seen], points[seen],
            covariance)


def pose(number: int) -> np.ndarray:
    """Return T_world_camera (4, 4) of where the camera looks along the corridor from, at a cell."""
    inner, growth = 100.0, 2.4      # metres; a spiral whose turns are 15 m apart
    turn = (np.sqrt(inner**2 + 2 * growth * STEP_M * number) - inner) / growth
    radius = inner + growth * turn
    return compose(np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]),
                   [-radius * np.cos(turn), 0, radius * np.sin(turn)])


class Waiting:
    """How long another thread waits at most."""

    def __init__(self) -> None:
        """Begin to watch."""
        self.longest, self._stop = 0.0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(0.001):
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def stop(self) -> float:
        """Return the longest wait in seconds."""
        self._stop.set()
        return self.longest


@contextmanager
def timed(into: dict[str, float], name: str, times: int = 1) -> Iterator[None]:
    """Note the CPU time of a block, per time, in milliseconds."""
    began = time.thread_time()
    yield
    into[name] = (time.thread_time() - began) / times * 1e3


def measured(mapper: Mapper, walk: Walk, number: int, again: int) -> dict[str, float]:
    """Return what the map costs at its size, and close a loop.

    :param number: where the walk is; ``again``: of an earlier part of the corridor, which it goes along.
    """
    found: dict[str, float] = {'keyframes': len(mapper.map)}
    config = mapper.config
    mapper.config = replace(config, close_loops=False)
    steps = [walk.at(number + one) for one in range(10)]
    with timed(found, 'add', len(steps)):
        for one in steps:
            mapper.add(one)
    mapper.config = config
    mapper.add(walk.at(number + 10))    # learns the places since the last size
    steps = [walk.at(number + 11 + one) for one in range(4)]
    with timed(found, 'add, looked for', len(steps)):
        for one in steps:
            mapper.add(one)
    loops, slowest, watch = 0, 0.0, Waiting()
    for one in range(LOOPED):
        keyframe, began = walk.at(again + one), time.thread_time()
        outcome = mapper.add(keyframe)
        loops, slowest = loops + outcome.loop, max(slowest, time.thread_time() - began)
    found |= {'loops': loops, 'slowest loop': slowest * 1e3, 'others wait': watch.stop() * 1e3,
              'peak GiB': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--keyframes', type=int, default=20000)
    parser.add_argument('--keypoints', type=int, default=300)
    parser.add_argument('--max-keyframes', type=int, default=0, help='map.max_keyframes')
    options = parser.parse_args()
    config = MapConfig(max_keyframes=options.max_keyframes)
    mapper, walk = Mapper(Map(), config), Walk(options.keypoints)
    number, columns = 0, None
    for size in [one for one in TOLD if one <= options.keyframes]:
        mapper.config = replace(config, close_loops=False)
        while number < size:
            mapper.add(walk.at(number))
            number += 1
        mapper.config = config
        found = measured(mapper, walk, number, number // 2)
        number += 15
        if columns is None:
            columns = list(found)
            print('   '.join(f'{one:>15}' for one in columns))
        print('   '.join(f'{found[one]:15.1f}' for one in columns), flush=True)


if __name__ == '__main__':
    main()
