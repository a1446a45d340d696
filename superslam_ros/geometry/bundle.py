"""Bundle adjustment over a window of keyframes, with what left it kept as a prior (fixed-lag smoothing).

The factors are GTSAM's (F. Dellaert and M. Kaess, Factor Graphs for Robot Perception, 2017). A keyframe that
leaves is marginalised together with every landmark it sees: what they said about the other poses stays behind
as one Gaussian on those poses, linearised where it was; such a landmark begins anew with what is seen of it later,
so that nothing counts twice (the scheme of Qin, Li and Shen, VINS-Mono, T-RO 2018, section VI).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.reprojection import HUBER

try:
    import gtsam
except ImportError:
    gtsam = None

_BASELINE_M = 1.0
"""An inverse depth becomes the disparity of this baseline; which one does not matter."""
_LOOSE = 1e3
MOST_LOOSE = 20
"""Landmarks of a window that may turn out not to be determined."""
POSE, POINT = 'x', 'l'


@dataclass(frozen=True)
class Sightings:
    """M observations of landmarks by keyframes, in pixels of each keyframe's ideal camera.

    ``keyframes`` (M,) and ``landmarks`` (M,) are the caller's numbers; ``pixels`` (M, 2) and ``pixel_sigma`` (M,);
    ``inverse_depth`` (M,) 1/m, NaN where not measured, and ``inverse_depth_sigma`` (M,); ``correlation`` of the
    errors of a pixel's column and of its inverse depth.
    """

    keyframes: np.ndarray
    landmarks: np.ndarray
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray
    correlation: float = 0.0


@dataclass(frozen=True)
class Solution:
    """Poses (4, 4) by keyframe, ``points`` (L, 3) in the order given, ``covariance`` (6, 6) of the newest pose."""

    poses: dict[int, np.ndarray]
    points: np.ndarray
    covariance: np.ndarray


class BundleError(RuntimeError):
    """The observations do not determine the window."""


class Window:
    """The smoother's memory: the last graph it solved, and the prior from what was marginalised."""

    def __init__(self, number: int, T_world_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Begin with one keyframe, which is known with a covariance (6, 6).

        :raises ImportError: when GTSAM is not installed.
        """
        if gtsam is None:
            raise ImportError('GTSAM is not installed: pip install gtsam')
        self._prior = gtsam.NonlinearFactorGraph()
        self.hold(number, T_world_camera, covariance)
        self._graph, self._values = self._prior, None

    @property
    def solved(self) -> bool:
        """Whether there is a solution."""
        return self._values is not None

    def hold(self, number: int, T_world_camera: np.ndarray, covariance: np.ndarray) -> None:
        """Say where a keyframe is, with a covariance (6, 6)."""
        noise = gtsam.noiseModel.Gaussian.Covariance(to_gtsam(T_world_camera, covariance))
        self._prior.add(gtsam.PriorFactorPose3(_key(POSE, number), to_pose(T_world_camera), noise))

    def hold_distance(self, number0: int, number1: int, distance: float, sigma: float) -> None:
        """Give a scale to keyframes that have none: how far apart two of them are."""
        noise = gtsam.noiseModel.Isotropic.Sigma(1, sigma)
        self._prior.add(gtsam.RangeFactorPose3(_key(POSE, number0), _key(POSE, number1), distance, noise))

    def solve(
        self, poses: Mapping[int, np.ndarray], cameras: Mapping[int, Pinhole], numbers: np.ndarray,
        points: np.ndarray, seen: Sightings, iterations: int = 6,
    ) -> Solution:
        """Find the poses and points that explain the observations best (Levenberg-Marquardt, Huber loss).

        :param poses: T_world_camera by keyframe number, oldest first; ``cameras`` likewise.
        :param numbers: (L,) of the landmarks; ``points`` (L, 3) where they are thought to be.
        :raises BundleError: when that has no answer.
        """
        graph = gtsam.NonlinearFactorGraph(self._prior)
        for factor in factors(cameras, seen):
            graph.add(factor)
        values = gtsam.Values()
        for number, T in poses.items():
            values.insert(_key(POSE, number), to_pose(T))
        # A point that falls behind its cameras loses its factors; this keeps the system solvable, and says no more.
        loose = gtsam.noiseModel.Isotropic.Sigma(3, _LOOSE)
        for number, point in zip(numbers.tolist(), points):
            values.insert(_key(POINT, number), point)
            graph.add(gtsam.PriorFactorPoint3(_key(POINT, number), point, loose))
        parameters = gtsam.LevenbergMarquardtParams()
        parameters.setMaxIterations(iterations)
        parameters.setRelativeErrorTol(1e-5)
        newest = next(reversed(poses))
        try:
            found = gtsam.LevenbergMarquardtOptimizer(graph, values, parameters).optimize()
            graph, covariance = _marginal(graph, found, _key(POSE, newest))
        except (RuntimeError, IndexError) as error:
            raise BundleError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
        self._graph, self._values = graph, found
        solved = {number: found.atPose3(_key(POSE, number)).matrix() for number in poses}
        where = np.array([found.atPoint3(_key(POINT, number)) for number in numbers.tolist()]).reshape(-1, 3)
        if not np.isfinite(where).all() or not np.isfinite(covariance).all():
            raise BundleError('the window has no finite solution')
        return Solution(solved, where, from_gtsam(solved[newest], covariance))

    def marginalise(self, number: int, staying: set[int]) -> list[int]:
        """Let a keyframe of the last solution go, and the landmarks it saw.

        :param staying: numbers of landmarks that stay in the window; the keyframe's view of them is given up.
        :returns: the numbers of the landmarks that went with it.
        :raises BundleError: when it, or a landmark that it sees, is not determined.
        """
        pose, stay = _key(POSE, number), {_key(POINT, one) for one in staying}
        leaving = {pose}
        factors = [self._graph.at(i) for i in range(self._graph.size())]
        factors = [(factor, set(factor.keys())) for factor in factors]
        for _, keys in factors:
            if pose in keys:
                leaving |= {key for key in keys if chr(gtsam.symbolChr(key)) == POINT} - stay
        touched = gtsam.NonlinearFactorGraph()
        for factor, keys in factors:
            if keys & leaving and not keys & stay:
                touched.add(factor)
        kept = gtsam.NonlinearFactorGraph()
        for i in range(self._prior.size()):
            if not set(self._prior.at(i).keys()) & leaving:
                kept.add(self._prior.at(i))
        # Points first: each is tied to poses only, so nothing fills in.
        order = sorted(leaving, key=lambda key: (key == pose, key))
        ordering = gtsam.Ordering()
        for key in order:       # GTSAM 4.2, which Python 3.10 gets, makes none of a list
            ordering.push_back(key)
        try:
            _, rest = touched.linearize(self._values).eliminatePartialSequential(ordering)
            kept.add(gtsam.LinearContainerFactor(gtsam.HessianFactor(rest), self._values))
        except (RuntimeError, IndexError) as error:
            raise BundleError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
        self._prior = kept
        return [gtsam.symbolIndex(key) for key in order[:-1]]


def _marginal(
    graph: gtsam.NonlinearFactorGraph, found: gtsam.Values, key: int
) -> tuple[gtsam.NonlinearFactorGraph, np.ndarray]:
    """Return the covariance (6, 6) of a pose, and the graph without the sightings of landmarks that have none.

    Of a point whose rays hardly cross the solution is good, and its information so ill-conditioned that GTSAM gives
    up on the whole window; it names one such point at a time.

    :raises RuntimeError: what GTSAM raises, when it is not for some landmarks.
    """
    for _ in range(MOST_LOOSE):
        try:
            return graph, gtsam.Marginals(graph, found).marginalCovariance(key)
        except RuntimeError as error:
            named = re.search(r'variable\s+(\d+)', str(error))
            if named is None or chr(gtsam.symbolChr(int(named[1]))) != POINT:
                raise
            kept = gtsam.NonlinearFactorGraph()
            for factor in (graph.at(i) for i in range(graph.size())):
                keys = set(factor.keys())
                if int(named[1]) not in keys or len(keys) == 1:
                    kept.add(factor)
            graph = kept
    return graph, gtsam.Marginals(graph, found).marginalCovariance(key)


def factors(cameras: Mapping[int, Pinhole], seen: Sightings) -> list:
    """Return a factor of each sighting, with Huber's loss, between symbols ``POSE`` and ``POINT`` of its numbers."""
    loss = gtsam.noiseModel.mEstimator.Huber.Create(HUBER)
    flat = {number: gtsam.Cal3_S2(c.fx, c.fy, 0, c.cx, c.cy) for number, c in cameras.items()}
    deep = {number: gtsam.Cal3_S2Stereo(c.fx, c.fy, 0, c.cx, c.cy, _BASELINE_M) for number, c in cameras.items()}
    noises: dict[tuple[float, ...], gtsam.noiseModel.Base] = {}

    def noise(*key: float) -> gtsam.noiseModel.Base:
        if key not in noises:
            plain = (gtsam.noiseModel.Isotropic.Sigma(2, key[0]) if len(key) == 1 else
                     gtsam.noiseModel.Gaussian.Covariance(_disparity_noise(*key, seen.correlation)))
            noises[key] = gtsam.noiseModel.Robust.Create(loss, plain)
        return noises[key]

    made = []
    for keyframe, landmark, (u, v), sigma, w, w_sigma in zip(
        seen.keyframes.tolist(), seen.landmarks.tolist(), seen.pixels.tolist(), seen.pixel_sigma.tolist(),
        seen.inverse_depth.tolist(), seen.inverse_depth_sigma.tolist(),
    ):
        ends = _key(POSE, keyframe), _key(POINT, landmark)
        if w == w:
            scale = cameras[keyframe].fx * _BASELINE_M
            measured = gtsam.StereoPoint2(u, u - scale * w, v)
            made.append(gtsam.GenericStereoFactor3D(
                measured, noise(sigma, scale * w_sigma), *ends, deep[keyframe]))
        else:
            made.append(gtsam.GenericProjectionFactorCal3_S2(
                np.array([u, v]), noise(sigma), *ends, flat[keyframe]))
    return made


def _disparity_noise(sigma: float, disparity_sigma: float, correlation: float) -> np.ndarray:
    """Return the covariance of (left column, left column - disparity, row)."""
    shared = correlation * sigma * disparity_sigma
    both = sigma**2 - shared
    return np.array([[sigma**2, both, 0], [both, both - shared + disparity_sigma**2, 0], [0, 0, sigma**2]])


def _key(kind: str, number: int) -> int:
    return gtsam.symbol(kind, number)


def to_pose(T: np.ndarray) -> gtsam.Pose3:
    """Return a pose (4, 4) as GTSAM's."""
    return gtsam.Pose3(gtsam.Rot3(T[:3, :3]), T[:3, 3])


def from_gtsam(T: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return a covariance in our order and axes; GTSAM's error is (rotation, translation) along the body's axes."""
    A = np.zeros((6, 6))
    A[:3, 3:] = A[3:, :3] = T[:3, :3]
    covariance = A @ covariance @ A.T
    return (covariance + covariance.T) / 2


def to_gtsam(T: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return a covariance (6, 6) of a pose in GTSAM's order and axes: the inverse of :func:`from_gtsam`."""
    A = np.zeros((6, 6))
    A[:3, 3:] = A[3:, :3] = T[:3, :3].T
    return A @ covariance @ A.T
