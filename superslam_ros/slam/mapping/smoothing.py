"""Stage 4b: bundle adjustment over the latest keyframes whenever one is added."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from superslam_ros.config import option
from superslam_ros.geometry import bundle
from superslam_ros.geometry.pnp import agreeing, landmark_information
from superslam_ros.geometry.pose import inverse, transform
from superslam_ros.slam.mapping.landmarks import LOOSE
from superslam_ros.slam.mapping.map import LocalMap, View

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SmootherConfig:
    """Options of the bundle adjustment."""

    method: str = option('auto', 'Bundle adjustment of the local map: gtsam, none, or auto (gtsam if it is installed)',
                         choices=('auto', 'gtsam', 'none'))
    window: int = option(10, 'Keyframes adjusted together; older ones become a prior', low=2, high=100)
    iterations: int = option(6, 'Iterations of Levenberg-Marquardt per keyframe', low=1, high=100)
    max_landmarks: int = option(800, 'Landmarks adjusted together, those seen most often first', low=20, high=100000)


class Smoother:
    """Adjusts the newest keyframes of a map; what leaves the window stays behind as a prior."""

    def __init__(self, config: SmootherConfig, min_shared: int) -> None:
        """Begin.

        :param min_shared: landmarks that tie a new keyframe to the window; with fewer, a new window begins.
        :raises ImportError: when GTSAM is asked for and not installed.
        """
        self.config, self._min_shared = config, min_shared
        self.active = config.method != 'none' and bundle.gtsam is not None
        if config.method == 'gtsam' and not self.active:
            raise ImportError('smoother.method: gtsam needs GTSAM, which is not installed: pip install gtsam')
        if config.method == 'auto' and not self.active:
            log.warning('GTSAM is not installed: no bundle adjustment (pip install gtsam; with smoother.method: none '
                        'this is not said)')
        self.failures = 0
        self.reset()

    def reset(self) -> None:
        """Begin a new window with the next keyframe."""
        self._window: bundle.Window | None = None
        self._first = 0

    def update(self, local_map: LocalMap, metric: bool, held: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Adjust the map after a keyframe was added to it.

        :param metric: whether depths give the two latest keyframes their distance.
        :param held: pose (4, 4) and covariance (6, 6) that the keyframe has by something else than its image.
        """
        if not self.active:
            return
        newest = local_map.keyframes[-1]
        if self._window is not None and newest.number - self._first >= self.config.window:
            if self._window.solved:
                self._shorten(local_map, newest)
            else:       # keyframes have come without a landmark
                self._window = None
        chosen = None if self._window is None else self._choose(local_map)
        if chosen is None:
            self._begin(newest)
            return
        if not metric and newest.number == self._first + 1:
            distance = float(np.linalg.norm(newest.T_odom_camera[:3, 3] - local_map.keyframes[-2].T_odom_camera[:3, 3]))
            self._window.hold_distance(self._first, newest.number, distance, 0.001 * distance)
        if held is not None:
            self._window.hold(newest.number, *held)
        self._solve(local_map, *chosen)

    def _begin(self, newest: View) -> None:
        self._window = bundle.Window(newest.number, newest.T_odom_camera, newest.covariance)
        self._first = newest.number

    def _shorten(self, local_map: LocalMap, newest: View) -> None:
        """Marginalise the oldest keyframe, and of the landmarks it saw those gone from sight and half of the others.

        The other half ties the new keyframe to the window.
        """
        landmarks = local_map.landmarks
        staying = {number for number in newest.landmark_ids.tolist() if number % 2 == 0}
        try:
            gone = self._window.marginalise(self._first, staying)
        except bundle.BundleError as error:
            self._fail(error)
            return
        rows = landmarks.rows(np.array(gone, dtype=np.int64))
        landmarks.since[rows[rows >= 0]] = newest.number
        self._first += 1

    def _choose(self, local_map: LocalMap) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return keyframe positions, keypoint indices and landmark rows that take part; None if too few tie."""
        landmarks = local_map.landmarks
        positions, indices, rows = local_map.sightings()
        numbers = np.array([one.number for one in local_map.keyframes])[positions]
        usable = (numbers >= self._first) & (numbers >= landmarks.since[rows])
        seen = np.bincount(rows[usable], minlength=len(landmarks))
        wanted = np.flatnonzero(seen > 1)
        if len(wanted) > self.config.max_landmarks:
            order = np.argsort(-seen[wanted], kind='stable')
            wanted = np.sort(wanted[order[:self.config.max_landmarks]])
        usable &= np.isin(rows, wanted)
        if (usable & (numbers == local_map.keyframes[-1].number)).sum() < self._min_shared:
            return None
        return positions[usable], indices[usable], rows[usable]

    def _solve(self, local_map: LocalMap, positions: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
        keyframes, landmarks = local_map.keyframes, local_map.landmarks
        parts = [(keyframes[at], indices[positions == at]) for at in range(len(keyframes))]

        def gather(name: str) -> np.ndarray:
            return np.concatenate([getattr(view, name)[mine] for view, mine in parts])

        wanted = np.unique(rows)
        seen = bundle.Sightings(
            np.array([one.number for one in keyframes])[positions], landmarks.ids[rows], gather('pixels'),
            gather('pixel_sigma').round(2), gather('inverse_depth'), gather('inverse_depth_sigma'),
            keyframes[-1].correlation)
        members = [one for one in keyframes if one.number >= self._first]
        try:
            found = self._window.solve(
                {one.number: one.T_odom_camera for one in members}, {one.number: one.pinhole for one in members},
                landmarks.ids[wanted], landmarks.points[wanted], seen, self.config.iterations)
        except bundle.BundleError as error:
            self._fail(error)
            return
        for one in members:
            # What was not adjusted keeps its place in the keyframe that it was made in.
            moved = found.poses[one.number] @ inverse(one.T_odom_camera)
            hosted = landmarks.born == one.number
            landmarks.points[hosted] = transform(moved, landmarks.points[hosted])
            one.T_odom_camera = found.poses[one.number]
        keyframes[-1].covariance = found.covariance
        landmarks.points[wanted] = found.points
        self._judge(local_map, positions, indices, rows)

    def _judge(self, local_map: LocalMap, positions: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> None:
        """Recompute the landmarks' covariance, and cut the observations that do not fit."""
        landmarks = local_map.landmarks
        information = np.zeros((len(landmarks), 3, 3))
        observations = []
        for at, view in enumerate(local_map.keyframes):
            mine = positions == at
            if mine.any():
                seen = view.observing(indices[mine], landmarks.points[rows[mine]], np.zeros((mine.sum(), 3, 3)))
                information[rows[mine]] += landmark_information(seen, view.pinhole, view.T_odom_camera)
                observations.append((view, indices[mine], seen))
        used = np.unique(rows)
        landmarks.covariance[used] = np.linalg.inv(information[used] + LOOSE * np.eye(3))
        for view, mine, seen in observations:
            view.landmark_ids[mine[~agreeing(seen, view.pinhole, view.T_odom_camera)]] = 0

    def _fail(self, error: bundle.BundleError) -> None:
        """Go on without what could not be solved."""
        self.failures += 1
        log.log(logging.WARNING if self.failures == 1 else logging.DEBUG,
                'the window could not be adjusted (%s); a new one begins (said once)', error)
        self._window = None
