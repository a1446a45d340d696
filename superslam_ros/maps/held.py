"""A session that is a map of its own until it has been found in the one that is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from superslam_ros.maps.keyframe import Keyframe
from superslam_ros.maps.localizer import Localizer, Refusal
from superslam_ros.maps.map import Map
from superslam_ros.maps.merging import merge
from superslam_ros.maps.track import Track


class Held:
    """The map of a session by itself, and where its keyframes were."""

    def __init__(self) -> None:
        """Begin empty."""
        self.map, self.track = Map(), Track()

    def put(self, keyframe: Keyframe, session: int, embedding: np.ndarray) -> tuple[int, np.ndarray]:
        """Add a keyframe where the odometry has it; return its id, and the landmark (N,) of every keypoint, 0: none."""
        edge, T = self.map.tie(keyframe, session), keyframe.T_odom_camera
        if edge is not None:
            T = self.map.keyframes[edge.start].T_map_camera @ edge.T_start_end
        number = self.map.add(keyframe, T, session, embedding)
        self.track.add(keyframe.stamp_ns, number, np.eye(4))
        return number, self.map.known_as(keyframe, session)


def place(waiting: Sequence[Held], within: Map, track: Track, localizer: Localizer) -> list[Held]:
    """Add to a map the sessions that can be found in it now; each that is may help another.

    :param track: of the map, which takes over theirs.
    :returns: those that were not found.
    """
    rest = list(waiting)
    while rest:
        tried, rest = rest, []
        for one in tried:
            joined = merge(within, one.map, localizer)
            if isinstance(joined, Refusal):
                rest.append(one)
            else:
                track.join(one.track, joined)
                track.hand_over(joined.gone, within)
        if len(rest) == len(tried):
            break
    return rest
