"""``superslam export``: the networks for other runtimes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

MOST_IMAGES = 32


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'write a network as ONNX or OpenVINO file, checked against PyTorch'
    parser = commands.add_parser('export', help=text, description=text)
    parser.add_argument('--format', choices=('onnx', 'openvino'), default='onnx')
    parser.add_argument('--what', choices=('extractor', 'matcher'), default='extractor', help='default extractor')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='a file, or the name of shipped weights; default: those of extractor.weights and '
                             'matcher.weights')
    parser.add_argument('--size', default='dynamic', metavar='WIDTHxHEIGHT',
                        help='of images, multiples of 8, or the numbers of keypoints of a matcher; default: dynamic, '
                             'any')
    parser.add_argument('--precision', choices=('float32', 'int8'), default='float32',
                        help='int8: of the extractor, for extractor.weights on a CPU')
    parser.add_argument('--images', type=Path, nargs='+', metavar='DIR',
                        help=f'folders of images like those of your camera, of which {MOST_IMAGES} set the steps of '
                             'int8; default: rendered ones')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the network and its .json')
    parser.set_defaults(handler=export)


def export(arguments: argparse.Namespace) -> int:
    """Write, and say what was compared."""
    from superslam_ros.offline import export as exports

    if arguments.images and arguments.precision != 'int8':
        raise ValueError('--images are for --precision int8')
    options = exports.ExportOptions(
        arguments.what, arguments.format, arguments.weights, _size(arguments.size), arguments.precision)
    found = exports.export(options, arguments.out, _images(arguments.images or []))
    for name, port in {**found['inputs'], **found['outputs']}.items():
        print(f'{"in " if name in found["inputs"] else "out"} {name} {port["shape"]}: {port["meaning"]}')
    if found['precision'] == 'int8':
        print(f'beside float32: {found["keypoints_kept"]:.3f} of the keypoints, descriptors with a cosine of '
              f'{found["descriptor_cosine"]:.4f}')
    else:
        print(f'differs from PyTorch by {found["largest_difference"]:.1e} of the largest value '
              f'(at most {exports.TOLERANCE:.0e} is taken)')
    suffix = '.xml' if arguments.format == 'openvino' else '.onnx'
    print(arguments.out / f'{found["name"]}{suffix}')
    return 0


def _size(text: str) -> tuple[int, int] | None:
    if text == 'dynamic':
        return None
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise ValueError(f'--size {text}: must be WIDTHxHEIGHT, as 640x480, or dynamic')
    return int(match[1]), int(match[2])


def _images(folders: list[Path]) -> list:
    """Return some of the readable images below folders, spread over all of them.

    :raises FileNotFoundError, ValueError: for a folder that is none, or holds no image that can be used.
    """
    if not folders:
        return []
    from superslam_ros.training.data import photos

    paths = photos.find(folders)
    found = [image for image in map(photos.read_gray, paths[::-(-len(paths) // MOST_IMAGES)]) if image is not None]
    if not found:
        raise ValueError(f'no image below {", ".join(map(str, folders))} can be used')
    return found
