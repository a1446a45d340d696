"""``superslam train label``: photographs are labelled by homographic adaptation."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from superslam_ros.cli.train.options import (
    LABELS,
    add_images,
    add_weights,
    check_ranges,
    check_size,
    photographs,
    prepare,
)
from superslam_ros.models import checkpoint, superpoint
from superslam_ros.training import pictures
from superslam_ros.training.data import photos
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import adaptation
from superslam_ros.training.workers import pick_device


def add_label(subparsers: argparse._SubParsersAction) -> None:
    """Add the labelling of photographs."""
    stage = subparsers.add_parser('label', help='label photographs by homographic adaptation')
    add_images(stage)
    add_weights(stage, 'weights', 'detector; default: the shipped MagicPoint')
    stage.add_argument('--out', type=Path, required=True, help='folder for the labels')
    stage.add_argument('--views', type=int, default=50, help='homographies per photograph (default 50)')
    stage.add_argument('--size', type=int, nargs=2, default=(240, 320), metavar=('H', 'W'),
                       help='photographs are shrunk and cropped to this, multiples of 8, 64 or more (default 240 320)')
    stage.add_argument('--crops', type=int, default=0,
                       help='closer views of random parts of each photograph, labelled besides the whole (default 0)')
    stage.add_argument('--top', type=int, default=250, help='labels per photograph (default 250)')
    stage.add_argument('--corners', type=float, default=0.0,
                       help='part of a Shi-Tomasi response in the labels; .5 helps the first round')
    stage.add_argument('--seed', type=int, default=0)
    stage.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    stage.set_defaults(handler=label)


def label(arguments: argparse.Namespace) -> int:
    """Label photographs, the held-out tenth into a file of its own; ``labels.png`` shows some of that.

    Cut short, it goes on where it was when it is run again.

    :raises ValueError: when no image can be used, or the size is none for the network.
    """
    check_ranges(arguments, {'views': (1, 10**4), 'crops': (0, 10**4), 'top': (1, 10**5), 'corners': (0, 1)})
    check_size('size', arguments.size)
    device = pick_device(arguments.device)
    weights = arguments.weights or checkpoint.shipped('magicpoint')
    network = checkpoint.load_like(superpoint.SuperPoint, weights).to(device, memory_format=torch.channels_last)
    prepare(arguments)
    training, held_out = photographs(arguments, device)
    parts = adaptation.Parts(arguments.out / 'parts', {
        'photographs': [*held_out, *training], 'weights': checkpoint.digest(weights), 'device': device.type,
        **{name: getattr(arguments, name) for name in ('size', 'crops', 'views', 'top', 'corners', 'seed')}})
    for name, paths in (('held_out', held_out), ('train', training)):
        rng = Rng(arguments.seed, device)
        labelled = _label(network, name, paths, arguments, parts, rng)
        images, points, names = ([one for part in column for one in part] for column in zip(*labelled))
        adaptation.save_labels(arguments.out / LABELS[name], images, points, names)
        print(f'{name}: {len(images)} images of {len(labelled)} photographs; {len(paths) - len(labelled)} skipped')
        if name == 'held_out':
            shown = adaptation.comparison(network, images[:4], points[:4], rng)
            pictures.write(arguments.out / 'labels.png', shown)
    parts.remove()
    return 0


def _label(
    network: superpoint.SuperPoint, name: str, paths: list[Path], arguments: argparse.Namespace,
    parts: adaptation.Parts, rng: Rng,
) -> list[tuple[list[np.ndarray], list[np.ndarray], list[str]]]:
    """Return the images, labels and names of each photograph that can be used."""
    found = []
    for number, path in enumerate(track(paths, description=f'labelling {name}')):
        part = parts.read(f'{name}_{number:06d}', rng)
        if part is None:
            image = photos.read_gray(path)
            if image is None:
                continue
            images = photos.crops(image, *arguments.size, arguments.crops, rng)
            points = [adaptation.label(network, one, rng, arguments.views, arguments.top, arguments.corners)[0]
                      for one in images]
            part = images, points
            parts.write(f'{name}_{number:06d}', images, points, rng)
        found.append((*part, [path.name] * len(part[0])))
    if not found:
        raise ValueError(photos.nothing({'held_out': 'validation'}.get(name, 'training'), len(paths)))
    return found
