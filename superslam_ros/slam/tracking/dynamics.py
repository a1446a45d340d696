"""How the camera moves between frames: velocity, prediction, dead reckoning, rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.pose import (
    carry_covariance,
    compose,
    difference,
    inverse,
    perturb,
    rotate_covariance,
    rotation_exp,
    rotation_log,
)
from superslam_ros.slam.tracking.prediction import CHI2_999, Relative

FIRST_VARIANCE = 1e-8
"""Of the first pose, which defines odom: not zero, which filters refuse."""


class _Known(NamedTuple):
    """An instant with its pose and covariance, and that against the map, where vision has found it."""

    stamp_ns: int
    T: np.ndarray
    covariance: np.ndarray
    relative: np.ndarray = np.zeros((6, 6))


class Dynamics:
    """The last pose, and the velocity along the camera's axes, which is believed for a while.

    Motions that other sensors tell are believed instead, where they do. While vision is lost, they count from the last
    pose that it gave: errors of wheels repeat from step to step, and would be too small if steps were added up.

    :ivar velocity: (6,) m/s and rad/s in the optical frame; ``velocity_covariance`` (6, 6).
    """

    def __init__(
        self, T_odom_camera: np.ndarray, prediction_s: float, acceleration: float,
        relative: Callable[[int, int], Relative | None] = lambda stamp0_ns, stamp1_ns: None,
    ) -> None:
        """Begin at rest; ``relative`` tells how the camera moved between two instants, where that is known."""
        self._relative = relative
        self._guess: tuple[int, Relative, _Known] | None = None
        self.stamp_ns: int | None = None
        self.velocity, self.velocity_covariance = np.zeros(6), np.eye(6)
        self._T, self._covariance = T_odom_camera, np.eye(6) * FIRST_VARIANCE
        self._prediction_s, self._acceleration = prediction_s, acceleration
        self._tracked_ns: int | None = None
        self._tracked_T = T_odom_camera
        self._anchor = _Known(0, self._T, self._covariance)

    def place(self, T_odom_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Say where the camera is, with covariance (6, 6), before anything is measured."""
        self._T, self._covariance = T_odom_camera, covariance
        self._tracked_T = T_odom_camera

    def predict(self, stamp_ns: int) -> np.ndarray:
        """Return the pose at a time, as other sensors have it, or under the last velocity."""
        if self.stamp_ns is None:
            return self._T.copy()
        self._guess = self._from_others(stamp_ns)
        T = self._under_velocity(stamp_ns)
        if self._guess is None:
            return T
        _, motion, anchor = self._guess
        guessed = anchor.T @ motion.T_0_1
        return compose(guessed[:3, :3], T[:3, 3]) if motion.rotation_only else guessed

    def _from_others(self, stamp_ns: int) -> tuple[int, Relative, _Known] | None:
        """Return the motion that other sensors tell: from the anchor, or at least from the last frame."""
        for anchor in (self._anchor, _Known(self.stamp_ns, self._T, self._covariance)):
            motion = self._relative(anchor.stamp_ns, stamp_ns)
            if motion is not None:
                return stamp_ns, motion, anchor
        return None

    def _under_velocity(self, stamp_ns: int) -> np.ndarray:
        seconds = (stamp_ns - self.stamp_ns) * 1e-9
        believed = self._prediction_s - (self.stamp_ns - self._tracked_ns) * 1e-9
        seconds = float(np.clip(seconds, 0, max(0.0, believed)))
        return self._T @ compose(rotation_exp(self.velocity[3:] * seconds), self.velocity[:3] * seconds)

    def measure(self, stamp_ns: int, T: np.ndarray, covariance: np.ndarray, relative: np.ndarray) -> None:
        """Take a measured pose.

        :param covariance: (6, 6) of it in odom; ``relative`` (6, 6): of it against the map alone.
        """
        elapsed = self._elapsed(stamp_ns)
        if elapsed > 0:
            # What was predicted or held in between is no measurement; how the speed changed meanwhile nobody knows.
            since = (stamp_ns - self._tracked_ns) * 1e-9
            step = inverse(self._tracked_T) @ T
            self.velocity = _velocity(step, since)
            # Both ends of the step are uncertain, about equally.
            self.velocity_covariance = 2 * rotate_covariance(T[:3, :3].T, relative) / since**2
            self.velocity_covariance += np.eye(6) * (self._acceleration * (since - elapsed)) ** 2
        self._T, self._covariance = T, covariance
        self._track(stamp_ns, relative)

    def correct(self, T: np.ndarray, covariance: np.ndarray) -> None:
        """Replace the last pose by a better one of the same instant."""
        self._T, self._covariance = T, covariance
        if self._tracked_ns == self.stamp_ns:
            self._tracked_T = T
            self._anchor = _Known(self.stamp_ns, T, covariance, self._anchor.relative)

    def hold(
        self, stamp_ns: int, T: np.ndarray, covariance: np.ndarray, relative: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Stand still.

        :param T: the measured pose, ``covariance`` (6, 6) of it in odom and ``relative`` against the map, which bounds
            how still that is.
        :returns: the pose of before, as sure as the measurement and its distance to it allow.
        """
        elapsed = max(self._elapsed(stamp_ns), 1e-3)
        away = difference(self._T, T)
        self._covariance = covariance + np.outer(away, away)
        self.velocity = np.zeros(6)
        self.velocity_covariance = rotate_covariance(self._T[:3, :3].T, relative) / elapsed**2
        self._track(stamp_ns, relative)
        return self._T, self._covariance

    def hold_unmeasured(self, stamp_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Stand still because the image did not change at all: the camera may as well be broken, so trust fades."""
        elapsed = self._elapsed(stamp_ns)
        since = (stamp_ns - self._tracked_ns) * 1e-9
        before = max(0.0, since - elapsed)
        grown = (self._acceleration / 2) ** 2 * (since**4 - before**4)
        self.velocity = np.zeros(6)
        self.velocity_covariance = np.eye(6) * (self._acceleration * since) ** 2
        self._covariance = self._covariance + np.eye(6) * grown
        self.stamp_ns = stamp_ns
        return self._T, self._covariance

    def dead_reckon(self, stamp_ns: int, T_predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Believe the prediction, less and less.

        :returns: pose and covariance.
        """
        if self.stamp_ns is None:
            self._T = T_predicted
            self._track(stamp_ns)
            return T_predicted, self._covariance
        if self.knows(stamp_ns):
            return self._follow(stamp_ns, T_predicted)
        elapsed, turned = self._elapsed(stamp_ns), self._guess
        # The velocity's error grows while lost, and every step adds what it may have done.
        self.velocity_covariance = self.velocity_covariance + np.eye(6) * (self._acceleration * elapsed) ** 2
        moved = rotate_covariance(self._T[:3, :3], self.velocity_covariance) * elapsed**2
        drift = (self._acceleration * elapsed**2) ** 2
        self._T, self._covariance = T_predicted, self._covariance + moved + np.eye(6) * drift
        self.stamp_ns = stamp_ns
        if turned is not None and turned[0] == stamp_ns:    # a rotation is known
            self._covariance[3:, :] = self._covariance[:, 3:] = 0
            self._covariance[3:, 3:] = self._after(turned[1], turned[2])[3:, 3:]
            return self._T, self._covariance
        self._anchor = _Known(stamp_ns, self._T, self._covariance)
        return self._T, self._covariance

    def knows(self, stamp_ns: int) -> bool:
        """Whether the last prediction was for this time, and other sensors told the whole of it."""
        return self._guess is not None and self._guess[0] == stamp_ns and not self._guess[1].rotation_only

    def turned_to(self, T: np.ndarray, relative: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Return a measured pose with what other sensors told of its rotation for the last prediction.

        :param relative: (6, 6) covariance of the measured pose against the map.
        :returns: pose and covariance against the map, by a Kalman update; None in place of a pose whose rotation is
            beyond the 99.9 % quantile of theirs.
        """
        if self._guess is None:
            return T, relative
        _, motion, anchor = self._guess
        off = difference(anchor.T @ motion.T_0_1, T)[3:]
        told = rotate_covariance(anchor.T[:3, :3], motion.covariance)[3:, 3:] + anchor.relative[3:, 3:]
        both = relative[3:, 3:] + told
        if off @ np.linalg.solve(both, off) > CHI2_999:
            return None, relative
        gain = np.linalg.solve(both, relative[3:]).T
        covariance = relative - gain @ relative[3:]
        return perturb(T, gain @ off), (covariance + covariance.T) / 2

    def _follow(self, stamp_ns: int, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Go where other sensors say; return pose and covariance."""
        _, motion, self._anchor = self._guess
        elapsed = self._elapsed(stamp_ns)
        if elapsed > 0:
            step = self._relative(self.stamp_ns, stamp_ns) or motion
            self.velocity = _velocity(inverse(self._T) @ T, elapsed)
            self.velocity_covariance = rotate_covariance(step.T_0_1[:3, :3].T, step.covariance) / elapsed**2
        self._T, self._covariance = T, self._after(motion, self._anchor)
        self.stamp_ns = stamp_ns
        return self._T, self._covariance

    def _after(self, motion: Relative, anchor: _Known) -> np.ndarray:
        """Return the covariance (6, 6), in odom, of the pose that a motion leads to from an anchor."""
        R = anchor.T[:3, :3]
        return carry_covariance(anchor.covariance, R @ motion.T_0_1[:3, 3]) + rotate_covariance(R, motion.covariance)

    def turn(self, stamp_ns: int, T_predicted: np.ndarray, R_odom_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take a measured rotation (3, 3) of a camera that only turns; its position is believed less and less.

        :returns: pose and covariance.
        """
        before, elapsed, guessed = self._T[:3, :3], self._elapsed(stamp_ns), self.knows(stamp_ns)
        T, covariance = self.dead_reckon(stamp_ns, T_predicted)
        T[:3, :3] = R_odom_camera
        if elapsed > 0:
            linear = self.velocity[:3] if guessed else np.zeros(3)
            self.velocity = np.concatenate([linear, rotation_log(before.T @ R_odom_camera) / elapsed])
        self._anchor = _Known(stamp_ns, T, covariance)
        return T, covariance

    def _track(self, stamp_ns: int, relative: np.ndarray | None = None) -> None:
        self.stamp_ns = self._tracked_ns = stamp_ns
        self._tracked_T = self._T.copy()
        self._anchor = _Known(stamp_ns, self._tracked_T, self._covariance,
                              np.zeros((6, 6)) if relative is None else relative)

    def _elapsed(self, stamp_ns: int) -> float:
        return 0.0 if self.stamp_ns is None else max(0.0, (stamp_ns - self.stamp_ns) * 1e-9)


def _velocity(step: np.ndarray, seconds: float) -> np.ndarray:
    """Return the velocity (6,) of a step (4, 4) in a time."""
    return np.concatenate([step[:3, 3], rotation_log(step[:3, :3])]) / seconds
