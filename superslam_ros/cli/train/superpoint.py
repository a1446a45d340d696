"""``superslam train magicpoint`` and ``superpoint``."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli.train.options import LABELS, add_loop_options, add_weights, begin, check_ranges, check_size
from superslam_ros.models import checkpoint
from superslam_ros.training import loop
from superslam_ros.training.stages.joint import DESCRIPTOR_LOSSES, SuperPointStage
from superslam_ros.training.stages.magicpoint import MagicPointStage


def add_magicpoint(subparsers: argparse._SubParsersAction) -> None:
    """Add the first stage of SuperPoint."""
    stage = subparsers.add_parser('magicpoint', help='train the detector on synthetic shapes')
    add_weights(stage, 'start', 'weights to begin with; default: random ones')
    add_loop_options(stage)
    stage.set_defaults(handler=train_magicpoint)


def add_superpoint(subparsers: argparse._SubParsersAction) -> None:
    """Add the joint training of detector and descriptors."""
    stage = subparsers.add_parser('superpoint', help='train detector and descriptors on labelled photographs')
    stage.add_argument('--labels', type=Path, required=True, help='folder written by `superslam train label`')
    add_weights(stage, 'start', 'weights to begin with; default: the shipped MagicPoint')
    stage.add_argument('--view', type=int, nargs=2, default=(120, 160), metavar=('H', 'W'),
                       help='size of the training views, multiples of 8, 64 or more (default 120 160)')
    stage.add_argument('--descriptor-loss', choices=DESCRIPTOR_LOSSES, default=DESCRIPTOR_LOSSES[0],
                       help='contrastive on points, or the hinge loss of the paper (default infonce)')
    stage.add_argument('--descriptor-weight', type=float, default=0.5,
                       help='of the descriptor loss beside the detector\'s (default .5)')
    stage.add_argument('--planes', type=float, default=0.25,
                       help='part of the pairs that are scenes of planes, for the descriptors (default .25)')
    add_loop_options(stage)
    stage.set_defaults(handler=train_superpoint)


def train_magicpoint(arguments: argparse.Namespace) -> int:
    """Train the detector."""
    config, device = begin(arguments)
    stage = MagicPointStage(device, start=arguments.start)
    loop.train(stage, arguments.out, config, {'start': arguments.start}, arguments.began)
    return 0


def train_superpoint(arguments: argparse.Namespace) -> int:
    """Train detector and descriptors.

    :raises ValueError: for options that make no sense.
    """
    check_ranges(arguments, {'planes': (0, 0.9), 'descriptor_weight': (0, 1e6)})
    check_size('view', arguments.view)
    config, device = begin(arguments)
    stage = SuperPointStage(
        arguments.labels / LABELS['train'], arguments.labels / LABELS['held_out'], device,
        arguments.start or checkpoint.shipped('magicpoint'), tuple(arguments.view), arguments.descriptor_loss,
        arguments.descriptor_weight, arguments.planes)
    about = {name: getattr(arguments, name)
             for name in ('labels', 'start', 'view', 'descriptor_loss', 'descriptor_weight', 'planes')}
    loop.train(stage, arguments.out, config, about, arguments.began)
    return 0
