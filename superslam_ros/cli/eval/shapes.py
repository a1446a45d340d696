"""``superslam eval shapes``: corner detectors on synthetic shapes."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.evaluation import homography, report, shapes
from superslam_ros.offline.provenance import provenance


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure MagicPoint beside FAST, Harris and Shi-Tomasi on synthetic shapes (SuperPoint, Table 5)'
    parser = subparsers.add_parser('shapes', help=text, description=text)
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='MagicPoint or SuperPoint weights; default: the shipped MagicPoint')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--refine', choices=('none', 'scores', 'corners'), default='corners',
                        help='sub-pixel positions of MagicPoint (default corners); but for none, the others get those '
                             'of cornerSubPix')
    parser.add_argument('--count', type=int, default=500, metavar='N', help='images (default 500)')
    parser.add_argument('--seed', type=int, default=1, help='of shapes and noise (default 1)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the JSON')
    parser.set_defaults(handler=evaluate_shapes)


def evaluate_shapes(arguments: argparse.Namespace) -> int:
    """Measure corner detectors on synthetic shapes, clean and noisy."""
    if arguments.count < 1:
        raise ValueError(f'--count {arguments.count}: must be 1 or more')
    found_by = shapes.detectors(arguments.weights, arguments.device, arguments.refine)
    results = {title: shapes.evaluate(found_by, arguments.count, arguments.seed, title == 'noisy')
               for title in progress.track(('clean', 'noisy'), 'shapes')}
    rows = [[name, *(results[title][name][key] for key in ('map', 'localisation_px') for title in results)]
            for name in found_by]
    columns = ['detector', 'mAP clean', 'mAP noisy', 'error clean, px', 'error noisy, px']
    report.show(f'{arguments.count} synthetic shapes of 120x160, corners within 4 px', columns, rows, columns[3:])
    if arguments.out:
        report.write_json(arguments.out / 'shapes.json', {
            **provenance({'magicpoint': arguments.weights}), 'command': arguments.command_line,
            'refine': arguments.refine, 'count': arguments.count, 'seed': arguments.seed,
            **{title: {name: homography.plain(figures) for name, figures in by_name.items()}
               for title, by_name in results.items()}})
    return 0
