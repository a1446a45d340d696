"""A corridor of points, and cameras that go along it: what frames have in common is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.overlap import Overlap
from superslam_ros.improve.structure import Structure
from superslam_ros.improve.tracks import Tracks

sys.path.insert(0, str(Path(__file__).parent))   # worlds that are beside this file

CAMERA, SIZE = Pinhole(160.0, 160.0, 160.0, 120.0), (320, 240)


class Strip:
    """A wall along x, 4 m away, of points that a camera passes sideways: it sees 7 m of it."""

    def __init__(self, x: np.ndarray, seed: int = 0, segment: np.ndarray | None = None, density: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        frames = len(x)
        points = np.stack([np.arange(-20, 120, 0.05), rng.uniform(-2, 2, 2800), rng.uniform(3.6, 4.4, 2800)], 1)
        looks = rng.normal(size=(2800, 256))
        looks = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float16)
        poses = np.tile(np.eye(4), (frames, 1, 1))
        poses[:, 0, 3] = x
        there = rng.uniform(size=2800) < density
        seen = [np.flatnonzero((np.abs(points[:, 0] - one) < 3.5) & there) for one in x]
        first = np.concatenate([[0], np.cumsum([len(one) for one in seen])])
        pixels = np.concatenate([
            np.zeros((0, 2)), *(CAMERA.project(points[one] - [at, 0, 0]) for one, at in zip(seen, x))])
        which = np.concatenate([np.zeros(0, int), *seen])
        order = np.argsort(which, kind='stable')
        keypoints = np.arange(len(which)) - np.repeat(first[:-1], np.diff(first))
        owner = np.repeat(np.arange(frames), np.diff(first))
        known, many = np.unique(which, return_counts=True)
        self.evidence = Evidence(
            name=f'strip {seed}', pinhole=CAMERA, size=SIZE, metric=True, source='depth',
            stamps_ns=np.arange(frames, dtype=np.int64) * 10**8, T_world_camera=poses,
            segment=np.zeros(frames, int) if segment is None else segment, first=first,
            pixels=pixels.astype(np.float32), scores=np.ones(len(which), np.float32),
            scales=np.ones(len(which), np.float32), depth_m=np.full(len(which), 4, np.float32),
            descriptors=looks[which], weights='', folder=Path())
        self.tracks = Tracks(np.concatenate([[0], np.cumsum(many)]), owner[order], keypoints[order])
        self.structure = Structure(poses, points[known], np.zeros(len(which)), np.full(len(known), 10.0), 0.5)
        self.overlap = Overlap(self.evidence, self.tracks, self.structure)


@pytest.fixture(scope='session')
def strip():
    """Give the class."""
    return Strip
