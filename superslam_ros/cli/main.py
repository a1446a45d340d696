"""The command line: ``superslam run | match | bag | train | eval``."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from superslam_ros.bags.reader import ReaderOptions

FEATURES = ('superpoint', 'orb', 'sift')
# Sub-command trees that live elsewhere and are imported only when asked for.
TREES = {
    'train': 'make or improve the weights',
    'eval': 'measure features, matches and odometry',
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 2 after an error that the user can mend, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser(arguments).parse_args(arguments)
    console = Console(stderr=True)
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format='%(message)s', datefmt='%X', force=True,
                        handlers=[RichHandler(console=console, show_path=False, markup=False)])
    logging.getLogger('matplotlib').setLevel(logging.WARNING)
    # `docker stop` and launch files end a process so: the same as Ctrl-C.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler) if _is_main_thread() else None
    try:
        return int(options.handler(options) or 0)
    except KeyboardInterrupt:
        print('superslam: interrupted', file=sys.stderr)
        return 130
    except (RuntimeError, ValueError, OSError) as error:
        if options.verbose:
            raise
        print(f'superslam: {" ".join(str(error).split()) or type(error).__name__}', file=sys.stderr)
        return 2
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def build_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser; the trees of ``train`` and ``eval`` are filled when ``arguments`` ask for them."""
    parser = argparse.ArgumentParser(
        prog='superslam',
        description='Learned visual front-end: keypoints, matches and odometry from bags and images.',
    )
    parser.add_argument('-v', '--verbose', action='store_true', help='log everything; errors with traceback')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    _add_run(commands)
    _add_match(commands)
    _add_bag(commands)
    asked = next((word for word in arguments if not word.startswith('-')), '')
    for name, text in TREES.items():
        tree = commands.add_parser(name, help=text, description=text)
        subcommands = tree.add_subparsers(required=True, metavar='COMMAND')
        if asked == name == 'train':
            from superslam_ros.bags import extract_images
            from superslam_ros.offline import posed

            importlib.import_module('superslam_ros.cli.train').add_subcommands(
                subcommands, posed.read, lambda path, out: extract_images.extract_images(path, out, every=None))
        elif asked == name == 'eval':
            from superslam_ros.cli import eval_bag as evaluate

            evaluate.add_subcommands(subcommands, _add_topics, _reader_options)
    return parser


def _add_run(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        'run',
        help='every frame of a bag: trajectory, summary, picture, result bag',
        description='Process every frame of a bag, without ROS. Writes trajectory.tum, summary.json, overview.png '
        'and the bag "result" into --out. The same bag and options give the same files.',
    )
    parser.add_argument('bag', type=Path, help='rosbag2 directory, .mcap, .db3, or ROS 1 .bag')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    _add_front_end(parser)
    parser.add_argument('--ground-truth', type=Path, metavar='FILE.tum',
                        help='true poses of the optical frame (seconds x y z qx qy qz qw), for ATE and RPE')
    parser.add_argument(
        '--record-images', action='store_true', help='copy the camera topics into the result bag'
    )
    parser.add_argument('--record-descriptors', action='store_true',
                        help='keep the descriptors in the result bag (1 MB per 1000 keypoints)')
    _add_topics(parser)
    parser.set_defaults(handler=run)


def _add_front_end(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--features', choices=FEATURES, default='superpoint', help='front-end (default superpoint)'
    )
    parser.add_argument('--config', type=Path, metavar='FILE.yaml',
                        help='options, as a ROS parameter file or plain nested names')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE', dest='settings',
                        help='one option, e.g. extractor.max_keypoints=500; may be repeated')


def _add_topics(parser: argparse.ArgumentParser) -> None:
    topics = parser.add_argument_group(
        'camera', 'found by type and name when not given; see `superslam bag info`'
    )
    topics.add_argument('--mode', choices=('auto', 'mono', 'stereo', 'rgbd'), default='auto')
    topics.add_argument('--image', default='', metavar='TOPIC', help='image, or left image')
    topics.add_argument('--right-image', default='', metavar='TOPIC')
    topics.add_argument('--depth', default='', metavar='TOPIC', help='depth registered to the image')
    topics.add_argument('--camera-info-topic', default='', metavar='TOPIC')
    topics.add_argument('--right-camera-info-topic', default='', metavar='TOPIC')
    topics.add_argument(
        '--camera-info',
        type=Path,
        metavar='FILE.yaml',
        help='calibration in the format of camera_calibration, in place of camera_info messages',
    )
    topics.add_argument('--right-camera-info', type=Path, metavar='FILE.yaml')
    topics.add_argument('--rectified', choices=('auto', 'yes', 'no'), default='auto',
                        help='whether the images are rectified (auto: from the topic name, image_rect)')
    topics.add_argument('--sync-tolerance', type=float, default=0.0, metavar='SECONDS',
                        help='largest difference of stamps within one frame (default 0.005 in a stereo pair, 0.02 from '
                        'image to depth)')
    topics.add_argument(
        '--receive-time', action='store_true', help='use the time of receipt instead of header stamps'
    )


def _add_match(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser('match', help='match two image files: picture and JSON')
    parser.add_argument('image0', type=Path)
    parser.add_argument('image1', type=Path)
    parser.add_argument('--out', type=Path, required=True, help='folder for matches.png and matches.json')
    _add_front_end(parser)
    parser.set_defaults(handler=match)


def _add_bag(commands: argparse._SubParsersAction) -> None:
    tools = commands.add_parser('bag', help='look into a bag; draw a result; write the demo bag').add_subparsers(
        required=True, metavar='COMMAND')
    info = tools.add_parser('info', help='what is in a bag, and what `superslam run` would use')
    info.add_argument('bag', type=Path)
    info.add_argument('--json', action='store_true', help='only what `superslam run` would use, for programs')
    info.set_defaults(handler=bag_info)
    images = tools.add_parser('images', help='write the images of a bag as files, for `superslam train --images`')
    images.add_argument('bag', type=Path)
    images.add_argument('--out', type=Path, required=True, help='folder for the images')
    images.add_argument('--image', default='', metavar='TOPIC', help='default: found by type and name')
    images.add_argument('--every', type=int, default=1, metavar='N', help='one image of N (default 1, all)')
    images.set_defaults(handler=bag_images)
    view = tools.add_parser('view', help='draw what RViz shows at the end of a result of the nodes')
    view.add_argument('bag', type=Path, help='bag with the topics superslam/...')
    view.add_argument('--out', type=Path, required=True, metavar='FILE.png')
    view.set_defaults(handler=bag_view)
    demo = tools.add_parser('demo', help='render the demo: bag DIR/demo and ground truth DIR/demo.tum')
    demo.add_argument('--out', type=Path, required=True, metavar='DIR')
    demo.add_argument('--seed', type=int, default=0, help='of textures, path and noise (default 0)')
    demo.add_argument('--frames', type=int, default=130, help='default 130')
    demo.add_argument('--rate', type=float, default=20.0, help='frames per second (default 20)')
    demo.add_argument('--size', type=int, nargs=2, default=(320, 240), metavar=('WIDTH', 'HEIGHT'),
                      help='default 320 240')
    demo.set_defaults(handler=bag_demo)


def run(options: argparse.Namespace) -> int:
    """Handle ``superslam run``: status 1 when the bag is damaged, and the results cover what comes before."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import runner, summary

    config = settings.load(options.config, options.settings)
    chosen = runner.RunOptions(
        options.features, _reader_options(options), options.ground_truth, options.record_images,
        options.record_descriptors)
    with _progress() as progress:
        result = runner.run(
            options.bag, options.out, config, chosen,
            on_start=lambda frames: progress.add_task(options.bag.name, total=len(frames)),
            on_frame=lambda: progress.advance(progress.task_ids[0]))
    for line in summary.report(result, options.out):
        print(line)
    return 130 if result['interrupted'] else int('damage' in result)


def match(options: argparse.Namespace) -> int:
    """Handle ``superslam match``."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import match as images

    config = settings.load(options.config, options.settings)
    result = images.match(options.image0, options.image1, options.out, config, options.features)
    counts = ' and '.join(str(len(side['keypoints'])) for side in result['images'])
    print(f'{len(result["matches"])} matches between {counts} keypoints: {options.out / "matches.png"}')
    return 0


def bag_info(options: argparse.Namespace) -> int:
    """Handle ``superslam bag info``."""
    from superslam_ros.bags import describe

    if options.json:
        print(json.dumps(describe.camera(options.bag)))
        return 0
    for line in describe.lines(options.bag):
        print(line)
    return 0


def bag_images(options: argparse.Namespace) -> int:
    """Handle ``superslam bag images``."""
    from superslam_ros.bags import extract_images

    count = extract_images.extract_images(options.bag, options.out, options.image, options.every)
    print(f'{count} images in {options.out}')
    return 0


def bag_view(options: argparse.Namespace) -> int:
    """Handle ``superslam bag view``."""
    from superslam_ros.pictures import view

    view.draw_view(options.out, options.bag)
    print(options.out)
    return 0


def bag_demo(options: argparse.Namespace) -> int:
    """Handle ``superslam bag demo``."""
    from superslam_ros.offline import demo

    wanted = demo.DemoOptions(
        options.frames, options.seed, options.size[0], options.size[1], options.rate)
    with _progress() as progress:
        task = progress.add_task('rendering', total=wanted.frames)
        bag, truth = demo.write_demo(options.out, wanted, lambda: progress.advance(task))
    print(f'{bag}  {wanted.frames} frames of {wanted.width}x{wanted.height} at {wanted.rate_hz:g} Hz')
    print(f'{truth}  ground truth')
    print(f'superslam run {bag} --ground-truth {truth} --out {options.out / "run"}')
    return 0


def _reader_options(options: argparse.Namespace) -> ReaderOptions:
    from superslam_ros.bags.reader import ReaderOptions

    return ReaderOptions(
        options.mode, options.image, options.right_image, options.depth, options.camera_info_topic,
        options.right_camera_info_topic, options.rectified, options.camera_info, options.right_camera_info,
        options.sync_tolerance, options.receive_time)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show frames per second."""
        return Text(f'{task.speed or 0:5.1f} frames/s', style='cyan')


def _progress() -> Progress:
    """Return a progress bar on stderr that shows nothing where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn('{task.description}'), BarColumn(), TextColumn('{task.completed:.0f}/{task.total:.0f}'), _Rate(),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal)


if __name__ == '__main__':
    sys.exit(main())
