"""What a run leaves behind, frame by frame, and the trajectory in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from superslam_ros.data import TrackingState
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.trajectory import TrajectoryError
from superslam_ros.slam import Step


@dataclass
class History:
    """One entry per frame, in order; ``keyframes`` are indices, ``stereo`` is -1 for frames that are no pair."""

    stamps: list[int] = field(default_factory=list)
    poses: list[np.ndarray] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    keypoints: list[int] = field(default_factory=list)
    matches: list[int] = field(default_factory=list)
    stereo: list[int] = field(default_factory=list)
    inliers: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    timings: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0
    guessed: list[bool] = field(default_factory=list)
    metric: bool = True

    def add(self, step: Step, segment: int) -> None:
        """Take in one frame; ``segment`` counts the resets before it."""
        motion = step.motion
        if motion.keyframe:
            self.keyframes.append(len(self.stamps))
        self.stamps.append(motion.stamp_ns)
        self.poses.append(motion.T_odom_camera)
        self.states.append(int(motion.state))
        self.keypoints.append(len(step.features))
        self.matches.append(len(step.temporal))
        self.stereo.append(-1 if step.stereo is None else len(step.stereo))
        self.inliers.append(motion.inliers)
        self.segments.append(segment)
        self.metric = motion.metric
        self.lost += motion.state == TrackingState.LOST
        self.guessed.append(motion.guessed)
        for stage, milliseconds in step.timings_ms.items():
            self.timings.setdefault(stage, []).append(milliseconds)

    def tracked(self) -> np.ndarray:
        """Return the indices of the frames with a pose, seen or guessed, of the longest stretch without a reset."""
        segments = np.asarray(self.segments)
        states = np.asarray(self.states)
        longest = np.bincount(segments).argmax()
        usable = (states == TrackingState.TRACKING) | ((states == TrackingState.LOST) & np.array(self.guessed, bool))
        if self.metric:
            # The first frame defines odom.
            usable |= np.diff(segments, prepend=-1) != 0
        return np.flatnonzero(usable & (segments == longest))

    def trajectory(self) -> tuple[list[int], np.ndarray]:
        """Return stamps (nanoseconds) and T_odom_camera (N, 4, 4) of the tracked frames."""
        tracked = self.tracked()
        return [self.stamps[i] for i in tracked], np.array([self.poses[i] for i in tracked]).reshape(-1, 4, 4)

    def estimated_path(self) -> float:
        """Return the length of the estimated trajectory, in metres where the scale is metric."""
        positions = self.trajectory()[1][:, :3, 3]
        return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum())

    def compare(self, truth: tuple[np.ndarray, np.ndarray]) -> TrajectoryError:
        """Return the errors of the trajectory, aligned with a scale where it has none of its own.

        :param truth: stamps (M,) and T_world_camera (M, 4, 4).
        :raises ValueError: when no stamps meet.
        """
        return trajectory.compare(*self.trajectory(), *truth, align='se3' if self.metric else 'sim3')
