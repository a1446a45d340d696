"""A large map: how long it takes to make, ask, save and read, how large it is, and how much memory it needs.

    python test/benchmarks/maps.py --keyframes 20000 --out /tmp/large.map

The keyframes are random: a camera goes through a long corridor, of whose landmarks every keyframe sees ``--keypoints``,
half of them seen by the one before. CPU time is that of one thread.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose
from superslam_ros.maps import storage
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map

STEP_NS, STEP_M = 500_000_000, 0.5
CAMERA = Pinhole(300.0, 300.0, 320.0, 240.0)


def keyframe(number: int, random: np.random.Generator, keypoints: int) -> Keyframe:
    """Return the keyframe of a number, from 0 on."""
    pixels = random.uniform(0, 480, (keypoints, 2)).astype(np.float32)
    descriptors = random.normal(size=(keypoints, 256)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    T = compose(np.eye(3), [number * STEP_M, 0, 0])
    points = CAMERA.rays(pixels) * random.uniform(2, 8, (keypoints, 1))
    return Keyframe(
        (number + 1) * STEP_NS, 1, CAMERA, (640, 480), T, 1e-4 * np.eye(6), number * STEP_NS if number else None,
        compose(np.eye(3), [STEP_M, 0, 0]), 1e-6 * np.eye(6), pixels, np.ones(keypoints), np.ones(keypoints),
        np.ones(keypoints), descriptors, 1 + number * (keypoints // 2) + np.arange(keypoints), points,
        np.tile(1e-4 * np.eye(3), (keypoints, 1, 1)))


@contextmanager
def told(what: str, times: int = 1) -> Iterator[None]:
    """Print the CPU time of a block, per time, and the most memory so far."""
    begin = time.thread_time()
    yield
    spent, peak = time.thread_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f'{what:32} {spent / times * 1e3:10.2f} ms    peak {peak:5.2f} GiB', flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--keyframes', type=int, default=20000)
    parser.add_argument('--keypoints', type=int, default=400)
    parser.add_argument('--embedding', type=int, default=16384, help='numbers of an embedding')
    parser.add_argument('--out', type=Path, required=True)
    options = parser.parse_args()
    random, made = np.random.default_rng(0), Map()
    session = made.add_session('corridor', 0)
    frames = [keyframe(number, random, options.keypoints) for number in range(50)]
    with told('add a keyframe to a small map', 50):
        for one in frames:
            made.add(one, one.T_odom_camera, session, random.normal(size=options.embedding))
    for number in range(50, options.keyframes - 50):
        one = keyframe(number, random, options.keypoints)
        made.add(one, one.T_odom_camera, session, random.normal(size=options.embedding))
    frames = [keyframe(options.keyframes - 50 + number, random, options.keypoints) for number in range(50)]
    with told('add a keyframe to a full map', 50):
        for one in frames:
            made.add(one, one.T_odom_camera, session, np.zeros(options.embedding))
    middle = options.keyframes // 2
    with told('ask for neighbours', 50):
        for number in range(50):
            made.neighbours(middle + number, 10)
    with told('ask for the landmarks of five', 50):
        for number in range(50):
            made.landmarks_of(range(middle + number, middle + number + 5))
    with told('remove a keyframe', 10):
        for number in range(10):
            made.remove(middle + 3 * number)
    with told('cull the latest twenty'):
        made.cull(list(made.keyframes)[-20:])
    with told('save'):
        storage.save(made, options.out)
    size = options.out.stat().st_size
    print(f'{len(made)} keyframes, {len(made.landmarks)} landmarks, {size / 2**20:.0f} MiB, '
          f'{size / len(made) / 1000:.1f} kB a keyframe')
    del made, frames
    with told('describe'):
        storage.describe(options.out)
    with told('read'):
        storage.load(options.out)


if __name__ == '__main__':
    main()
