"""``superslam map merge``: two maps of one place as one."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'merge', help='two maps of one place as one',
        description='Join maps that see the same place: the second is found in the first, and brought to its frame. '
        'Maps without a common place are refused.')
    parser.add_argument('map', type=Path, nargs=2)
    parser.add_argument('--out', type=Path, required=True, metavar='MAP')
    parser.add_argument('--overwrite', action='store_true', help='replace a file that is there')
    parser.set_defaults(handler=merge)


def merge(arguments: argparse.Namespace) -> int:
    """Join the maps; 1 when they have no place in common."""
    from superslam_ros.maps import merging, storage
    from superslam_ros.maps.config import MapConfig
    from superslam_ros.maps.embedding import Vocabulary
    from superslam_ros.maps.localizer import Localizer, Refusal

    if arguments.out.exists() and not arguments.overwrite:
        raise ValueError(f'--out {arguments.out}: is there already; --overwrite replaces it')
    first, second = map(storage.load, arguments.map)
    answer = merging.merge(first, second, Localizer(MapConfig(), Vocabulary.load()))
    if isinstance(answer, Refusal):
        print(f'{arguments.map[1]}: not merged: {answer.text}')
        return 1
    storage.save(first, arguments.out)
    print(f'{arguments.out}: {len(first.keyframes)} keyframes, {len(first.landmarks)} landmarks')
    return 0
