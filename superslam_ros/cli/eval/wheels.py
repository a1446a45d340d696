"""``superslam eval wheels``: what wheels and an IMU do for the odometry of a robot, on rendered drives."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import report, wheels
from superslam_ros.offline.provenance import provenance

COLUMNS = ('', 'ATE, cm', 'off at the end of the trouble, cm', 'deg', 'sigma of the wheels, cm', 'error^2 by it (3)',
           'NEES then (3)', 'NEES (3)', 'jump, cm', 'not placed')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure odometry with wheels and an IMU on rendered drives of a robot: two seconds of darkness, frozen '
            'images, slip, one camera, a level floor')
    parser = subparsers.add_parser('wheels', help=text, description=text)
    parser.add_argument('--drives', type=int, default=5, metavar='N', help='in differently furnished buildings, with '
                        'other errors of the wheels (default 5)')
    parser.add_argument('--seed', type=int, default=0, help='of the first drive (default 0)')
    parser.add_argument('--seconds', type=float, default=12.0, metavar='S', help='that a drive takes (default 12)')
    parser.add_argument('--only', default='', metavar='TEXT', help='only the cases in whose name this is')
    options.add_config(parser, 'extractor.max_keypoints=500')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for wheels.json')
    parser.set_defaults(handler=evaluate_wheels)


def evaluate_wheels(arguments: argparse.Namespace) -> int:
    """Run all cases on all drives.

    :raises ValueError: for numbers that make no sense.
    """
    cases = [one for one in wheels.CASES if arguments.only in one.name]
    if arguments.drives < 1 or not cases:
        raise ValueError('--drives: at least 1' if cases else f'--only {arguments.only}: in no name of '
                         f'{"; ".join(one.name for one in wheels.CASES)}')
    setting = wheels.Setting(seconds=arguments.seconds, slam=settings.load(arguments.config, arguments.settings))
    found: dict[str, list[dict[str, Any]]] = {one.name: [] for one in cases}
    for seed in range(arguments.seed, arguments.seed + arguments.drives):
        drive = wheels.record(setting, seed, progress.track)
        for case in progress.track(cases, f'odometry {seed}', len(cases)):
            found[case.name].append(wheels.measure(drive, case))
    figures = {name: wheels.summarise(of_drives) for name, of_drives in found.items()}
    report.show(f'{arguments.drives} drives of {arguments.seconds:g} s; root mean squares', COLUMNS,
                [_row(name, one) for name, one in figures.items()])
    band = 3.3 * np.sqrt(6 / arguments.drives)
    print(f'a mean of 3 +- {band:.1f} is within the 99.9 % band of as many drives; frames of one drive err alike')
    if arguments.out:
        report.write_json(arguments.out / 'wheels.json', {
            **provenance({'superpoint': setting.slam.extractor.weights}), 'command': arguments.command_line,
            'cases': figures, 'drives': found})
    return 0


def _row(name: str, figures: dict[str, Any]) -> list[Any]:
    def shown(key: str, factor: float = 1.0, digits: int = 1) -> str:
        return '-' if figures[key] is None else f'{factor * figures[key]:.{digits}f}'

    return [name if figures['metric'] else f'{name} (own scale)', shown('ate_m', 100), shown('end_m', 100),
            shown('end_deg', 1), shown('wheels_sigma_m', 100), shown('over_wheels'), shown('nees_at_the_end'),
            shown('nees'), shown('jump_m', 100), figures['unplaced']]
