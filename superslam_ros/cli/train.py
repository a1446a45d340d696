"""``superslam train``: magicpoint, label, superpoint, compact, superglue, charuco, charuco-refine."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from superslam_ros import config as configuration
from superslam_ros.bags.bag import open_bag
from superslam_ros.bags.extract_images import extract_images
from superslam_ros.boards.files import read_boards
from superslam_ros.models import checkpoint, superglue, superpoint
from superslam_ros.offline import posed
from superslam_ros.training import loop, pictures
from superslam_ros.training.data import photos
from superslam_ros.training.data.board_scenes import BoardScenes
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import adaptation, glue
from superslam_ros.training.stages.charuco import CharucoStage
from superslam_ros.training.stages.charuco_refine import CharucoRefineStage
from superslam_ros.training.stages.compact import CompactStage
from superslam_ros.training.stages.glue import Source, SuperGlueStage
from superslam_ros.training.stages.joint import DESCRIPTOR_LOSSES, SuperPointStage
from superslam_ros.training.stages.magicpoint import MagicPointStage
from superslam_ros.training.workers import Workers, pick_device

LABELS = {'train': 'train.npz', 'held_out': 'held_out.npz'}
GLUE_PHOTO = (480, 640)
"""(height, width) of the photographs that SuperGlue's views, half as large, are made of."""
BOARD_PHOTO = (384, 512)
"""The same, for those that boards are drawn on."""


def add_subcommands(subparsers: argparse._SubParsersAction) -> None:
    """Add the stages as sub-commands; each sets ``handler``, a function of the parsed arguments."""
    stage = subparsers.add_parser('magicpoint', help='train the detector on synthetic shapes')
    stage.add_argument('--start', type=Path, help='weights to begin with; default: random ones')
    _add_loop_options(stage)
    stage.set_defaults(handler=train_magicpoint)

    stage = subparsers.add_parser('label', help='label photographs by homographic adaptation')
    _add_images(stage)
    stage.add_argument('--weights', type=Path, help='detector; default: the shipped MagicPoint')
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

    stage = subparsers.add_parser('superpoint', help='train detector and descriptors on labelled photographs')
    stage.add_argument('--labels', type=Path, required=True, help='folder written by `superslam train label`')
    stage.add_argument('--start', type=Path, help='weights to begin with; default: the shipped MagicPoint')
    stage.add_argument('--view', type=int, nargs=2, default=(120, 160), metavar=('H', 'W'),
                       help='size of the training views, multiples of 8, 64 or more (default 120 160)')
    stage.add_argument('--descriptor-loss', choices=DESCRIPTOR_LOSSES, default=DESCRIPTOR_LOSSES[0],
                       help='contrastive on points, or the hinge loss of the paper (default infonce)')
    stage.add_argument('--descriptor-weight', type=float, default=0.5,
                       help='of the descriptor loss beside the detector\'s (default .5)')
    stage.add_argument('--planes', type=float, default=0.25,
                       help='part of the pairs that are scenes of planes, for the descriptors (default .25)')
    _add_loop_options(stage)
    stage.set_defaults(handler=train_superpoint)

    stage = subparsers.add_parser('compact', help='train the compact SuperPoint: taught by a large one, and on pairs')
    _add_images(stage)
    stage.add_argument('--teacher', type=Path, help='weights of the paper\'s network; default: the shipped SuperPoint')
    stage.add_argument('--pairs', type=int, default=4000, metavar='N',
                       help='pairs of views that are made and shown to the teacher beforehand, 0.9 MB each '
                            '(default 4000)')
    stage.add_argument('--contrastive', type=float, default=0.5,
                       help='weight of the loss on pairs of views beside that on the teacher (default .5)')
    stage.add_argument('--start', type=Path, help='weights of a compact network to begin with; default: random ones')
    stage.add_argument('--detector-only', action='store_true',
                       help='train what leads to keypoints alone, so that descriptors, and a SuperGlue for them, stay')
    _add_loop_options(stage, batch=8, learning_rate=3e-3)
    stage.set_defaults(handler=train_compact)

    stage = subparsers.add_parser('superglue', help='train the matcher on photographs, and on bags with poses')
    _add_superglue_options(stage)
    _add_loop_options(stage, batch=16, learning_rate=4e-4)
    stage.set_defaults(handler=train_superglue)

    for name, trained, what in (('charuco', CharucoStage, 'find the corners of boards'),
                                ('charuco-refine', CharucoRefineStage, 'place corners of boards between pixels')):
        stage = subparsers.add_parser(name, help=f'train the network to {what}, on boards that are drawn')
        _add_images(stage)
        stage.add_argument('--start', type=Path, help='weights to begin with; default: random ones')
        if trained is CharucoStage:
            stage.add_argument('--board', type=Path, metavar='FILE.yaml',
                               help='learn the ids of the corners of this board, too, as the paper does: such weights '
                                    'know one board; default: weights for any')
        _add_loop_options(stage, batch=8, learning_rate=2e-3)
        stage.set_defaults(handler=train_charuco, stage=trained, board=None)


def _add_images(stage: argparse.ArgumentParser) -> None:
    stage.add_argument('--images', type=Path, nargs='+', required=True,
                       help='folders of photographs, or bags, of which every tenth image or more is written into '
                            'the folder images in --out')


def _add_superglue_options(stage: argparse.ArgumentParser) -> None:
    _add_images(stage)
    stage.add_argument('--bag', type=Path, nargs='+', default=[], metavar='BAG', dest='bags',
                       help='recordings with depth or of a stereo camera, whose poses are known')
    stage.add_argument('--poses', type=Path, nargs='+', default=[], metavar='FILE.tum',
                       help='poses of the optical frame, one file per bag (default NAME.tum beside each bag)')
    stage.add_argument('--weights', type=Path, help='the SuperPoint to build upon; default: the shipped one')
    stage.add_argument('--start', type=Path,
                       help='weights of a SuperGlue to begin with, made smaller by --size and --rounds; default: '
                            'nearest neighbours')
    stage.add_argument('--size', type=int,
                       help='channels, a multiple of 4; fewer are faster, the paper has 256 (default: those of '
                            f'--start, or {glue.SIZE})')
    stage.add_argument('--rounds', type=int,
                       help='of a self and a cross layer each; fewer are faster, the paper has 9 (default: those of '
                            f'--start, or {glue.ROUNDS})')
    stage.add_argument('--keypoints', type=int, default=256, help='per view at most (default 256)')
    stage.add_argument('--scenes', type=float, default=0.5,
                       help='part of the pairs of photographs that are scenes of planes, not homographies (default .5)')
    stage.add_argument('--wide', type=float, default=0.5,
                       help='part of the pairs of either kind whose views are far apart: scale 1/3 to 3, any rotation, '
                            'larger motions (default .5)')
    stage.add_argument('--rooms', type=float, default=0.25,
                       help='part of the pairs of photographs that are views inside of rooms with bare and tiled walls '
                            'and boxes (default .25)')
    stage.add_argument('--together', type=int, default=3,
                       help='views of each scene or photograph, each a pair with each: with 2 no two pairs share a '
                            'view, with more the features cost less (default 3)')
    stage.add_argument('--recorded', type=float, default=0.3,
                       help='part of the pairs that come from bags, where there are any (default .3)')


def _add_loop_options(parser: argparse.ArgumentParser, **defaults: float) -> None:
    parser.add_argument('--out', type=Path, required=True, help='folder of the run; one that exists is continued')
    for spec in configuration.options(loop.LoopConfig):
        flag = '--' + spec.name.removesuffix('_s').replace('_', '-')
        default = defaults.get(spec.name, spec.default)
        parser.add_argument(flag, dest=spec.name, type=spec.type, default=default,
                            choices=spec.choices or None, help=f'{spec.description} (default {default})')


def _loop_config(arguments: argparse.Namespace) -> loop.LoopConfig:
    names = [spec.name for spec in configuration.options(loop.LoopConfig)]
    return configuration.build(loop.LoopConfig, {name: getattr(arguments, name) for name in names})


def _check_ranges(arguments: argparse.Namespace, ranges: dict[str, tuple[float, float]]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            raise ValueError(f'--{name.replace("_", "-")} {value}: must be from {low} to {high}')


def _check_size(name: str, size: tuple[int, int]) -> None:
    if any(side % superpoint.CELL or side < photos.SMALLEST for side in size):
        raise ValueError(f'--{name} {size[0]} {size[1]}: both must be multiples of {superpoint.CELL}, and '
                         f'{photos.SMALLEST} or more')


def _photographs(arguments: argparse.Namespace, device: torch.device) -> tuple[list[Path], list[Path]]:
    """Return photographs to train on, and those held out; of a bag, its images are first made files, once."""
    together, folders = Workers(device), []
    for folder in arguments.images:
        if photos.is_bag(folder):
            bag, folder = folder, arguments.out / 'images' / folder.resolve().name
            if folder in folders:
                raise ValueError(f'--images {bag}: a second bag of this name; rename one')
            if together.leads and not (folder / 'SOURCES.tsv').is_file():
                with open_bag(bag) as reader:
                    print(f'{bag}: {extract_images(reader, folder, every=None)} images in {folder}', flush=True)
        folders.append(folder)
    together.wait()
    return photos.split(photos.find(folders))


def train_magicpoint(arguments: argparse.Namespace) -> int:
    """Train the detector."""
    config = _loop_config(arguments)
    torch.manual_seed(config.seed)
    stage = MagicPointStage(pick_device(config.device), start=arguments.start)
    loop.train(stage, arguments.out, config, {'start': arguments.start}, arguments.began)
    return 0


def label(arguments: argparse.Namespace) -> int:
    """Label photographs, the held-out tenth into a file of its own; ``labels.png`` shows some of that.

    Cut short, it goes on where it was when it is run again.

    :raises ValueError: when no image can be used, or the size is none for the network.
    """
    _check_ranges(arguments, {'views': (1, 10**4), 'crops': (0, 10**4), 'top': (1, 10**5), 'corners': (0, 1)})
    _check_size('size', arguments.size)
    device = pick_device(arguments.device)
    network, weights = superpoint.SuperPoint(), arguments.weights or checkpoint.shipped('magicpoint')
    checkpoint.load_into(network, weights)
    network.eval().to(device, memory_format=torch.channels_last)
    arguments.out.mkdir(parents=True, exist_ok=True)
    training, held_out = _photographs(arguments, device)
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


def train_superpoint(arguments: argparse.Namespace) -> int:
    """Train detector and descriptors.

    :raises ValueError: for options that make no sense.
    """
    _check_ranges(arguments, {'planes': (0, 0.9), 'descriptor_weight': (0, 1e6)})
    _check_size('view', arguments.view)
    config = _loop_config(arguments)
    torch.manual_seed(config.seed)
    stage = SuperPointStage(
        arguments.labels / LABELS['train'], arguments.labels / LABELS['held_out'], pick_device(config.device),
        arguments.start or checkpoint.shipped('magicpoint'), tuple(arguments.view), arguments.descriptor_loss,
        arguments.descriptor_weight, arguments.planes)
    about = {name: getattr(arguments, name)
             for name in ('labels', 'start', 'view', 'descriptor_loss', 'descriptor_weight', 'planes')}
    loop.train(stage, arguments.out, config, about, arguments.began)
    return 0


def train_compact(arguments: argparse.Namespace) -> int:
    """Train the compact network.

    :raises ValueError: for options that make no sense, or photographs that are of no use.
    """
    _check_ranges(arguments, {'pairs': (8, 10**6), 'contrastive': (0, 1e6)})
    config = _loop_config(arguments)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    training, held_out = _textures(arguments, device)
    stage = CompactStage(training, held_out, device, arguments.teacher or checkpoint.shipped('superpoint'),
                         arguments.pairs, arguments.contrastive, config.seed, arguments.start, arguments.detector_only)
    names = 'images', 'teacher', 'pairs', 'contrastive', 'start', 'detector_only'
    about = {name: getattr(arguments, name) for name in names}
    loop.train(stage, arguments.out, config, {**about, **stage.about}, arguments.began)
    return 0


def _textures(arguments: argparse.Namespace, device: torch.device) -> tuple[Textures, Textures]:
    """Return the photographs to train on and the held-out ones, of one size."""
    training, held_out = (
        Textures(torch.from_numpy(photos.stack(paths, *GLUE_PHOTO, what)).to(device))
        for what, paths in zip(('training', 'validation'), _photographs(arguments, device)))
    return training, held_out


def train_superglue(arguments: argparse.Namespace) -> int:
    """Train the matcher.

    :raises ValueError: for options that make no sense, or bags and photographs that are of no use.
    """
    _check_ranges(arguments, {
        'rounds': (1, 64), 'size': (superglue.HEADS, superglue.SIZE), 'keypoints': (8, 4096), 'scenes': (0, 1),
        'wide': (0, 1), 'rooms': (0, 1), 'together': (2, 16), 'recorded': (0, 1)})
    if (arguments.size or 0) % superglue.HEADS:
        raise ValueError(f'--size {arguments.size}: must be a multiple of {superglue.HEADS}')
    if arguments.poses and len(arguments.poses) != len(arguments.bags):
        raise ValueError(f'--poses: {len(arguments.poses)} files for {len(arguments.bags)} bags')
    config = _loop_config(arguments)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    pixels = GLUE_PHOTO[0] * GLUE_PHOTO[1] // 4
    recordings = [PosedFrames(posed.read(bag, poses), pixels, device)
                  for bag, poses in zip(arguments.bags, arguments.poses or [None] * len(arguments.bags))]
    training, held_out = _textures(arguments, device)
    stage = SuperGlueStage(
        Source(training, recordings, arguments.scenes, arguments.recorded, arguments.together, arguments.wide,
               arguments.rooms),
        Source(held_out, wide_share=0.5, rooms_share=0.2),
        device, checkpoint.locate('superpoint', arguments.weights or ''), arguments.rounds, arguments.keypoints,
        start=arguments.start, size=arguments.size, seed=config.seed)
    names = ('images', 'bags', 'poses', 'weights', 'start', 'keypoints', 'scenes', 'wide', 'rooms', 'together',
             'recorded')
    about = {name: getattr(arguments, name) for name in names}
    loop.train(stage, arguments.out, config, {**about, **stage.about}, arguments.began)
    return 0


def train_charuco(arguments: argparse.Namespace) -> int:
    """Train one of the networks for corners of boards.

    :raises ValueError: for options that make no sense, or photographs that are of no use.
    """
    config = _loop_config(arguments)
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    described = list(read_boards(arguments.board).values()) if arguments.board else [None]
    if len(described) > 1:
        raise ValueError(f'--board {arguments.board}: describes {len(described)} boards; leave one')
    training, held_out = (
        BoardScenes(photos.stack(paths, *BOARD_PHOTO, what), board=described[0])
        for what, paths in zip(('training', 'validation'), _photographs(arguments, device)))
    stage = arguments.stage(training, held_out, device, arguments.start)
    names = 'images', 'start', 'board'
    loop.train(stage, arguments.out, config, {name: getattr(arguments, name) for name in names}, arguments.began)
    return 0
