"""Structure: where the cameras and the points of all tracks are, so that all pixels agree best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.geometry import bundle
from superslam_ros.geometry.bundle import POINT, POSE, gtsam
from superslam_ros.geometry.pose import inverse, rotation_exp, rotation_log
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.improve.points import Points, Seen, locate, triangulate
from superslam_ros.improve.tracks import Tracks, seen

MOST_NOISE_PX = 2.0
SHARED = 0.7
"""Part of the last keyframe's tracks below which a frame becomes the next one."""
PER_KEYFRAME, FEWEST_SIGHTINGS, MOST_ERROR_PX = 120, 3, 4.0
"""Points that the adjustment takes of a keyframe, the longest tracks first; sightings that one needs; mean error."""
ITERATIONS = 15
FEWEST_POINTS = 15
"""By which a frame is located anew."""
_DEPTH_SIGMA = 0.02
"""Of depths, as a part of them."""
_TURN, _STEP, _LEAST_STEP = 0.01, 0.05, 0.01
"""How far the odometry is believed between keyframes: radians, part of the way, least."""


@dataclass(frozen=True, eq=False)
class Structure:
    """What F frames and T tracks with M observations have come to.

    :ivar T_world_camera: (F, 4, 4) adjusted poses; those of frames without one are as they were.
    :ivar points: (T, 3) in the world, NaN where none could be found.
    :ivar errors: (M,) pixels, distance of every observation from its point's projection; NaN without a point, infinite
        behind the camera.
    :ivar parallax_deg: (T,) largest angle between the rays of a point; 0 without one.
    :ivar noise_px: by how much a keypoint that is well seen is off, as the recording has it: the median over tracks of
        their mean error, 2 px at most.
    """

    T_world_camera: np.ndarray
    points: np.ndarray
    errors: np.ndarray
    parallax_deg: np.ndarray
    noise_px: float


def structure(evidence: Evidence, tracks: Tracks) -> Structure:
    """Adjust the keyframes and the points that several of them see; other frames, and all points, follow.

    :raises ImportError: when GTSAM is not installed.
    :raises BundleError: when the pixels do not determine the poses.
    """
    if gtsam is None:
        raise ImportError('GTSAM is not installed, and improving weights needs it: pip install gtsam')
    poses = evidence.T_world_camera.copy()
    for _ in range(2):      # points that did not fit the odometry's poses may fit the adjusted ones
        found = triangulate(evidence.pinhole, seen(evidence, tracks, poses))
        for segment in np.unique(evidence.segment[evidence.segment != LOST]):
            frames = np.flatnonzero(evidence.segment == segment)
            keyframes = choose_keyframes(tracks, frames)
            if len(keyframes) > 1:
                poses[frames] = _follow(poses, frames, keyframes, _adjust(evidence, tracks, found, poses, keyframes))
        poses = _relocated(evidence, tracks, poses)
    found = triangulate(evidence.pinhole, seen(evidence, tracks, poses))
    errors = np.linalg.norm(found.errors, axis=1)
    return Structure(poses, found.points, errors, found.parallax_deg, _noise(errors, tracks))


def _relocated(evidence: Evidence, tracks: Tracks, poses: np.ndarray) -> np.ndarray:
    """Return the poses (F, 4, 4), found anew from points that fit for frames that see enough of them."""
    what = seen(evidence, tracks, poses)
    found = triangulate(evidence.pinhole, what)
    of = tracks.track_of()
    rows = np.flatnonzero(mean_errors(tracks, np.linalg.norm(found.errors, axis=1))[of] < MOST_ERROR_PX)
    rows = rows[np.argsort(tracks.frame[rows], kind='stable')]
    count = np.bincount(tracks.frame[rows], minlength=len(poses))
    enough = count >= FEWEST_POINTS
    rows = rows[enough[tracks.frame[rows]]]
    poses = poses.copy()
    poses[enough] = locate(evidence.pinhole, Seen(
        what.pixels[rows], poses, tracks.frame[rows], what.depth_m[rows],
        np.concatenate([[0], np.cumsum(count[enough])])), found.points[of[rows]])
    return poses


def mean_errors(tracks: Tracks, errors: np.ndarray) -> np.ndarray:
    """Return the (T,) mean of errors (M,) of every track (px), infinite where there is no point."""
    return np.nan_to_num(np.add.reduceat(errors, tracks.first[:-1]) / tracks.lengths, nan=np.inf)


def _noise(errors: np.ndarray, tracks: Tracks) -> float:
    """Return the median over longer tracks of the mean of errors (M,)."""
    long = tracks.lengths >= 10
    if not long.any():
        return 1.0
    mean = mean_errors(tracks, errors)[long]
    return float(min(MOST_NOISE_PX, np.median(mean[np.isfinite(mean)]))) if np.isfinite(mean).any() else 1.0


def choose_keyframes(tracks: Tracks, frames: np.ndarray) -> np.ndarray:
    """Return some of the frames (N,), first and last among them, such that each shares most tracks with the next."""
    order = np.argsort(tracks.frame, kind='stable')
    of = tracks.track_of()[order]
    begin, end = (np.searchsorted(tracks.frame[order], frames, side) for side in ('left', 'right'))
    chosen, last = [0], of[begin[0]:end[0]]
    for number in range(1, len(frames) - 1):
        now = of[begin[number]:end[number]]
        if np.isin(last, now).sum() < SHARED * len(last):
            chosen.append(number)
            last = now
    return frames[[*chosen, len(frames) - 1]] if len(frames) > 1 else frames


def _sightings(
    evidence: Evidence, tracks: Tracks, found: Points, keyframes: np.ndarray
) -> tuple[bundle.Sightings, np.ndarray]:
    """Return what keyframes see of the points that the adjustment takes, and the numbers (L,) of those."""
    of = tracks.track_of()
    fits = mean_errors(tracks, np.linalg.norm(found.errors, axis=1)) < MOST_ERROR_PX
    rows = np.flatnonzero(np.isin(tracks.frame, keyframes) & fits[of])
    often = np.bincount(of[rows], minlength=len(tracks))
    rows = rows[often[of[rows]] >= FEWEST_SIGHTINGS]
    # The longest of every keyframe; what one of them takes, all of them see.
    order = rows[np.lexsort((-often[of[rows]], tracks.frame[rows]))]
    begin = np.searchsorted(tracks.frame[order], tracks.frame[order], 'left')
    taken = np.unique(of[order[np.arange(len(order)) - begin < PER_KEYFRAME]])
    rows = rows[np.isin(of[rows], taken)]
    keypoint = evidence.first[tracks.frame[rows]] + tracks.keypoint[rows]
    depth_m = evidence.depth_m[keypoint].astype(np.float64)
    # Noise models are shared by factors of the same deviation.
    sigma = 1.1**np.rint(np.log(_DEPTH_SIGMA / depth_m) / np.log(1.1))
    return bundle.Sightings(
        tracks.frame[rows], of[rows], evidence.pixels[keypoint].astype(np.float64),
        evidence.scales[keypoint].astype(np.float64), 1 / depth_m, sigma), taken


def _adjust(
    evidence: Evidence, tracks: Tracks, found: Points, poses: np.ndarray, keyframes: np.ndarray
) -> np.ndarray:
    """Return the adjusted poses (K, 4, 4) of keyframes of a segment.

    :raises BundleError: when there is no solution.
    """
    sightings, taken = _sightings(evidence, tracks, found, keyframes)
    problem, values = gtsam.NonlinearFactorGraph(), gtsam.Values()
    for factor in bundle.factors(dict.fromkeys(keyframes.tolist(), evidence.pinhole), sightings):
        problem.add(factor)
    for number in keyframes.tolist():
        values.insert(gtsam.symbol(POSE, number), bundle.to_pose(poses[number]))
    loose = gtsam.noiseModel.Isotropic.Sigma(3, 1e3)
    for number in taken.tolist():
        values.insert(gtsam.symbol(POINT, number), found.points[number])
        problem.add(gtsam.PriorFactorPoint3(gtsam.symbol(POINT, number), found.points[number], loose))
    start = gtsam.symbol(POSE, int(keyframes[0]))
    problem.add(gtsam.PriorFactorPose3(start, values.atPose3(start), gtsam.noiseModel.Isotropic.Sigma(6, 1e-4)))
    for one, other in zip(keyframes[:-1].tolist(), keyframes[1:].tolist()):
        between = inverse(poses[one]) @ poses[other]
        way = _STEP * np.linalg.norm(between[:3, 3]) + _LEAST_STEP
        sigma = gtsam.noiseModel.Diagonal.Sigmas(np.array([_TURN] * 3 + [way] * 3))
        problem.add(gtsam.BetweenFactorPose3(
            gtsam.symbol(POSE, one), gtsam.symbol(POSE, other), bundle.to_pose(between), sigma))
    parameters = gtsam.LevenbergMarquardtParams()
    parameters.setMaxIterations(ITERATIONS)
    parameters.setRelativeErrorTol(1e-4)
    try:
        solved = gtsam.LevenbergMarquardtOptimizer(problem, values, parameters).optimize()
    except (RuntimeError, IndexError) as error:
        raise bundle.BundleError(str(error).strip().split('\n\n')[0].replace('\n', ' ')) from error
    return np.array([solved.atPose3(gtsam.symbol(POSE, number)).matrix() for number in keyframes.tolist()])


def _follow(poses: np.ndarray, frames: np.ndarray, keyframes: np.ndarray, adjusted: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) of frames between keyframes, which move as the keyframes around them did."""
    moved = np.array([T @ inverse(poses[number]) for number, T in zip(keyframes, adjusted)])
    after = np.clip(np.searchsorted(keyframes, frames, 'right'), 1, len(keyframes) - 1)
    found = []
    for frame, number in zip(frames, after):
        one, other = moved[number - 1], moved[number]
        part = (frame - keyframes[number - 1]) / (keyframes[number] - keyframes[number - 1])
        T = one.copy()
        T[:3, :3] = rotation_exp(part * rotation_log(other[:3, :3] @ one[:3, :3].T)) @ one[:3, :3]
        place = poses[frame][:3, 3]
        ends = [M[:3, :3] @ place + M[:3, 3] for M in (one, other)]
        new = T @ poses[frame]
        new[:3, 3] = (1 - part) * ends[0] + part * ends[1]
        found.append(new)
    return np.array(found)
