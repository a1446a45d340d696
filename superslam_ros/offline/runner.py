"""``superslam run``: every frame of a bag through the odometry; trajectory, summary, picture and bag out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros import config as configuration
from superslam_ros.data import TrackingState
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.offline import bag, picture
from superslam_ros.offline.bag import BagError
from superslam_ros.offline.messages import Messages, typestore
from superslam_ros.offline.reader import BagFrames, ReaderOptions
from superslam_ros.offline.recorder import Recorder
from superslam_ros.offline.writer import BagWriter
from superslam_ros.slam import SlamConfig, Step, VisualOdometry

log = logging.getLogger(__name__)

NAMES = {'superpoint': 'SuperPoint', 'orb': 'ORB', 'sift': 'SIFT'}


@dataclass(frozen=True)
class RunOptions:
    """What to run and what to keep.

    :ivar features: superpoint, orb or sift.
    :ivar ground_truth: TUM file with T_world_camera of the optical frame.
    :ivar record_images: copy the camera topics into the result bag.
    :ivar record_descriptors: keep descriptors in the result bag's features (1 MB per 1000 keypoints).
    """

    features: str = 'superpoint'
    reader: ReaderOptions = field(default_factory=ReaderOptions)
    ground_truth: Path | None = None
    record_images: bool = False
    record_descriptors: bool = False


@dataclass
class Record:
    """What a run leaves behind, frame by frame."""

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
    metric: bool = True

    def add(self, step: Step, segment: int) -> None:
        """Take in one frame."""
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
        for stage, milliseconds in step.timings_ms.items():
            self.timings.setdefault(stage, []).append(milliseconds)

    def tracked(self) -> np.ndarray:
        """Return the indices of the frames with a pose, of the longest stretch without a reset."""
        segments = np.asarray(self.segments)
        states = np.asarray(self.states)
        longest = np.bincount(segments).argmax()
        usable = states == TrackingState.TRACKING
        if self.metric:
            # The first frame defines odom.
            usable |= np.diff(segments, prepend=-1) != 0
        return np.flatnonzero(usable & (segments == longest))


def run(
    path: Path, out: Path, config: SlamConfig | None = None, options: RunOptions | None = None,
    on_start: Callable[[BagFrames], None] = lambda frames: None, on_frame: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Process every frame of a bag and write the results into ``out``.

    Writes trajectory.tum (T_odom_camera), summary.json, overview.png and the bag ``result``. Apart from
    ``timing`` in the summary, two runs write the same bytes.

    :param on_start: called once, with the frames about to be read.
    :param on_frame: called after every image of the bag that became a frame.
    :returns: the summary.
    :raises BagError: when the bag, a topic, or the ground truth cannot be used, or no frame of it.
    """
    options = options or RunOptions()
    truth = None if options.ground_truth is None else _read_truth(options.ground_truth)
    out = Path(out)
    with bag.open_bag(path) as reader:
        frames = BagFrames(reader, options.reader)
        config = _rectification(config or SlamConfig(), frames, options)
        odometry = VisualOdometry(config, make_extractor(options.features, config.extractor))
        _make_folder(out)
        record = Record()
        store = typestore()
        best = _Best()
        start = time.perf_counter()
        on_start(frames)
        with BagWriter(out / 'result', store) as writer:
            recorder = Recorder(
                writer, Messages(store), options.record_images, options.record_descriptors, reader
            )
            interrupted = _process(frames, odometry, record, best, recorder, on_frame)
            if not record.stamps:
                raise BagError(f'{path}: no frame could be used: {_reasons(frames, odometry)}')
            recorder.finish(record.stamps, record.poses, record.segments)
        seconds = time.perf_counter() - start
        summary = _summary(path, frames, odometry, config, options, record, interrupted)
    tracked = record.tracked()
    stamps, poses = [record.stamps[i] for i in tracked], [record.poses[i] for i in tracked]
    trajectory.write_tum(out / 'trajectory.tum', stamps, poses)
    aligned = None
    if truth is not None:
        error = _compare(truth, stamps, poses, record.metric, options.ground_truth)
        summary.update(_errors(error))
        aligned = _truth_in_odom(error, stamps, poses)
    _draw(out / 'overview.png', path, summary, record, best, odometry, aligned)
    summary['timing'] = _timing(record, seconds)
    (out / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    return summary


def _process(
    frames: BagFrames, odometry: VisualOdometry, record: Record, best: _Best, recorder: Recorder,
    on_frame: Callable[[], None],
) -> bool:
    """Run the odometry over the bag; return whether the user stopped it."""
    try:
        for recorded in frames:
            step = odometry.process(recorded.frame)
            on_frame()
            if step is None:
                continue
            record.add(step, sum(odometry.resets.values()))
            best.see(step)
            skipped = frames.skipped.total() + odometry.skipped.total()
            recorder.write(recorded, step, odometry, len(record.stamps),
                           record.states.count(int(TrackingState.LOST)), skipped)
    except KeyboardInterrupt:
        log.warning('interrupted: the results cover the %d frames so far', len(record.stamps))
        return True
    return False


class _Best:
    """Keeps the frame that shows best what the front-end does: many matches over a large motion."""

    def __init__(self) -> None:
        self.scene: picture.Scene | None = None
        self._score = -1.0
        self._images: dict[int, np.ndarray] = {}

    def see(self, step: Step) -> None:
        """Consider a frame."""
        stamp, temporal = step.frame.stamp_ns, step.temporal
        self._images[stamp] = step.frame.image
        reference = self._images.get(temporal.stamp0_ns, step.frame.image)
        moved = np.linalg.norm(temporal.keypoints1 - temporal.keypoints0, axis=1)
        score = (
            step.motion.inliers * min(float(np.median(moved)), 0.05 * step.frame.image.shape[1])
            if len(temporal)
            else 0
        )
        if score > self._score:
            self._score = score
            points, depths = keypoint_depths(step)
            self.scene = picture.Scene(
                step.frame.image, step.features, reference, temporal, points, depths, step.motion.metric)
        keep = {stamp, temporal.stamp0_ns} if not temporal.keyframe else {stamp}
        self._images = {key: image for key, image in self._images.items() if key in keep}


def keypoint_depths(step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return the (N, 2) keypoints whose depth was measured in this frame, and their depths (N,) in metres."""
    frame = step.frame
    if step.stereo is not None and len(step.stereo) and frame.right_camera is not None:
        from superslam_ros.geometry.camera import ideal, to_ideal
        left = to_ideal(frame.camera, step.stereo.keypoints0, False)
        right = to_ideal(frame.right_camera, step.stereo.keypoints1, False)
        disparity = left[:, 0] - right[:, 0]
        pinhole = ideal(frame.right_camera, False)
        good = (disparity > 0.5) & (np.abs(left[:, 1] - right[:, 1]) < 2)
        return step.stereo.keypoints0[good], pinhole.fx * abs(frame.right_camera.baseline_m) / disparity[good]
    if frame.depth_m is not None and len(step.features):
        x, y = np.rint(step.features.keypoints).astype(int).T
        height, width = frame.depth_m.shape
        depth = frame.depth_m[y.clip(0, height - 1), x.clip(0, width - 1)]
        good = np.isfinite(depth)
        return step.features.keypoints[good], depth[good]
    return np.zeros((0, 2)), np.zeros(0)


def _rectification(config: SlamConfig, frames: BagFrames, options: RunOptions) -> SlamConfig:
    """Tell the odometry whether the keypoints still need rectifying; the cameras of the reader agree with it."""
    return replace(config, odometry=replace(config.odometry, rectified=frames.rectified))


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BagError(f'--out {out}: cannot be made a folder ({error.strerror})') from error


def _reasons(frames: BagFrames, odometry: VisualOdometry) -> str:
    reasons = frames.skipped + odometry.skipped
    return (
        '; '.join(f'{count} x {reason}' for reason, count in sorted(reasons.items()))
        or 'the bag ends too early'
    )


def _summary(
    path: Path, frames: BagFrames, odometry: VisualOdometry, config: SlamConfig, options: RunOptions,
    record: Record, interrupted: bool,
) -> dict[str, Any]:
    states = np.asarray(record.states)
    tracked = record.tracked()
    positions = np.array([record.poses[i][:3, 3] for i in tracked]).reshape(-1, 3)
    stereo = [count for count in record.stereo if count >= 0]
    chosen = frames.selection
    return {
        'bag': Path(path).name,
        'mode': chosen.mode,
        'topics': {name: value for name, value in vars(chosen).items() if value},
        'rectified': frames.rectified,
        'features': options.features,
        'matcher': config.matcher.matcher,
        'images': len(frames),
        'frames': len(record.stamps),
        'skipped': dict(sorted((frames.skipped + odometry.skipped).items())),
        'resets': dict(sorted(odometry.resets.items())),
        'interrupted': interrupted,
        'tracked_frames': int((states == TrackingState.TRACKING).sum()),
        'lost_frames': int((states == TrackingState.LOST).sum()),
        'initializing_frames': int((states == TrackingState.INITIALIZING).sum()),
        'keyframes': len(record.keyframes),
        'keypoints': _spread(record.keypoints),
        'matches': _spread(record.matches[1:]),
        'stereo_matches': _spread(stereo),
        'inliers': _spread(record.inliers[1:]),
        'metric': record.metric,
        'duration_s': round((max(record.stamps) - min(record.stamps)) * 1e-9, 6),
        'path_length': round(float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum()), 6),
        'config': configuration.as_dict(config),
    }


def _spread(counts: list[int]) -> dict[str, float] | None:
    if not counts:
        return None
    return {'mean': round(float(np.mean(counts)), 2), 'min': int(min(counts)), 'max': int(max(counts))}


def _timing(record: Record, seconds: float) -> dict[str, Any]:
    stages = {
        stage: {'mean': round(float(np.mean(ms)), 3), 'median': round(float(np.median(ms)), 3),
                'p95': round(float(np.percentile(ms, 95)), 3)}
        for stage, ms in record.timings.items()}
    return {
        'seconds': round(seconds, 3),
        'frames_per_s': round(len(record.stamps) / seconds, 3),
        'stage_ms': stages,
    }


def _compare(
    truth: tuple[np.ndarray, np.ndarray], stamps: list[int], poses: list[np.ndarray], metric: bool, path: Path
) -> trajectory.TrajectoryError:
    try:
        return trajectory.compare(stamps, np.array(poses), *truth, align='se3' if metric else 'sim3')
    except ValueError as error:
        raise BagError(f'--ground-truth {path}: {error}') from error


def _errors(error: trajectory.TrajectoryError) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    return {
        'ate': {
            'rmse_m': rounded(error.ate_rmse_m),
            'max_m': rounded(error.ate_max_m),
            'percent_of_path': rounded(error.percent),
            'pairs': error.pairs,
            'true_path_m': rounded(error.path_length_m),
            'scale': rounded(error.scale),
        },
        'rpe': {
            'translation_m': rounded(error.rpe_translation_m),
            'rotation_deg': rounded(error.rpe_rotation_deg),
        },
    }


def _truth_in_odom(
    error: trajectory.TrajectoryError, stamps: list[int], poses: list[np.ndarray]
) -> np.ndarray:
    """Return the true positions (N, 3) brought to odom by undoing the alignment."""
    first = poses[int(np.argmin(np.abs(np.array(stamps) - error.stamps_ns[0])))]
    R = error.aligned[0, :3, :3] @ first[:3, :3].T
    t = error.aligned[0, :3, 3] - error.scale * R @ first[:3, 3]
    return (error.truth[:, :3, 3] - t) @ R / error.scale


def _read_truth(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        return trajectory.read_tum(path)
    except (OSError, ValueError) as error:
        raise BagError(f'--ground-truth {path}: {error}') from error


def _draw(
    path: Path, source: Path, summary: dict[str, Any], record: Record, best: _Best, odometry: VisualOdometry,
    truth: np.ndarray | None,
) -> None:
    tracked = record.tracked()
    poses = np.array([record.poses[i] for i in tracked]).reshape(-1, 4, 4)
    if not len(poses):
        poses = np.array(record.poses[:1])
    story = picture.Story(
        Path(source).name,
        _facts(summary),
        _figures(summary),
        poses[:, :3, 3],
        poses[:, :3, 2],
        truth,
        odometry.motion.map.landmarks(),
        record.states,
        record.matches,
        record.inliers,
        record.keyframes,
        record.metric,
    )
    picture.draw_overview(path, best.scene, story)


def _facts(summary: dict[str, Any]) -> list[str]:
    mode = {'mono': 'monocular', 'stereo': 'stereo', 'rgbd': 'RGB-D'}[summary['mode']]
    facts = [f'{NAMES[summary["features"]]} features, {mode}',
             f'{summary["frames"]} frames, {summary["lost_frames"]} lost']
    return facts


def _figures(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the three figures set large in the picture."""
    unit = 'm' if summary['metric'] else 'units'
    path = f'{summary["path_length"]:.2f} {unit}', 'path'
    matches = f'{(summary["matches"] or {"mean": 0})["mean"]:.0f}', 'matches per frame'
    if 'ate' not in summary:
        return [path, matches, (f'{summary["keyframes"]}', 'keyframes')]
    ate = summary['ate']
    percent = ate['percent_of_path']
    alignment = 'ATE (RMSE)' if summary['metric'] else 'ATE (RMSE), scale aligned'
    figures = [(_length(ate['rmse_m']), alignment)]
    if percent is not None and percent < 50:
        figures.append((f'{percent:.2f} %', f'of {ate["true_path_m"]:.2f} m'))
    return [*figures, matches, path][:3]


def _length(metres: float) -> str:
    return (
        f'{metres * 1000:.1f} mm'
        if metres < 0.01
        else f'{metres * 100:.1f} cm'
        if metres < 1
        else f'{metres:.2f} m'
    )


def report(summary: dict[str, Any], out: Path) -> list[str]:
    """Return a few lines that say how the run went and where its results are."""
    timing = summary['timing']
    skipped = sum(summary['skipped'].values())
    lines = [
        f'{summary["bag"]}: {summary["mode"]}, {summary["features"]}; {summary["frames"]} frames at '
        f'{timing["frames_per_s"]:.1f}/s, {summary["lost_frames"]} lost, {skipped} left out']
    lines += [f'  left out {count} x {reason}' for reason, count in summary['skipped'].items()]
    if 'ate' in summary:
        rpe = summary['rpe']
        text = f'  ATE {_length(summary["ate"]["rmse_m"])} over {summary["ate"]["true_path_m"]:.2f} m'
        if rpe['translation_m'] is not None:
            text += f', RPE {_length(rpe["translation_m"])} and {rpe["rotation_deg"]:.3f} deg per frame'
        lines.append(text)
    return [
        *lines,
        *(f'  {out / name}' for name in ('overview.png', 'trajectory.tum', 'summary.json', 'result')),
    ]
