"""``superslam eval imu``: what an IMU makes of the odometry of rendered walks."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import baselines, inertial, report, trajectory
from superslam_ros.offline.provenance import provenance, weights_in_use

COLUMNS = ('mean over walks', 'off level, deg', 'at most', 'ATE, m', 'NEES of 3', 'off after the dark, deg',
           'sigma', 'NEES of 3 there')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure what an IMU makes of the odometry of a stereo pair, on rendered walks with exact truth: as it is, '
            'through two seconds in which the camera turns most and sees nothing or hardly anything, and with wrong '
            'extrinsics and stamps, which have to be said')
    parser = subparsers.add_parser('imu', help='what an IMU makes of the odometry of rendered walks', description=text)
    parser.add_argument('--seeds', type=int, nargs='+', default=[1], metavar='N', help='a walk each (default 1)')
    parser.add_argument('--laps', type=float, default=0.25, metavar='N', help='of 40 m, a walk (default 0.25)')
    parser.add_argument('--features', default='superpoint', choices=baselines.NAMES, help='default superpoint')
    options.add_config(parser, 'imu.gravity=false')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for imu.json')
    parser.set_defaults(handler=evaluate_imu)


def evaluate_imu(arguments: argparse.Namespace) -> int:
    """Go all walks, print a table and what was warned of, and write it.

    :raises ValueError: for a walk of no length.
    :raises RuntimeError: when evo is not installed.
    """
    if arguments.laps <= 0:
        raise ValueError(f'--laps {arguments.laps:g}: must be more than 0')
    trajectory.require_evo()
    config = settings.load(arguments.config, arguments.settings)
    extractor = baselines.make_extractor(arguments.features, config.extractor)
    found: dict[str, list[inertial.Outcome]] = {name: [] for name in inertial.CASES}
    for seed in arguments.seeds:
        walk = inertial.Walked(seed, config, extractor, arguments.laps, progress=progress.track)
        for name, case in inertial.CASES.items():
            found[name].append(walk.go(case))
    report.show('IMU', COLUMNS, [inertial.row(name, of_case) for name, of_case in found.items()])
    for name, of_case in found.items():
        for seed, one in zip(arguments.seeds, of_case):
            for warning in one.said:
                print(f'{name}, walk {seed}: {warning}')
    if arguments.out:
        report.write_json(arguments.out / 'imu.json', {
            **provenance(weights_in_use([arguments.features], config.extractor, config.matcher)),
            'command': arguments.command_line, 'seeds': arguments.seeds,
            'cases': {name: [one._asdict() for one in of_case] for name, of_case in found.items()}})
        print(arguments.out / 'imu.json')
    return 0
