"""Trajectories: TUM files, and their errors against the ground truth, through evo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from superslam_ros.geometry import pose
from superslam_ros.geometry.tum import beside, read_tum, write_tum

__all__ = ['ALIGNMENTS', 'TrajectoryError', 'beside', 'compare', 'drift', 'read_tum', 'require_evo', 'write_tum']

ALIGNMENTS = ('se3', 'sim3', 'none')


@dataclass
class TrajectoryError:
    """How far an estimated trajectory is from the truth, after alignment.

    :ivar pairs: how many estimated poses have a true one near in time.
    :ivar true_path_m: length of the truth over those poses.
    :ivar ate_rmse_m: root mean square of the distances between positions; ``ate_max_m`` the largest.
    :ivar rpe_translation_m: root mean square of the error of the motion from one pose to the next, metres;
        ``rpe_rotation_deg`` of its rotation, degrees. None when there is only one pair.
    :ivar percent: ``ate_rmse_m`` in percent of the true path; None when the camera was at rest.
    :ivar scale: what the estimate was multiplied by: 1 unless aligned with sim3.
    :ivar stamps_ns: (pairs,) times of the estimated poses.
    :ivar aligned: (pairs, 4, 4) estimated poses in the frame of the truth.
    :ivar truth: (pairs, 4, 4) the true poses.
    """

    pairs: int
    true_path_m: float
    ate_rmse_m: float
    ate_max_m: float
    rpe_translation_m: float | None
    rpe_rotation_deg: float | None
    percent: float | None
    scale: float
    stamps_ns: np.ndarray
    aligned: np.ndarray
    truth: np.ndarray


def require_evo() -> None:
    """Find out before hours of work whether :func:`compare` can run.

    :raises RuntimeError: when evo is not installed.
    """
    if find_spec('evo') is None:
        raise RuntimeError('trajectories are compared by evo, which is not installed: pip install evo')


def compare(
    stamps_ns: Sequence[int],
    poses: np.ndarray,
    truth_stamps_ns: Sequence[int],
    truth_poses: np.ndarray,
    align: str = 'se3',
    max_difference_s: float = 0.02,
) -> TrajectoryError:
    """Measure an estimate against the truth: absolute and relative errors, with evo.

    :param poses: (N, 4, 4) estimated poses; ``truth_poses`` (M, 4, 4) true poses of the same body.
    :param align: how the estimate is moved onto the truth first: ``se3`` rigidly, ``sim3`` with a scale
        (monocular), by Umeyama (PAMI 1991); ``none`` not at all. Where positions do not fix the rotation
        (fewer than three, at rest, or on a line), the orientations do.
    :param max_difference_s: poses further apart in time are not compared.
    :raises ValueError: for an unknown alignment, or when no stamps meet.
    """
    from evo.core import metrics, sync, trajectory
    if align not in ALIGNMENTS:
        raise ValueError(f'alignment {align!r} is not one of {", ".join(ALIGNMENTS)}')
    if not len(poses) or not len(truth_poses):
        raise ValueError(f'nothing to compare: {len(poses)} estimated and {len(truth_poses)} true poses')
    # Seconds from a common start: a double does not hold nanoseconds since 1970.
    start = min(int(np.min(stamps_ns)), int(np.min(truth_stamps_ns)))
    both = [_in_order(s, p, start) for s, p in ((truth_stamps_ns, truth_poses), (stamps_ns, poses))]
    try:
        truth, estimate = sync.associate_trajectories(
            *(trajectory.PoseTrajectory3D(poses_se3=list(p), timestamps=s) for s, p in both),
            max_diff=max_difference_s)
    except sync.SyncException as error:
        raise ValueError(
            f'no estimated pose has a true one within {max_difference_s} s; the estimate spans '
            f'{_span(stamps_ns)}, the truth {_span(truth_stamps_ns)}') from error
    scale = _align(estimate, truth, align)
    distances = _errors(metrics.APE(metrics.PoseRelation.translation_part), truth, estimate)
    steps: list[float | None] = [None, None]
    if truth.num_poses > 1:
        relations = metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg
        steps = [_rms(_errors(metrics.RPE(relation), truth, estimate)) for relation in relations]
    length, rmse = float(truth.path_length), _rms(distances)
    return TrajectoryError(
        truth.num_poses, length, rmse, float(distances.max()), steps[0], steps[1],
        100 * rmse / length if length > 0 else None, scale,
        np.round(estimate.timestamps * 1e9).astype(np.int64) + start,
        np.array(estimate.poses_se3), np.array(truth.poses_se3))


def drift(
    error: TrajectoryError, parts: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5)
) -> tuple[float | None, float | None]:
    """Return the mean error of the motion over stretches of the path, per length: percent, and degrees per metre.

    :param parts: lengths of the stretches as parts of the whole (Zhang and Scaramuzza, IROS 2018, section V).
    :returns: None twice when the camera was at rest, or no stretch lies within the path.
    """
    steps = np.linalg.norm(np.diff(error.truth[:, :3, 3], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    found = []
    for length in np.asarray(parts) * along[-1]:
        ends = np.searchsorted(along, along + length)
        for i in np.flatnonzero((ends < len(along)) & (length > 0)):
            true, estimated = (pose.inverse(T[i]) @ T[ends[i]] for T in (error.truth, error.aligned))
            wrong = pose.difference(estimated, true)
            found.append(np.array([np.linalg.norm(wrong[:3]), np.degrees(np.linalg.norm(wrong[3:]))])
                         / (along[ends[i]] - along[i]))
    if not found:
        return None, None
    translation, rotation = np.mean(found, axis=0)
    return 100 * float(translation), float(rotation)


def _in_order(stamps_ns: Sequence[int], poses: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    stamps = np.asarray(stamps_ns, np.int64)
    order = np.argsort(stamps, kind='stable')
    return (stamps[order] - start) * 1e-9, np.asarray(poses, np.float64)[order]


def _span(stamps_ns: Sequence[int]) -> str:
    return f'{min(stamps_ns) * 1e-9:.3f} to {max(stamps_ns) * 1e-9:.3f} s'


def _align(estimate: Any, truth: Any, align: str) -> float:
    """Move an evo trajectory onto another in place; return the scale it was given."""
    from evo.core import geometry
    if align == 'none':
        return 1.0
    if estimate.num_poses > 2:
        try:
            return float(estimate.align(truth, correct_scale=align == 'sim3')[2])
        except geometry.GeometryException:
            pass            # at rest or on a line
    T, scale = _align_by_orientation(estimate, truth, align == 'sim3')
    if scale != 1:
        estimate.scale(scale)
    estimate.transform(T)
    return scale


def _align_by_orientation(estimate: Any, truth: Any, with_scale: bool) -> tuple[np.ndarray, float]:
    """Return T_truth_estimate by the mean rotation and positions, and the scale to apply before it."""
    ours, theirs = np.array(estimate.poses_se3), np.array(truth.poses_se3)
    u, _, vt = np.linalg.svd(np.einsum('nij,nkj->ik', theirs[:, :3, :3], ours[:, :3, :3]))
    R = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    centres = ours[:, :3, 3].mean(0), theirs[:, :3, 3].mean(0)
    moved, target = (ours[:, :3, 3] - centres[0]) @ R.T, theirs[:, :3, 3] - centres[1]
    along, extent = float((moved * target).sum()), float((moved * moved).sum())
    scale = along / extent if with_scale and along > 0 and extent > 0 else 1.0
    return pose.compose(R, centres[1] - scale * R @ centres[0]), scale


def _errors(metric: Any, truth: Any, estimate: Any) -> np.ndarray:
    metric.process_data((truth, estimate))
    return np.asarray(metric.error, np.float64)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
