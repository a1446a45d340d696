"""``superslam map info``: what is in a map."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'what is in a map: sessions, cameras, keyframes, landmarks, loops, weights'
    parser = subparsers.add_parser('info', help=text, description=text)
    parser.add_argument('map', type=Path)
    parser.set_defaults(handler=info)


def info(arguments: argparse.Namespace) -> int:
    """Check the file and print what it holds."""
    from superslam_ros.maps import storage

    for line in storage.describe(arguments.map):
        print(line)
    return 0
