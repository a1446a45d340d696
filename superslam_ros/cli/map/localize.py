"""``superslam map localize``: where the camera of a recording is in a map."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options, progress


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'localize', help='where the camera of a recording is in a map',
        description='Find the frames of a recording in a map, which is only read. Writes localized.tum (poses of the '
        'optical frame in the map, of the frames that were localised) and summary.json (how many, and why others were '
        'not).')
    parser.add_argument('map', type=Path)
    parser.add_argument('recording', type=Path, help=options.INPUT)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    options.add_config(parser, 'map.min_inliers=40')
    options.add_camera(parser)
    parser.set_defaults(handler=localize)


def localize(arguments: argparse.Namespace) -> int:
    """Find the frames; 1 when none was found."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import maps

    config = settings.load(arguments.config, arguments.settings, maps.MappingConfig)
    with progress.bar() as bar:
        summary = maps.localize(
            arguments.map, arguments.recording, arguments.out, config, options.reader_options(arguments),
            **progress.of_bags(bar))
    print(f'{summary["bag"]} in {summary["map"]}: {summary["localised"]} of {summary["frames"]} frames localised'
          + (f', {summary["by_themselves"]} of them by themselves' if summary['by_themselves'] else ''))
    for reason, count in summary['reasons'].items():
        print(f'  not localised: {count} x {reason}')
    for name in ('localized.tum', 'summary.json'):
        print(f'  {arguments.out / name}')
    return int(not summary['localised'])
