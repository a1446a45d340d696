"""Landmarks that are estimated along with a pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.reprojection import (
    NEAREST_M,
    Observations,
    Terms,
    agree,
    by_point,
    in_camera,
    linearise,
    select,
    whitening,
)

_UNIT = Pinhole(1, 1, 0, 0)


@dataclass
class Structure:
    """Landmarks that are estimated along with the pose, each by itself, as in an iterated extended Kalman filter.

    ``prior`` (N, 3) and ``state``: (x / z, y / z, 1 / z) in the host, as they came and as they are now;
    ``covariance`` (N, 3, 3) of the prior. What moving a landmark changes to first order is added to its measurement, so
    that the prior counts once.
    """

    seen: Observations
    prior: np.ndarray
    state: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, seen: Observations) -> Structure:
        """Begin with the landmarks where they are thought to be."""
        if seen.hosts is None:
            return cls(seen, *(np.zeros((len(seen.pixels), 0)),) * 3)
        R, t = seen.hosts[:, :3, :3], seen.hosts[:, :3, 3]
        local = np.einsum('nji,nj->ni', R, seen.landmarks - t)
        local[:, 2] = np.maximum(local[:, 2], NEAREST_M)
        prior = np.column_stack([local[:, :2] / local[:, 2:], 1 / local[:, 2]])
        inward = by_point(_UNIT, local, np.eye(3)) @ R.transpose(0, 2, 1)
        return cls(seen, prior, prior, inward @ seen.landmark_covariance @ inward.transpose(0, 2, 1))

    def select(self, keep: np.ndarray) -> Structure:
        """Return some of the landmarks."""
        return Structure(select(self.seen, keep), self.prior[keep], self.state[keep], self.covariance[keep])

    def observations(self, camera: Pinhole, T: np.ndarray) -> Observations:
        """Return the observations, linearised where the landmarks are now."""
        if self.seen.hosts is None:
            return self.seen
        points, outward = self._outward()
        H = by_point(camera, in_camera(points, T), T[:3, :3]) @ outward
        shift = np.einsum('nij,nj->ni', H, self.prior - self.state)
        return replace(
            self.seen, landmarks=points, landmark_covariance=outward @ self.covariance @ outward.transpose(0, 2, 1),
            pixels=self.seen.pixels - shift[:, :2], inverse_depth=self.seen.inverse_depth - shift[:, 2])

    def move(self, camera: Pinhole, T: np.ndarray, terms: Terms, whiten: np.ndarray) -> None:
        """Move every landmark to where its prior and its observation from T agree best; those that do not, back."""
        if self.seen.hosts is None:
            return
        points, outward = self._outward()
        H = by_point(camera, in_camera(points, T), T[:3, :3]) @ outward
        H[~np.isfinite(self.seen.inverse_depth), 2] = 0
        gain = self.covariance @ (whiten @ H).transpose(0, 2, 1)
        new = self.prior - np.einsum('nij,nj->ni', gain, terms.residual)
        good = agree(terms) & (new[:, 2] > 0.2 * self.prior[:, 2])
        self.state = np.where(good[:, None], new, self.prior)

    def settle(self, camera: Pinhole, T: np.ndarray, steps: int = 2) -> None:
        """Move the landmarks to a pose that stays."""
        for _ in range(steps if self.seen.hosts is not None else 0):
            moved = self.observations(camera, T)
            whiten = whitening(moved, camera, T)
            self.move(camera, T, linearise(moved, camera, T, whiten), whiten)

    def terms(self, camera: Pinhole, T: np.ndarray) -> Terms:
        """Return the whitened errors at a pose."""
        moved = self.observations(camera, T)
        return linearise(moved, camera, T, whitening(moved, camera, T))

    def _outward(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the points (N, 3) in the world, and how they change with the state (N, 3, 3)."""
        R, t = self.seen.hosts[:, :3, :3], self.seen.hosts[:, :3, 3]
        z = 1 / self.state[:, 2]
        local = np.column_stack([self.state[:, :2], np.ones(len(z))]) * z[:, None]
        change = np.zeros((len(z), 3, 3))
        change[:, 0, 0] = change[:, 1, 1] = z
        change[:, :, 2] = -local * z[:, None]
        return np.einsum('nij,nj->ni', R, local) + t, R @ change
