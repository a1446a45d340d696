"""``superslam eval pose``: relative poses of image pairs, and their table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.progress import track

from superslam_ros.cli import eval_images
from superslam_ros.evaluation import homography, relative_pose, report

FIGURES = {
    'auc_5': 'AUC 5 deg', 'auc_10': 'AUC 10 deg', 'auc_20': 'AUC 20 deg', 'rotation_5': 'rotation within 5 deg',
    'precision': 'precision', 'matching_score': 'matching score', 'matches': 'matches',
}
FRONT_ENDS = ('superpoint', 'superglue', 'sift', 'sift-ratio', 'orb')


def add_subcommand(subparsers: argparse._SubParsersAction) -> None:
    """Add ``pose``."""
    text = 'measure relative poses on a list of image pairs (ScanNet, YFCC100M, in the format of SuperGlue)'
    parser = subparsers.add_parser('pose', help=text, description=text)
    parser.add_argument('pairs', type=Path, metavar='PAIRS.txt',
                        help='lines of "imageA imageB rotA rotB KA(9) KB(9) T_AB(16)"')
    parser.add_argument('--images', type=Path, required=True, metavar='DIR', help='where the paths of the list begin')
    parser.add_argument('--size', type=int, default=640, metavar='PX', help='longer side of the images (default 640)')
    parser.add_argument('--limit', type=int, default=0, metavar='N', help='the first N pairs only')
    parser.add_argument('--pictures', type=int, default=20, metavar='N',
                        help='with --out: pictures of the first N pairs (default 20)')
    eval_images.add_front_end(parser, FRONT_ENDS)
    parser.set_defaults(handler=evaluate_pose)


def evaluate_pose(arguments: argparse.Namespace) -> int:
    """Measure relative poses from matches."""
    ends = eval_images.front_ends(arguments)
    results: dict[str, list[relative_pose.PoseResult]] = {end.name: [] for end in ends}
    for name, least in (('size', 64), ('limit', 0), ('pictures', 0)):
        if getattr(arguments, name) < least:
            raise ValueError(f'--{name} {getattr(arguments, name)}: must be {least} or more')
    pairs = relative_pose.read_pairs(arguments.pairs)[:arguments.limit or None]
    files = {arguments.images / path for pair in pairs for path in (pair.path0, pair.path1)}
    absent = sorted(str(path) for path in files if not path.is_file())
    if absent:
        raise ValueError(f'{len(absent)} of {len(files)} images do not exist, the first is {absent[0]}')
    for number, pair in enumerate(track(pairs, description='pairs', transient=True), 1):
        views = [relative_pose.View.of(read_image(arguments.images / path), turns, K, arguments.size)
                 for path, turns, K in ((pair.path0, pair.turns0, pair.K0), (pair.path1, pair.turns1, pair.K1))]
        found = {end.name: relative_pose.evaluate_pair(end, *views, pair.T_1_0) for end in ends}
        for name, (result, _) in found.items():
            results[name].append(result)
        if arguments.out and number <= arguments.pictures:
            rows = [report.draw_confidences(views[0].image, views[1].image, matches, (
                f'{name}: {len(matches)} matches (red: unsure, green: sure), pose off by {result.error_deg:.1f} deg'))
                for name, (result, matches) in found.items()]
            report.write_picture(arguments.out / f'pair_{number:04d}.jpg', rows)
    figures = show_poses(f'{len(pairs)} pairs', results)
    if arguments.out:
        report.write_json(arguments.out / 'pose.json', {
            **eval_images.used_weights(arguments), 'pairs': len(pairs), 'size': arguments.size, **figures})
    return 0


def show_poses(
    title: str, results: dict[str, list[relative_pose.PoseResult]], orders: int = 1
) -> dict[str, dict[str, Any]]:
    """Print the table of front-ends and return their figures, ready for JSON.

    :param orders: so many results in succession are of the same pair.
    """
    first, *others = results
    summaries = {name: relative_pose.summarise(found) for name, found in results.items()}
    rows = [[name, *(summary[key] for summary in summaries.values())] for key, name in FIGURES.items()]
    figures = {name: homography.plain(summary) for name, summary in summaries.items()}
    leads = ['']
    for name in others:
        lead, margin = relative_pose.lead(results[first], results[name], orders)
        figures[name].update(lead_of_first=round(lead, 6), lead_margin=round(margin, 6))
        leads.append(f'{lead:+.3f} ±{margin:.3f}'.replace('0.', '.'))
    if others:
        rows.insert(2, [f'  lead of {first}', *leads])
    report.show(title, ['', *summaries], rows, across=True)
    return figures


def read_image(path: Path) -> np.ndarray:
    """Return an (H, W) uint8 image as it is stored, whatever its EXIF says: K and turns of a list are of that.

    :raises ValueError: naming the file, when it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f'{path}: not a readable image')
    return image
