"""``superslam train places``: the vocabulary by which maps know places again."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.cli.train.options import add_images, add_weights, check_ranges, photographs, prepare
from superslam_ros.slam import Extractor, ExtractorConfig
from superslam_ros.training.data import photos
from superslam_ros.training.stages import places
from superslam_ros.training.workers import pick_device


def add_places(subparsers: argparse._SubParsersAction) -> None:
    """Add the vocabulary of place recognition."""
    stage = subparsers.add_parser('places', help='learn the vocabulary by which maps know places again')
    add_images(stage)
    stage.add_argument('--out', type=Path, required=True, help='folder for model.safetensors')
    add_weights(stage, 'weights', 'SuperPoint whose descriptors it is for; default: the shipped compact one')
    stage.add_argument('--words', type=int, default=64, metavar='N', help='of the vocabulary (default 64)')
    stage.add_argument('--axes', type=int, default=32, metavar='N', help='numbers kept of each word (default 32)')
    stage.add_argument('--keypoints', type=int, default=600, metavar='N', help='of an image (default 600)')
    stage.add_argument('--seed', type=int, default=0)
    stage.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    stage.set_defaults(handler=train_places)


def train_places(arguments: argparse.Namespace) -> int:
    """Learn a vocabulary from photographs, and print how often it knows held-out ones again.

    :raises ValueError: for options that make no sense, or photographs that are of no use.
    """
    check_ranges(arguments, {'words': (2, 4096), 'axes': (places.FEWEST_AXES, 256), 'keypoints': (50, 20000)})
    device = pick_device(arguments.device)
    prepare(arguments)
    training, held_out = photographs(arguments, device)
    extract = Extractor(ExtractorConfig(
        str(arguments.weights or ''), arguments.device, max_keypoints=arguments.keypoints, precision='float32'))
    features = places.features(extract, progress.track(training, 'photographs'), arguments.seed)
    vocabulary = places.learn(features, arguments.words, arguments.axes, seed=arguments.seed)
    vocabulary.save(arguments.out / 'model.safetensors')
    first, five = places.recall(vocabulary, extract, photos.stack(held_out, *places.SIZE, 'validation'), features)
    print(f'the right part of a held-out photograph finds its left part first in {first:.1%}, among five in {five:.1%}')
    print(arguments.out / 'model.safetensors')
    return 0
