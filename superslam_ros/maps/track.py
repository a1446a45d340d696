"""Where every keyframe of the odometry was, in a map that still moves and that has not kept all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.pnp import refine_pose
from superslam_ros.geometry.pose import inverse
from superslam_ros.geometry.reprojection import Observations
from superslam_ros.geometry.similarity import resized
from superslam_ros.maps.joining import Joined
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import MapKeyframe


class Sight(NamedTuple):
    """Landmarks (M,) of a map, by id, that a camera saw at pixels (M, 2), which are exact to ``sigma_px`` (M,)."""

    pinhole: Pinhole
    pixels: np.ndarray
    sigma_px: np.ndarray
    landmarks: np.ndarray


class Seen(NamedTuple):
    """A camera, as seen from a keyframe of the map; what it saw is kept where the map does not keep it.

    ``unit``: what lengths of its odometry are multiplied by to be those of the map.
    """

    stamp_ns: int
    T_keyframe_camera: np.ndarray
    sight: Sight | None
    unit: float

    def grown(self, factor: float) -> Seen:
        """Return it after all lengths have been multiplied by a factor."""
        return self._replace(T_keyframe_camera=resized(self.T_keyframe_camera, factor), unit=factor * self.unit)


class Track:
    """Poses, each as seen from a keyframe of the map."""

    def __init__(self) -> None:
        """Begin empty."""
        self._seen: dict[int, list[Seen]] = {}

    def add(
        self, stamp_ns: int, keyframe: int, T_keyframe_camera: np.ndarray, sight: Sight | None = None,
        unit: float = 1.0,
    ) -> None:
        """Note where a camera was."""
        self._seen.setdefault(keyframe, []).append(Seen(stamp_ns, T_keyframe_camera, sight, unit))

    def grow(self, growth: Mapping[int, float]) -> None:
        """Note by how much the surroundings of keyframes have grown."""
        for number in growth.keys() & self._seen.keys():
            self._seen[number] = [one.grown(growth[number]) for one in self._seen[number]]

    def hand_over(self, gone: Iterable[MapKeyframe], within: Map) -> None:
        """Note what was seen from keyframes that have just been removed from the map, from the nearest others."""
        gone = [one for one in gone if one.id in self._seen]
        if not gone:
            return
        numbers = list(within.keyframes)
        places = np.array([within.keyframes[number].T_map_camera[:3, 3] for number in numbers])
        for one in gone:
            new = numbers[int(np.linalg.norm(places - one.T_map_camera[:3, 3], axis=1).argmin())]
            T_new_old = inverse(within.keyframes[new].T_map_camera) @ one.T_map_camera
            sight = Sight(within.cameras[one.camera][0], one.pixels, one.sigma_px, one.landmark_ids)
            for seen in self._seen.pop(one.id):
                self.add(seen.stamp_ns, new, T_new_old @ seen.T_keyframe_camera, seen.sight or sight, seen.unit)

    def join(self, other: Track, joined: Joined) -> None:
        """Take over what another track says, whose map was joined to this one's."""
        for number, seen in other._seen.items():
            self._seen.setdefault(joined.keyframes[number], []).extend(one.grown(joined.scale) for one in seen)

    def poses(self, within: Map) -> dict[int, np.ndarray]:
        """Return T_map_camera (4, 4) by stamp, in the order of the stamps."""
        found = {one.stamp_ns: within.keyframes[number].T_map_camera @ one.T_keyframe_camera
                 for number, seen in self._seen.items() if number in within.keyframes for one in seen}
        return dict(sorted(found.items()))

    def units(self) -> dict[int, float]:
        """Return by stamp what lengths of the odometry are multiplied by to be those of the map."""
        return dict(sorted((one.stamp_ns, one.unit) for seen in self._seen.values() for one in seen))

    def refine(self, within: Map, minimum: int) -> None:
        """Find the cameras anew by what they saw, after the landmarks have moved.

        :param minimum: of landmarks that have to agree, for a pose to be changed.
        """
        for number, seen in self._seen.items():
            place = within.keyframes.get(number)
            for position, one in enumerate(seen if place is not None else ()):
                T = place.T_map_camera @ one.T_keyframe_camera
                better = None if one.sight is None else _better(T, one.sight, within, minimum)
                if better is not None:
                    seen[position] = one._replace(T_keyframe_camera=inverse(place.T_map_camera) @ better)


def _better(T_map_camera: np.ndarray, sight: Sight, within: Map, minimum: int) -> np.ndarray | None:
    """Return the pose from which landmarks are where they were seen; None where too few agree."""
    rows = within.landmarks.rows(sight.landmarks)
    known = np.flatnonzero(rows >= 0)
    rows, unknown = rows[known], np.full(len(known), np.nan)
    T = within.hosts(rows)
    covariance = T[:, :3, :3] @ within.landmarks.covariance[rows] @ T[:, :3, :3].transpose(0, 2, 1)
    found = refine_pose(
        Observations(within.points_of(rows), covariance, sight.pixels[known].astype(np.float64),
                     sight.sigma_px[known].astype(np.float64), unknown, unknown, hosts=T),
        sight.pinhole, T_map_camera, minimum) if len(known) >= minimum else None
    return None if found is None else found.T_world_camera
