"""The bias of the gyroscope, by what it should have measured."""

from __future__ import annotations

import numpy as np

UNKNOWN = 0.05
"""Standard deviation of a bias that nothing has shown yet (rad/s)."""
CHI2_999 = 16.3
PATIENCE = 3
"""Measurements in a row that are beyond the quantile, until the bias counts as unknown again."""


class Bias:
    """A Kalman filter of the bias, which walks at random (Woodman, An introduction to inertial navigation, 2007, 3.2).

    :ivar mean: (3,) rad/s, along the axes of the unit, at the last measurement.
    """

    def __init__(self, walk: float) -> None:
        """Know nothing."""
        self._walk, self.mean = walk, np.zeros(3)
        self._covariance, self._stamp_ns = np.eye(3) * UNKNOWN**2, 0
        self._refused = 0

    def covariance(self, stamp_ns: int) -> np.ndarray:
        """Return the covariance (3, 3) at a time: what it was, and what the bias may have walked since."""
        since = max(0, stamp_ns - self._stamp_ns) * 1e-9 if self._stamp_ns else 0.0
        grown = self._covariance + np.eye(3) * self._walk**2 * since
        return grown * min(1.0, UNKNOWN**2 / grown.diagonal().max())

    def measure(self, stamp_ns: int, error: np.ndarray, H: np.ndarray, noise: np.ndarray) -> float:
        """Take a measurement of what the bias is off.

        :param error: (3,) such as ``H @ (bias - mean)``, with ``noise`` (3, 3) on it.
        :returns: the normalised square of the error; one beyond ``CHI2_999`` is not believed, and several in a row make
            the bias unknown.
        """
        prior = self.covariance(stamp_ns)
        both = H @ prior @ H.T + noise
        squared = float(error @ np.linalg.solve(both, error))
        fits = squared < CHI2_999
        self._refused = 0 if fits else self._refused + 1
        if fits:
            gain = np.linalg.solve(both, H @ prior).T
            self.mean = self.mean + gain @ error
            rest = np.eye(3) - gain @ H
            prior = rest @ prior @ rest.T + gain @ noise @ gain.T
        elif self._refused >= PATIENCE:
            self.mean, prior, self._refused = np.zeros(3), np.eye(3) * UNKNOWN**2, 0
        self._covariance, self._stamp_ns = prior, max(stamp_ns, self._stamp_ns)
        return squared
