"""The command line: ``superslam run | match | bag | export | improve | map | charuco | train | eval``."""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
import threading
import time
from collections.abc import Sequence

from superslam_ros import memory
from superslam_ros.version import VERSION

# Commands that import PyTorch: filled only when they are asked for.
TREES = {
    'map': 'build maps of recordings, find cameras in them, merge and export them',
    'charuco': 'print, find and evaluate ChArUco boards; calibrate cameras with them',
    'train': 'make or improve the weights',
    'eval': 'measure features, matches and odometry',
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0, 2 after an error that the user can mend, 130 when interrupted."""
    began, arguments = time.monotonic(), list(sys.argv[1:] if arguments is None else arguments)
    # `docker stop` and launch files end a process so: the same as Ctrl-C.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler) if _is_main_thread() else None
    try:    # from here on, since what follows imports for seconds
        options = build_parser(arguments).parse_args(arguments)
        options.command_line, options.began = shlex.join(['superslam', *arguments]), began
        memory.keep_freed()
        return _handle(options)
    except KeyboardInterrupt:
        print('superslam: interrupted', file=sys.stderr)
        return 130
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _handle(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(stderr=True)
    level = logging.DEBUG if options.verbose else logging.WARNING
    logging.basicConfig(level=level, format='%(message)s', datefmt='%X', force=True,
                        handlers=[RichHandler(console=console, show_path=False, markup=False)])
    logging.getLogger('matplotlib').setLevel(logging.WARNING)
    try:
        return int(options.handler(options) or 0)
    except (RuntimeError, ValueError, OSError) as error:
        if options.verbose:
            raise
        print(f'superslam: {" ".join(_told(error).split()) or type(error).__name__}', file=sys.stderr)
        return 2


def _told(error: Exception) -> str:
    """Return what an error says; what the system says of a file begins with the file."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if error.filename is None:
        return error.strerror
    why = 'is no folder, and one is to be there' if isinstance(error, FileExistsError) else error.strerror
    return f'{error.filename}: {why}'


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def build_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser; the :data:`TREES` are filled when ``arguments`` ask for them."""
    from superslam_ros.cli import bag, export, improve, match, run

    parser = argparse.ArgumentParser(
        prog='superslam',
        description='Learned visual front-end: keypoints, matches and odometry from recordings and images.',
    )
    parser.add_argument('-v', '--verbose', action='store_true', help='log everything; errors with traceback')
    parser.add_argument('--version', action='version', version=f'superslam {VERSION}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for command in (run, match, bag, export, improve):
        command.add(commands)
    asked = next((word for word in arguments if not word.startswith('-')), '')
    for name, text in TREES.items():
        tree = commands.add_parser(name, help=text, description=text)
        subcommands = tree.add_subparsers(required=True, metavar='COMMAND')
        if asked == name == 'train':
            from superslam_ros.cli import train

            train.add_subcommands(subcommands)
        elif asked == name == 'eval':
            from superslam_ros.cli import eval as evaluations

            evaluations.add_subcommands(subcommands)
        elif asked == name == 'map':
            from superslam_ros.cli import map as maps

            maps.add_subcommands(subcommands)
        elif asked == name == 'charuco':
            from superslam_ros.cli import charuco

            charuco.add_subcommands(subcommands)
    return parser


if __name__ == '__main__':
    sys.exit(main())
