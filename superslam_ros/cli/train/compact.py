"""``superslam train compact``."""

from __future__ import annotations

import argparse

from superslam_ros.cli.train.options import add_images, add_loop_options, add_weights, begin, check_ranges, textures
from superslam_ros.models import checkpoint
from superslam_ros.training import loop
from superslam_ros.training.stages.compact import CompactStage


def add_compact(subparsers: argparse._SubParsersAction) -> None:
    """Add the training of the compact SuperPoint."""
    stage = subparsers.add_parser('compact', help='train the compact SuperPoint: taught by a large one, and on pairs')
    add_images(stage)
    add_weights(stage, 'teacher', 'weights of the paper\'s network; default: the shipped SuperPoint')
    stage.add_argument('--pairs', type=int, default=4000, metavar='N',
                       help='pairs of views that are made and shown to the teacher beforehand, 0.9 MB each '
                            '(default 4000)')
    stage.add_argument('--contrastive', type=float, default=0.5,
                       help='weight of the loss on pairs of views beside that on the teacher (default .5)')
    add_weights(stage, 'start', 'weights of a compact network to begin with; default: random ones')
    stage.add_argument('--detector-only', action='store_true',
                       help='train what leads to keypoints alone, so that descriptors, and a SuperGlue for them, stay')
    add_loop_options(stage, batch=8, learning_rate=3e-3)
    stage.set_defaults(handler=train_compact)


def train_compact(arguments: argparse.Namespace) -> int:
    """Train the compact network.

    :raises ValueError: for options that make no sense, or photographs that are of no use.
    """
    check_ranges(arguments, {'pairs': (8, 10**6), 'contrastive': (0, 1e6)})
    config, device = begin(arguments)
    training, held_out = textures(arguments, device)
    stage = CompactStage(training, held_out, device, arguments.teacher or checkpoint.shipped('superpoint'),
                         arguments.pairs, arguments.contrastive, config.seed, arguments.start, arguments.detector_only)
    names = 'images', 'teacher', 'pairs', 'contrastive', 'start', 'detector_only'
    about = {name: getattr(arguments, name) for name in names}
    loop.train(stage, arguments.out, config, {**about, **stage.about}, arguments.began)
    return 0
