"""What a map is made of, besides landmarks: sessions, keyframes, and the edges between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.geometry.pose import carry_covariance, inverse, rotate_covariance

ODOMETRY, LOOP = 'odometry', 'loop'


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

    :ivar T_start_end: (4, 4); ``covariance`` (6, 6) of it, in the axes of the start's camera.
    :ivar kind: ``odometry`` or ``loop``; ``inlier``: False for a loop that the rest of the graph speaks against.
    """

    start: int
    end: int
    T_start_end: np.ndarray
    covariance: np.ndarray
    kind: str = ODOMETRY
    inlier: bool = True

    def reversed(self) -> Edge:
        """Return the same from the other end."""
        R, t = self.T_start_end[:3, :3], self.T_start_end[:3, 3]
        covariance = rotate_covariance(R.T, carry_covariance(self.covariance, -t))
        return replace(self, start=self.end, end=self.start, T_start_end=inverse(self.T_start_end),
                       covariance=covariance)

    def then(self, other: Edge) -> Edge:
        """Return the edge over this one's end to that of another that starts there; it is of the other's kind."""
        R = self.T_start_end[:3, :3]
        covariance = carry_covariance(self.covariance, R @ other.T_start_end[:3, 3])
        return replace(other, start=self.start, T_start_end=self.T_start_end @ other.T_start_end,
                       covariance=covariance + rotate_covariance(R, other.covariance))

    def touches(self, keyframe: int) -> bool:
        """Whether it begins or ends at a keyframe."""
        return keyframe in (self.start, self.end)
