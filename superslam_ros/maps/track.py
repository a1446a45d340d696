"""Where every keyframe of the odometry was, in a map that still moves and that has not kept all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from superslam_ros.geometry.pose import inverse
from superslam_ros.maps.map import Map


class Track:
    """Poses, each as seen from a keyframe of the map."""

    def __init__(self) -> None:
        """Begin empty."""
        self._seen: dict[int, list[tuple[int, np.ndarray]]] = {}

    def add(self, stamp_ns: int, keyframe: int, T_keyframe_camera: np.ndarray) -> None:
        """Note where a camera was."""
        self._seen.setdefault(keyframe, []).append((stamp_ns, T_keyframe_camera))

    def hand_over(self, gone: Mapping[int, np.ndarray], within: Map) -> None:
        """Note what was seen from keyframes that are gone, of which T_map_camera is known, from the nearest others."""
        gone = {number: T for number, T in gone.items() if number in self._seen}
        if not gone:
            return
        numbers = list(within.keyframes)
        places = np.array([within.keyframes[number].T_map_camera[:3, 3] for number in numbers])
        for number, T in gone.items():
            new = numbers[int(np.linalg.norm(places - T[:3, 3], axis=1).argmin())]
            T_new_old = inverse(within.keyframes[new].T_map_camera) @ T
            for stamp_ns, T_old_camera in self._seen.pop(number):
                self.add(stamp_ns, new, T_new_old @ T_old_camera)

    def join(self, other: Track, keyframes: Mapping[int, int]) -> None:
        """Take over what another track says, whose keyframes have new ids."""
        for number, seen in other._seen.items():
            self._seen.setdefault(keyframes[number], []).extend(seen)

    def poses(self, within: Map) -> dict[int, np.ndarray]:
        """Return T_map_camera (4, 4) by stamp, in the order of the stamps."""
        found = {stamp_ns: within.keyframes[number].T_map_camera @ T
                 for number, seen in self._seen.items() if number in within.keyframes for stamp_ns, T in seen}
        return dict(sorted(found.items()))
