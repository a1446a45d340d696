"""Options of the commands on images of boards."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.inputs import shots as inputs
from superslam_ros.inputs.shots import ImageOptions, Shot


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add images, the file of boards, and the topic of a bag."""
    parser.add_argument('paths', type=Path, nargs='+', metavar='PATH',
                        help='image files, folders of them, bags, videos, data sets, or a camera (camera:0, to Ctrl-C)')
    add_board(parser)
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='image of a bag, or camera of a data set; default: by type and name')
    parser.add_argument('--every', type=int, default=1, metavar='N', help='one image of N (default 1, all)')


def add_board(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add ``--board``."""
    parser.add_argument('--board', type=Path, required=required, metavar='FILE.yaml',
                        help='boards, as `superslam charuco board` writes them')


def shots(paths: list[Path], options: ImageOptions, most: int = 0) -> Iterator[Shot]:
    """Return the images, with a progress bar.

    :param most: of more images, one in so many is taken that no more remain; 0: all.
    :raises ValueError: when ``every`` is below 1.
    """
    if options.every < 1:
        raise ValueError(f'--every {options.every}: must be 1 or more')
    found = inputs.sources(paths, options)
    counts = [source.count for source in found]
    total = None if None in counts else sum(counts) // options.every
    if most and total is not None and total > most:
        options = replace(options, every=options.every * -(-total // most))
        total = most
    return iter(progress.track(inputs.shots(found, options), 'images', total or None))
