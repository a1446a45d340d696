"""Where the camera may have gone since an instant, by other sensors than the camera: wheels, a gyroscope."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from superslam_ros.geometry.pose import compose, rotate_covariance


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
