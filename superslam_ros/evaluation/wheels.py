"""Odometry of a camera on a robot, with and without its wheels, through darkness, frozen images and slip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import TrackingState
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.maps import squared
from superslam_ros.evaluation.walks import Progress, silent
from superslam_ros.geometry.pose import compose, difference, inverse, rotate_covariance
from superslam_ros.slam import SlamConfig, VisualOdometry
from superslam_ros.slam.guess import OdometryGuess
from superslam_ros.slam.imu import Imu
from superslam_ros.slam.odometry import Extracted

HEIGHT_M, AHEAD_M, PITCH_RAD = 0.6, 0.2, -0.06
"""Where the camera is over the middle between the wheels."""
OFTEN = 5
"""Messages of the wheels between two frames."""
IMU_AHEAD_NS = 1_000_000_000
PLANAR = [0, 1, 5]
"""Of a pose error (6,): x, y and yaw, the only ones in which wheels err."""


@dataclass(frozen=True)
class Setting:
    """A drive, at the middle of which something happens for ``trouble_s``."""

    building: worlds.BuildingOptions = field(default_factory=lambda: worlds.BuildingOptions(
        length_m=11.0, width_m=9.0, corridor_m=2.0, columns=1, rows=1))
    rate_hz: float = 10.0
    seconds: float = 12.0
    rest_s: float = 1.5
    trouble_s: float = 2.0
    speed: float = 0.7
    size: tuple[int, int] = (320, 240)
    slam: SlamConfig = field(default_factory=SlamConfig)
    errors: worlds.WheelErrors = field(default_factory=worlds.WheelErrors)


class Case(NamedTuple):
    """What the odometry has, and what happens: ``dark`` or ``frozen`` images; ``slip`` of the wheels."""

    name: str
    wheels: bool = False
    images: str = ''
    slip: worlds.Slip | None = None
    imu: bool = False
    two_d: bool = False
    mono: bool = False


SPIN = worlds.Slip(0, 1.0)
SPIN_AND_TURN = worlds.Slip(0, 1.0, 1.5, 0.5)
"""Their times count from the beginning of the trouble."""
CASES = (
    Case('stereo'),
    Case('stereo, two_d', two_d=True),
    Case('stereo, wheels', True),
    Case('stereo, wheels that spin', True, slip=SPIN),
    Case('one camera', mono=True),
    Case('one camera, wheels', True, mono=True),
    Case('one camera, wheels, two_d', True, mono=True, two_d=True),
    Case('dark', images='dark'),
    Case('dark, IMU', images='dark', imu=True),
    Case('dark, wheels', True, 'dark'),
    Case('dark, wheels, two_d', True, 'dark', two_d=True),
    Case('dark, wheels, IMU', True, 'dark', imu=True),
    Case('dark, wheels that spin and turn', True, 'dark', SPIN_AND_TURN),
    Case('dark, wheels that spin and turn, IMU', True, 'dark', SPIN_AND_TURN, imu=True),
    Case('dark, one camera, wheels', True, 'dark', mono=True),
    Case('frozen', images='frozen'),
    Case('frozen, wheels', True, 'frozen'),
)


@dataclass
class Drive:
    """What the sensors have recorded.

    :ivar frames: with their features; ``dark`` of the covered lens, by frame number, from ``trouble`` on.
    :ivar bases: (N, 4, 4) T_world_base, ``OFTEN`` for every frame; ``poses`` T_world_camera of the frames.
    :ivar inertial: of an IMU at the camera.
    """

    setting: Setting
    seed: int
    frames: list[Extracted]
    dark: dict[int, Extracted]
    trouble: range
    bases: np.ndarray
    poses: np.ndarray
    inertial: worlds.Measured

    def seen(self, number: int, case: Case) -> Extracted:
        """Return what the odometry gets of a frame in a case."""
        frame, one = self.frames[number].frame, self.frames[number]
        if number in self.trouble and case.images:
            one = self.dark[number] if case.images == 'dark' else self.frames[self.trouble.start - 1]
        if case.mono:
            frame, one = replace(frame, right_image=None, right_camera=None), replace(one, right_features=None)
        return replace(one, frame=frame, timings_ms={})

    def guess(self, case: Case) -> OdometryGuess:
        """Return the wheels, with all that they will tell."""
        setting, slips = self.setting, []
        if case.slip is not None:
            start_s = (self.trouble.start - 1) / setting.rate_hz
            slips = [case.slip._replace(start_s=start_s + case.slip.start_s, end_s=start_s + case.slip.end_s)]
        told = worlds.drive(self.bases, OFTEN * setting.rate_hz, np.random.default_rng([self.seed, 5]), setting.errors,
                            slips)
        guess = OdometryGuess(setting.slam.guess, inverse(self.bases[0]) @ self.poses[0])
        for stamp_ns, T, covariance in zip(told.stamps_ns.tolist(), told.poses, told.covariances):
            guess.add(stamp_ns, T, covariance)
        return guess


def record(setting: Setting, seed: int, progress: Progress = silent) -> Drive:
    """Drive along a part of the lap, and find the keypoints of all frames.

    :raises ValueError: for a drive that is too short for the trouble.
    """
    rng = np.random.default_rng([seed, 3])
    length = len(worlds.lap(setting.building, (0,))) / 100
    often = OFTEN * setting.rate_hz
    path = worlds.walk(setting.building, worlds.Walk(
        laps=setting.speed * (setting.seconds - setting.rest_s - 0.5) / length, start=rng.uniform(), visits=(0,),
        rate_hz=often, speed=setting.speed, height_m=HEIGHT_M, pitch_rad=PITCH_RAD, steady=True, rest_s=setting.rest_s))
    poses = path[::OFTEN]
    start, count = len(poses) // 2, round(setting.trouble_s * setting.rate_hz)
    if start + count > len(poses) - 2 or start < 2:
        raise ValueError(f'a drive of {setting.seconds:g} s is too short for {setting.trouble_s:g} s without images')
    left, right = worlds.stereo_pair(*setting.size)
    photometry = worlds.Photometry(worlds.PhotometryConfig(seed=seed))
    recording = worlds.Recording(worlds.building(replace(setting.building, seed=seed, paint=seed)), poses,
                                 setting.rate_hz, photometry, left, right)
    odometry, frames, dark = VisualOdometry(setting.slam), [], {}
    for number, (frame, _) in enumerate(progress(recording, f'drive {seed}', len(recording))):
        odometry.check_images(frame)
        frame.depth_m = None
        frames.append(odometry.extract(frame))
        if start <= number < start + count:
            covered = [rng.normal(8, 2, frame.image.shape).clip(0, 255).astype(np.uint8) for _ in range(2)]
            dark[number] = odometry.extract(replace(frame, image=covered[0], right_image=covered[1]))
    inertial = worlds.measure(path, often, np.random.default_rng([seed, 4]))
    T_camera_base = _mount(poses[0])
    return Drive(setting, seed, frames, dark, range(start, start + count), path @ T_camera_base, poses, inertial)


def _mount(T_world_camera: np.ndarray) -> np.ndarray:
    """Return T_camera_base of a level base on the floor."""
    ahead = T_world_camera[:3, 2] * [1, 1, 0]
    ahead /= np.linalg.norm(ahead)
    R = np.stack([ahead, np.cross([0, 0, 1], ahead), [0, 0, 1]], 1)
    place = T_world_camera[:3, 3] - AHEAD_M * ahead
    return inverse(T_world_camera) @ compose(R, [*place[:2], 0])


def measure(drive: Drive, case: Case) -> dict[str, Any]:
    """Run the odometry on a drive, and return its errors."""
    setting = drive.setting
    slam = replace(setting.slam, odometry=replace(setting.slam.odometry, two_d=case.two_d))
    odometry = VisualOdometry(slam, _Extracted())
    guess = odometry.motion.predictor = drive.guess(case) if case.wheels else None
    odometry.motion.T_base_camera = inverse(drive.bases[0]) @ drive.poses[0]
    imu = odometry.motion.imu = Imu(slam.imu, np.eye(4)) if case.imu else None
    motions, told = [], 0
    for number in range(len(drive.frames)):
        while imu is not None and told < len(drive.inertial.stamps_ns) and \
                drive.inertial.stamps_ns[told] <= drive.frames[number].frame.stamp_ns + IMU_AHEAD_NS:
            imu.add(int(drive.inertial.stamps_ns[told]), drive.inertial.angular_rad_s[told],
                    drive.inertial.linear_m_s2[told])
            told += 1
        motions.append(odometry.track(drive.seen(number, case)).motion)
    found = np.array([one.T_odom_camera for one in motions])
    T_odom_world = found[0] @ inverse(drive.poses[0])
    stamps = [one.stamp_ns for one in motions]
    metric = motions[-1].metric
    error = trajectory.compare(stamps, found, stamps, drive.poses, 'se3' if metric else 'sim3')
    steps = [inverse(a) @ b for a, b in zip(found, found[1:])]
    true = [inverse(a) @ b for a, b in zip(drive.poses, drive.poses[1:])]
    last, before = drive.trouble.stop - 1, drive.trouble.start - 1
    squares = [_planar(one.T_odom_camera, T_odom_world @ T, one.covariance, T_odom_world)
               for one, T in zip(motions[1:], drive.poses[1:])]
    result: dict[str, Any] = {
        'metric': metric, 'ate_m': error.ate_rmse_m, 'scale': error.scale,
        'unplaced': sum(one.state is not TrackingState.TRACKING and not one.guessed for one in motions[1:]),
        'guessed': sum(one.guessed for one in motions), 'disagreements': odometry.motion.agreement.disagreements,
        'nees': float(np.mean(squares)) if metric else None, 'nees_at_the_end': squares[last - 1] if metric else None,
        'jump_m': max(float(np.linalg.norm(a[:3, 3] - b[:3, 3])) for a, b in zip(steps, true)) if metric else None}
    lost = inverse(found[before]) @ found[last], inverse(drive.poses[before]) @ drive.poses[last]
    off = difference(*lost)
    if metric:
        result['end_m'], result['end_deg'] = float(np.linalg.norm(off[:3])), float(np.degrees(np.linalg.norm(off[3:])))
    if guess is not None and metric:
        wheels = guess.between(stamps[before], stamps[last])
        R_world_camera = drive.poses[before, :3, :3]
        covariance = rotate_covariance(R_world_camera, wheels.covariance)
        result['wheels_sigma_m'] = float(np.sqrt(np.trace(covariance[:2, :2])))
        result['over_wheels'] = squared(_rotate(R_world_camera, off)[PLANAR], covariance[np.ix_(PLANAR, PLANAR)])
    return result


class _Extracted:
    """In place of a front-end: the keypoints are there already."""

    name = 'extracted'


def _planar(T: np.ndarray, true: np.ndarray, covariance: np.ndarray, T_odom_world: np.ndarray) -> float:
    """Return the squared error in x, y and yaw of the world over its covariance, 3 in the mean where that is exact."""
    R = T_odom_world[:3, :3].T
    covariance = rotate_covariance(R, covariance)
    return squared(_rotate(R, difference(T, true))[PLANAR], covariance[np.ix_(PLANAR, PLANAR)])


def _rotate(R_a_b: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Express a pose error (6,) along the axes of b along those of a."""
    return np.concatenate([R_a_b @ error[:3], R_a_b @ error[3:]])


def summarise(of_drives: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of a case over all drives: root mean squares, means of squared errors over covariances."""
    def values(name: str) -> list[float]:
        return [one[name] for one in of_drives if one.get(name) is not None]

    def rms(name: str) -> float | None:
        found = values(name)
        return float(np.sqrt(np.mean(np.square(found)))) if found else None

    def mean(name: str) -> float | None:
        found = values(name)
        return float(np.mean(found)) if found else None

    return {'ate_m': rms('ate_m'), 'end_m': rms('end_m'), 'end_deg': rms('end_deg'),
            'wheels_sigma_m': rms('wheels_sigma_m'), 'over_wheels': mean('over_wheels'),
            'nees_at_the_end': mean('nees_at_the_end'), 'nees': mean('nees'),
            'jump_m': max(values('jump_m'), default=None), 'unplaced': sum(values('unplaced')),
            'guessed': sum(values('guessed')), 'disagreements': sum(values('disagreements')),
            'metric': all(one['metric'] for one in of_drives)}
