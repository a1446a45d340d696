"""``superslam run``: every frame of a recording through the odometry; trajectory, summary, picture and bag out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.bags.files import BagError
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.bags.writer import BagWriter
from superslam_ros.evaluation import trajectory
from superslam_ros.evaluation.baselines import make_extractor
from superslam_ros.geometry.pose import read_pose
from superslam_ros.inputs.frames import Frames, Truth
from superslam_ros.maps import storage
from superslam_ros.maps.config import MapConfig
from superslam_ros.offline import summary
from superslam_ros.offline.exports import Exports
from superslam_ros.offline.following import Follower
from superslam_ros.offline.guess import place_on_base
from superslam_ros.offline.history import History
from superslam_ros.offline.imu import Feed, follow_imu
from superslam_ros.offline.opened import opened
from superslam_ros.offline.recorder import Recorder
from superslam_ros.offline.scene import BestScene
from superslam_ros.offline.truths import truth_of
from superslam_ros.pictures import overview as picture
from superslam_ros.pictures.panels import Story
from superslam_ros.slam import MotionEstimator, SlamConfig, Step, VisualOdometry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """What to run and what to keep.

    :ivar features: superpoint, orb or sift.
    :ivar ground_truth: TUM file with T_world_camera of the optical frame; by default that of the data set, or
        NAME.tum beside the recording, if any; ``truths.NONE``: none.
    :ivar record_images: copy the camera topics into the result bag.
    :ivar record_descriptors: keep descriptors in the result bag's features (1 MB per 1000 keypoints).
    :ivar map_file: a map to find the frames in; adds localized.tum, and ``map`` to the summary.
    :ivar command: the command line, for the summary.
    :ivar base_camera: x, y, z, roll, pitch, yaw of the optical frame on the base of ``reader.guess``; None: see the
        transforms of the bag.
    :ivar exports: of ``exports.FILES``, what is written besides.
    :ivar imu: turn by the IMU of the input, of a bag ``reader.imu`` or its only one, and begin with z up.
    :ivar initial_pose: of the base, or of a body that looks along x, as :func:`~superslam_ros.geometry.pose.read_pose`
        takes it; empty: the camera begins at the origin.
    """

    features: str = 'superpoint'
    reader: ReaderOptions = field(default_factory=ReaderOptions)
    ground_truth: Path | None = None
    record_images: bool = False
    record_descriptors: bool = False
    map_file: Path | None = None
    command: str = ''
    base_camera: tuple[float, ...] | None = None
    exports: tuple[str, ...] = ()
    imu: bool = False
    initial_pose: str = ''


def run(
    path: Path, out: Path, config: SlamConfig | None = None, options: RunOptions | None = None,
    on_start: Callable[[Frames], None] = lambda frames: None, on_frame: Callable[[], None] = lambda: None,
    on_step: Callable[[Step, MotionEstimator], None] = lambda step, motion: None,
) -> dict[str, Any]:
    """Process every frame of an input and write the results into ``out``.

    Writes trajectory.tum (T_odom_camera), summary.json, overview.png and the bag ``result``. Apart from
    ``timing`` and ``command`` in the summary, two runs with the same options write the same bytes.

    :param on_start: called once, with the frames about to be read.
    :param on_frame: called after every image that became a frame; ``on_step`` with what came of it.
    :returns: the summary.
    :raises ValueError: for an initial pose that is none.
    :raises BagError: when the input, a topic, or the ground truth cannot be used, or no frame of it; or when the result
        cannot be written. What ends the run after its first frame is raised when the results so far are written.
    """
    options, out = options or RunOptions(), Path(out)
    T_odom_base = _initial_pose(options.initial_pose)
    with opened(path, config or SlamConfig(), options.reader) as (frames, config):
        truth = truth_of(path, frames, options.ground_truth)
        odometry = VisualOdometry(config, make_extractor(options.features, config.extractor))
        place_on_base(frames, odometry, options.reader.guess, options.base_camera)
        if T_odom_base is not None:
            odometry.motion.begin_at(T_odom_base @ odometry.motion.T_base_camera)
        imu = follow_imu(frames, odometry, options.reader) if options.imu else None
        _make_folder(out, path)
        history, best, store = History(), BestScene(odometry.config.odometry), typestore()
        follower = None if options.map_file is None else Follower(
            storage.load(options.map_file), getattr(config, 'map', MapConfig()), odometry.motion)
        exports = Exports(options.exports, odometry.motion, getattr(config, 'map', MapConfig()), Path(path).name)
        on_start(frames)
        start, interrupted, result, unmatched = time.perf_counter(), True, {}, None
        try:
            with BagWriter(out / 'result', store) as writer:
                takers = [exports.add, *([] if follower is None else [follower.add]),
                          lambda step: on_step(step, odometry.motion)]
                recorder = Recorder(writer, Messages(store), frames, options.record_images, options.record_descriptors)
                interrupted = _process(frames, odometry, history, best, recorder, on_frame, takers, imu)
                if history.stamps:
                    recorder.finish(history.stamps, history.poses, history.segments)
        except OSError as error:
            raise BagError(f'{out / "result"}: cannot be written ({error.strerror or error}); the other files cover '
                           f'the {len(history.stamps)} frames before') from error
        finally:                    # whatever has ended it
            if history.stamps:
                seconds = time.perf_counter() - start
                result = summary.summarise(path, options.features, frames, odometry, history, interrupted)
                unmatched = write_results(
                    out, result, history, best, odometry.motion.map.landmarks.points, truth)
                exports.write(out, history)
                if imu is not None:
                    result['imu'] = imu.summary()
                if follower is not None:
                    result['map'] = {'file': options.map_file.name, **follower.write(out)}
                result['timing'] = summary.timing(history, seconds)
                if options.command:
                    result['command'] = options.command
                (out / 'summary.json').write_text(json.dumps(result, indent=2) + '\n')
    if not history.stamps:
        raise BagError(f'{path}: no frame could be used: {_reasons(frames, odometry)}')
    if unmatched and options.ground_truth is not None:
        raise BagError(f'--ground-truth {unmatched}')
    if unmatched:
        log.warning('not compared with %s', unmatched)
    return result


def _process(
    frames: Frames, odometry: VisualOdometry, history: History, best: BestScene, recorder: Recorder,
    on_frame: Callable[[], None], takers: Sequence[Callable[[Step], None]],
    imu: Feed | None,
) -> bool:
    """Run the odometry over the bag; return whether the user stopped it."""
    try:
        for recorded in frames:
            if imu is not None:
                imu.until(recorded.frame.stamp_ns)
            step = odometry.process(recorded.frame)
            on_frame()
            if step is None:
                continue
            history.add(step, sum(odometry.resets.values()))
            best.see(step)
            for take in takers:
                take(step)
            skipped = sum(frames.skipped.values()) + sum(odometry.skipped.values())
            recorder.write(recorded, step, odometry, len(history.stamps), history.lost, skipped)
    except KeyboardInterrupt:
        log.warning('interrupted: the results cover the %d frames so far', len(history.stamps))
        return True
    return False


def _initial_pose(text: str) -> np.ndarray | None:
    try:
        return read_pose(text) if text else None
    except ValueError as error:
        raise ValueError(f'--initial-pose: {error}') from error


def _make_folder(out: Path, source: Path) -> None:
    if (out / 'result').resolve() in (Path(source).resolve(), *Path(source).resolve().parents):
        raise BagError(f'--out {out}: the bag {source} would be overwritten; choose another folder')
    if out.resolve() == Path(source).resolve():
        raise BagError(f'--out {out}: is the recording itself; choose another folder')
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BagError(f'--out {out}: cannot be made a folder ({error.strerror})') from error


def _reasons(frames: Frames, odometry: VisualOdometry) -> str:
    reasons = sorted((frames.skipped + odometry.skipped).items())
    return '; '.join(f'{count} x {reason}' for reason, count in reasons) or 'there is no image'


def write_results(
    out: Path, result: dict[str, Any], history: History, best: BestScene, landmarks: np.ndarray,
    truth: Truth | None,
) -> str | None:
    """Write trajectory and picture; add the errors against the truth to the summary.

    :returns: why the truth cannot be compared with.
    """
    stamps, poses = history.trajectory()
    trajectory.write_tum(out / 'trajectory.tum', stamps, poses)
    true_positions = unmatched = None
    if truth is not None and not stamps:
        log.warning('no frame was tracked: nothing to compare with %s', truth.file)
    elif truth is not None:
        try:
            error = history.compare((truth.stamps_ns, truth.poses))
            result.update({'ground_truth': truth.file.name, **summary.errors(error)})
            true_positions = _truth_in_odom(error, stamps, poses)
        except ValueError as problem:
            unmatched = f'{truth.file}: {problem}; the other results are in {out}'
    shown = poses if stamps else np.array(history.poses[:1])
    story = Story(
        result['bag'], summary.facts(result), summary.figures(result), shown[:, :3, 3], shown[:, :3, 2],
        true_positions, landmarks, history.states, history.matches, history.inliers,
        history.keyframes, history.metric)
    picture.draw_overview(out / 'overview.png', best.scene, story)
    return unmatched


def _truth_in_odom(
    error: trajectory.TrajectoryError, stamps: list[int], poses: np.ndarray
) -> np.ndarray:
    """Return the true positions (N, 3) brought to odom by undoing the alignment."""
    first = poses[int(np.argmin(np.abs(np.array(stamps) - error.stamps_ns[0])))]
    R = error.aligned[0, :3, :3] @ first[:3, :3].T
    t = error.aligned[0, :3, 3] - error.scale * R @ first[:3, 3]
    return (error.truth[:, :3, 3] - t) @ R / error.scale
