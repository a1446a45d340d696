"""What the stages have in common: options of the loop, photographs, checks."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from superslam_ros import config as configuration
from superslam_ros.inputs.extract_images import extract_images
from superslam_ros.inputs.shots import is_recording
from superslam_ros.models import checkpoint, superpoint
from superslam_ros.offline import posed
from superslam_ros.training import loop
from superslam_ros.training.data import photos
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.workers import Workers, pick_device

LABELS = {'train': 'train.npz', 'held_out': 'held_out.npz'}
"""Files of the labels in a folder."""
GLUE_PHOTO = (600, 800)
"""(height, width) of the photographs that SuperGlue's views are made of."""
_RECORDED = 240 * 320
"""Pixels of the frames of a recording."""


def add_images(stage: argparse.ArgumentParser) -> None:
    """Add the option for photographs."""
    stage.add_argument('--images', type=Path, nargs='+', required=True,
                       help='folders of photographs; or bags, videos and data sets, of which every tenth image or more '
                            'is written into the folder images in --out')


def add_weights(stage: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add an option for a file of weights, or the name of shipped ones."""
    stage.add_argument(f'--{name}', type=lambda given: checkpoint.locate('', given) if given else None,
                       metavar='FILE', help=text)


def add_recordings(stage: argparse.ArgumentParser, what: str) -> None:
    """Add the options for bags with poses, of which ``what`` are made."""
    stage.add_argument('--bag', type=Path, nargs='+', default=[], metavar='BAG', dest='bags',
                       help='bags or data sets with depth or of a stereo camera, whose poses are known')
    stage.add_argument('--poses', type=Path, nargs='+', default=[], metavar='FILE.tum',
                       help='poses of the optical frame, one file per recording (default: those of the data set, '
                            'or NAME.tum beside the bag)')
    stage.add_argument('--recorded', type=float, default=0.3,
                       help=f'part of the {what} that come from bags, where there are any (default .3)')


def recordings(arguments: argparse.Namespace, device: torch.device, more_pixels: float = 1.0) -> list[PosedFrames]:
    """Return the frames of the bags, as large as views that are rendered.

    :param more_pixels: than 240x320, so many times.
    :raises ValueError: when a bag has no poses, or neither depth nor a right image.
    """
    if arguments.poses and len(arguments.poses) != len(arguments.bags):
        raise ValueError(f'--poses: {len(arguments.poses)} files for {len(arguments.bags)} bags')
    pixels = round(more_pixels * _RECORDED)
    return [PosedFrames(posed.read(bag, poses), pixels, device)
            for bag, poses in zip(arguments.bags, arguments.poses or [None] * len(arguments.bags))]


def add_loop_options(parser: argparse.ArgumentParser, **defaults: float) -> None:
    """Add the options of the training loop; ``defaults`` of this stage by name."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the run; one that exists is continued')
    for spec in configuration.options(loop.LoopConfig):
        flag = '--' + spec.name.removesuffix('_s').replace('_', '-')
        default = defaults.get(spec.name, spec.default)
        parser.add_argument(flag, dest=spec.name, type=spec.type, default=default,
                            choices=spec.choices or None, help=f'{spec.description} (default {default})')


def begin(arguments: argparse.Namespace) -> tuple[loop.LoopConfig, torch.device]:
    """Return what the options say of the loop, and the device; make the folder of the run, and seed PyTorch.

    :raises FileNotFoundError, OSError, ValueError: for what would fail only after minutes, as :func:`prepare` does.
    """
    names = [spec.name for spec in configuration.options(loop.LoopConfig)]
    config = configuration.build(loop.LoopConfig, {name: getattr(arguments, name) for name in names})
    prepare(arguments)
    torch.manual_seed(config.seed)
    return config, pick_device(config.device)


def prepare(arguments: argparse.Namespace) -> None:
    """Make the folder ``--out``, and see that it can be written to and that weights are there.

    :raises FileNotFoundError: naming weights that are missing.
    :raises OSError: naming a folder that cannot be made or written to.
    """
    for name in ('weights', 'start', 'teacher'):
        if getattr(arguments, name, None):
            checkpoint.check_there(getattr(arguments, name))
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=arguments.out):
            pass
    except OSError as error:
        raise OSError(f'--out {arguments.out}: no folder that can be written to ({error.strerror})') from error


def check_ranges(arguments: argparse.Namespace, ranges: dict[str, tuple[float, float]]) -> None:
    """Raise ValueError for an option outside of its range, name -> (lowest, highest)."""
    for name, (low, high) in ranges.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f'--{name.replace("_", "-")} {value}: must be from {low} to {high}')


def check_size(name: str, size: tuple[int, int]) -> None:
    """Raise ValueError for a (height, width) that no network takes."""
    if any(side % superpoint.CELL or side < photos.SMALLEST for side in size):
        raise ValueError(f'--{name} {size[0]} {size[1]}: both must be multiples of {superpoint.CELL}, and '
                         f'{photos.SMALLEST} or more')


def photographs(arguments: argparse.Namespace, device: torch.device) -> tuple[list[Path], list[Path]]:
    """Return photographs to train on, and those held out; images of a recording are first made files, once."""
    together, folders = Workers(device), []
    for folder in arguments.images:
        if is_recording(folder):
            recording, folder = folder, arguments.out / 'images' / folder.resolve().name
            if folder in folders:
                raise ValueError(f'--images {recording}: a second recording of this name; rename one')
            if together.leads and not (folder / 'SOURCES.tsv').is_file():
                count, _ = extract_images(recording, folder, every=None)
                print(f'{recording}: {count} images in {folder}', flush=True)
        folders.append(folder)
    together.wait()
    return photos.split(photos.find(folders))


def textures(arguments: argparse.Namespace, device: torch.device) -> tuple[Textures, Textures]:
    """Return the photographs to train on and the held-out ones, of one size."""
    training, held_out = (
        Textures(torch.from_numpy(photos.stack(paths, *GLUE_PHOTO, what)).to(device))
        for what, paths in zip(('training', 'validation'), photographs(arguments, device)))
    return training, held_out
