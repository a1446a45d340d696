"""``superslam train superglue``."""

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
from superslam_ros.models import checkpoint, superglue
from superslam_ros.training import loop
from superslam_ros.training.stages import glue
from superslam_ros.training.stages.glue import Source, SuperGlueStage


def add_superglue(subparsers: argparse._SubParsersAction) -> None:
    """Add the training of the matcher."""
    stage = subparsers.add_parser('superglue', help='train the matcher on photographs, and on bags with poses')
    _add_superglue_options(stage)
    add_loop_options(stage, batch=16, learning_rate=4e-4)
    stage.set_defaults(handler=train_superglue)


def _add_superglue_options(stage: argparse.ArgumentParser) -> None:
    add_images(stage)
    add_recordings(stage, 'pairs')
    add_weights(stage, 'weights', 'the SuperPoint to build upon; default: the shipped one')
    add_weights(stage, 'start', 'weights of a SuperGlue to begin with, made smaller by --size and --rounds; default: '
                'nearest neighbours')
    stage.add_argument('--size', type=int,
                       help='channels, a multiple of 4; fewer are faster, the paper has 256 (default: those of '
                            f'--start, or {glue.SIZE})')
    stage.add_argument('--rounds', type=int,
                       help='of a self and a cross layer each; fewer are faster, the paper has 9 (default: those of '
                            f'--start, or {glue.ROUNDS})')
    stage.add_argument('--keypoints', type=int, default=256,
                       help='per view at most; with more than 256, views are larger, too (default 256)')
    stage.add_argument('--scenes', type=float, default=0.5,
                       help='part of the pairs of photographs that are scenes of planes, not homographies (default .5)')
    stage.add_argument('--wide', type=float, default=0.5,
                       help='part of the pairs of either kind whose views are far apart: scale 1/3 to 3, any rotation, '
                            'larger motions (default .5)')
    stage.add_argument('--rooms', type=float, default=0.25,
                       help='part of the pairs of photographs that are views inside of rooms with bare and tiled '
                            'walls, boxes and mirrors (default .25)')
    stage.add_argument('--together', type=int, default=3,
                       help='views of each scene or photograph, each a pair with each: with 2 no two pairs share a '
                            'view, with more the features cost less (default 3)')


def train_superglue(arguments: argparse.Namespace) -> int:
    """Train the matcher.

    :raises ValueError: for options that make no sense, or bags and photographs that are of no use.
    """
    check_ranges(arguments, {
        'rounds': (1, 64), 'size': (superglue.HEADS, superglue.SIZE), 'keypoints': (8, 4096), 'scenes': (0, 1),
        'wide': (0, 1), 'rooms': (0, 1), 'together': (2, 16), 'recorded': (0, 1)})
    if (arguments.size or 0) % superglue.HEADS:
        raise ValueError(f'--size {arguments.size}: must be a multiple of {superglue.HEADS}')
    config, device = begin(arguments)
    recorded = recordings(arguments, device, glue.more_pixels(arguments.keypoints))
    training, held_out = textures(arguments, device)
    stage = SuperGlueStage(
        Source(training, recorded, arguments.scenes, arguments.recorded, arguments.together, arguments.wide,
               arguments.rooms, arguments.keypoints),
        Source(held_out, wide_share=0.5, rooms_share=0.2, keypoints=arguments.keypoints),
        device, checkpoint.locate('superpoint', arguments.weights or ''), arguments.rounds, arguments.keypoints,
        start=arguments.start, size=arguments.size, seed=config.seed)
    names = ('images', 'bags', 'poses', 'weights', 'start', 'keypoints', 'scenes', 'wide', 'rooms', 'together',
             'recorded')
    about = {name: getattr(arguments, name) for name in names}
    loop.train(stage, arguments.out, config, {**about, **stage.about}, arguments.began)
    return 0
