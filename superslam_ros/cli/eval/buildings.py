"""Options of the evaluations in a rendered building, and the building they map."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from superslam_ros import worlds
from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import maps, walks
from superslam_ros.offline.maps import MappingConfig
from superslam_ros.offline.provenance import provenance

SMALL = {'length_m': 11.0, 'width_m': 9.0, 'corridor_m': 2.0, 'columns': 1, 'rows': 1}


def add_options(parser: argparse.ArgumentParser, modes: Sequence[str] = ('stereo', 'rgbd')) -> None:
    """Add the options of the building, the walk and the odometry."""
    parser.add_argument('--frames', type=int, default=200, metavar='N', help='single frames of a kind (default 200)')
    parser.add_argument('--mode', choices=modes, default='stereo',
                        help='depth of the odometry that makes the map; that of rgbd is exact (default stereo)')
    parser.add_argument('--laps', type=float, default=1.1, metavar='N', help='that are mapped (default 1.1)')
    parser.add_argument('--rate', type=float, default=4.0, metavar='HZ', help='frames per second of walk (default 4)')
    parser.add_argument('--small', action='store_true', help='a lap of 40 m around one room, in place of 110 m')
    parser.add_argument('--seed', type=int, default=0, help='of the furniture, the walk and the frames (default 0)')
    options.add_config(parser, 'extractor.max_keypoints=600')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the JSON')


def setting(arguments: argparse.Namespace) -> walks.Setting:
    """Return what the options say.

    :raises ValueError: for numbers that make no sense.
    """
    for name in ('frames', 'laps', 'rate'):
        if getattr(arguments, name) <= 0:
            raise ValueError(f'--{name} {getattr(arguments, name)}: must be more than 0')
    small = SMALL if arguments.small else {}
    visits = {'visits': (0,)} if arguments.small else {}
    config = settings.load(arguments.config, arguments.settings, MappingConfig)
    return walks.Setting(
        worlds.BuildingOptions(seed=arguments.seed, **small),
        worlds.Walk(laps=arguments.laps, rate_hz=arguments.rate, seed=arguments.seed, **visits),
        stereo=arguments.mode == 'stereo', mono=arguments.mode == 'mono', slam=config, map=config.map)


def mapped(arguments: argparse.Namespace) -> maps.Mapped:
    """Walk through the building, and map it."""
    return maps.build(setting(arguments), progress=progress.track)


def look(arguments: argparse.Namespace, made: maps.Mapped, kind: str, light: str = 'day', paint: int = 0,
         moved: float = 0.0, count: int = 0) -> list[maps.Found]:
    """Look for single frames of a kind in the map.

    :param paint: another one than the map's is another building of the same shape.
    :param count: how many; 0 for ``--frames``.
    """
    of = made.setting
    poses = walks.walked(of, count or arguments.frames, arguments.seed + 1)
    frames = walks.look(of, replace(of.building, paint=paint, moved=moved), poses, light, arguments.seed + 1)
    return maps.locate(made, progress.track(frames, kind, len(frames)), there=paint == of.building.paint)


def about(arguments: argparse.Namespace, made: maps.Mapped) -> dict[str, Any]:
    """Return what a JSON file says of how its figures came about."""
    return {**provenance({'superpoint': made.setting.slam.extractor.weights, 'places': ''}),
            'command': arguments.command_line, 'mode': arguments.mode, 'keyframes_in_map': len(made.map)}
