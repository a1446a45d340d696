"""Maps whose unit is not known, as of one camera: lengths are compared, and what drifts is corrected with its unit.

A pose graph over similarities (H. Strasdat, J. Montiel and A. Davison, Scale Drift-Aware Large Scale Monocular SLAM,
RSS 2010). The keyframes of a map are of one unit; a solution says by how much the surroundings of each have to grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.bundle import gtsam
from superslam_ros.geometry.pose import compose, inverse, transform
from superslam_ros.geometry.similarity import widened
from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.parts import LOOP, Edge

NOT_METRIC = (
    'one camera without scale, and this GTSAM has no pose graph over similarities: install GTSAM 4.3 (pip install '
    '"gtsam>=4.3"), use stereo or depth, or say odometry.first_baseline or odometry.camera_height')
LEAST, ALIKE, LEAST_SIGMA, TAIL = 8, 0.02, 0.01, 2.5
"""Landmarks whose distance is known twice, that must be there to compare units; deviation of the logarithm of each
ratio beside what is known of the two, and of their mean at least, since they share errors; deviations beyond which a
ratio has less of a say."""
_FIXED, _FREE = 1e-4, 1e3


class Unit(NamedTuple):
    """What lengths of an odometry are multiplied by to be those of a map.

    ``covariance`` (7,) of its logarithm with the pose of the camera in the map's axes, and of itself.
    """

    scale: float
    covariance: np.ndarray

    def with_pose(self, covariance: np.ndarray) -> np.ndarray:
        """Return the covariance (7, 7) of the pose, whose own is given (6, 6), and of this."""
        whole = widened(covariance)
        whole[6], whole[:, 6] = self.covariance, self.covariance
        return whole


def available() -> bool:
    """Whether the GTSAM that is installed has all that is needed: its release 4.3 has, and 4.2 has not."""
    return all(hasattr(gtsam, name) for name in (
        'Similarity3', 'BetweenFactorSimilarity3', 'PriorFactorSimilarity3'))


def possible(edges: Sequence[Edge]) -> bool:
    """Whether a graph of these edges can be optimised with what is installed."""
    return gtsam is not None and (available() or not any(edge.similar for edge in edges))


def unit_of(
    keyframe: Keyframe, keypoints: np.ndarray, points: np.ndarray, covariance: np.ndarray, T_map_camera: np.ndarray,
    pose_covariance: np.ndarray,
) -> Unit | None:
    """Compare how far landmarks are from a camera by a map, and by the odometry; None where too few have both.

    :param keypoints: (M,) rows that show landmarks at ``points`` (M, 3) in the map, with ``covariance`` (M, 3, 3) in
        its axes.
    :param pose_covariance: (6, 6) of T_map_camera, in the map's axes.
    """
    local = transform(inverse(T_map_camera), points)
    away, own = np.linalg.norm(local, axis=1), np.linalg.norm(keyframe.points[keypoints].astype(np.float64), axis=1)
    with np.errstate(invalid='ignore'):
        good = np.isfinite(own) & (own > 0) & (away > 0)
    if good.sum() < LEAST:
        return None
    away, own = away[good], own[good]
    ways = (points[good] - T_map_camera[:3, 3]) / away[:, None]
    local_ways = local[good] / away[:, None]
    variance = ALIKE**2 + np.einsum('ni,nij,nj->n', ways, covariance[good], ways) / away**2 + np.einsum(
        'ni,nij,nj->n', local_ways, keyframe.point_covariance[keypoints][good].astype(np.float64), local_ways) / own**2
    mean, sigma, weights = _robust_mean(np.log(away / own), variance)
    # A camera that stood elsewhere would have all landmarks nearer, or farther.
    by_pose = np.append(-(weights / away) @ ways, np.zeros(3))
    together = pose_covariance @ by_pose
    return Unit(float(np.exp(mean)), np.append(together, sigma**2 + by_pose @ together))


def _robust_mean(values: np.ndarray, variance: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the mean of values (N,), its deviation, and the weight (N,) of each, by Tukey's biweight."""
    mean = float(np.median(values))
    spread = max(1.0, 1.4826 * float(np.median(np.abs(values - mean) / np.sqrt(variance))))
    sigma = spread * np.sqrt(variance)
    for _ in range(10):
        weights = np.clip(1 - ((values - mean) / (2 * TAIL * sigma))**2, 0, None)**2 / sigma**2
        mean = float((weights * values).sum() / weights.sum())
    return mean, float(np.hypot(LEAST_SIGMA, weights.sum()**-0.5)), weights / weights.sum()


class Similarities:
    """The pose graph over similarities, for :func:`superslam_ros.maps.graph.optimise`.

    What an odometry in metres said has its scale; where there is such a one, it gives the unit of all that hangs
    together with it, else the keyframe of the lowest id does.
    """

    def __init__(self, edges: Sequence[Edge], first: Mapping[int, int]) -> None:
        """Begin.

        :param first: by keyframe, the lowest id of those that it hangs together with.
        """
        self._metric = {number for edge in edges if edge.kind != LOOP and not edge.similar
                        for number in (edge.start, edge.end)}
        self._in_metres = {first[number] for number in self._metric}

    def value(self, T: np.ndarray) -> gtsam.Similarity3:
        """Return a pose of a keyframe that has not grown."""
        return _to_gtsam(T, 1.0)

    def held(self, number: int, T: np.ndarray, first: bool) -> list[gtsam.PriorFactorSimilarity3]:
        """Return what holds a keyframe: the first in its place and its unit, one in metres in those."""
        fixed = number in self._metric or (first and number not in self._in_metres)
        sigmas = np.repeat([_FIXED if first else _FREE, _FIXED if fixed else _FREE], [6, 1])
        if not first and not fixed:
            return []
        return [gtsam.PriorFactorSimilarity3(number, _to_gtsam(T, 1.0), gtsam.noiseModel.Diagonal.Sigmas(sigmas))]

    def factor(self, edge: Edge, weight: float = 1.0) -> gtsam.BetweenFactorSimilarity3:
        """Return GTSAM's factor of an edge, whose covariance is divided by a weight."""
        R = edge.T_start_end[:3, :3]
        J = np.zeros((7, 7))    # GTSAM's errors are those of rotation, position and scale, in the end's axes and unit
        J[:3, 3:6], J[3:6, :3], J[6, 6] = R.T, R.T / edge.scale, 1.0
        covariance = J @ widened(edge.covariance, 7, _FIXED**2) @ J.T
        return gtsam.BetweenFactorSimilarity3(
            edge.start, edge.end, _to_gtsam(edge.T_start_end, edge.scale),
            gtsam.noiseModel.Gaussian.Covariance((covariance + covariance.T) / 2 / weight))

    def poses(self, found: gtsam.Values, numbers: Sequence[int]) -> dict[int, np.ndarray]:
        """Return T_map_camera by keyframe."""
        values = {number: found.atSimilarity3(number) for number in numbers}
        return {number: compose(one.rotation().matrix(), one.scale() * one.translation())
                for number, one in values.items()}

    def scales(self, found: gtsam.Values, numbers: Sequence[int]) -> dict[int, float]:
        """Return by how much the surroundings of each keyframe grow."""
        return {number: 1.0 if number in self._metric else found.atSimilarity3(number).scale() for number in numbers}


def _to_gtsam(T: np.ndarray, scale: float) -> gtsam.Similarity3:
    """Return a similarity as GTSAM has it, whose translation is scaled, too."""
    return gtsam.Similarity3(bundle.to_pose(T).rotation(), T[:3, 3] / scale, scale)
