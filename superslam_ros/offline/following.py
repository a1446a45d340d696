"""Frames of an odometry, and where they are in a map that is only read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from superslam_ros.data import TrackingState
from superslam_ros.evaluation.trajectory import write_tum
from superslam_ros.geometry.camera import rectification
from superslam_ros.geometry.pose import compose
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.keyframe import KeyframeFeed, of_frame
from superslam_ros.maps.localizer import Outcome, Reason, apart
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.slam import MotionEstimator, Step


class _Frame(NamedTuple):
    """A frame that waits for what the next keyframe says.

    ``T_odom_camera``: None where the odometry does not know it; ``T_map_camera``: None where it was not found by
    itself, or nobody has looked.
    """

    stamp_ns: int
    T_odom_camera: np.ndarray | None
    why: str
    T_map_camera: np.ndarray | None


class Follower:
    """Takes the frames of an odometry, and finds them in a map.

    A frame is localised where the odometry ties it to a keyframe that was found in the map and is believed, before or
    after it, as long as no other speaks against the odometry between them. Where there is no such keyframe, or the
    odometry has few landmarks, a frame is localised by itself, if the map knows all that it shows.
    """

    def __init__(self, kept: Map, config: MapConfig, motion: MotionEstimator) -> None:
        """Begin; nothing is found yet."""
        self._mapper, self._config = Mapper(kept, config, 'localize'), config
        self._feed, self._motion = KeyframeFeed(motion), motion
        self._segment, self._why = 0, 'no keyframe yet'
        self._waiting: list[_Frame] = []
        self._found = self._unconfirmed = False
        self._doubt: int | None = None      # how many frames wait that are of before what speaks against the odometry
        self.frames, self.alone = 0, 0
        self.stamps_ns: list[int] = []
        self.poses: list[np.ndarray] = []
        self.reasons: Counter[str] = Counter()

    def add(self, step: Step) -> None:
        """Take a frame that the odometry has just taken."""
        self.frames += 1
        for keyframe in self._feed.new():
            if keyframe.segment != self._segment:
                self._end_segment()
                self._segment = keyframe.segment
            self._take(self._mapper.add(keyframe))
        motion, why = step.motion, self._why
        T_odom_camera = motion.T_odom_camera
        if motion.state is TrackingState.LOST:
            T_odom_camera, why = None, 'tracking is lost'
        elif motion.state is TrackingState.INITIALIZING and not motion.keyframe:    # one camera, without a map yet
            T_odom_camera = None
        # Of so few landmarks, some may agree by chance: by as many, no place of the map would be believed.
        weak = T_odom_camera is not None and not motion.keyframe and motion.inliers < self._config.min_inliers
        known = T_odom_camera is not None and self._found and self._doubt is None
        alone, sure = (None, False) if known and not weak else self._look(step)
        if weak and alone is not None and (sure or (known and apart(alone, self._mapper.in_map(T_odom_camera)))):
            T_odom_camera, why = None, 'disagrees'
        self._waiting.append(_Frame(motion.stamp_ns, T_odom_camera, why, alone if sure else None))

    def write(self, out: Path) -> dict[str, Any]:
        """Write localized.tum (T_map_camera of the optical frame) and return what summary.json says of it."""
        self._end_segment()
        write_tum(out / 'localized.tum', self.stamps_ns, np.array(self.poses).reshape(-1, 4, 4))
        return {'frames': self.frames, 'localised': len(self.stamps_ns), 'by_themselves': self.alone,
                'reasons': dict(self.reasons.most_common())}

    def _look(self, step: Step) -> tuple[np.ndarray | None, bool]:
        """Return T_map_camera (4, 4) of a frame by what it shows alone, if any, and whether that is enough."""
        rectified, frame = self._motion.config.rectified, step.frame
        pair = frame.right_camera is not None
        fix, sure = self._mapper.look(of_frame(step.features, frame.camera, rectified, pair, frame.stamp_ns))
        if fix is None:
            return None, False
        R_ideal_camera = rectification(frame.camera, rectified) if pair else np.eye(3)
        return fix.T_map_camera @ compose(R_ideal_camera, np.zeros(3)), sure

    def _take(self, outcome: Outcome) -> None:
        """Settle the frames that wait by what became of a keyframe."""
        self._why = outcome.reason.name.lower().replace('_', ' ')
        if outcome.reason is Reason.OK:
            if self._doubt is not None and (outcome.moved or not self._found):
                self._leave(self._doubt)
            self._found, self._doubt = True, None
            self._settle()
        elif outcome.fix is not None and outcome.in_a_row == 1:
            if self._found or self._unconfirmed:
                self._doubt = len(self._waiting)
            self._unconfirmed = True
        elif self._found and self._doubt is None:
            self._settle()

    def _settle(self) -> None:
        """Localise the frames that wait by the odometry."""
        for one in self._waiting:
            T = one.T_map_camera if one.T_odom_camera is None else self._mapper.in_map(one.T_odom_camera)
            self._note(one, T)
        self._waiting.clear()

    def _leave(self, count: int) -> None:
        """Localise the first of the frames that wait by themselves."""
        for one in self._waiting[:count]:
            self._note(one, one.T_map_camera)
        del self._waiting[:count]

    def _note(self, frame: _Frame, T_map_camera: np.ndarray | None) -> None:
        if T_map_camera is None:
            self.reasons['disagrees' if frame.why == 'ok' else frame.why] += 1
            return
        self.alone += T_map_camera is frame.T_map_camera
        self.stamps_ns.append(frame.stamp_ns)
        self.poses.append(T_map_camera)

    def _end_segment(self) -> None:
        """Settle the frames of an odometry that has ended."""
        if self._found and self._doubt is None:
            self._settle()
        self._leave(len(self._waiting))
        self._found, self._unconfirmed, self._doubt = False, False, None
