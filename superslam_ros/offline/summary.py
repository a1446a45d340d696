"""What a run amounts to: counts, errors, times; for summary.json, the picture and the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import config as configuration
from superslam_ros.data import TrackingState
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.trajectory import TrajectoryError
from superslam_ros.inputs.frames import Frames
from superslam_ros.offline.history import History
from superslam_ros.offline.provenance import provenance, weights_in_use
from superslam_ros.slam import VisualOdometry

SHORTEST_M = 2.0
"""Drift per length says nothing of shorter paths, where the camera mostly turns."""
NAMES = {'superpoint': 'SuperPoint', 'orb': 'ORB', 'sift': 'SIFT'}


def summarise(
    path: Path, features: str, frames: Frames, odometry: VisualOdometry, history: History, interrupted: bool
) -> dict[str, Any]:
    """Return everything about a run that is the same the next time."""
    config = odometry.config
    damage = {'damage': '; '.join(frames.damage)} if frames.damage else {}
    return {
        'bag': Path(path).name,
        'kind': frames.kind,
        'mode': frames.mode,
        'topics': dict(frames.streams),
        **({'calibration_from': frames.calibration} if frames.calibration else {}),
        'rectified': frames.rectified,
        'features': features,
        'matcher': config.matcher.matcher,
        **provenance(weights_in_use((features, config.matcher.matcher), config.extractor, config.matcher)),
        'images': frames.count,
        'skipped': dict(sorted((frames.skipped + odometry.skipped).items())),
        'resets': dict(sorted(odometry.resets.items())),
        'interrupted': interrupted,
        **damage,
        **remarks(frames, odometry, history),
        **outcome(history),
        'config': configuration.as_dict(config),
    }


def remarks(frames: Frames, odometry: VisualOdometry, history: History) -> dict[str, Any]:
    """Return what must be known of the input to believe the result: nothing, of one that is as it should be."""
    found: dict[str, Any] = {}
    if frames.guessed:
        found['guessed'] = frames.guessed
    if frames.mode != 'mono' and not history.metric:
        found['no_scale'] = odometry.motion.no_depth or 'no depth was found in an image'
    offset = odometry.motion.disparity.estimate()
    if offset is not None:
        found['disparity_offset'] = {'px': round(offset.px, 3), 'sigma_px': round(offset.sigma_px, 3),
                                     'taken_off_px': round(odometry.motion.disparity.applied_px, 3)}
    if odometry.motion.disparity.problem:
        found['calibration'] = odometry.motion.disparity.problem
    if odometry.motion.beyond_plane:
        found['beyond_plane'] = odometry.motion.beyond_plane
    if frames.without_depth:
        found['without_depth'] = frames.without_depth
    if frames.levels.range is not None:
        found['levels'] = [round(level, 3) for level in frames.levels.range]
    return found


def outcome(history: History) -> dict[str, Any]:
    """Return what came of the frames."""
    states = np.asarray(history.states)
    stereo = [count for count in history.stereo if count >= 0]
    return {
        'frames': len(history.stamps),
        'tracked_frames': int((states == TrackingState.TRACKING).sum()),
        'lost_frames': history.lost,
        'guessed_frames': sum(history.guessed),
        'initializing_frames': int((states == TrackingState.INITIALIZING).sum()),
        'poses': len(history.tracked()),
        'keyframes': len(history.keyframes),
        'keypoints': _spread(history.keypoints),
        'matches': _spread(history.matches[1:]),
        'stereo_matches': _spread(stereo),
        'inliers': _spread(history.inliers[1:]),
        'metric': history.metric,
        'duration_s': round((max(history.stamps) - min(history.stamps)) * 1e-9, 6),
        'estimated_path': round(history.estimated_path(), 6),
    }


def _spread(counts: list[int]) -> dict[str, float] | None:
    if not counts:
        return None
    return {'mean': round(float(np.mean(counts)), 2), 'min': int(min(counts)), 'max': int(max(counts))}


def timing(history: History, seconds: float) -> dict[str, Any]:
    """Return what differs between two runs: how long everything took."""
    return {
        'seconds': round(seconds, 3),
        'frames_per_s': round(len(history.stamps) / seconds, 3),
        **stage_times(history),
    }


def stage_times(history: History) -> dict[str, Any]:
    """Return the milliseconds of whole frames, and of each stage."""

    def spread(ms: list[float]) -> dict[str, float]:
        return {'mean': round(float(np.mean(ms)), 3), 'median': round(float(np.median(ms)), 3),
                'p95': round(float(np.percentile(ms, 95)), 3)}

    return {
        'frame_ms': spread([sum(stages) for stages in zip(*history.timings.values())]),
        'stage_ms': {stage: spread(ms) for stage, ms in history.timings.items()},
    }


def errors(error: TrajectoryError) -> dict[str, Any]:
    """Return the errors against the ground truth; None for what it is too short to tell."""
    drift = trajectory.drift(error) if error.true_path_m >= SHORTEST_M else (None, None)

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    return {
        'ate': {
            'rmse_m': rounded(error.ate_rmse_m),
            'max_m': rounded(error.ate_max_m),
            'percent_of_true_path': rounded(error.percent),
            'pairs': error.pairs,
            'true_path_m': rounded(error.true_path_m),
            'scale': rounded(error.scale),
        },
        'rpe': {
            'translation_m': rounded(error.rpe_translation_m),
            'rotation_deg': rounded(error.rpe_rotation_deg),
        },
        'drift': {'percent': rounded(drift[0]), 'deg_per_m': rounded(drift[1])},
    }


def facts(summary: dict[str, Any]) -> list[str]:
    """Return the small print under the picture's title."""
    mode = {'mono': 'monocular', 'stereo': 'stereo', 'rgbd': 'RGB-D'}[summary['mode']]
    return [f'{NAMES[summary["features"]]} features, {mode}',
             f'{summary["frames"]} frames, {summary["lost_frames"]} lost']


def figures(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the three figures set large in the picture."""
    unit = 'm' if summary['metric'] else 'units'
    path = f'{summary["estimated_path"]:.2f} {unit}', 'estimated path'
    matches = f'{(summary["matches"] or {"mean": 0})["mean"]:.0f}', 'matches per frame'
    if 'ate' not in summary:
        return [path, matches, (f'{summary["keyframes"]}', 'keyframes')]
    ate = summary['ate']
    percent = ate['percent_of_true_path']
    alignment = 'ATE (RMSE)' if summary['metric'] else 'ATE, scale aligned'
    shown = [(_length(ate['rmse_m']), alignment)]
    if percent is not None and percent < 50:
        shown.append((f'{percent:.2f} %', f'of the true {ate["true_path_m"]:.2f} m'))
    return [*shown, matches, path][:3]


def _length(metres: float) -> str:
    if metres < 0.01:
        return f'{metres * 1000:.1f} mm'
    return f'{metres * 100:.1f} cm' if metres < 1 else f'{metres:.2f} m'


def report(summary: dict[str, Any], out: Path) -> list[str]:
    """Return a few lines that say how the run went and where its results are."""
    timing = summary['timing']
    skipped = sum(summary['skipped'].values())
    lines = [
        f'{summary["bag"]}: {summary["mode"]}, {summary["features"]}; {summary["frames"]} frames at '
        f'{timing["frames_per_s"]:.1f}/s, {summary["lost_frames"]} lost, {skipped} skipped']
    lines += [f'  damaged: {summary["damage"]}'] if 'damage' in summary else []
    lines += [f'  guessed: {summary["guessed"]}'] if 'guessed' in summary else []
    lines += [f'  no scale: {summary["no_scale"]}'] if 'no_scale' in summary else []
    lines += [f'  calibration: {summary["calibration"]}'] if 'calibration' in summary else []
    lines += [f'  {summary["beyond_plane"]} poses were not in the plane of odometry.two_d, and were not held there'] \
        if 'beyond_plane' in summary else []
    lines += [f'  skipped: {count} x {reason}' for reason, count in summary['skipped'].items()]
    imu = summary.get('imu', {})
    lines += [f'  IMU: {count} messages not believed: {reason}' for reason, count in imu.get('refused', {}).items()]
    lines += ['  IMU: its gyroscope disagrees with vision'] if imu.get('agrees_with_vision') is False else []
    if 'ate' in summary:
        rpe = summary['rpe']
        text = f'  ATE {_length(summary["ate"]["rmse_m"])} over a true path of {summary["ate"]["true_path_m"]:.2f} m'
        text += f' ({summary["ground_truth"]})' if 'ground_truth' in summary else ''
        if rpe['translation_m'] is not None:
            text += f', RPE {_length(rpe["translation_m"])} and {rpe["rotation_deg"]:.3f} deg per frame'
        lines.append(text)
    return [
        *lines,
        *(f'  {out / name}' for name in ('overview.png', 'trajectory.tum', 'summary.json', 'result')),
    ]
