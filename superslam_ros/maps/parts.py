"""What a map is made of, besides landmarks: sessions, keyframes, and the edges between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.geometry.pose import difference, inverse, rotation_log
from superslam_ros.geometry.similarity import carry, resized, resized_covariance, rotate, widened
from superslam_ros.maps.keyframe import SHARED, Keyframe

ODOMETRY, LOOP = 'odometry', 'loop'
KEPT, TURNED, ANEW = 0.1, 0.2, 1.0
"""Deviation of the logarithm of the scale that one camera alone hands from a keyframe to the next: by each landmark
that both see; by each radian that it turns, when what comes into view has little parallax; and where too few are seen
by both: its odometry has begun anew. (Of four rendered walks.)"""


class MapError(ValueError):
    """A map that cannot be read, written or joined; the message says why and what to do."""


@dataclass(frozen=True)
class Session:
    """One odometry from its start to its end.

    ``weights``: SHA-256 of the network that made its descriptors, empty where not known; ``metric``: its unit is the
    metre.
    """

    id: int
    name: str
    start_ns: int
    weights: str = ''
    metric: bool = True


def in_metres(sessions: Iterable[Session]) -> bool:
    """Whether the unit of a map is the metre: that of one session is, and the others were made to fit to it."""
    metric = [one.metric for one in sessions]
    return any(metric) or not metric


@dataclass(eq=False)
class MapKeyframe:
    """A keyframe in a map; row i of the arrays belongs to sighting i of a landmark.

    :ivar id: from 1 on; ``session`` and ``camera``: keys of the map's.
    :ivar T_map_camera: (4, 4) pose of the ideal camera's optical frame.
    :ivar embedding: (E,) float16, by which the place is known again.
    :ivar pixels: (K, 2) float32 ideal pixels; ``sigma_px`` (K,) float32; ``landmark_ids`` (K,) int64, each once.
    :ivar keypoints: how many keypoints it had, those without landmarks as well.
    """

    id: int
    stamp_ns: int
    session: int
    camera: int
    T_map_camera: np.ndarray
    embedding: np.ndarray
    pixels: np.ndarray
    sigma_px: np.ndarray
    landmark_ids: np.ndarray
    keypoints: int

    def keep(self, chosen: np.ndarray) -> None:
        """Forget all sightings but the chosen ones (a mask)."""
        self.pixels, self.sigma_px, self.landmark_ids = (
            values[chosen] for values in (self.pixels, self.sigma_px, self.landmark_ids))


@dataclass(frozen=True, eq=False)
class Edge:
    """Where keyframe ``end`` is as seen from keyframe ``start``.

    :ivar T_start_end: (4, 4); ``covariance`` of it, in the axes of the start's camera: (6, 6), or (7, 7) where the
        scale is uncertain, too (:mod:`superslam_ros.geometry.similarity`).
    :ivar kind: ``odometry`` or ``loop``; ``inlier``: False for a loop that the rest of the graph speaks against.
    :ivar scale: what lengths around the end have to be multiplied by to be those around the start.
    """

    start: int
    end: int
    T_start_end: np.ndarray
    covariance: np.ndarray
    kind: str = ODOMETRY
    inlier: bool = True
    scale: float = 1.0

    @property
    def similar(self) -> bool:
        """Whether its scale is uncertain."""
        return len(self.covariance) == 7

    @property
    def pose_covariance(self) -> np.ndarray:
        """(6, 6) of the pose alone."""
        return self.covariance[:6, :6]

    def reversed(self) -> Edge:
        """Return the same from the other end."""
        R, t = self.T_start_end[:3, :3], self.T_start_end[:3, 3]
        covariance = rotate(R.T, carry(self.covariance, -t))
        return replace(self, start=self.end, end=self.start, scale=1 / self.scale,
                       T_start_end=resized(inverse(self.T_start_end), 1 / self.scale),
                       covariance=resized_covariance(covariance, 1 / self.scale))

    def then(self, other: Edge) -> Edge:
        """Return the edge over this one's end to that of another that starts there; it is of the other's kind."""
        R, size = self.T_start_end[:3, :3], max(len(self.covariance), len(other.covariance))
        step = resized(other.T_start_end, self.scale)
        covariance = carry(widened(self.covariance, size), R @ step[:3, 3])
        added = rotate(R, resized_covariance(widened(other.covariance, size), self.scale))
        return replace(other, start=self.start, T_start_end=self.T_start_end @ step, covariance=covariance + added,
                       scale=self.scale * other.scale)

    def grown(self, start: float, end: float) -> Edge:
        """Return it after all lengths around its ends have been multiplied by some factors."""
        if start == end == 1:
            return self
        return replace(self, T_start_end=resized(self.T_start_end, start), scale=self.scale * start / end,
                       covariance=resized_covariance(self.covariance, start))

    def difference(self, T_start_end: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Return the error of another pose and scale, as long as the covariance: (6,), or (7,) of a similarity."""
        error = difference(T_start_end, self.T_start_end)
        return np.append(error, np.log(scale / self.scale)) if self.similar else error

    def touches(self, keyframe: int) -> bool:
        """Whether it begins or ends at a keyframe."""
        return keyframe in (self.start, self.end)


def step_of(keyframe: Keyframe, T_before_camera: np.ndarray, covariance: np.ndarray, shared: int) -> Edge:
    """Return what the odometry says of a keyframe, as seen from one before it, in its unit.

    :param covariance: (6, 6) along the axes of the one before.
    :param shared: how many of its landmarks are known from before.
    """
    if not keyframe.metric:
        turned = TURNED * np.linalg.norm(rotation_log(T_before_camera[:3, :3]))
        sigma = ANEW if shared < SHARED else float(np.hypot(KEPT / np.sqrt(shared), turned))
        drift = sigma * np.append(T_before_camera[:3, 3], [0, 0, 0, 1])     # the length is in the keyframe's unit
        covariance = widened(covariance) + np.outer(drift, drift)
    return Edge(0, 0, T_before_camera, covariance)
