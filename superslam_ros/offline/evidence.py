"""A recording through the odometry, and everything of it kept that tells of its keypoints: ``superslam improve``."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from superslam_ros.bags.bag import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.data import Features, Frame, TrackingState
from superslam_ros.geometry import camera as cameras
from superslam_ros.improve import evidence as kept
from superslam_ros.improve.evidence import LOST, Evidence
from superslam_ros.offline.opened import opened
from superslam_ros.offline.rectify import Ideal, Rectifier
from superslam_ros.slam import MotionEstimator, SlamConfig, Step, VisualOdometry

RATE_HZ = 10.0
"""Frames of faster recordings are thinned to so many a second; while the camera stands still, to one."""
FEWEST_TRACKED = 20
MOST_STILL = 0.9

log = logging.getLogger(__name__)


class NoEvidence(BagError):
    """A recording from which nothing can be learned; the message says why and what to do, ``reason`` in a few words."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason


def gather(
    path: Path, folder: Path, config: SlamConfig, options: ReaderOptions,
    on_start: Callable[[str, int | None], None] = lambda name, frames: None,
    on_frame: Callable[[], None] = lambda: None,
) -> Evidence:
    """Write the evidence of a recording to a folder, and return it; the same input gives the same bytes.

    :param config: of the odometry; keypoints are looked for in the image itself, and not in smaller copies of it.
    :param on_start: called with the name of the recording and its number of images, if known; ``on_frame`` after
        every image.
    :raises BagError: when the recording or its calibration cannot be used.
    :raises NoEvidence: when nothing can be learned from it.
    :raises OSError: when the folder cannot be written.
    """
    with opened(path, config, options) as (frames, for_them):
        on_start(Path(path).name, frames.count)
        collector = _collect((recorded.frame for recorded in frames), for_them, folder, on_frame)
        _refuse(path, collector, collector.skipped + frames.skipped)
        return collector.finish(Path(path).resolve().name)


def from_frames(frames: Iterable[Frame], folder: Path, config: SlamConfig, name: str) -> Evidence:
    """Do the same with frames that come from elsewhere, ``config`` saying whether they are rectified.

    :raises NoEvidence, OSError: as :func:`gather`.
    """
    collector = _collect(frames, config, folder)
    _refuse(name, collector, collector.skipped)
    return collector.finish(name)


def _collect(
    frames: Iterable[Frame], config: SlamConfig, folder: Path, on_frame: Callable[[], None] = lambda: None
) -> _Collector:
    config = replace(config, extractor=replace(config.extractor, octaves=1))
    odometry, thin = VisualOdometry(config), _Thinning()
    segments = _Segments(odometry.motion)
    with _Collector(Path(folder), config.odometry.rectified) as collector:
        for frame in frames:
            collector.images += 1
            step = odometry.process(frame) if thin(frame.stamp_ns) else None
            if step is not None:
                collector.take(step, segments)
            on_frame()
        collector.skipped = odometry.skipped
    return collector


def _refuse(path: Path | str, collector: _Collector, skipped: Counter[str]) -> None:
    """Say why a recording is of no use.

    :raises NoEvidence: when it is not.
    """
    tracked = sum(one != LOST for one in collector.segment)
    if not collector.seen:
        why = '; '.join(f'{count} left out: {reason}' for reason, count in skipped.most_common(3))
        raise NoEvidence('no frame', f'{path}: no frame of {collector.images} could be used{": " + why if why else ""}')
    if collector.still >= MOST_STILL * collector.seen:
        raise NoEvidence('stands still', f'{path}: the camera stands still in {collector.still} of {collector.seen} '
                         'frames, and what does not move shows nothing; record while the robot drives')
    # Of one camera, more frames may be placed afterwards, when all are known.
    if tracked < FEWEST_TRACKED and collector.source() != 'one camera':
        raise NoEvidence('too few frames tracked', f'{path}: the odometry follows the camera in {tracked} of '
                         f'{collector.seen} frames, of {FEWEST_TRACKED} that are needed; record for longer, more '
                         'slowly, or with more light (`superslam run` shows where it is lost)')


class _Thinning:
    """Chooses the frames of a recording that are used."""

    def __init__(self) -> None:
        self._period_ns = round(1e9 / RATE_HZ)
        self._due_ns: int | None = None

    def __call__(self, stamp_ns: int) -> bool:
        """Return whether to use a frame."""
        due = self._due_ns
        if due is not None and due - 2 * self._period_ns < stamp_ns < due - self._period_ns // 10:
            return False
        # A rate that is no multiple is met on average; after a jump it begins anew.
        steady = due is not None and abs(stamp_ns - due) < self._period_ns
        self._due_ns = (due if steady else stamp_ns) + self._period_ns
        return True


class _Segments:
    """Numbers the runs of frames whose poses are related: each follows from a frame of the same run."""

    def __init__(self, motion: MotionEstimator) -> None:
        self._motion, self._map, self._count = motion, None, 0
        self._of: dict[int, int] = {}

    def __call__(self, step: Step) -> tuple[int, int | None]:
        """Return the segment of a frame, and the stamp of an earlier one that belongs to it, too, as it turns out."""
        if self._motion.map is not self._map:
            self._map = self._motion.map
            self._of.clear()
        now, reference = step.motion.stamp_ns, step.temporal.stamp0_ns
        if step.motion.state != TrackingState.TRACKING:
            self._of[now] = LOST
            return LOST, None
        before = self._of.get(reference, LOST)
        if before == LOST:
            before, self._count = self._count, self._count + 1
            found = reference if reference in self._of else None
            self._of[reference] = self._of[now] = before
            return before, found
        self._of[now] = before
        return before, None


class _Collector:
    """Writes what is kept of the frames."""

    def __init__(self, folder: Path, rectified: bool) -> None:
        self._folder, self._rectify = folder, Rectifier(rectified)
        self._first: Ideal | None = None
        self._number: dict[int, int] = {}
        self._last_ns = 0
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in ('pixels', 'scores', 'scales', 'depth_m')}
        self._counts, self._poses, self._sources = [0], [], Counter()
        self._weights, self._metric, self._size, self._width = '', True, (0, 0), 0
        self.segment: list[int] = []
        self.images = self.seen = self.still = 0
        self.skipped: Counter[str] = Counter()

    def __enter__(self) -> _Collector:
        """Open the file of descriptors."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._descriptors = open(self._folder / kept.DESCRIPTORS, 'wb')
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._descriptors.close()

    def take(self, step: Step, segments: _Segments) -> None:
        """Take a frame that the odometry has taken."""
        segment, earlier = segments(step)
        if earlier in self._number:
            self.segment[self._number[earlier]] = segment
        self.seen += 1
        self.still += step.motion.still
        stamp_ns = step.motion.stamp_ns
        if step.motion.still and segment != LOST and stamp_ns - self._last_ns < 1_000_000_000:
            return
        if self._number and stamp_ns <= self._last_ns:
            log.warning('its time jumps back: what comes then is left out')
            return
        ideal = self._rectify(step.frame)
        size = step.features.image_size
        if self._first is not None and (ideal.pinhole, size) != (self._first.pinhole, self._size):
            log.warning('a frame of another calibration or size is left out')
            return
        self._first, self._size = self._first or ideal, size
        self._number[stamp_ns], self._last_ns = len(self._number), stamp_ns
        self.segment.append(segment)
        self._poses.append(step.motion.T_odom_camera @ ideal.T_optical_camera)
        self._metric = step.motion.metric
        self._sources['depth' if step.frame.depth_m is not None else
                      'one camera' if step.frame.right_image is None else 'stereo'] += 1
        self._keep(step.features, ideal)
        kept.write_frame(self._folder, len(self._number) - 1, ideal.image, ideal.depth_m)

    def _keep(self, features: Features, ideal: Ideal) -> None:
        """Keep the keypoints that the ideal image shows."""
        pixels = cameras.to_ideal(ideal.camera, features.keypoints, self._rectify.rectified)
        with np.errstate(invalid='ignore'):
            inside = ((pixels >= 0) & (pixels <= np.array(self._size) - 1)).all(1)
        pixels = pixels[inside].astype(np.float32)
        at = np.rint(pixels).astype(int)
        depth_m = np.full(len(pixels), np.nan) if ideal.depth_m is None else ideal.depth_m[at[:, 1], at[:, 0]]
        for name, values in (('pixels', pixels), ('scores', features.scores[inside]),
                             ('scales', features.scales[inside]), ('depth_m', depth_m)):
            self._columns[name].append(values.astype(np.float32))
        self._descriptors.write(np.ascontiguousarray(features.descriptors[inside], np.float16).data)
        self._counts.append(len(pixels))
        self._weights, self._width = features.weights, features.descriptor_size

    def source(self) -> str:
        """Return where most distances come from; something has been taken."""
        return self._sources.most_common(1)[0][0]

    def finish(self, name: str) -> Evidence:
        """Write the rest, and return all of it."""
        columns = {key: np.concatenate(values) for key, values in self._columns.items()}
        shape = len(columns['pixels']), self._width
        found = Evidence(
            name, self._first.pinhole, self._size, self._metric, self.source(),
            np.array(list(self._number)), np.array(self._poses), np.array(self.segment), np.cumsum(self._counts),
            **columns, descriptors=kept.stored(self._folder / kept.DESCRIPTORS, shape), weights=self._weights,
            folder=self._folder, T_optical_camera=self._first.T_optical_camera)
        found.save(self._folder)
        return found
