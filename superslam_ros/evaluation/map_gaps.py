"""Matchers of maps on a recording: every frame is looked for in the map of what was seen some time before.

The longer ago, the less the frame and the map have in common; the map and the frames are the same for all matchers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from superslam_ros.data import Frame, TrackingState
from superslam_ros.evaluation.gaps import Truth
from superslam_ros.evaluation.maps import EXACT, NEAR, is_near, part
from superslam_ros.geometry.pose import difference, inverse
from superslam_ros.maps.config import MapConfig
from superslam_ros.maps.embedding import Vocabulary
from superslam_ros.maps.keyframe import Keyframe, KeyframeFeed, of_frame
from superslam_ros.maps.localizer import Fix, Localizer, matcher_of
from superslam_ros.maps.map import Map
from superslam_ros.slam import SlamConfig, VisualOdometry

RIGHT = (1.0, 5.0)
"""Metres and degrees within which a pose is of the right place; others are wrong."""


@dataclass
class Walk:
    """What an odometry has made of a recording, in order: keyframes, and tracked frames whose true pose is known.

    :ivar truth: T_world_camera by stamp, of both.
    """

    keyframes: list[Keyframe] = field(default_factory=list)
    frames: list[Keyframe] = field(default_factory=list)
    truth: dict[int, np.ndarray] = field(default_factory=dict)

    def in_segment(self, segment: int) -> Walk:
        """Return what is of one odometry: poses of others have nothing to do with it."""
        return Walk(*([one for one in of if one.segment == segment] for of in (self.keyframes, self.frames)),
                    self.truth)

    def unit(self) -> float:
        """Return how many metres the odometry's unit is: 1, or for one camera as the truth has its keyframes apart."""
        if not self.keyframes or self.keyframes[0].metric:
            return 1.0
        own, true = (np.array(of)[:, :3, 3] for of in (
            [one.T_odom_camera for one in self.keyframes], [self.truth[one.stamp_ns] for one in self.keyframes]))
        lengths = [np.linalg.norm(np.diff(of, axis=0), axis=1).sum() for of in (true, own)]
        return float(lengths[0] / lengths[1]) if lengths[1] > 0 else 1.0


@dataclass(frozen=True, eq=False)
class Looked:
    """One frame looked for: ``away_m`` from the map's nearest keyframe; ``error`` (6,) in metres, None if not found."""

    away_m: float
    error: np.ndarray | None
    inliers: int
    milliseconds: float


def walk(frames: Iterable[Frame], config: SlamConfig, truth: Truth) -> Walk:
    """Run the odometry over frames, and keep those keyframes and frames whose true pose is known."""
    odometry = VisualOdometry(config)
    feed, made = KeyframeFeed(odometry.motion), Walk()

    def keep(of: list[Keyframe], one: Keyframe) -> None:
        pose = truth.at(one.stamp_ns)
        if pose is not None:
            made.truth[one.stamp_ns] = pose
            of.append(one)

    for frame in frames:
        step = odometry.process(frame)
        if step is None:
            continue
        for one in feed.new():
            keep(made.keyframes, one)
        if step.motion.state == TrackingState.TRACKING:
            one = of_frame(step.features, frame.camera, config.odometry.rectified, frame.right_camera is not None,
                           frame.stamp_ns)
            keep(made.frames, replace(one, segment=feed.segment))
    return made


def compare(made: Walk, gap_s: float, config: MapConfig, matchers: Mapping[str, MapConfig]) -> dict[str, list[Looked]]:
    """Look for every frame in the map of the keyframes that are older than it by a gap, or by more.

    :param matchers: options by name, of which :func:`~superslam_ros.maps.localizer.matcher_of` makes the matcher.
    :returns: the same frames for every name.
    """
    vocabulary = Vocabulary.load()
    finders = {name: Localizer(config, vocabulary, matcher_of(one)) for name, one in matchers.items()}
    found: dict[str, list[Looked]] = {name: [] for name in matchers}
    for segment in sorted({one.segment for one in made.keyframes}):
        of = made.in_segment(segment)
        kept, waiting, unit = Map(), list(of.keyframes), of.unit()
        session = kept.add_session('', 0)
        for frame in of.frames:
            while waiting and waiting[0].stamp_ns <= frame.stamp_ns - gap_s * 1e9:
                one = waiting.pop(0).strongest(config.max_keypoints)
                kept.add(one, one.T_odom_camera, session, vocabulary.embed(one.descriptors))
            if len(kept) > 1:
                for name, finder in finders.items():
                    found[name].append(_look(finder, frame, kept, of, unit))
    return found


def _look(finder: Localizer, frame: Keyframe, kept: Map, of: Walk, unit: float) -> Looked:
    began = time.thread_time()
    answer = finder.locate(frame, kept)
    taken, true = (time.thread_time() - began) * 1e3, of.truth[frame.stamp_ns]
    away = min(float(np.linalg.norm(of.truth[one.stamp_ns][:3, 3] - true[:3, 3])) for one in kept.keyframes.values())
    if not isinstance(answer, Fix):
        return Looked(away, None, 0, taken)
    place = kept.keyframes[answer.place]
    seen = inverse(place.T_map_camera) @ answer.T_map_camera
    seen[:3, 3] *= unit
    return Looked(away, difference(seen, inverse(of.truth[place.stamp_ns]) @ true), answer.inliers, taken)


def figures(looked: Sequence[Looked]) -> dict[str, Any]:
    """Return how many frames were found, and how near to where they are."""
    poses = [one.error for one in looked if one.error is not None]
    right = sum(is_near(error, *RIGHT) for error in poses)
    return {'frames': len(looked), 'found': len(poses), 'right': right, 'wrong': len(poses) - right,
            **{name: sum(is_near(error, *limit) for error in poses) for name, limit in (
                ('near', NEAR), ('exact', EXACT))},
            'recall': part(one.error is not None and is_near(one.error, *RIGHT) for one in looked),
            'inliers_median': float(np.median([one.inliers for one in looked if one.error is not None] or [0])),
            'away_median_m': float(np.median([one.away_m for one in looked])) if looked else None,
            'milliseconds': float(np.median([one.milliseconds for one in looked])) if looked else None}
