"""Laps of point worlds, as an odometry that drifts tells of them, and mappers of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from places import Looker, all_round, lap
from points import PointWorld, names

from superslam_ros.geometry.pose import compose, inverse, perturb, rotation_exp
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper, Outcome

LAP = 24
STEP = np.repeat([0.02, 0.004], 3)


def vocabulary() -> Vocabulary:
    """Return a vocabulary of the descriptors of point worlds."""
    random = np.random.default_rng(3)
    return Vocabulary(names(32), np.zeros((32, 32), np.float32), random.normal(size=(32, 8, 32)).astype(np.float32))


def mapper(made: Map | None = None, mode: str = 'build', **options: float) -> Mapper:
    """Return a mapper, by default of an empty map."""
    return Mapper(Map() if made is None else made, MapConfig(**options), mode, vocabulary=vocabulary())


def drifting(keyframes: Iterable[Keyframe], seed: int = 0) -> list[Keyframe]:
    """Return keyframes of an odometry that drifts, and says so."""
    random, found = np.random.default_rng(seed), {}
    for one in keyframes:
        if one.previous_stamp_ns in found:
            step = perturb(one.T_previous_camera, STEP * random.normal(size=6))
            T = found[one.previous_stamp_ns].T_odom_camera @ step
            one = replace(one, T_odom_camera=T, T_previous_camera=step, edge_covariance=np.diag(STEP**2))
        found[one.stamp_ns] = one
    return list(found.values())


def look(world: PointWorld, poses: Iterable[np.ndarray], **begin: int) -> list[Keyframe]:
    """Return what is seen from some poses by an odometry that forgets its landmarks after each lap."""
    looker, found = Looker(world, **begin), []
    for position, T in enumerate(poses):
        looker.first_id += 10000 * (position > 0 and position % LAP == 0)
        found.append(looker.look(T))
    return found


def second(world: PointWorld, poses: Iterable[np.ndarray]) -> list[Keyframe]:
    """Return what is seen on another day."""
    return look(world, poses, start_ns=10**12, segment=2, first_id=5001)


def other_side(count: int) -> list[np.ndarray]:
    """Return poses between those of the lap, turned a little."""
    return [T @ compose(rotation_exp([0, 0.1, 0.05]), [0.1, 0, 0.2]) for T in lap(3 * count)[1:count + 1]]


def run(one: Mapper, keyframes: Iterable[Keyframe]) -> list[Outcome]:
    """Add keyframes."""
    return [one.add(keyframe) for keyframe in keyframes]


def ate_m(found: np.ndarray, true: np.ndarray) -> float:
    """Return the error of positions (N, 3), the first poses brought together."""
    return float(np.sqrt(((found - true)**2).sum(1).mean()))


def in_map(T: np.ndarray) -> np.ndarray:
    """Return T_map_camera of a pose in the world."""
    origin = Looker(all_round()).look(lap(1)[0]).T_odom_camera @ inverse(lap(1)[0])
    return origin @ T
