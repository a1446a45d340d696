"""``superslam eval odometry``: front-ends on the same back-end, on the same frames of some bags."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from superslam_ros.bags import bag
from superslam_ros.bags.bag import BagError
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.cli import settings
from superslam_ros.evaluation import baselines, report, trajectory
from superslam_ros.evaluation.trajectory import TrajectoryError
from superslam_ros.offline.summary import Record
from superslam_ros.slam import SlamConfig, VisualOdometry

log = logging.getLogger(__name__)

NAMES = ('superglue', *baselines.NAMES)
COLUMNS = ('bag', 'features', 'tracked', 'ATE, m', 'drift, %', 'path, m', 'ms')
SHORTEST_M = 2.0
"""Drift per length says nothing of shorter paths, where the camera mostly turns."""


@dataclass(frozen=True)
class Run:
    """What a front-end made of a bag; ``error`` is None where there is no ground truth, or nothing was tracked."""

    features: str
    mode: str
    record: Record
    error: TrajectoryError | None


def add_subcommand(
    subparsers: argparse._SubParsersAction, add_camera: Callable[[argparse.ArgumentParser], None],
    reader_options: Callable[[argparse.Namespace], ReaderOptions],
) -> None:
    """Add ``odometry``; see ``evaluate.add_subcommands``."""
    text = 'compare front-ends on the odometry of bags: one table, and a picture of the trajectories'
    parser = subparsers.add_parser('odometry', help=text, description=text)
    parser.add_argument('bags', type=Path, nargs='+', metavar='BAG',
                        help='rosbag2 directory, .mcap, .db3, or ROS 1 .bag')
    parser.add_argument('--ground-truth', type=Path, nargs='+', default=[], metavar='FILE.tum',
                        help='true poses of the optical frame, a file for each bag (default: NAME.tum beside it)')
    parser.add_argument('--features', default=','.join(NAMES), metavar='NAMES',
                        help=f'front-ends, separated by commas (default {",".join(NAMES)}); superglue: SuperPoint '
                             'with the attention network in place of nearest neighbours')
    parser.add_argument('--config', type=Path, metavar='FILE.yaml',
                        help='options, as a ROS parameter file or plain nested names')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', dest='settings',
                        help='one option, e.g. smoother.method=none; may be repeated')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for odometry.json and odometry.png')
    add_camera(parser)
    parser.set_defaults(handler=lambda options: evaluate_odometry(options, reader_options(options)))


def evaluate_odometry(options: argparse.Namespace, reader: ReaderOptions) -> int:
    """Run all front-ends over all bags; return 1 when a bag failed, which is named, and the others are done.

    :raises ValueError: for an unknown front-end, or when the ground truths are not as many as the bags.
    """
    names = [name.strip() for name in options.features.split(',')]
    unknown = set(names) - set(NAMES)
    if unknown:
        raise ValueError(f'--features: {", ".join(sorted(unknown))} is not one of {", ".join(NAMES)}')
    if options.ground_truth and len(options.ground_truth) != len(options.bags):
        raise ValueError(f'--ground-truth: {len(options.ground_truth)} files for {len(options.bags)} bags')
    config = settings.load(options.config, options.settings)
    results, failed, distinct = {}, False, report.Distinct()
    for path, truth in zip(options.bags, options.ground_truth or map(_beside, options.bags)):
        try:
            results[distinct(path.resolve().name)] = run(path, truth, names, config, reader)
        except (BagError, ValueError, OSError) as error:
            log.error('%s: %s', path, error)
            failed = True
    rows = [_row(name, one) for name, runs in results.items() for one in runs]
    if rows:
        report.show('odometry', COLUMNS, rows)
    if rows and options.out:
        report.write_json(options.out / 'odometry.json', {
            name: {one.features: _figures(one) for one in runs} for name, runs in results.items()})
        draw(options.out / 'odometry.png', results)
        print(options.out / 'odometry.png')
    return int(failed)


def _beside(path: Path) -> Path | None:
    poses = trajectory.beside(path)
    return poses if poses.exists() else None


def run(
    path: Path, truth_file: Path | None, names: Sequence[str], config: SlamConfig, reader: ReaderOptions
) -> list[Run]:
    """Run front-ends over a bag, frame by frame side by side.

    :raises BagError: when the bag or the ground truth cannot be used, or no frame of it.
    """
    truth = None if truth_file is None else trajectory.read_tum(truth_file)
    if truth is not None:
        trajectory.require_evo()
    else:
        log.warning('%s: no ground truth', path)
    console = Console(stderr=True)
    with bag.open_bag(path) as opened:
        frames = BagFrames(opened, reader)
        config = replace(config, odometry=replace(config.odometry, rectified=frames.rectified))
        ends = {name: (_odometry(name, config), Record()) for name in names}
        for recorded in track(frames, path.name, len(frames), console=console, transient=True,
                              disable=not console.is_terminal):
            for odometry, record in ends.values():
                step = odometry.process(recorded.frame)
                if step is not None:
                    record.add(step, sum(odometry.resets.values()))
        if not any(record.stamps for _, record in ends.values()):
            raise BagError('no frame could be used')
        return [Run(name, frames.selection.mode, record, _error(record, truth)) for name, (_, record) in ends.items()]


def _odometry(name: str, config: SlamConfig) -> VisualOdometry:
    kind, matcher = ('superpoint', 'superglue') if name == 'superglue' else (name, 'nearest')
    config = replace(config, matcher=replace(config.matcher, matcher=matcher))
    return VisualOdometry(config, baselines.make_extractor(kind, config.extractor))


def _error(record: Record, truth: tuple[np.ndarray, np.ndarray] | None) -> TrajectoryError | None:
    tracked = record.tracked()
    if truth is None or not len(tracked):
        return None
    stamps, poses = [record.stamps[i] for i in tracked], np.array([record.poses[i] for i in tracked])
    return trajectory.compare(stamps, poses, *truth, align='se3' if record.metric else 'sim3')


def _figures(one: Run) -> dict[str, Any]:
    record, error = one.record, one.error
    positions = np.array([record.poses[i][:3, 3] for i in record.tracked()]).reshape(-1, 3)
    total = [sum(stages) for stages in zip(*record.timings.values())]
    long = error is not None and error.path_length_m >= SHORTEST_M
    drift = trajectory.drift(error) if long else (None, None)
    return {
        'mode': one.mode, 'metric': record.metric, 'frames': len(record.stamps), 'tracked': len(positions),
        'lost': record.lost, 'keyframes': len(record.keyframes),
        'ate_m': None if error is None else error.ate_rmse_m,
        'percent': None if error is None else error.percent,
        'drift_percent': drift[0], 'drift_deg_per_m': drift[1],
        'path_m': float(np.linalg.norm(np.diff(positions, axis=0), axis=1).sum()),
        'frame_ms': float(np.median(total)), 'motion_ms': float(np.median(record.timings['motion'])),
    }


def _row(name: str, one: Run) -> list[Any]:
    figures = _figures(one)
    shown = [f'{value:.{digits}f}' if value is not None else '-' for value, digits in (
        (figures['ate_m'], 4), (figures['drift_percent'], 2), (figures['path_m'], 3), (figures['frame_ms'], 0))]
    return [name, one.features, f'{figures["tracked"]}/{figures["frames"]}', *shown]


def draw(path: Path, results: dict[str, list[Run]]) -> None:
    """Draw the trajectories of every bag over its ground truth, seen along the direction of least motion."""
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.4 * rows), dpi=110, layout='constrained')
    for number, (name, runs) in enumerate(results.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        paths = {one.features: one.error.aligned[:, :3, 3] if one.error else
                 np.array([one.record.poses[i][:3, 3] for i in one.record.tracked()]).reshape(-1, 3) for one in runs}
        truths = [one.error.truth[:, :3, 3] for one in runs if one.error]
        base = max(truths or paths.values(), key=len)
        if not len(base):
            axes.set_title(f'{name}: never tracked')
            continue
        plane = np.linalg.svd(base - base.mean(0), full_matrices=False)[2][:2] if len(base) > 2 else np.eye(3)[:2]
        if truths:
            axes.plot(*((base - base.mean(0)) @ plane.T).T, color='0.2', linewidth=3, alpha=0.35, label='truth')
        for one in runs:
            along = (paths[one.features] - base.mean(0)) @ plane.T
            label = one.features if one.error is None else f'{one.features}, ATE {one.error.ate_rmse_m:.3f} m'
            axes.plot(*along.T, '.-', linewidth=1, markersize=3, label=label)
        axes.set_title(f'{name} ({runs[0].mode})')
        axes.set_xlabel('m' if runs[0].record.metric else 'm after alignment of scale')
        axes.axis('equal')
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small')
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
