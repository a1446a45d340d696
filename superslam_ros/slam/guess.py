"""Odometry of other sensors, such as wheels, as a guess of the camera's motion."""

from __future__ import annotations

import bisect
import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from superslam_ros.config import option
from superslam_ros.data import JUMP_BACK_NS
from superslam_ros.geometry.pose import (
    carry_covariance,
    compose,
    inverse,
    rotate_covariance,
    rotation_exp,
    rotation_log,
    skew,
)
from superslam_ros.slam.tracking.prediction import Relative

log = logging.getLogger(__name__)

MOST = 20_000
"""Samples kept: over three minutes at 100 Hz. A blackout that lasts longer is bridged in parts."""
UNKNOWN = 1e3
"""Variances from here on (m^2, rad^2) are what drivers write for "not known"."""
LEAST_VARIANCE = 1e-8
STANDS = 1e-3
"""Velocities below this (m/s, rad/s) are none."""
SOME_WAY_M = 0.05
"""Over less, no covariance needs to grow."""
ALIKE = 10
"""After so many messages at the origin, all of which say that the base moves, their poses are none."""


@dataclass(frozen=True)
class GuessConfig:
    """Options of a guess from the odometry of other sensors."""

    distance_sigma: float = option(0.02, 'Guess: its error grows at least by this fraction of the way (1 sigma)',
                                   low=0.0, high=1.0)
    heading_sigma: float = option(0.01, 'Guess: its rotation errs at least by so much per way (rad/m, 1 sigma)',
                                  low=0.0, high=1.0)
    turn_sigma: float = option(0.02, 'Guess: its rotation errs at least by this fraction of what it turns (1 sigma)',
                               low=0.0, high=1.0)
    max_gap: float = option(0.2, 'Guess: frames that are farther in time from its messages have none (s)', low=0.001,
                            high=10.0)
    max_speed: float = option(10.0, 'Guess: steps that are faster than this are jumps, over which nothing is believed '
                              '(m/s, rad/s)', low=0.1, high=1000.0)


class Sample(NamedTuple):
    """A pose ``T`` (4, 4) of the base in the frame of its odometry, with what has added up since the first one.

    ``stated`` (6, 6): covariance of the pose, None where there is none; ``steps`` (6, 6): variances that its
    velocities gave the steps; ``way`` metres; ``turn`` radians; ``part``: jumps so far.
    """

    stamp_ns: int
    T: np.ndarray
    stated: np.ndarray | None
    steps: np.ndarray
    way: float
    turn: float
    part: int


class OdometryGuess:
    """A :class:`Predictor` of poses that come with stamps, of a base that the camera is fixed to.

    Poses are interpolated between messages. The covariance of a motion is what the covariances of the poses have grown
    by; where they do not grow, what those of the velocities add up to, errors of different messages being independent;
    and in either case the errors in proportion to the way that ``GuessConfig`` gives, which steps have in common.

    :ivar T_base_camera: (4, 4), None as long as it is not known: then there are no guesses.
    :ivar refused: reason -> how many messages were not believed for it.
    """

    def __init__(self, config: GuessConfig | None = None, T_base_camera: np.ndarray | None = None) -> None:
        """Begin without messages."""
        self.config, self.T_base_camera = config or GuessConfig(), T_base_camera
        self.refused: Counter[str] = Counter()
        self._said_unsure = False
        self.reset()

    def reset(self) -> None:
        """Forget all messages."""
        self._samples: list[Sample] = []
        self._stamps: list[int] = []
        self._by_velocity, self._alike = False, 0
        self._velocity = np.zeros(6)

    @property
    def last_ns(self) -> int:
        """Stamp of the last message; 0 without."""
        return self._stamps[-1] if self._stamps else 0

    def add(
        self, stamp_ns: int, T_odom_base: np.ndarray, covariance: np.ndarray | None = None,
        velocity_covariance: np.ndarray | None = None, velocity: np.ndarray | None = None,
    ) -> None:
        """Take a message; one that makes no sense is counted, logged, and not believed.

        :param covariance: (6, 6) of the pose, in the frame of the odometry; ``velocity_covariance`` (6, 6) of the
            velocity, along the axes of the base. Zeros and huge values mean that it is not known.
        :param velocity: (6,) m/s and rad/s along the axes of the base. Added up where messages have no poses.
        """
        if self._samples and stamp_ns <= self.last_ns:
            if self.last_ns - stamp_ns < JUMP_BACK_NS:
                self._refuse('stamp out of order', f'{(self.last_ns - stamp_ns) * 1e-9:.3f} s before the last one')
                return
            self.reset()
        self._look_for_poses(T_odom_base, covariance, velocity)
        if self._by_velocity:
            T_odom_base, covariance = self._added_up(stamp_ns, velocity), None
        if not np.isfinite(T_odom_base).all():
            self._refuse('no number', 'the pose, or the velocity in place of one, holds NaN or infinity')
            return
        stated, per_step = _known(covariance), _known(velocity_covariance)
        if not self._samples:
            self._append(Sample(stamp_ns, T_odom_base, stated, np.zeros((6, 6)), 0.0, 0.0, 0))
            return
        last = self._samples[-1]
        seconds = (stamp_ns - last.stamp_ns) * 1e-9
        step = inverse(last.T) @ T_odom_base
        way, turn = float(np.linalg.norm(step[:3, 3])), float(np.linalg.norm(rotation_log(step[:3, :3])))
        part = last.part
        if max(way, turn) > self.config.max_speed * seconds:
            part += 1
            self._refuse('jump', f'{way:.3f} m and {math.degrees(turn):.1f} degrees in {seconds:.3f} s (faster than '
                         'guess.max_speed); it counts anew from there')
        steps = last.steps if per_step is None else last.steps + per_step * seconds**2
        self._append(Sample(stamp_ns, T_odom_base, stated, steps, last.way + way, last.turn + turn, part))

    def _look_for_poses(
        self, T_odom_base: np.ndarray, covariance: np.ndarray | None, velocity: np.ndarray | None
    ) -> None:
        """Find out whether the messages have poses, or velocities alone: the first one says so, or all do."""
        if self._by_velocity or velocity is None or not np.isfinite(velocity).all():
            return
        at_origin = np.array_equal(T_odom_base, np.eye(4))
        self._alike = self._alike + 1 if at_origin and np.abs(velocity).max() > STANDS else 0
        if not self._samples and not np.isfinite(T_odom_base).all():
            why = 'their orientation is none'
        elif not self._samples and covariance is not None and _is_unknown(covariance):
            why = 'their covariance says that they are not known'
        elif self._alike >= ALIKE:
            why = 'they stay at the origin, although the base moves'
        else:
            return
        self._by_velocity = True
        log.warning('the guess has no poses (%s): its velocities are added up', why)

    def _added_up(self, stamp_ns: int, velocity: np.ndarray | None) -> np.ndarray:
        """Return the pose (4, 4) that a velocity leads to from the last message; NaN without a velocity."""
        if velocity is None or not np.isfinite(velocity).all():
            return np.full((4, 4), np.nan)
        before, self._velocity = self._velocity, velocity
        if not self._samples:
            return np.eye(4)
        last = self._samples[-1]
        step = (before + velocity) / 2 * (stamp_ns - last.stamp_ns) * 1e-9
        return last.T @ compose(rotation_exp(step[3:]), rotation_exp(step[3:] / 2) @ step[:3])

    def _append(self, sample: Sample) -> None:
        self._samples.append(sample)
        self._stamps.append(sample.stamp_ns)
        if len(self._samples) > 2 * MOST:
            del self._samples[:-MOST], self._stamps[:-MOST]

    def _refuse(self, reason: str, detail: str) -> None:
        self.refused[reason] += 1
        log.log(logging.WARNING if self.refused[reason] == 1 else logging.DEBUG,
                'guess: %s: %s (said once, counted)', reason, detail)

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera moved from one instant to a later one; None where that is not known."""
        if self.T_base_camera is None or stamp1_ns < stamp0_ns:
            return None
        first, second = self._at(stamp0_ns), self._at(stamp1_ns)
        if first is None or second is None or first.part != second.part:
            return None
        T_0_1 = inverse(first.T) @ second.T
        return of_camera(Relative(T_0_1, self._covariance(first, second, T_0_1)), self.T_base_camera)

    def pose(self, stamp_ns: int) -> np.ndarray | None:
        """Return the pose (4, 4) of the base in the frame of its odometry, at a time or else at the last message."""
        sample = self._at(stamp_ns) or (self._samples[-1] if self._samples else None)
        return None if sample is None else sample.T

    def _at(self, stamp_ns: int) -> Sample | None:
        """Return the pose at a time: interpolated, or a little beyond the last message at the last velocity."""
        after, gap_ns = bisect.bisect_left(self._stamps, stamp_ns), self.config.max_gap * 1e9
        if after < len(self._stamps) and self._stamps[after] == stamp_ns:
            return self._samples[after]
        beyond = after == len(self._stamps)
        after -= beyond
        if after < 1:
            return None
        a, b = self._samples[after - 1], self._samples[after]
        if beyond:
            far = max(stamp_ns - b.stamp_ns, b.stamp_ns - a.stamp_ns)
        else:
            far = min(stamp_ns - a.stamp_ns, b.stamp_ns - stamp_ns)
        if far > gap_ns or a.part != b.part:
            return None
        part = (stamp_ns - a.stamp_ns) / (b.stamp_ns - a.stamp_ns)
        step = inverse(a.T) @ b.T
        T = a.T @ compose(rotation_exp(part * rotation_log(step[:3, :3])), part * step[:3, 3])
        stated = None if a.stated is None or b.stated is None else a.stated + part * (b.stated - a.stated)
        return Sample(stamp_ns, T, stated, a.steps + part * (b.steps - a.steps), a.way + part * (b.way - a.way),
                      a.turn + part * (b.turn - a.turn), a.part)

    def _covariance(self, first: Sample, second: Sample, T_0_1: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) of the base's motion, in its first axes."""
        offset = T_0_1[:3, 3]
        grown = _grown(first, second)
        if grown is None:
            if second.way > first.way + SOME_WAY_M and not (second.steps - first.steps).any() and not self._said_unsure:
                self._said_unsure = True
                log.warning('the guess has no covariance that grows: its errors are taken to be %g of the way, %g '
                            'rad/m and %g of what it turns (guess.distance_sigma, heading_sigma, turn_sigma)',
                            self.config.distance_sigma, self.config.heading_sigma, self.config.turn_sigma)
            # Rotations that err on the way move what comes after them.
            grown = _leaning(second.steps - first.steps, offset, 1 / 3)
        way, turn = second.way - first.way, second.turn - first.turn
        o = self.config
        least = np.zeros((6, 6))
        least[3:, 3:] = np.eye(3) * ((o.heading_sigma * way)**2 + (o.turn_sigma * turn)**2)
        least = _leaning(least, offset, 1 / 4)
        least[:3, :3] += np.eye(3) * (o.distance_sigma * way)**2
        return grown + least + np.eye(6) * LEAST_VARIANCE


def _known(covariance: np.ndarray | None) -> np.ndarray | None:
    """Return a covariance with zero where it is not known; None where that is everywhere, or it is none."""
    if covariance is None or not np.isfinite(covariance).all():
        return None
    known = (np.diag(covariance) > 0) & (np.diag(covariance) < UNKNOWN)
    covariance = np.where(np.outer(known, known), (covariance + covariance.T) / 2, 0.0)
    if not known.any() or np.linalg.eigvalsh(covariance)[0] < -1e-9 * np.trace(covariance):
        return None
    return covariance


def _is_unknown(covariance: np.ndarray) -> bool:
    """Return whether a covariance says that position and heading are not known: negative, or huge."""
    diagonal = np.diag(covariance)[[0, 1, 5]]
    return bool(((diagonal < 0) | (diagonal >= UNKNOWN)).all())


def _grown(first: Sample, second: Sample) -> np.ndarray | None:
    """Return what the covariance of the pose has grown by, in the first axes; None where it has not."""
    if first.stated is None or second.stated is None:
        return None
    R = first.T[:3, :3]
    grown = second.stated - carry_covariance(first.stated, second.T[:3, 3] - first.T[:3, 3])
    if np.trace(second.stated - first.stated) <= 1e-12 or \
            np.linalg.eigvalsh(grown)[0] < -1e-3 * max(np.trace(grown), 1e-9):
        return None
    return rotate_covariance(R.T, grown)


def _leaning(covariance: np.ndarray, offset: np.ndarray, part: float) -> np.ndarray:
    """Return a covariance with what errors of rotation, that come about on the way, do to the position.

    :param part: of the variance that they would have, had they all come at the beginning: a third where they add up
        at random, a quarter where they are in proportion to the way.
    """
    A, rotation = -skew(offset), covariance[3:, 3:]
    found = covariance.copy()
    found[:3, :3] += part * A @ rotation @ A.T
    found[:3, 3:] += A @ rotation / 2
    found[3:, :3] = found[:3, 3:].T
    return found


def of_camera(motion: Relative, T_base_camera: np.ndarray) -> Relative:
    """Return the motion of a camera (4, 4) that is fixed to a base, from the motion of the base."""
    T_camera_base = inverse(T_base_camera)
    offset = motion.T_0_1[:3, :3] @ T_base_camera[:3, 3]
    covariance = rotate_covariance(T_camera_base[:3, :3], carry_covariance(motion.covariance, offset))
    return motion._replace(T_0_1=T_camera_base @ motion.T_0_1 @ T_base_camera, covariance=covariance)
