"""Front-ends on the same back-end, on the same frames of a bag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from superslam_ros.bags.assembly import Recorded
from superslam_ros.bags.files import BagError
from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.evaluation import baselines
from superslam_ros.evaluation.trajectory import TrajectoryError
from superslam_ros.inputs.frames import Frames, Truth
from superslam_ros.offline import fleet, summary
from superslam_ros.offline.history import History
from superslam_ros.offline.opened import opened
from superslam_ros.offline.truths import truth_of
from superslam_ros.pictures.trajectories import Estimate, Panel
from superslam_ros.slam import SlamConfig, VisualOdometry

log = logging.getLogger(__name__)

NAMES = ('superglue', *baselines.NAMES)

@dataclass(frozen=True)
class Run:
    """What a front-end made of a bag; ``error`` is None where there is no ground truth, or nothing was tracked."""

    features: str
    mode: str
    history: History
    error: TrajectoryError | None


def run(
    path: Path, truth_file: Path | None, names: Sequence[str], config: SlamConfig, reader: ReaderOptions,
    track: Callable[[Frames], Iterable[Recorded]] = iter,
) -> list[Run]:
    """Run front-ends over a bag, frame by frame side by side.

    :param truth_file: in place of that of the data set, or beside the bag; ``truths.NONE`` for none.
    :param names: of :data:`NAMES`; ``track`` may watch the frames on their way.
    :raises BagError: when the bag or the ground truth cannot be used, or no frame of it.
    :raises ValueError: when no stamps meet those of the ground truth that is given.
    """
    with opened(path, config, reader) as (frames, config):
        truth = truth_of(path, frames, truth_file)
        if truth is None:
            log.warning('%s: no ground truth', path)
        ends = {name: (_odometry(name, config), History()) for name in names}
        for recorded in track(frames):
            for odometry, history in ends.values():
                step = odometry.process(recorded.frame)
                if step is not None:
                    history.add(step, sum(odometry.resets.values()))
        if not any(history.stamps for _, history in ends.values()):
            raise BagError('no frame could be used')
        return [Run(name, frames.mode, history, _error(history, truth, truth_file is not None))
                for name, (_, history) in ends.items()]


def _error(history: History, truth: Truth | None, given: bool) -> TrajectoryError | None:
    if truth is None or not len(history.tracked()):
        return None
    try:
        return history.compare((truth.stamps_ns, truth.poses))
    except ValueError as error:
        if given:
            raise
        log.warning('%s: is not compared with: %s', truth.file, error)
        return None


@dataclass(frozen=True)
class Comparison:
    """What :func:`run` takes, for :func:`superslam_ros.offline.fleet.each`."""

    path: Path
    truth: Path | None
    names: Sequence[str]
    config: SlamConfig
    reader: ReaderOptions


def work(item: Comparison, tell: fleet.Tell) -> list[Run]:
    """Run front-ends over one of several recordings."""
    def track(frames: Frames) -> Iterator[Recorded]:
        for done, recorded in enumerate(frames, 1):
            yield recorded
            tell(done, frames.count)

    return run(item.path, item.truth, item.names, item.config, item.reader, track)


def _odometry(name: str, config: SlamConfig) -> VisualOdometry:
    kind, matcher = ('superpoint', 'superglue') if name == 'superglue' else (name, 'nearest')
    config = replace(config, matcher=replace(config.matcher, matcher=matcher))
    return VisualOdometry(config, baselines.make_extractor(kind, config.extractor))


def figures(one: Run) -> dict[str, Any]:
    """Return what is reported of a run, in the words of ``summary.json``."""
    return {
        'mode': one.mode, **summary.outcome(one.history),
        **(summary.errors(one.error) if one.error is not None else {}),
        'timing': summary.stage_times(one.history),
    }


def panel(name: str, runs: Sequence[Run]) -> Panel:
    """Return the trajectories of a bag's runs, ready to be drawn."""
    estimates = [
        Estimate(one.features, one.history.trajectory()[1][:, :3, 3]) if one.error is None else
        Estimate(f'{one.features}, ATE {one.error.ate_rmse_m:.3f} m', one.error.aligned[:, :3, 3],
                 one.error.truth[:, :3, 3]) for one in runs]
    return Panel(f'{name} ({runs[0].mode})', 'm' if runs[0].history.metric else 'm after alignment of scale', estimates)
