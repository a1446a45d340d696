"""Stage 4: keyframes and landmarks around the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.data import Features
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pnp import Observations


@dataclass(eq=False)
class View:
    """A frame as the geometry sees it, keyframe or not; row i belongs to keypoint i.

    :ivar T_odom_camera: (4, 4) pose; ``covariance`` (6, 6) of it, in odom.
    :ivar landmark_ids: (N,) int64 identities of the landmarks that the keypoints show, from 1 on; 0 where none is
        known.
    :ivar pixels: (N, 2) keypoints in the ideal camera ``pinhole``; ``pixel_sigma`` (N,) their deviations.
    :ivar inverse_depth: (N,) 1/m, NaN where not measured, with ``inverse_depth_sigma``; ``correlation`` of the
        errors of a keypoint's column and of its inverse depth.
    :ivar number: which keyframe it is, from 0 on; -1 for none.
    """

    stamp_ns: int
    T_odom_camera: np.ndarray
    covariance: np.ndarray
    features: Features
    pinhole: Pinhole
    pixels: np.ndarray
    pixel_sigma: np.ndarray
    inverse_depth: np.ndarray
    inverse_depth_sigma: np.ndarray
    correlation: float = 0.0
    number: int = -1
    landmark_ids: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Begin without landmarks."""
        if self.landmark_ids is None:
            self.landmark_ids = np.zeros(len(self.features), dtype=np.int64)

    @property
    def has_depth(self) -> bool:
        """Whether the depth of any keypoint was measured."""
        return bool(np.isfinite(self.inverse_depth).any())

    def observing(
        self, indices: np.ndarray, points: np.ndarray, covariance: np.ndarray, hosts: np.ndarray | None = None
    ) -> Observations:
        """Return what keypoints (M,) say of landmarks (M, 3) with covariance (M, 3, 3) and ``hosts`` (M, 4, 4)."""
        return Observations(
            points, covariance, self.pixels[indices], self.pixel_sigma[indices], self.inverse_depth[indices],
            self.inverse_depth_sigma[indices], self.correlation, hosts)


class Landmarks:
    """A table of landmarks, in the order of their ids.

    :ivar ids: (L,) int64, increasing.
    :ivar points: (L, 3) float64 in odom.
    :ivar covariance: (L, 3, 3) of the point, given the poses of the keyframes.
    :ivar descriptors: (L, D) float32, unit length: the mean of those of the keypoints that show it.
    :ivar born: (L,) number of the keyframe that it was made in.
    :ivar since: (L,) number of the first keyframe whose observations are not yet part of the smoother's prior.
    """

    _COLUMNS = ('ids', 'points', 'covariance', 'descriptors', 'born', 'since')

    def __init__(self) -> None:
        """Begin empty."""
        self.ids = self.born = self.since = np.zeros(0, dtype=np.int64)
        self.points, self.covariance = np.zeros((0, 3)), np.zeros((0, 3, 3))
        self.descriptors = np.zeros((0, 0), dtype=np.float32)
        self._made = 0

    def __len__(self) -> int:
        """Return the number of landmarks."""
        return len(self.ids)

    def add(self, points: np.ndarray, covariance: np.ndarray, descriptors: np.ndarray, born: int) -> np.ndarray:
        """Append landmarks and return their ids (M,)."""
        count = len(points)
        ids = self._made + 1 + np.arange(count)
        self._made += count
        if not len(self):
            self.descriptors = np.zeros((0, descriptors.shape[1]), dtype=np.float32)
        new = ids, points, covariance, descriptors, np.full(count, born), np.full(count, born)
        for name, values in zip(self._COLUMNS, new):
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        return ids

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return the row of each id, -1 for those that are gone (and for 0)."""
        if not len(self):
            return np.full(len(ids), -1)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self) - 1)
        return np.where(self.ids[rows] == ids, rows, -1)

    def keep(self, chosen: np.ndarray) -> None:
        """Forget all rows but the chosen ones (a mask)."""
        for name in self._COLUMNS:
            setattr(self, name, getattr(self, name)[chosen])


class LocalMap:
    """The latest keyframes, their landmarks, and the last frame, which stands in when the reference is out of sight."""

    def __init__(self, size: int) -> None:
        """Keep at most ``size`` keyframes."""
        self.size = size
        self.keyframes: list[View] = []
        self.landmarks = Landmarks()
        self.previous: View | None = None
        self.total = 0

    def add(self, keyframe: View) -> None:
        """Add a keyframe; the oldest one goes when there are too many."""
        keyframe.number = self.total
        self.keyframes.append(keyframe)
        self.total += 1
        del self.keyframes[:-self.size]

    def find(self, stamp_ns: int) -> View | None:
        """Return the keyframe, or the last frame, of a time."""
        if self.previous is not None and self.previous.stamp_ns == stamp_ns:
            return self.previous
        return next((one for one in reversed(self.keyframes) if one.stamp_ns == stamp_ns), None)

    def known(self, view: View, indices: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return which keypoints of a view (of the given ones, or of all) show landmarks.

        :returns: positions (M,) in ``indices``, and the landmarks' rows (M,).
        """
        ids = view.landmark_ids if indices is None else view.landmark_ids[indices]
        shown = np.flatnonzero(ids > 0)
        rows = self.landmarks.rows(ids[shown])
        return shown[rows >= 0], rows[rows >= 0]

    def hosts(self, rows: np.ndarray, otherwise: View) -> np.ndarray:
        """Return T_odom_camera (M, 4, 4) of the keyframes that made the landmarks, or of a stand-in for lost ones."""
        poses = np.stack([one.T_odom_camera for one in (*self.keyframes, otherwise)])
        numbers = np.array([one.number for one in self.keyframes])
        at = np.searchsorted(numbers, self.landmarks.born[rows])
        found = (at < len(numbers)) & (numbers[np.minimum(at, len(numbers) - 1)] == self.landmarks.born[rows])
        return poses[np.where(found, at, len(numbers))]

    def sightings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return keyframe positions, keypoint indices and landmark rows, (M,) each, of all observations."""
        parts = [(np.full(len(rows), at), indices, rows)
                 for at, (indices, rows) in enumerate(map(self.known, self.keyframes))]
        if not parts:
            return (np.zeros(0, dtype=np.int64),) * 3
        return tuple(np.concatenate(column) for column in zip(*parts))

    def covisible(self, view: View) -> list[tuple[View, int]]:
        """Return the other keyframes that share landmarks with a view, and how many, most first."""
        own = view.landmark_ids[view.landmark_ids > 0]
        shared = [(one, int(np.isin(one.landmark_ids, own).sum())) for one in self.keyframes if one is not view]
        return sorted(((one, count) for one, count in shared if count), key=lambda pair: -pair[1])

    def cull(self, patience: int = 2) -> None:
        """Forget landmarks that no keyframe shows any more, or only one although ``patience`` more have come."""
        _, _, rows = self.sightings()
        seen = np.bincount(rows, minlength=len(self.landmarks))
        young = self.landmarks.born > self.total - 1 - patience
        self.landmarks.keep((seen > 1) | ((seen > 0) & young))

    def fuse_descriptors(self) -> None:
        """Give every landmark that the newest keyframe shows the mean descriptor of all its keypoints."""
        newest = np.unique(self.known(self.keyframes[-1])[1])
        positions, indices, rows = self.sightings()
        chosen = np.isin(rows, newest)
        total = np.zeros((len(self.landmarks), self.landmarks.descriptors.shape[1]), dtype=np.float32)
        for at, keyframe in enumerate(self.keyframes):
            mine = chosen & (positions == at)
            total[rows[mine]] += keyframe.features.descriptors[indices[mine]]     # a keyframe sees a landmark once
        total = total[newest]
        self.landmarks.descriptors[newest] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


def _within(points0: np.ndarray, points1: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of rows of (N, 2) and (M, 2) that are nearer than a radius, in order; NaN is near nothing."""
    order = np.argsort(points1[:, 0], kind='stable')
    along = points1[order, 0]
    low, high = np.searchsorted(along, points0[:, 0] - radius), np.searchsorted(along, points0[:, 0] + radius)
    counts = high - low
    row0 = np.repeat(np.arange(len(points0)), counts)
    row1 = order[np.arange(counts.sum()) + np.repeat(low - (np.cumsum(counts) - counts), counts)]
    near = ((points1[row1] - points0[row0])**2).sum(1) < radius**2
    row0, row1 = row0[near], row1[near]
    sort = np.lexsort((row1, row0))
    return row0[sort], row1[sort]


def match_by_projection(
    view: View, landmarks: Landmarks, rows: np.ndarray, free: np.ndarray, projected: np.ndarray, radius_px: float,
    min_similarity: float, ratio: float = 0.9,
) -> tuple[np.ndarray, np.ndarray]:
    """Match landmarks to the keypoints near where they should be seen: see :func:`match_near`.

    :param rows: (L,) landmark rows to look for; ``projected`` (L, 2) where, in ideal pixels.
    :param free: (K,) indices of the keypoints that may be taken.
    :returns: keypoint indices (M,) and landmark rows (M,), each at most once.
    """
    if not len(rows) or not len(free):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    keypoints, found = match_near(
        view.pixels[free], view.features.descriptors[free], projected, landmarks.descriptors[rows], radius_px,
        min_similarity, ratio)
    return free[keypoints], rows[found]


def match_near(
    pixels: np.ndarray, descriptors: np.ndarray, projected: np.ndarray, landmark_descriptors: np.ndarray,
    radius_px: float, min_similarity: float, ratio: float = 0.9,
) -> tuple[np.ndarray, np.ndarray]:
    """Match keypoints (N, 2) with descriptors (N, D) to landmarks that should be seen at (L, 2), NaN where not at all.

    :param ratio: the second-best keypoint within the radius must be so much farther in descriptor distance.
    :returns: rows of the keypoints and of the landmarks, (M,) each, each at most once.
    """
    near0, near1 = _within(projected, pixels, radius_px)
    if not len(near0):
        return near1, near0
    similarity = np.einsum('md,md->m', landmark_descriptors[near0], descriptors[near1])
    # Of each landmark and of each keypoint, the most similar comes first; of equals the first in order.
    by_landmark, by_keypoint = (np.lexsort((other, -similarity, one)) for one, other in (
        (near0, near1), (near1, near0)))
    first = np.flatnonzero(np.diff(near0, prepend=-1))
    best = by_landmark[first]
    favourite = np.full(len(pixels), -1)
    owners = by_keypoint[np.flatnonzero(np.diff(near1[by_keypoint], prepend=-1))]
    favourite[near1[owners]] = owners
    second = np.where(np.diff(first, append=len(near0)) > 1, similarity[by_landmark[
        np.minimum(first + 1, len(near0) - 1)]], -1.0)
    top = similarity[best]
    good = (top >= min_similarity) & (favourite[near1[best]] == best)
    # Distances of unit vectors, squared: |a - b|^2 = 2 - 2 a.b
    good &= 1 - top <= ratio**2 * (1 - second)
    return near1[best[good]], near0[best[good]]
