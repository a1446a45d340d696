"""What the odometry of wheels says on a path, with the errors of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from superslam_ros.worlds.trajectory import stamps


@dataclass(frozen=True)
class WheelErrors:
    """Errors in proportion to the way, the same all along it (1 sigma), and densities of those that change.

    :ivar distance: radius of both wheels; ``turn``: distance between them; ``bend`` (rad/m): their radii differ.
    :ivar distance_noise: m/sqrt(m); ``turn_noise``: rad/sqrt(m). These two are what the covariance is of.
    """

    distance: float = 0.02
    turn: float = 0.02
    bend: float = 0.01
    distance_noise: float = 0.005
    turn_noise: float = 0.005


class Slip(NamedTuple):
    """From one time (s) to another, wheels spin: they turn ``factor`` times as far, and by ``turn`` rad besides."""

    start_s: float
    end_s: float
    factor: float = 2.0
    turn: float = 0.0


class Driven(NamedTuple):
    """Stamps (N,) int64, T_odom_base (N, 4, 4), and the covariances (N, 6, 6) of these poses, in odom."""

    stamps_ns: np.ndarray
    poses: np.ndarray
    covariances: np.ndarray


def drive(
    bases: np.ndarray, rate_hz: float, rng: np.random.Generator, errors: WheelErrors | None = None,
    slips: Sequence[Slip] = (), start_ns: int = 1_000_000_000,
) -> Driven:
    """Return what wheels tell of a base that moves in a plane, z of the world being its normal.

    Covariances grow by the noise of every step; the other errors they do not know of, as those of most drivers.

    :param bases: (N, 4, 4) T_world_base, ``rate_hz`` a second from ``start_ns`` on.
    """
    errors, count = errors or WheelErrors(), len(bases)
    longer, turning, bend = rng.normal(size=3) * [errors.distance, errors.turn, errors.bend]
    white = rng.normal(size=(count - 1, 2))
    found, covariances = np.zeros((count, 3)), np.zeros((count, 3, 3))
    for i in range(1, count):
        R, now = bases[i - 1, :3, :3], i / rate_hz
        way = R.T @ (bases[i, :3, 3] - bases[i - 1, :3, 3])
        R_step = R.T @ bases[i, :3, :3]
        turn, length = np.arctan2(R_step[1, 0], R_step[0, 0]), float(np.linalg.norm(way))
        sigma = np.array([errors.distance_noise, errors.turn_noise]) * np.sqrt(length)
        way = way[:2] * (1 + longer)
        turn += turning * turn + bend * length + sigma[1] * white[i - 1, 1]
        for slip in slips:
            if slip.start_s < now <= slip.end_s:
                way = way * slip.factor
                turn += slip.turn / (rate_hz * (slip.end_s - slip.start_s))
        way[0] += sigma[0] * white[i - 1, 0]
        yaw = found[i - 1, 2]
        c, s = np.cos(yaw), np.sin(yaw)
        step = np.array([[c, -s], [s, c]]) @ way
        found[i] = [*(found[i - 1, :2] + step), yaw + turn]
        grown = np.array([[1, 0, -step[1]], [0, 1, step[0]], [0, 0, 1]])
        ahead = np.array([[c, 0], [s, 0], [0, 1]]) * sigma
        covariances[i] = grown @ covariances[i - 1] @ grown.T + ahead @ ahead.T
    return Driven(stamps(count, rate_hz, start_ns), _poses(found), _in_space(covariances))


def _poses(found: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) of x, y, yaw (N, 3)."""
    T = np.tile(np.eye(4), (len(found), 1, 1))
    c, s = np.cos(found[:, 2]), np.sin(found[:, 2])
    T[:, 0, 0], T[:, 0, 1], T[:, 1, 0], T[:, 1, 1] = c, -s, s, c
    T[:, :2, 3] = found[:, :2]
    return T


def _in_space(covariances: np.ndarray) -> np.ndarray:
    """Return covariances (N, 6, 6) of those of x, y, yaw (N, 3, 3)."""
    whole = np.zeros((len(covariances), 6, 6))
    whole[np.ix_(range(len(whole)), (0, 1, 5), (0, 1, 5))] = covariances
    return whole
