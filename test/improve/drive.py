"""A recording whose answer is known: points of a room seen from a moving camera, some of which move themselves."""

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pose import compose, perturb, rotation_exp, transform
from superslam_ros.improve.evidence import Evidence

PINHOLE, SIZE = Pinhole(270, 270, 159.5, 119.5), (320, 240)


class Drive:
    """Points (P, 3), the first ``moving`` of which move; true poses (F, 4, 4); what was seen, and the odometry's poses.

    ``point`` (N,) is what every keypoint shows, -1 for nothing.
    """

    def __init__(self, frames=30, points=150, moving=15, noise_px=0.3, drift=0.01, depth=True, seed=0, turns=False):
        rng = np.random.default_rng(seed)
        self.points, self.moving = rng.uniform([-3, -1.5, 3], [3, 1.5, 7], (points, 3)), moving
        self.poses = np.array([compose(rotation_exp(np.array([0, 0.015 * k, 0])), np.zeros(3)) if turns else
                               compose(np.eye(3), [0.06 * k, 0.02 * np.sin(k), 0.03 * k]) for k in range(frames)])
        descriptors = rng.normal(size=(points, 256))
        ways = 0.05 * rng.normal(size=(moving, 3))
        columns = []
        for frame, T in enumerate(self.poses):
            now = self.points.copy()
            now[:moving] += ways * frame
            local = transform(np.linalg.inv(T), now)
            pixels = PINHOLE.project(local) + noise_px * rng.normal(size=(points, 2))
            inside = ((pixels > 0) & (pixels < np.array(SIZE) - 1)).all(1)
            shown = np.flatnonzero(inside & (rng.uniform(size=points) > 0.02))
            shown = rng.permutation(shown)
            near = descriptors[shown] + 0.2 * rng.normal(size=(len(shown), 256))
            columns.append((shown, pixels[shown], local[shown, 2], near / np.linalg.norm(near, axis=1, keepdims=True)))
        self.point, pixels, depths, descriptors = (np.concatenate(column) for column in zip(*columns))
        counts = [len(shown) for shown, *_ in columns]
        # The odometry drifts.
        odometry, off = [], np.zeros(6)
        for T in self.poses:
            odometry.append(perturb(T, off))
            off = off + drift * np.append(rng.normal(0, 1, 3), rng.normal(0, 0.2, 3))
        self.evidence = Evidence(
            'drive', PINHOLE, SIZE, True, 'depth' if depth else 'one camera', np.arange(frames) * 10**8, odometry,
            np.zeros(frames), np.concatenate([[0], np.cumsum(counts)]), pixels, np.ones(len(pixels)),
            np.ones(len(pixels)), depths if depth else np.full(len(pixels), np.nan), descriptors.astype(np.float16))

    def shown(self, tracks):
        """Return what every observation (M,) of tracks shows."""
        return self.point[self.evidence.first[tracks.frame] + tracks.keypoint]
