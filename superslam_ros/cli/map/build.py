"""``superslam map build``: a map of recordings."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options, progress


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        'build', help='a map of one or several recordings',
        description='Build a map of recordings; each is a session, and has to see something of those before it. Of '
        'one camera without scale, the map has a unit of its own. The same recordings and options give the same file.')
    parser.add_argument('recordings', type=Path, nargs='+', metavar='recording', help=options.INPUT)
    parser.add_argument('--out', type=Path, required=True, metavar='MAP', help='file to write')
    parser.add_argument('--start', type=Path, metavar='MAP', help='a map to go on with')
    parser.add_argument('--overwrite', action='store_true', help='replace a file that is there')
    parser.add_argument('--trajectories', type=Path, metavar='DIR',
                        help='folder for NAME.tum of each recording: poses of the optical frame in the finished map')
    options.add_base(parser)
    options.add_imu(parser)
    options.add_config(parser, 'map.max_keyframes=1000')
    options.add_fleet(parser, remembers=False)
    options.add_camera(parser)
    parser.set_defaults(handler=build)


def build(arguments: argparse.Namespace) -> int:
    """Build the map, and say what is in it.

    :returns: 1 when a session was not found in the map, and is beside it, or a recording could not be used.
    """
    from superslam_ros.cli import settings
    from superslam_ros.maps import unplaced
    from superslam_ros.offline import maps

    if arguments.out.exists() and not arguments.overwrite:
        raise ValueError(f'--out {arguments.out}: is there already; --overwrite replaces it, --start goes on with it')
    config = settings.load(arguments.config, arguments.settings, maps.MappingConfig)
    with progress.Side() as bars:
        summary = maps.build(
            arguments.recordings, arguments.out, config, options.reader_options(arguments), arguments.start,
            arguments.trajectories, arguments.jobs, arguments.ray, bars.tell, options.base_camera(arguments),
            options.has_imu(arguments))
    for session in summary['sessions_added']:
        said = '' if session['located'] else '; not found in the map'
        if said and session['keyframes'] < 2:
            said += ', and left out: one keyframe is too few to be found later'
        print(f'{session["bag"]}: {session["frames"]} frames, {session["keyframes"]} keyframes, {session["kept"]} of '
              f'them kept; {session["loops"]} loops{said}')
    print(f'{arguments.out}: {summary["keyframes"]} keyframes, {summary["landmarks"]} landmarks, '
          f'{arguments.out.stat().st_size / 1e6:.1f} MB' + ('' if summary['metric'] else ', in a unit of its own'))
    if summary['unplaced']:
        print(unplaced.advice(map(Path, summary['unplaced'])))
    return int(bool(summary['failed']) or not all(session['located'] for session in summary['sessions_added']))
