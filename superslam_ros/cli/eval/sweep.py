"""``superslam eval sweep``: rotation, scale, light and noise, one at a time."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from superslam_ros.cli.eval import front_ends, photographs
from superslam_ros.evaluation import homography, report, sweep


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure what rotation, scale, darkness and noise do to matches on photographs'
    parser = subparsers.add_parser('sweep', help=text, description=text)
    parser.add_argument('folders', type=Path, nargs='+', metavar='DIR', help='photographs')
    photographs.add_options(parser, 20)
    front_ends.add_options(parser, pictures=False)
    parser.set_defaults(handler=evaluate_sweep)


def evaluate_sweep(arguments: argparse.Namespace) -> int:
    """Measure front-ends under one change at a time."""
    ends = front_ends.from_arguments(arguments)
    images = photographs.read(arguments)
    results = sweep.evaluate(ends, images, arguments.seed)
    for title, by_name in results.items():
        rows = [[f'{level:g}', *(f'{levels[level].matching_score:.3f} / {levels[level].homography_3px:.2f}'
                                 for levels in by_name.values())] for level in sweep.SWEEPS[title]]
        report.show(f'{title}: matching score / homography within 3 px', [title, *by_name], rows)
    if arguments.out:
        report.write_json(arguments.out / 'sweep.json', {
            **front_ends.about(arguments), 'seed': arguments.seed,
            **{title: {name: {f'{level:g}': homography.plain(asdict(figures)) for level, figures in levels.items()}
                       for name, levels in by_name.items()} for title, by_name in results.items()}})
    return 0
