"""``superslam bag``: info, images, view, demo."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from superslam_ros.cli import options, progress

if TYPE_CHECKING:
    from superslam_ros.offline import demo


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command and those below it."""
    tools = commands.add_parser('bag', help='look into a recording; draw a result; write the demo bag').add_subparsers(
        required=True, metavar='COMMAND')
    _add_info(tools)
    _add_images(tools)
    _add_view(tools)
    _add_demo(tools)


def _add_info(tools: argparse._SubParsersAction) -> None:
    text = 'what is in a bag or another recording, and what `superslam run` would use'
    parser = tools.add_parser('info', help=text, description=text)
    parser.add_argument('recording', type=Path, help=options.INPUT)
    parser.add_argument('--json', action='store_true', help='only what `superslam run` would use, for programs')
    parser.set_defaults(handler=info)


def info(arguments: argparse.Namespace) -> int:
    """Print what is in a recording; return 1 when it is a bag that is damaged."""
    from superslam_ros.bags import describe
    from superslam_ros.bags.bag import open_bag
    from superslam_ros.inputs import describe as others
    from superslam_ros.inputs.opening import is_bag, open_frames

    if not is_bag(arguments.recording):
        with open_frames(arguments.recording) as frames:
            for line in [json.dumps(others.camera(frames))] if arguments.json else others.lines(
                    arguments.recording, frames):
                print(line)
        return 0
    with open_bag(arguments.recording) as reader:
        for line in [json.dumps(describe.camera(reader))] if arguments.json else describe.lines(reader):
            print(line)
        return int(bool(reader.damage))


def _add_images(tools: argparse._SubParsersAction) -> None:
    text = 'write the images of a recording as files, for `superslam train --images`'
    parser = tools.add_parser('images', help=text, description=text)
    parser.add_argument('recording', type=Path, help=options.INPUT)
    parser.add_argument('--out', type=Path, required=True, help='folder for the images')
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='of a bag, or camera of a data set; default: found by type and name')
    parser.add_argument('--every', type=int, default=1, metavar='N', help='one image of N (default 1, all)')
    parser.set_defaults(handler=images)


def images(arguments: argparse.Namespace) -> int:
    """Write the images of a recording as files; return 1 when it is damaged."""
    from superslam_ros.inputs.extract_images import extract_images

    count, damage = extract_images(arguments.recording, arguments.out, arguments.image, arguments.every)
    print(f'{count} images in {arguments.out}')
    return int(bool(damage))


def _add_view(tools: argparse._SubParsersAction) -> None:
    parser = tools.add_parser('view', help='draw what RViz shows at the end of a result of the nodes')
    parser.add_argument('bag', type=Path, help='bag with the topics superslam/...')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE.png')
    parser.set_defaults(handler=view)


def view(arguments: argparse.Namespace) -> int:
    """Draw a result."""
    from superslam_ros.pictures import view

    view.draw_view(arguments.out, arguments.bag)
    print(arguments.out)
    return 0


def _add_demo(tools: argparse._SubParsersAction) -> None:
    parser = tools.add_parser('demo', help='render the demo: bag DIR/demo and ground truth DIR/demo.tum')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.add_argument('--seed', type=int, default=0, help='of path and noise, and of what the room looks like '
                        '(default 0)')
    parser.add_argument('--frames', type=int, help='default 130; in a building, the whole walk')
    parser.add_argument('--rate', type=float, help='frames per second (default 20; in a building 10)')
    parser.add_argument('--size', type=int, nargs=2, default=(320, 240), metavar=('WIDTH', 'HEIGHT'),
                        help='default 320 240')
    parser.add_argument('--light', default='day', metavar='NAME', help='day (the default), evening or night')
    parser.add_argument('--world', choices=('room', 'building', 'hazards'), default='room',
                        help='a few steps in a room (default), or laps of 110 m around a building, to try maps; '
                        'hazards: with boxes that move, highlights and swaying shadows, to try `superslam improve`')
    parser.add_argument('--imu', action='store_true', help='record an IMU, too: /imu/data at 200 Hz, with the noise '
                        'and bias of a cheap one, in any world; for `superslam run DIR/demo --imu`')
    walk = parser.add_argument_group('building', 'what is recorded in --world building and hazards')
    walk.add_argument('--laps', type=float, default=1.0, metavar='N', help='how many, or a part of one (default 1)')
    walk.add_argument('--start', type=float, default=0.0, metavar='PART', help='of a lap, where it begins (default 0)')
    walk.add_argument('--side', type=float, default=0.0, metavar='M', help='left of the lap, at most .35 (default 0)')
    walk.add_argument('--camera-height', type=float, default=1.35, metavar='M', help='metres (default 1.35)')
    walk.add_argument('--heading', type=float, default=0.0, metavar='DEG', help='looking to the left (default 0)')
    walk.add_argument('--back', action='store_true', help='the other way round')
    walk.add_argument('--paint', type=int, default=0, metavar='N',
                      help='which textures: another number is a building of the same shape that looks different')
    walk.add_argument('--moved', type=float, default=0.0, metavar='PART', help='of the furniture (default 0)')
    parser.set_defaults(handler=write_demo)


def write_demo(arguments: argparse.Namespace) -> int:
    """Render the demo, and print the command that runs it."""
    from superslam_ros.offline import demo

    wanted = _demo_options(arguments)
    with progress.bar() as bar:
        task = bar.add_task('rendering')
        bag, truth = demo.write_demo(
            arguments.out, wanted, lambda: bar.advance(task), lambda frames: bar.update(task, total=frames))
    print(f'{bag}  {bar.tasks[0].total:.0f} frames of {wanted.width}x{wanted.height} at {wanted.rate_hz:g} Hz')
    print(f'{truth}  ground truth')
    print(f'superslam run {bag} --out {arguments.out / "run"}{" --imu" if wanted.imu else ""}')
    return 0


def _demo_options(arguments: argparse.Namespace) -> demo.DemoOptions:
    from superslam_ros import worlds
    from superslam_ros.offline import demo

    common = {'seed': arguments.seed, 'width': arguments.size[0], 'height': arguments.size[1],
              'light': arguments.light, 'imu': arguments.imu}
    if arguments.world == 'room':
        return demo.DemoOptions(130 if arguments.frames is None else arguments.frames,
                                rate_hz=20.0 if arguments.rate is None else arguments.rate, **common)
    walk = worlds.Walk(
        arguments.laps, arguments.start, side_m=arguments.side, heading_rad=math.radians(arguments.heading),
        height_m=arguments.camera_height, back=arguments.back)
    return demo.DemoOptions(
        arguments.frames, rate_hz=10.0 if arguments.rate is None else arguments.rate, walk=walk,
        building=worlds.BuildingOptions(paint=arguments.paint, moved=arguments.moved),
        hazards=worlds.HazardOptions(seed=arguments.seed) if arguments.world == 'hazards' else None, **common)
