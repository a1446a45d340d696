"""``superslam eval odometry``: front-ends on the same back-end, on the same frames of some bags."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import report
from superslam_ros.offline import compare, fleet, truths
from superslam_ros.offline.provenance import provenance, weights_in_use
from superslam_ros.pictures.trajectories import draw_trajectories

log = logging.getLogger(__name__)

COLUMNS = ('bag', 'features', 'poses', 'ATE, m', 'drift, %', 'estimated path, m', 'ms')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'compare front-ends on the odometry of bags: one table, and a picture of the trajectories'
    parser = subparsers.add_parser('odometry', help=text, description=text)
    parser.add_argument('bags', type=Path, nargs='+', metavar='recording', help=options.INPUT)
    parser.add_argument('--ground-truth', type=Path, nargs='+', default=[], metavar='FILE.tum',
                        help=f'{options.GROUND_TRUTH}; {options.NO_TRUTH}; a file for each recording')
    parser.add_argument('--features', default=','.join(compare.NAMES), metavar='NAMES',
                        help=f'front-ends, separated by commas (default {",".join(compare.NAMES)}); superglue: '
                             'SuperPoint with the attention network in place of nearest neighbours')
    options.add_config(parser, 'smoother.method=none')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for odometry.json and odometry.png')
    options.add_fleet(parser, remembers=False)
    options.add_camera(parser)
    parser.set_defaults(handler=evaluate_odometry)


def evaluate_odometry(arguments: argparse.Namespace) -> int:
    """Run all front-ends over all bags; return 1 when a bag failed, which is named, and the others are done.

    :raises ValueError: for an unknown front-end, or when the ground truths are not as many as the bags.
    """
    names = [name.strip() for name in arguments.features.split(',')]
    unknown = set(names) - set(compare.NAMES)
    if unknown:
        raise ValueError(f'--features: {", ".join(sorted(unknown))} is not one of {", ".join(compare.NAMES)}')
    given = arguments.ground_truth or [None]
    if len(given) == 1 and given[0] in (None, truths.NONE):
        given = given * len(arguments.bags)
    if len(given) != len(arguments.bags):
        raise ValueError(f'--ground-truth: {len(given)} files for {len(arguments.bags)} bags')
    config, reader = settings.load(arguments.config, arguments.settings), options.reader_options(arguments)
    distinct, results, failed = report.Distinct(), {}, False
    todo = {distinct(path.resolve().name): compare.Comparison(path, truth, names, config, reader)
            for path, truth in zip(arguments.bags, given)}
    with progress.Side() as bars:
        for done in fleet.each(compare.work, todo, arguments.jobs, arguments.ray, bars.tell):
            bars.end(done.name)
            if done.error:
                log.error('%s: %s', done.name, done.error)
                failed = True
            else:
                results[done.name] = done.result
    results = {name: results[name] for name in todo if name in results}
    if results:
        figures = {name: {one.features: compare.figures(one) for one in runs} for name, runs in results.items()}
        report.show('odometry', COLUMNS, [
            _row(name, features, of_run) for name, of_bag in figures.items() for features, of_run in of_bag.items()])
    if results and arguments.out:
        report.write_json(arguments.out / 'odometry.json', {
            **provenance(weights_in_use(names, config.extractor, config.matcher)),
            'command': arguments.command_line, 'bags': figures})
        draw_trajectories(arguments.out / 'odometry.png', [compare.panel(name, runs) for name, runs in results.items()])
        print(arguments.out / 'odometry.png')
    return int(failed)


def _row(name: str, features: str, figures: dict[str, Any]) -> list[Any]:
    ate, drift = figures.get('ate', {}).get('rmse_m'), figures.get('drift', {}).get('percent')
    shown = [f'{value:.{digits}f}' if value is not None else '-' for value, digits in (
        (ate, 4), (drift, 2), (figures['estimated_path'], 3), (figures['timing']['frame_ms']['median'], 0))]
    return [name, features, f'{figures["poses"]}/{figures["frames"]}', *shown]
