"""Options of the evaluations on photographs, and the photographs they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from superslam_ros.cli import progress
from superslam_ros.training.data import photos


def add_options(parser: argparse.ArgumentParser, limit: int) -> None:
    """Add the options that say which of the photographs in ``folders`` to take, at most ``limit`` by default."""
    parser.add_argument('--held-out', action='store_true', help='only the photographs that training holds out')
    parser.add_argument('--limit', type=int, default=limit, metavar='N',
                        help=f'at most N photographs, 0 for all (default {limit})')
    parser.add_argument('--seed', type=int, default=0, help='of the views (default 0)')


def read(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and (H, W) uint8 image of the readable photographs.

    :raises ValueError: for a negative limit, or a folder that is none.
    :raises FileNotFoundError: naming a folder that is missing or holds no image.
    """
    if arguments.limit < 0:
        raise ValueError(f'--limit {arguments.limit}: must be 0 or more')
    paths = photos.find(arguments.folders)
    if arguments.held_out:
        paths = photos.split(paths)[1]
    for path in progress.track(paths[:arguments.limit or None], 'photographs'):
        image = photos.read_gray(path)
        if image is not None:
            yield path.stem, image
