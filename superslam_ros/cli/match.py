"""``superslam match``: two images."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser('match', help='match two images: picture and JSON')
    parser.add_argument('image0', type=Path, help='an image file, or RECORDING:N, image N of a recording')
    parser.add_argument('image1', type=Path, help='likewise')
    parser.add_argument('--out', type=Path, required=True, help='folder for matches.png and matches.json')
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='of recordings: the topic of the images; of a data set its camera, as cam0 or image_2')
    options.add_features(parser)
    options.add_config(parser, 'extractor.max_keypoints=500')
    parser.set_defaults(handler=match)


def match(arguments: argparse.Namespace) -> int:
    """Match, and say how many there are."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import match as images

    config = settings.load(arguments.config, arguments.settings)
    result = images.match(arguments.image0, arguments.image1, arguments.out, config, arguments.features,
                          arguments.image)
    counts = ' and '.join(str(len(side['keypoints'])) for side in result['images'])
    print(f'{len(result["matches"])} matches between {counts} keypoints: {arguments.out / "matches.png"}')
    return 0
