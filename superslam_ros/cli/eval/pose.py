"""``superslam eval pose``: relative poses of image pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.cli.eval import front_ends
from superslam_ros.evaluation import relative_pose, report

FRONT_ENDS = ('superpoint', 'superglue', 'sift', 'sift-ratio', 'orb')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure relative poses on a list of image pairs (ScanNet, YFCC100M, in the format of SuperGlue)'
    parser = subparsers.add_parser('pose', help=text, description=text)
    parser.add_argument('pairs', type=Path, metavar='PAIRS.txt',
                        help='lines of "imageA imageB rotA rotB KA(9) KB(9) T_AB(16)"')
    parser.add_argument('--images', type=Path, required=True, metavar='DIR', help='where the paths of the list begin')
    parser.add_argument('--size', type=int, default=640, metavar='PX', help='longer side of the images (default 640)')
    parser.add_argument('--limit', type=int, default=0, metavar='N', help='the first N pairs only')
    parser.add_argument('--pictures', type=int, default=20, metavar='N',
                        help='with --out: pictures of the first N pairs (default 20)')
    front_ends.add_options(parser, FRONT_ENDS)
    parser.set_defaults(handler=evaluate_pose)


def evaluate_pose(arguments: argparse.Namespace) -> int:
    """Measure relative poses from matches."""
    ends = front_ends.from_arguments(arguments)
    results: dict[str, list[relative_pose.PoseResult]] = {end.name: [] for end in ends}
    for name, least in (('size', 64), ('limit', 0), ('pictures', 0)):
        if getattr(arguments, name) < least:
            raise ValueError(f'--{name} {getattr(arguments, name)}: must be {least} or more')
    pairs = relative_pose.read_pairs(arguments.pairs)[:arguments.limit or None]
    files = {arguments.images / path for pair in pairs for path in (pair.path0, pair.path1)}
    absent = sorted(str(path) for path in files if not path.is_file())
    if absent:
        raise ValueError(f'{len(absent)} of {len(files)} images do not exist, the first is {absent[0]}')
    found_by_pair = relative_pose.evaluate(ends, progress.track(pairs, 'pairs'), arguments.images, arguments.size)
    for number, (view0, view1, found) in enumerate(found_by_pair, 1):
        for name, (result, _) in found.items():
            results[name].append(result)
        if arguments.out and number <= arguments.pictures:
            rows = [report.draw_confidences(view0.image, view1.image, matches, (
                f'{name}: {len(matches)} matches (red: unsure, green: sure), pose off by {result.error_deg:.1f} deg'))
                for name, (result, matches) in found.items()]
            report.write_picture(arguments.out / f'pair_{number:04d}.jpg', rows)
    figures = report.show_poses(f'{len(pairs)} pairs', results)
    if arguments.out:
        report.write_json(arguments.out / 'pose.json', {
            **front_ends.about(arguments), 'pairs': len(pairs), 'size': arguments.size, **figures})
    return 0
