"""``superslam eval``, and of it ``bag``: front-ends on pairs of frames of a bag."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from superslam_ros.bags import bag
from superslam_ros.bags.reader import BagFrames, ReaderOptions
from superslam_ros.cli import eval_images, eval_odometry, eval_pose
from superslam_ros.data import Frame
from superslam_ros.evaluation import gaps, relative_pose, report, trajectory
from superslam_ros.evaluation.relative_pose import PoseResult

log = logging.getLogger(__name__)

GAPS = (1, 5, 10, 30)


def add_subcommands(
    subparsers: argparse._SubParsersAction, add_camera: Callable[[argparse.ArgumentParser], None],
    reader_options: Callable[[argparse.Namespace], ReaderOptions],
) -> None:
    """Add all evaluations: those that need no bag, ``odometry``, and ``bag``.

    :param add_camera: adds the options that say which topics to read; ``reader_options`` reads them.
    """
    eval_images.add_subcommands(subparsers)
    eval_pose.add_subcommand(subparsers)
    eval_odometry.add_subcommand(subparsers, add_camera, reader_options)
    text = 'measure relative poses between frames of a bag that are some frames apart'
    parser = subparsers.add_parser('bag', help=text, description=text)
    parser.add_argument('bag', type=Path, help='rosbag2 directory, .mcap, .db3, or ROS 1 .bag')
    parser.add_argument('--ground-truth', type=Path, required=True, metavar='FILE.tum',
                        help='true poses of the optical frame (seconds x y z qx qy qz qw)')
    parser.add_argument('--gap', type=int, nargs='+', default=GAPS, metavar='N', dest='gaps',
                        help=f'frames between the two of a pair (default {" ".join(map(str, GAPS))})')
    parser.add_argument('--plain-ransac', action='store_true',
                        help='poses from the best sample of plain RANSAC, as "eval pose" has them, '
                             'in place of locally optimised RANSAC')
    eval_images.add_front_end(parser, eval_pose.FRONT_ENDS)
    add_camera(parser)
    parser.set_defaults(handler=lambda options: evaluate_bag(options, reader_options(options)))


def evaluate_bag(options: argparse.Namespace, reader: ReaderOptions) -> int:
    """Measure front-ends on a bag.

    :raises ValueError: when no two frames with a true pose are so far apart, or a gap is below 1.
    """
    wanted = sorted(set(options.gaps))
    if wanted[0] < 1:
        raise ValueError(f'--gap {wanted[0]}: must be 1 or more')
    ends = eval_images.front_ends(options)
    truth = gaps.Truth(*trajectory.read_tum(options.ground_truth))
    with bag.open_bag(options.bag) as opened:
        frames = BagFrames(opened, reader)
        results = gaps.evaluate(ends, _images(frames), truth, wanted, frames.rectified, options.plain_ransac)
    measured = {gap: by_name for gap, by_name in results.items() if next(iter(by_name.values()))}
    if not measured:
        raise ValueError(f'{options.bag}: no two frames with a pose in {options.ground_truth} are '
                         f'{" or ".join(map(str, wanted))} frames apart')
    for gap in sorted(set(wanted) - set(measured)):
        log.warning('--gap %d: no two frames with a true pose are so far apart', gap)
    _report(options, measured)
    return 0


def _images(frames: BagFrames) -> Iterator[Frame]:
    console = Console(stderr=True)
    for recorded in track(frames, 'frames', len(frames), console=console, transient=True,
                          disable=not console.is_terminal):
        yield recorded.frame


def _report(options: argparse.Namespace, measured: dict[int, dict[str, list[PoseResult]]]) -> None:
    content = {}
    for gap, by_name in measured.items():
        count = len(next(iter(by_name.values()))) // gaps.ORDERS
        content[str(gap)] = {'pairs': count, **eval_pose.show_poses(
            f'{options.bag.name}: {count} pairs, {gap} frames apart', by_name, gaps.ORDERS)}
    if options.out:
        report.write_json(options.out / 'bag.json', {
            **eval_images.used_weights(options), 'bag': options.bag.name,
            'min_baseline_m': gaps.MIN_BASELINE_M, 'ransac_px': relative_pose.RANSAC_PX,
            'plain_ransac': options.plain_ransac, 'orders': gaps.ORDERS, 'gap': content})
