"""``superslam charuco detect``: boards in images and bags."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli.charuco import images
from superslam_ros.inputs.shots import ImageOptions


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'find boards in images, folders and bags: detections.json, pictures, poses'
    parser = subparsers.add_parser('detect', help=text, description=text)
    images.add_options(parser)
    parser.add_argument('--camera-info', type=Path, metavar='FILE',
                        help='calibration of ROS, Kalibr, OpenCV or COLMAP; default: camera_info of the bag, or that '
                        'of the data set. Without one there are corners, and no poses')
    parser.add_argument('--camera-info-topic', default='', metavar='TOPIC')
    parser.add_argument('--rectified', choices=('auto', 'yes', 'no'), default='auto',
                        help='whether the images are rectified (auto: from the topic name, image_rect; files: no)')
    parser.add_argument('--no-pictures', action='store_true', help='write no pictures')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.set_defaults(handler=detect)


def detect(arguments: argparse.Namespace) -> int:
    """Find the boards, write the results, and say what was found."""
    from superslam_ros.boards.files import read_boards
    from superslam_ros.offline.boards import detect as detection

    boards = read_boards(arguments.board)
    options = ImageOptions(arguments.image, arguments.camera_info_topic, arguments.camera_info, arguments.rectified,
                           arguments.every)
    summary = detection.detect(images.shots(arguments.paths, options), boards, arguments.out, not arguments.no_pictures)
    for name in boards:
        print(f'{name}: in {summary.found[name]} of {summary.images} images, with a pose in {summary.posed[name]}')
    for reason, count in summary.reasons.most_common(5):
        print(f'  none in {count}: {reason}')
    print(arguments.out / 'detections.json')
    return 0
