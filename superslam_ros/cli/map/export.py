"""``superslam map export``: a map in formats of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

FORMATS = ('colmap', 'ply', 'g2o', 'tum')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'a map for other programs: COLMAP model (a folder), PLY points, g2o pose graph, TUM poses of keyframes'
    parser = subparsers.add_parser('export', help=text, description=text)
    parser.add_argument('map', type=Path)
    parser.add_argument('--format', choices=FORMATS, required=True)
    parser.add_argument('--out', type=Path, required=True, metavar='PATH')
    parser.set_defaults(handler=export)


def export(arguments: argparse.Namespace) -> int:
    """Write it."""
    from superslam_ros.maps import storage
    from superslam_ros.maps.export import export as write

    write(storage.load(arguments.map), arguments.out, arguments.format)
    print(arguments.out)
    return 0
