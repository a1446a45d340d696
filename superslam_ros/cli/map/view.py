"""``superslam map view``: a picture of a map."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'a picture of a map from above: landmarks, the way of each session, loops'
    parser = subparsers.add_parser('view', help=text, description=text)
    parser.add_argument('map', type=Path)
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.png')
    parser.set_defaults(handler=view)


def view(arguments: argparse.Namespace) -> int:
    """Draw it."""
    from superslam_ros.maps import storage
    from superslam_ros.pictures.maps import draw_map

    draw_map(arguments.out, storage.load(arguments.map), arguments.map.name)
    print(arguments.out)
    return 0
