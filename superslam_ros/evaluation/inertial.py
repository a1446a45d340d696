"""What an IMU makes of the odometry of rendered walks, with exact truth: as it is, in the dark, and with faults."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Frame, Motion
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.walks import Progress, silent
from superslam_ros.geometry.pose import compose, difference, inverse, rotation_exp, rotation_log
from superslam_ros.slam import SlamConfig, VisualOdometry
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.odometry import Extracted, FeatureExtractor

MOUNT = compose(rotation_exp([0.3, -0.5, 1.0]), [0.1, -0.03, 0.05])
"""T_imu_camera of the rendered unit."""
QUARTER = compose(rotation_exp([0, 0, np.pi / 2]), np.zeros(3))
BLUR_PX = 21
SETTLED = 10
"""Frames at the beginning that normalised errors leave out: odom is defined there."""


@dataclass(frozen=True)
class Case:
    """How a walk is gone.

    :ivar imu: whether there is one; ``T_believed_imu`` (4, 4) an error of its extrinsics, ``late_ns`` of its stamps.
    :ivar dark: whether the camera sees nothing while it turns most; ``blurred``: whether it sees hardly anything.
    """

    imu: bool = True
    T_believed_imu: np.ndarray = field(default_factory=lambda: np.eye(4))
    late_ns: int = 0
    dark: bool = False
    blurred: bool = False


CASES = {
    'no IMU': Case(imu=False), 'IMU': Case(),
    'no IMU, dark': Case(imu=False, dark=True), 'dark': Case(dark=True),
    'no IMU, blurred': Case(imu=False, blurred=True), 'blurred': Case(blurred=True),
    'mount 90 degrees off': Case(T_believed_imu=QUARTER), 'stamps 30 ms late': Case(late_ns=30_000_000),
}


class Outcome(NamedTuple):
    """What came of a walk.

    :ivar tilt_rms_deg: of the angle between z of odom and what is truly up; ``tilt_max_deg``.
    :ivar ate_m: root mean square of the distances after alignment.
    :ivar nees_rotation: mean of the normalised squared errors, 3 degrees of freedom, against an odom that is level
        where there is an IMU.
    :ivar gap_deg: error of the rotation over the dark, and its ``gap_sigma_deg`` (root of the trace); ``gap_turn_deg``
        is how far it truly turns in it; ``gap_square``: normalised squared error. None where it sees all the time.
    :ivar said: warnings.
    """

    tilt_rms_deg: float
    tilt_max_deg: float
    ate_m: float
    nees_rotation: float
    gap_deg: float | None
    gap_sigma_deg: float | None
    gap_turn_deg: float
    gap_square: float | None
    said: list[str]


class Walked:
    """A rendered walk of a camera, or a stereo pair, with an IMU, to be gone several times."""

    def __init__(
        self, seed: int, config: SlamConfig, extractor: FeatureExtractor, laps: float = 0.25, rate_hz: float = 10.0,
        gap_s: float = 2.0, progress: Progress = silent,
    ) -> None:
        """Render it, and find the keypoints of all frames.

        :raises ValueError: for a walk that is too short for a gap in its middle.
        """
        small = worlds.BuildingOptions(length_m=11.0, width_m=9.0, corridor_m=2.0, columns=1, rows=1, seed=seed)
        how = worlds.Walk(visits=(0,), laps=laps, rate_hz=rate_hz, rest_s=1.0, seed=seed)
        self.poses, self._config, self._extractor = worlds.walk(small, how), config, extractor
        self.stamps = worlds.stamps(len(self.poses), rate_hz)
        self._measured = worlds.measure(self.poses, rate_hz, np.random.default_rng([seed, 5]), MOUNT)
        left, right = worlds.stereo_pair(320, 240)
        recording = worlds.Recording(worlds.building(small), self.poses, rate_hz, worlds.Photometry(
            replace(worlds.LIGHTS['day'], seed=seed)), left, right)
        self.gap = self._where_it_turns(max(2, round(gap_s * rate_hz)), round(3 * rate_hz))
        odometry = VisualOdometry(config, extractor)
        self._seen: dict[str, dict[int, Extracted]] = {'': {}, 'dark': {}, 'blurred': {}}
        for at, (frame, _) in enumerate(progress(recording, f'walk {seed}', len(self.poses))):
            frame = replace(frame, depth_m=None)
            odometry.check_images(frame)
            for spoilt, change in (('', _as_is), ('dark', np.zeros_like), ('blurred', _blurred)):
                if not spoilt or at in self.gap:
                    self._seen[spoilt][at] = odometry.extract(_changed(frame, change))

    def _where_it_turns(self, count: int, first: int) -> range:
        """Return ``count`` frames in a row, not before ``first``, over which the camera turns most."""
        R = self.poses[:, :3, :3]
        steps = np.array([np.linalg.norm(rotation_log(a.T @ b)) for a, b in zip(R, R[1:])])
        turned = np.convolve(steps, np.ones(count), 'valid')[first:-count]
        if not len(turned):
            raise ValueError(f'a walk of {len(self.poses)} frames is too short for {count} in the dark: more laps')
        start = first + int(turned.argmax()) + 1
        return range(start, start + count)

    def go(self, case: Case) -> Outcome:
        """Go it."""
        odometry, told, motions, said = VisualOdometry(self._config, self._extractor), 0, [], _Said()
        imu, data = Imu(self._config.imu, MOUNT @ case.T_believed_imu), self._measured
        if case.imu:
            odometry.motion.imu = imu
        logging.getLogger('superslam_ros.slam').addHandler(said)
        try:
            for at, stamp_ns in enumerate(self.stamps.tolist()):
                while told < len(data.stamps_ns) and data.stamps_ns[told] + case.late_ns <= stamp_ns + 1_000_000_000:
                    imu.add(int(data.stamps_ns[told]) + case.late_ns, data.angular_rad_s[told], data.linear_m_s2[told])
                    told += 1
                spoilt = 'dark' if case.dark else 'blurred' if case.blurred else ''
                seen = self._seen[spoilt].get(at) or self._seen[''][at]
                motions.append(odometry.track(replace(seen, timings_ms={})).motion)
        finally:
            logging.getLogger('superslam_ros.slam').removeHandler(said)
        gap = self._judge_gap(motions) if case.dark or case.blurred else [None] * 3
        return self._judge(motions, case.imu, gap, said.warnings)

    def _judge(self, motions: list[Motion], level: bool, gap: list[float | None], said: list[str]) -> Outcome:
        found = np.array([one.T_odom_camera for one in motions])
        ups = np.einsum('ni,ni->n', found[:, 2, :3], self.poses[:, 2, :3])
        tilts = np.degrees(np.arccos(np.clip(ups, -1, 1)))
        T_odom_world = found[0] @ inverse(self.poses[0])
        if level:
            T_odom_world = _level(T_odom_world)
        squares = []
        for one, true in list(zip(motions, self.poses))[SETTLED:]:
            error = difference(one.T_odom_camera, T_odom_world @ true)[3:]
            squares.append(error @ np.linalg.solve(one.covariance[3:, 3:], error))
        error = trajectory.compare(self.stamps, found, self.stamps, self.poses)
        R = self.poses[[self.gap.start - 1, self.gap.stop - 1], :3, :3]
        turned = float(np.degrees(np.linalg.norm(rotation_log(R[0].T @ R[1]))))
        return Outcome(float(np.sqrt(np.mean(tilts**2))), float(tilts.max()), error.ate_rmse_m, float(np.mean(squares)),
                       *gap[:2], turned, gap[2], said)

    def _judge_gap(self, motions: list[Motion]) -> list[float | None]:
        """Return error (deg), sigma (deg) and normalised squared error of the rotation over the dark."""
        ends = [self.gap.start - 1, self.gap.stop - 1]
        (before, after), true = (motions[at] for at in ends), self.poses[ends, :3, :3]
        R = before.T_odom_camera[:3, :3]
        wrong = R @ rotation_log(R.T @ after.T_odom_camera[:3, :3] @ true[1].T @ true[0])
        grown = after.covariance[3:, 3:] - before.covariance[3:, 3:] + 1e-8 * np.eye(3)
        return [float(np.degrees(np.linalg.norm(wrong))), float(np.degrees(np.sqrt(np.trace(grown)))),
                float(wrong @ np.linalg.solve(grown, wrong))]


class _Said(logging.Handler):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())


def _level(T_odom_world: np.ndarray) -> np.ndarray:
    """Return a pose without its roll and pitch."""
    R = T_odom_world[:3, :3]
    return compose(rotation_exp([0, 0, np.arctan2(R[1, 0] - R[0, 1], R[0, 0] + R[1, 1])]), T_odom_world[:3, 3])


def _as_is(image: np.ndarray) -> np.ndarray:
    return image


def _blurred(image: np.ndarray) -> np.ndarray:
    return cv2.blur(image, (BLUR_PX, BLUR_PX))


def _changed(frame: Frame, change: Callable[[np.ndarray], np.ndarray]) -> Frame:
    return replace(frame, image=change(frame.image), right_image=change(frame.right_image))


def row(name: str, outcomes: list[Outcome]) -> list[str]:
    """Return a row of a table: means over walks, and the greatest tilt."""
    def mean(field: str) -> float:
        return float(np.mean([getattr(one, field) for one in outcomes]))

    shown = [name, f'{mean("tilt_rms_deg"):.2f}', f'{max(one.tilt_max_deg for one in outcomes):.2f}',
             f'{mean("ate_m"):.3f}', f'{mean("nees_rotation"):.2f}']
    if outcomes[0].gap_deg is None:
        return [*shown, '-', '-', '-']
    return [*shown, f'{mean("gap_deg"):.2f} of {mean("gap_turn_deg"):.0f}', f'{mean("gap_sigma_deg"):.2f}',
            f'{mean("gap_square"):.2f}']
