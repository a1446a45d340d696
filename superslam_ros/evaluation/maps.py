"""Maps measured on walks through a rendered building, where every pose is known.

A building is mapped from the odometry's keyframes of a walk. Then single frames look for themselves in the map: of the
same building from other sides and in other light, and of one of the same shape in other paint, where every pose is
wrong. Where a frame is, is told from the keyframe of the map that it was found by, so that the map's own drift, which
the ATE says, is no error of the fix.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Frame
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.walks import EVERY_PX, Progress, Setting, Taken, keyframes, record, silent
from superslam_ros.geometry.camera import ideal
from superslam_ros.geometry.pose import difference, inverse, rotation_log, transform
from superslam_ros.maps.keyframe import Keyframe, of_frame
from superslam_ros.maps.localizer import Fix, Outcome, Reason
from superslam_ros.maps.map import Map
from superslam_ros.maps.mapper import Mapper
from superslam_ros.maps.matching import MapMatcher
from superslam_ros.slam import Extractor

TRUE_M, TRUE_DEG = 0.5, 5.0
"""A loop is true when it puts the camera so near to where it is."""
NEAR, EXACT = (0.25, 2.0), (0.05, 1.0)
"""Metres and degrees of a pose that is near, and of one that is exact."""
OVERLAP, TURN_DEG = 0.3, 30.0
"""A frame should find a keyframe that shows such a part of it and looks so much elsewhere at most."""
_OCCLUDED, _REACH_M = 0.1, 8.0


@dataclass
class Mapped:
    """A building that was mapped.

    :ivar truth: T_world_camera by stamp of all keyframes; ``odometry`` T_odom_camera as it was then.
    :ivar depths: by stamp, every eighth pixel of the depth image in metres.
    :ivar lost: frames in which the odometry was lost; ``reasons`` of the mapper, each with how often.
    :ivar keyframes: of the odometry, whether the map has taken them or not.
    """

    setting: Setting
    mapper: Mapper
    truth: dict[int, np.ndarray]
    odometry: dict[int, np.ndarray]
    depths: dict[int, np.ndarray]
    lost: int
    reasons: Counter[str]
    keyframes: list[Keyframe] = field(default_factory=list)

    @property
    def map(self) -> Map:
        """The map."""
        return self.mapper.map

    def add(self, taken: Taken) -> Outcome:
        """Add a keyframe to the map."""
        stamp = taken.keyframe.stamp_ns
        self.truth[stamp], self.depths[stamp] = taken.T_world_camera, taken.depth_m
        self.odometry[stamp] = taken.keyframe.T_odom_camera
        self.keyframes.append(taken.keyframe)
        outcome = self.mapper.add(taken.keyframe)
        self.reasons['loop' if outcome.loop else Reason(outcome.reason).name.lower()] += 1
        return outcome

    def error(self, place: int, T_map_camera: np.ndarray, T_world_camera: np.ndarray) -> np.ndarray:
        """Return the error (6,) of a pose, as seen from a keyframe of the map, in the map's axes."""
        keyframe = self.map.keyframes[place]
        T_map_world = keyframe.T_map_camera @ inverse(self.truth[keyframe.stamp_ns])
        return difference(T_map_camera, T_map_world @ T_world_camera)

    def fix_error(self, fix: Fix, T_world_camera: np.ndarray) -> np.ndarray:
        """Return the error (6,) of a fix, as seen from the keyframe that it was found by, in the map's axes."""
        return self.error(fix.place, fix.T_map_camera, T_world_camera)

    def copied(self, T_world_camera: np.ndarray) -> bool:
        """Whether a camera is in a room that the building has twice, to the last detail."""
        building = self.setting.building
        return any(building.within(room, T_world_camera[:3, 3]) for room in building.copied())

    def overlap(self, depth: np.ndarray, T_world_camera: np.ndarray) -> float:
        """Return how much of a view a keyframe of the map shows, of those that look about the same way at most.

        :param depth: (H, W) metres.
        """
        camera = worlds.pinhole(*self.setting.size)
        grid = worlds.pixel_grid(camera, 1)[::EVERY_PX, ::EVERY_PX].reshape(-1, 2)
        z = depth[::EVERY_PX, ::EVERY_PX].reshape(-1, 1).astype(np.float64)
        points = transform(T_world_camera, np.hstack([ideal(camera, True).rays(grid)[:, :2] * z, z]))
        return max((self._shown(points, one.stamp_ns) for one in self.map.keyframes.values()
                    if _in_reach(self.truth[one.stamp_ns], T_world_camera)), default=0.0)

    def _shown(self, points: np.ndarray, stamp_ns: int) -> float:
        """Return the part of world points (N, 3) that a keyframe sees, not hidden by something nearer."""
        camera, depth = worlds.pinhole(*self.setting.size), self.depths[stamp_ns]
        pixels, z = worlds.project(camera, self.truth[stamp_ns], points)
        inside = np.isfinite(pixels).all(1)
        inside &= ((pixels >= -0.5) & (pixels <= np.array(camera.image_size) - 0.5)).all(1)
        column, row = np.rint(pixels[inside] / EVERY_PX).clip(0).astype(int).T
        limit = np.array(depth.shape) - 1
        nearest = depth[np.minimum(row, limit[0]), np.minimum(column, limit[1])]
        return float((nearest > (1 - _OCCLUDED) * z[inside]).sum() / len(points))

    def ate(self, poses: dict[int, np.ndarray]) -> float:
        """Return the ATE in metres of poses by stamp; those of one camera are scaled for it."""
        stamps = sorted(poses)
        of, true = (np.array([one[stamp] for stamp in stamps]) for one in (poses, self.truth))
        return trajectory.compare(stamps, of, stamps, true, align='sim3' if self.setting.mono else 'se3').ate_rmse_m

    def scales(self) -> np.ndarray:
        """Return by how much (K,) what each keyframe sees is farther than the map says; NaN where it sees nothing."""
        found = []
        for one in self.map.keyframes.values():
            points = self.map.points_of(self.map.landmarks.rows(one.landmark_ids))
            z = transform(inverse(one.T_map_camera), points)[:, 2]
            depth, (column, row) = self.depths[one.stamp_ns], np.rint(one.pixels / EVERY_PX).astype(int).T
            true = depth[np.minimum(row, len(depth) - 1), np.minimum(column, depth.shape[1] - 1)]
            found.append(np.median(true / z) if len(z) else np.nan)
        return np.array(found)


def build(setting: Setting, matcher: MapMatcher | None = None, progress: Progress = silent) -> Mapped:
    """Walk through the building with the odometry, and map it."""
    walk = record(setting, setting.building, worlds.walk(setting.building, setting.walk))
    mapper = Mapper(Map(), setting.map, matcher=matcher)
    made = Mapped(setting, mapper, {}, {}, {}, 0, Counter())
    for lost, new in keyframes(setting, progress(walk, 'mapping', len(walk))):
        made.lost += lost
        for one in new:
            made.add(one)
    return made


@dataclass
class Found:
    """What became of one frame: ``error`` (6,) and ``square``, the squared error over its covariance, of a fix.

    ``copied``: it was taken in a room that the building has twice, to the last detail.
    """

    reason: Reason
    overlap: float
    milliseconds: float
    error: np.ndarray | None = None
    square: float = float('nan')
    copied: bool = False

    def within(self, metres: float, degrees: float) -> bool:
        """Whether it was found so near to where it is."""
        return self.error is not None and is_near(self.error, metres, degrees)


def locate(made: Mapped, recording: Iterable[tuple[Frame, np.ndarray]], there: bool = True) -> list[Found]:
    """Look for single frames in a map, without a hint and without a second frame that has to agree.

    :param there: the frames are of the building that was mapped; else no overlap is computed, and every fix is wrong.
    """
    extract, found = Extractor(made.setting.slam.extractor), []
    for frame, pose in recording:
        keyframe = of_frame(extract(frame.image), frame.camera, True, False, frame.stamp_ns)
        began = time.thread_time()
        answer = made.mapper.localizer.locate(keyframe, made.map)
        taken = (time.thread_time() - began) * 1e3
        overlap = made.overlap(frame.depth_m, pose) if there else 0.0
        one = Found(Reason.OK, overlap, taken, copied=made.copied(pose))
        if isinstance(answer, Fix):
            one.error = made.fix_error(answer, pose)
            one.square = squared(one.error, answer.covariance)
        else:
            one.reason = answer.reason
        found.append(one)
    return found


def loop_figures(found: Sequence[Found], twins: Sequence[Found]) -> dict[str, Any]:
    """Return precision and recall of frames that were in the map and of some that were not."""
    due = _due(found)
    copied = [one for one in found if one.copied]
    true = sum(one.within(TRUE_M, TRUE_DEG) for one in found)
    fixes = sum(one.error is not None for one in [*found, *twins])
    return {'revisits': len(found), 'twins': len(twins), 'fixes': fixes, 'true': true,
            'precision': true / fixes if fixes else None, 'due': len(due),
            'recall': part(one.within(TRUE_M, TRUE_DEG) for one in due),
            'twins_found': sum(one.error is not None for one in twins),
            'copied': len(copied), 'copied_ambiguous': sum(one.reason is Reason.AMBIGUOUS for one in copied),
            'copied_wrong': sum(one.error is not None and not one.within(TRUE_M, TRUE_DEG) for one in copied),
            'reasons_of_twins': dict(Counter(one.reason.name for one in twins))}


def _due(found: Sequence[Found]) -> list[Found]:
    """Return the frames that the map shows enough of, but for those of rooms that it has twice."""
    return [one for one in found if one.overlap >= OVERLAP and not one.copied]


def squared(error: np.ndarray, covariance: np.ndarray) -> float:
    """Return the squared error over its covariance, which is 6 in the mean where that is exact."""
    return float(error @ np.linalg.solve(covariance, error))


def nees(squares: Sequence[float]) -> dict[str, float | None]:
    """Return mean and median, None without any."""
    return {'nees': float(np.mean(squares)) if squares else None,
            'nees_median': float(np.median(squares)) if squares else None}


def relocalization_figures(found: Sequence[Found]) -> dict[str, Any]:
    """Return how many frames were found, how near, and how honestly."""
    due = _due(found)
    return {'frames': len(found), 'near': part(one.within(*NEAR) for one in found),
            'exact': part(one.within(*EXACT) for one in found), 'due': len(due),
            'near_of_due': part(one.within(*NEAR) for one in due),
            'exact_of_due': part(one.within(*EXACT) for one in due),
            'wrong': sum(one.error is not None and not one.within(TRUE_M, TRUE_DEG) for one in found),
            **nees([one.square for one in found if one.within(*NEAR)]),
            'milliseconds': float(np.median([one.milliseconds for one in found])) if found else None,
            'reasons': dict(Counter(one.reason.name for one in found))}


def _in_reach(T: np.ndarray, other: np.ndarray) -> bool:
    turn = np.degrees(np.linalg.norm(rotation_log(T[:3, :3].T @ other[:3, :3])))
    return bool(np.linalg.norm(T[:3, 3] - other[:3, 3]) < _REACH_M and turn <= TURN_DEG)


def is_near(error: np.ndarray, metres: float = TRUE_M, degrees: float = TRUE_DEG) -> bool:
    """Whether a pose error (6,) is so small."""
    return bool(np.linalg.norm(error[:3]) <= metres and np.degrees(np.linalg.norm(error[3:])) <= degrees)


def part(hits: Iterable[bool]) -> float | None:
    """Return which part of them is true; None of nothing."""
    hits = list(hits)
    return sum(hits) / len(hits) if hits else None
