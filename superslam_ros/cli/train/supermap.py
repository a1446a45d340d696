"""``superslam train supermap``."""

from __future__ import annotations

import argparse

from superslam_ros.cli.train.options import (
    add_images,
    add_loop_options,
    add_recordings,
    add_weights,
    begin,
    check_ranges,
    recordings,
    textures,
)
from superslam_ros.models import checkpoint
from superslam_ros.training import loop
from superslam_ros.training.stages.supermap import Source, SuperMapStage


def add_supermap(subparsers: argparse._SubParsersAction) -> None:
    """Add the training of the matcher to maps."""
    stage = subparsers.add_parser(
        'supermap', help='train the matcher of images to maps on photographs, and on bags with poses')
    add_images(stage)
    add_recordings(stage, 'places')
    add_weights(stage, 'weights', 'the SuperPoint to build upon; default: the shipped one')
    add_weights(stage, 'start', 'weights of a SuperGlue or a SuperMap to begin with; default: the shipped SuperGlue')
    stage.add_argument('--keypoints', type=int, default=256, help='per view at most (default 256)')
    stage.add_argument('--wide', type=float, default=0.5,
                       help='part of the scenes of planes whose views are far apart (default .5)')
    stage.add_argument('--rooms', type=float, default=0.3,
                       help='part of the places made of photographs that are insides of rooms (default .3)')
    add_loop_options(stage, batch=8, learning_rate=1e-3)
    stage.set_defaults(handler=train_supermap)


def train_supermap(arguments: argparse.Namespace) -> int:
    """Train the matcher of images to maps.

    :raises ValueError: for options that make no sense, or bags and photographs that are of no use.
    """
    check_ranges(arguments, {'keypoints': (8, 4096), 'wide': (0, 1), 'rooms': (0, 1), 'recorded': (0, 1)})
    config, device = begin(arguments)
    recorded = recordings(arguments, device)
    training, held_out = textures(arguments, device)
    stage = SuperMapStage(
        Source(training, recorded, arguments.recorded, arguments.wide, arguments.rooms), Source(held_out), device,
        checkpoint.locate('superpoint', arguments.weights or ''),
        checkpoint.locate('superglue', arguments.start or ''), arguments.keypoints)
    names = 'images', 'bags', 'poses', 'weights', 'start', 'keypoints', 'wide', 'rooms', 'recorded'
    loop.train(stage, arguments.out, config, {**{name: getattr(arguments, name) for name in names}, **stage.about},
               arguments.began)
    return 0
