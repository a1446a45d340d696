"""Exact worlds of points: landmarks that every image sees at their true pixels, matched by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.data import Camera, Features, Matches, Motion
from superslam_ros.geometry.pose import T_BODY_OPTICAL, compose, difference, inverse, rotation_exp, transform
from superslam_ros.slam import KeyframeMatcher, MotionEstimator, OdometryConfig

K = np.array([[300.0, 0, 320], [0, 300, 240], [0, 0, 1]])
BASELINE_M = 0.12
LEFT = Camera(640, 480, K)
RIGHT = Camera(640, 480, K, P=np.hstack([K, [[-300 * BASELINE_M], [0], [0]]]))
PERIOD_NS = 100_000_000
TURNED = rotation_exp([0, 0, np.pi]) @ T_BODY_OPTICAL[:3, :3]
"""Rotation of a camera that looks backwards."""


def trajectory(count: int, step_m: float = 0.05, turn_rad: float = 0.02) -> list[np.ndarray]:
    """Return T_odom_camera of a camera that walks along x, sways and turns; the first is odometry's origin."""
    return [
        compose(rotation_exp([0.02 * np.sin(i / 3), 0.015 * np.sin(i / 4), turn_rad * i]),
                [step_m * i, 0.1 * np.sin(i / 5), 0.05 * np.sin(i / 6)]) @ T_BODY_OPTICAL
        for i in range(count)
    ]


@dataclass
class PointWorld:
    """Landmarks (N, 3) in odom, seen with ``noise_px`` from its own generator.

    Keypoints of every other landmark are ``coarse`` times less exact, and of that scale, unless it is not ``told``.
    """

    landmarks: np.ndarray
    noise_px: float = 0.0
    seed: int = 0
    coarse: float = 1.0
    told: bool = True

    def __post_init__(self) -> None:
        """Begin the noise."""
        self.random = np.random.default_rng(self.seed + 1000)

    @classmethod
    def make(cls, seed: int = 0, count: int = 1500, noise_px: float = 0.0) -> PointWorld:
        """Return landmarks in a box in front of the first camera."""
        random = np.random.default_rng(seed)
        return cls(random.uniform([1.5, -4, -2], [9, 5, 2], (count, 3)), noise_px, seed)

    @classmethod
    def around(cls) -> PointWorld:
        """Return landmarks before and behind the first camera, of which no image shows both (see ``TURNED``)."""
        ahead = cls.make().landmarks
        return cls(np.concatenate([ahead, ahead * [-1, 1, 1]]))

    def features(self, T_odom_camera: np.ndarray, offset_m: float = 0.0) -> Features:
        """Return what a camera ``offset_m`` to the right sees; the descriptor names the landmark."""
        points = transform(inverse(T_odom_camera), self.landmarks) - [offset_m, 0, 0]
        pixels = points[:, :2] / points[:, 2:] * 300 + K[:2, 2]
        seen = (points[:, 2] > 0.3) & (pixels > 0).all(1) & (pixels < [639, 479]).all(1)
        numbers = np.flatnonzero(seen)
        # Every image has its own order of keypoints.
        numbers = numbers[np.argsort(pixels[numbers, 0])]
        scales = np.where(numbers % 2, self.coarse, 1.0)
        noise = self.noise_px * scales[:, None] * self.random.normal(size=(len(numbers), 2))
        return Features(pixels[numbers] + noise, np.ones(len(numbers)), names(len(self.landmarks))[numbers], (640, 480),
                        scales if self.told else None)


def names(count: int) -> np.ndarray:
    """Return the descriptors (count, 32) of landmarks: unit vectors, no two alike, the same in every world."""
    rows = np.random.default_rng(7).normal(size=(count, 32)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def numbers_of(features: Features, count: int) -> np.ndarray:
    """Return which landmarks of ``count`` the features show."""
    order = np.argsort(names(count)[:, 0])
    return order[np.searchsorted(names(count)[order, 0], features.descriptors[:, 0])]


def match_numbers(first: Features, second: Features) -> Matches:
    """Match what has the same descriptor."""
    _, index0, index1 = np.intersect1d(first.descriptors[:, 0], second.descriptors[:, 0], return_indices=True)
    return Matches.of(first, second, np.stack([index0, index1], 1), np.ones(len(index0)))


def nothing(features: Features) -> Features:
    """Return the features of a covered lens."""
    return Features(np.zeros((0, 2)), np.zeros(0), np.zeros((0, features.descriptor_size)), features.image_size)


class Walk:
    """The back half of the chain on a point world."""

    def __init__(self, world: PointWorld, stereo: bool = True, **options: float) -> None:
        """Begin at time 0."""
        self.world, self.stereo = world, stereo
        self.temporal = KeyframeMatcher(match_numbers)
        self.motion = MotionEstimator(OdometryConfig(**options))
        self.stamp_ns = 0

    def step(self, T_odom_camera: np.ndarray, dark: bool = False) -> Motion:
        """Look from a pose, a tenth of a second later."""
        self.stamp_ns += PERIOD_NS
        left = self.world.features(T_odom_camera)
        right = self.world.features(T_odom_camera, BASELINE_M)
        if dark:
            left, right = nothing(left), nothing(right)
        stereo, temporal = self.temporal.with_stereo(left, right if self.stereo else None, self.stamp_ns)
        return self.motion.process(left, temporal, LEFT, stereo, RIGHT if self.stereo else None)


def errors(walk: Walk, poses: list[np.ndarray]) -> np.ndarray:
    """Return the pose errors (N, 6) of a walk."""
    return np.array([difference(walk.step(T).T_odom_camera, T) for T in poses])
