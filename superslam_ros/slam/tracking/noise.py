"""How precise keypoints are: followed from frame to frame, and what is told to others of it."""

from __future__ import annotations

import numpy as np

from superslam_ros.data import Features, Matches
from superslam_ros.geometry.pnp import PoseEstimate
from superslam_ros.slam.mapping.map import LocalMap

LEAST_SIGMA_PX = 0.25
"""No keypoint is believed to be better than this, in what is told to others: see ``honesty``."""

UNSTABLE, LEAST_WEIGHT = 0.25, 0.05
"""Keypoints that are stable with a lower probability weigh less, in proportion (arXiv 1812.03245, section 5): one that
is sure to be unstable, so much. A head that has learnt little is near .5 and tells nothing; weights of twice the
probability made the odometry worse by a fifth with such a one."""


class KeypointNoise:
    """The noise of keypoints as the residuals show it, learned slowly."""

    def __init__(self, pixel_sigma: float) -> None:
        """Begin with the standard deviation (pixels) that the options give."""
        self._pixel_sigma = pixel_sigma
        self._typical = self._mean = 1.0    # variances, of pixel_sigma squared

    @property
    def sigma_px(self) -> float:
        """Standard deviation of a keypoint as the residuals have it."""
        return self._pixel_sigma * float(np.sqrt(self._typical))

    def honesty(self) -> float:
        """Return by how much covariances from the information alone are too small.

        The noise that weights and tests are best made with is that of the well-behaved majority. Errors have heavier
        tails, and repeat from frame to frame (a keypoint is drawn to the same wrong place), however small they look.
        """
        return max(1.0, max(self._mean, (LEAST_SIGMA_PX / self._pixel_sigma)**2) / self._typical)

    def of(self, features: Features, temporal: Matches) -> np.ndarray:
        """Return (N,) the standard deviations of keypoints (pixels).

        A match of low confidence is a keypoint of low precision, and so is one that is not stable.
        """
        sigma = self.sigma_px * features.scales.astype(np.float64)
        sigma[temporal.indices[:, 1]] /= np.sqrt(np.clip(temporal.scores, 0.25, 1))
        if features.stability is not None:
            sigma /= np.sqrt(np.clip(features.stability.astype(np.float64) / UNSTABLE, LEAST_WEIGHT, 1))
        return sigma

    def learn(self, estimate: PoseEstimate, local_map: LocalMap, depth_of_pixels: bool) -> None:
        """Follow the residuals of a pose, and tell what was measured with another noise.

        :param depth_of_pixels: depths are made of pixels, too: those of a stereo pair.
        """
        before = self._typical
        self._mean = float(np.clip(self._mean**0.9 * (before * estimate.mean_variance)**0.1, 0.02, 36))
        self._typical = float(np.clip(before * estimate.pixel_variance**0.1, 0.02, 9))
        change = self._typical / before
        views = [*local_map.keyframes, *([] if local_map.previous is None else [local_map.previous])]
        for view in {id(one): one for one in views}.values():
            view.pixel_sigma *= np.sqrt(change)
            if depth_of_pixels:
                view.inverse_depth_sigma *= np.sqrt(change)
        if depth_of_pixels or not any(view.has_depth for view in local_map.keyframes):
            local_map.landmarks.covariance *= change
