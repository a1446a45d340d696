"""``superslam eval bag``: front-ends on pairs of frames of a bag."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from superslam_ros.cli import options, progress
from superslam_ros.cli.eval import front_ends, pose
from superslam_ros.evaluation import gaps, relative_pose, report
from superslam_ros.evaluation.relative_pose import PoseResult
from superslam_ros.inputs.opening import open_frames
from superslam_ros.offline import truths

log = logging.getLogger(__name__)

GAPS = (1, 5, 10, 30)


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure relative poses between frames of a recording that are some frames apart'
    parser = subparsers.add_parser('bag', help=text, description=text)
    parser.add_argument('bag', type=Path, metavar='recording', help=options.INPUT)
    parser.add_argument('--ground-truth', type=Path, metavar='FILE.tum',
                        help=options.GROUND_TRUTH)
    parser.add_argument('--gap', type=int, nargs='+', default=GAPS, metavar='N', dest='gaps',
                        help=f'frames between the two of a pair (default {" ".join(map(str, GAPS))})')
    parser.add_argument('--plain-ransac', action='store_true',
                        help='poses from the best sample of plain RANSAC, as "eval pose" has them, '
                             'in place of locally optimised RANSAC')
    front_ends.add_options(parser, pose.FRONT_ENDS, pictures=False)
    options.add_camera(parser)
    parser.set_defaults(handler=evaluate_bag)


def evaluate_bag(arguments: argparse.Namespace) -> int:
    """Measure front-ends on a bag.

    :raises ValueError: when no two frames with a true pose are so far apart, or a gap is below 1.
    """
    wanted = sorted(set(arguments.gaps))
    if wanted[0] < 1:
        raise ValueError(f'--gap {wanted[0]}: must be 1 or more')
    ends = front_ends.from_arguments(arguments)
    with open_frames(arguments.bag, options.reader_options(arguments)) as frames:
        found = truths.truth_of(arguments.bag, frames, arguments.ground_truth)
        if found is None:
            raise ValueError(f'{arguments.bag}: has no ground truth of its own; give --ground-truth FILE.tum')
        truth = gaps.Truth(found.stamps_ns, found.poses)
        images = (recorded.frame for recorded in progress.track(frames, 'frames', frames.count))
        results = gaps.evaluate(ends, images, truth, wanted, frames.rectified, arguments.plain_ransac)
    measured = {gap: by_name for gap, by_name in results.items() if next(iter(by_name.values()))}
    if not measured:
        raise ValueError(f'{arguments.bag}: no two frames with a pose in {found.file} are '
                         f'{" or ".join(map(str, wanted))} frames apart')
    for gap in sorted(set(wanted) - set(measured)):
        log.warning('--gap %d: no two frames with a true pose are so far apart', gap)
    _report(arguments, measured)
    return 0


def _report(arguments: argparse.Namespace, measured: dict[int, dict[str, list[PoseResult]]]) -> None:
    content = {}
    for gap, by_name in measured.items():
        count = len(next(iter(by_name.values()))) // gaps.ORDERS
        content[str(gap)] = {'pairs': count, **report.show_poses(
            f'{arguments.bag.name}: {count} pairs, {gap} frames apart', by_name, gaps.ORDERS)}
    if arguments.out:
        report.write_json(arguments.out / 'bag.json', {
            **front_ends.about(arguments), 'bag': arguments.bag.name,
            'min_baseline_m': gaps.MIN_BASELINE_M, 'ransac_px': relative_pose.RANSAC_PX,
            'plain_ransac': arguments.plain_ransac, 'orders': gaps.ORDERS, 'gap': content})
