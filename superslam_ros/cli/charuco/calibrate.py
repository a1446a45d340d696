"""``superslam charuco calibrate``: a camera, or a pair, from images of boards."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli.charuco import images
from superslam_ros.geometry.calibration import MODELS
from superslam_ros.inputs.shots import ImageOptions

MOST_IMAGES = 300
"""Of a longer recording, so many are looked at."""


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('calibrate a camera, or a stereo pair, from images of boards, whole or in part: camera_info files, and a '
            'picture of coverage and residuals')
    parser = subparsers.add_parser('calibrate', help=text, description=text)
    images.add_options(parser)
    parser.add_argument('--right', type=Path, nargs='+', default=[], metavar='PATH',
                        help='images of the right camera, in the order of those of the left one; or the bag again')
    parser.add_argument('--right-image', default='', metavar='TOPIC', help='right image of a bag')
    parser.add_argument('--model', choices=MODELS, default=MODELS[0], help=f'of the lens (default {MODELS[0]})')
    parser.add_argument('--name', default='camera', help='of the camera (default camera; a pair: left, right)')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.set_defaults(handler=calibrate)


def calibrate(arguments: argparse.Namespace) -> int:
    """Calibrate, write the results, and say how good they are."""
    from superslam_ros.boards.files import read_boards
    from superslam_ros.geometry.calibration import baseline_m
    from superslam_ros.offline.boards import calibrate as calibration

    boards = read_boards(arguments.board)
    right = arguments.right or (arguments.paths if arguments.right_image else [])
    options = ImageOptions(arguments.image, every=arguments.every)
    left = calibration.find_views(images.shots(arguments.paths, options, MOST_IMAGES), boards)
    if not right:
        _write(arguments.out, arguments.name, calibration.calibrate(left, arguments.model), left)
        return 0
    # Of a bag all are read, since one of the cameras may have lost images.
    options, most = (ImageOptions(arguments.right_image), 0) if any(left.stamps_ns) else (options, MOST_IMAGES)
    seen = left, calibration.find_views(
        calibration.of_the_same_time(images.shots(right, options, most), left), boards)
    *found, pair = calibration.calibrate_pair(*seen, arguments.model)
    for name, one, views, camera in zip(('left', 'right'), found, seen, (pair.left, pair.right)):
        _write(arguments.out, name, one, views, camera)
    print(f'pair: baseline {baseline_m(pair):.4f} m from {pair.pairs} pairs; rows of the rectified images agree within '
          f'{pair.vertical_px:.2f} px')
    return 0


def _write(out: Path, name: str, found, seen, rectified=None) -> None:
    from superslam_ros.offline.boards import calibrate as calibration

    path = calibration.write(out, name, found, seen, rectified)
    print(f'{path}: {len(found.views)} views of {seen.images} images, {found.rms_px:.3f} px rms, '
          f'{found.held_out_px:.3f} px on views that were left out, focal length {found.camera.K[0, 0]:.1f} ± '
          f'{found.focal_sigma_px:.1f} px; {path.with_suffix(".png").name} shows it')
    for text in calibration.warnings_of(found):
        print(f'  {text}')
