"""Where the camera may have gone since an instant, by other sensors than the camera: wheels, a gyroscope."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from superslam_ros.geometry.pose import compose, perturb, rotate_covariance, rotation_log

CHI2_999 = 16.3
"""Quantile of chi-square, three degrees of freedom."""


class Relative(NamedTuple):
    """A motion of the camera: ``T_0_1`` (4, 4), metres, maps a point of its later optical frame to its earlier one.

    ``covariance`` (6, 6) of it, in the axes of the earlier frame. With ``rotation_only``, the translation, and what the
    covariance says of it, means nothing.
    """

    T_0_1: np.ndarray
    covariance: np.ndarray
    rotation_only: bool = False

    def turned(self, R_a_camera: np.ndarray) -> Relative:
        """Return the same motion of a frame a that is turned from the camera's, R (3, 3), about the same origin."""
        A = compose(R_a_camera, np.zeros(3))
        return self._replace(T_0_1=A @ self.T_0_1 @ A.T, covariance=rotate_covariance(R_a_camera, self.covariance))


class Predictor(Protocol):
    """What knows motions of the camera without looking through it."""

    def between(self, stamp0_ns: int, stamp1_ns: int) -> Relative | None:
        """Return how the camera (the optical frame of the left, or only, image) moved from one instant to a later one.

        None where that is not known: nothing has come for one of the instants, or what has come cannot be believed.
        """


def fused(motion: Relative | None, turned: Relative | None) -> Relative | None:
    """Return a motion, as of wheels, whose rotation another sensor knows as well; either may be unknown.

    A Kalman update: errors of the heading on the way have moved the position, which comes right along with the
    rotation. Where both rotations disagree beyond the 99.9 % quantile, their covariances are too small, and grow by the
    same factor until they agree (Birge, Phys. Rev. 40, 1932): the surer one counts for more, as before.

    :param turned: of which the rotation alone is used.
    """
    if motion is None or turned is None:
        return turned if motion is None else motion
    off = rotation_log(turned.T_0_1[:3, :3] @ motion.T_0_1[:3, :3].T)
    covariance, both = motion.covariance, motion.covariance[3:, 3:] + turned.covariance[3:, 3:]
    squared = float(off @ np.linalg.solve(both, off))
    gain = np.linalg.solve(both, covariance[3:]).T
    covariance = (covariance - gain @ covariance[3:]) * (squared / 3 if squared > CHI2_999 else 1.0)
    return motion._replace(T_0_1=perturb(motion.T_0_1, gain @ off), covariance=(covariance + covariance.T) / 2)
