"""``superslam eval speed``: how long every stage takes, beside the paper's networks, SIFT and ORB."""

from __future__ import annotations

import argparse
import itertools
import re
from dataclasses import asdict
from functools import partial
from pathlib import Path

from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import report
from superslam_ros.offline import speed
from superslam_ros.pictures.speed import draw_speed

SIZES, THREADS = ('640x480',), (1,)
SMALLEST = 64
"""Of the sides of the images that are rendered."""


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ("measure how long every stage takes on rendered RGB-D frames, in milliseconds and as a part of what the "
            "paper's SuperPoint network takes")
    parser = subparsers.add_parser('speed', help=text, description=text)
    parser.add_argument('--sizes', nargs='+', default=SIZES, metavar='WIDTHxHEIGHT', help='default 640x480')
    parser.add_argument('--threads', nargs='+', type=int, default=THREADS, metavar='N', help='of the CPU; default 1')
    parser.add_argument('--frames', type=int, default=12, metavar='N', help='per setting (default 12)')
    options.add_config(parser, 'extractor.precision=float32')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for speed.json and speed.png')
    parser.set_defaults(handler=evaluate_speed)


def evaluate_speed(arguments: argparse.Namespace) -> int:
    """Measure every setting, print a table of all, and write them."""
    sizes = [_size(text) for text in arguments.sizes]
    if arguments.frames < 1 or min(arguments.threads) < 1:
        raise ValueError('--frames and --threads must be 1 or more')
    config = settings.load(arguments.config, arguments.settings)
    measured = {}
    for size, threads in itertools.product(sizes, arguments.threads):
        name = f'{size[0]}x{size[1]}, {threads} thread{"s" * (threads > 1)}'
        with progress.bar() as bar:
            task = bar.add_task(name, total=arguments.frames + speed.WARM_UP)
            measured[name] = speed.measure(
                config, speed.SpeedOptions(size, arguments.frames, threads), partial(bar.advance, task))
    columns, rows = speed.as_table(measured)
    report.show('medians, and as a part of the first row', columns, rows, columns[1:])
    for name, found in measured.items():
        print(f'{name}: {speed.frames_per_second(found):.1f} frames of odometry per second, one stage after the other')
    if arguments.out:
        report.write_json(arguments.out / 'speed.json', {
            'frames': arguments.frames, 'config': asdict(config),
            **{name: [asdict(row) for row in found] for name, found in measured.items()}})
        draw_speed(arguments.out / 'speed.png', {
            name: {row.name: row.median_ms for row in found} for name, found in measured.items()})
    return 0


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match or min(map(int, match.groups())) < SMALLEST:
        raise ValueError(f'--sizes {text}: must be WIDTHxHEIGHT, as 640x480, {SMALLEST} or more each')
    return int(match[1]), int(match[2])
