"""``superslam train charuco`` and ``charuco-refine``."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.boards.files import read_boards
from superslam_ros.cli.train.options import add_images, add_loop_options, add_weights, begin, photographs
from superslam_ros.training import loop
from superslam_ros.training.data import photos
from superslam_ros.training.data.board_scenes import BoardScenes
from superslam_ros.training.stages.charuco import CharucoStage
from superslam_ros.training.stages.charuco_refine import CharucoRefineStage

BOARD_PHOTO = (384, 512)
"""(height, width) of the photographs that boards are drawn on."""


def add_charuco(subparsers: argparse._SubParsersAction) -> None:
    """Add the training of both networks for corners of boards."""
    for name, trained, what in (('charuco', CharucoStage, 'find the corners of boards'),
                                ('charuco-refine', CharucoRefineStage, 'place corners of boards between pixels')):
        stage = subparsers.add_parser(name, help=f'train the network to {what}, on boards that are drawn')
        add_images(stage)
        add_weights(stage, 'start', 'weights to begin with; default: random ones')
        if trained is CharucoStage:
            stage.add_argument('--board', type=Path, metavar='FILE.yaml',
                               help='learn the ids of the corners of this board, too, as the paper does: such weights '
                                    'know one board; default: weights for any')
        add_loop_options(stage, batch=8, learning_rate=2e-3)
        stage.set_defaults(handler=train_charuco, stage=trained, board=None)


def train_charuco(arguments: argparse.Namespace) -> int:
    """Train one of the networks for corners of boards.

    :raises ValueError: for options that make no sense, or photographs that are of no use.
    """
    config, device = begin(arguments)
    described = list(read_boards(arguments.board).values()) if arguments.board else [None]
    if len(described) > 1:
        raise ValueError(f'--board {arguments.board}: describes {len(described)} boards; leave one')
    training, held_out = (
        BoardScenes(photos.stack(paths, *BOARD_PHOTO, what), board=described[0])
        for what, paths in zip(('training', 'validation'), photographs(arguments, device)))
    stage = arguments.stage(training, held_out, device, arguments.start)
    names = 'images', 'start', 'board'
    loop.train(stage, arguments.out, config, {name: getattr(arguments, name) for name in names}, arguments.began)
    return 0
