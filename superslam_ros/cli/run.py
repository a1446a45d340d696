"""``superslam run``: every frame of recordings."""

from __future__ import annotations

import argparse
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from superslam_ros.cli import options, progress

if TYPE_CHECKING:
    from superslam_ros.offline.runner import RunOptions
    from superslam_ros.slam import SlamConfig
    from superslam_ros.viewer import Viewer

log = logging.getLogger(__name__)


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'run',
        help='every frame of recordings: trajectory, summary, picture, result bag',
        description='Process every frame of a recording, without ROS. Writes trajectory.tum, summary.json, '
        'overview.png and the bag "result" into --out. The same recording and options give the same files, but '
        'for "timing" and "command" in the summary. Of several recordings, each has a folder --out/NAME, and '
        'summary.csv and summary.html are tables of all; one that fails is named there, and those that are done '
        'already are not done again.',
    )
    parser.add_argument('recordings', type=Path, nargs='+', metavar='recording', help=options.INPUT)
    parser.add_argument('--out', type=Path, help='folder for the results (default: superslam/NAME; of several: '
                        'superslam)')
    options.add_fleet(parser)
    options.add_features(parser)
    options.add_config(parser, 'extractor.max_keypoints=500')
    parser.add_argument('--ground-truth', type=Path, metavar='FILE.tum',
                        help=f'for ATE and RPE: {options.GROUND_TRUTH}; {options.NO_TRUTH}; of several recordings: a '
                        'folder of NAME.tum')
    parser.add_argument('--record-images', action='store_true',
                        help='record the images and their calibration in the result bag')
    parser.add_argument('--record-descriptors', action='store_true',
                        help='keep the descriptors in the result bag (1 MB per 1000 keypoints)')
    parser.add_argument('--map', type=Path, metavar='MAP',
                        help='a map of `superslam map build`: adds localized.tum, the poses in it')
    options.add_base(parser)
    parser.add_argument('--initial-pose', default='', metavar='POSE', help='where odometry begins: "x y z roll pitch '
                        'yaw" (m, rad) or "x y z qx qy qz qw" of the base of --base-camera or --guess, else of a body '
                        'that looks along x; default: the camera at the origin')
    options.add_imu(parser)
    parser.add_argument('--export', default='', metavar='KINDS',
                        help='write besides, separated by commas: kitti (trajectory_kitti.txt, T_first_camera of every '
                        'frame), csv (trajectory.csv), ply (landmarks.ply), colmap (a model in colmap/)')
    parser.add_argument('--view', nargs='?', const='native', default='', metavar='WHERE',
                        help='show the run while it goes: in a window (native), in a browser (web), or in the rerun '
                        'viewer at an address; needs rerun: pip install "superslam_ros[viewer]"')
    parser.add_argument('--save-rrd', type=Path, metavar='FILE.rrd', help='the same into a file, for `rerun FILE.rrd`')
    options.add_camera(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0; 1 when a recording is damaged, and the results cover what comes before; 130 when interrupted."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import runner, runs, summary
    from superslam_ros.offline.maps import MappingConfig

    config = settings.load(arguments.config, arguments.settings, MappingConfig)
    chosen = runner.RunOptions(
        arguments.features, options.reader_options(arguments), arguments.ground_truth, arguments.record_images,
        arguments.record_descriptors, arguments.map, arguments.command_line,
        options.base_camera(arguments), _exports(arguments.export), options.has_imu(arguments),
        arguments.initial_pose)
    if len(arguments.recordings) > 1 or arguments.ray:
        if arguments.view or arguments.save_rrd:
            raise ValueError('--view and --save-rrd show one recording, on this machine')
        return _several(arguments, config, chosen)
    [recording] = arguments.recordings
    out = arguments.out or Path('superslam') / runs.name_of(recording)
    viewer = _viewer(arguments)
    try:
        with progress.bar() as bar:
            result = runner.run(
                recording, out, config, runs.options_of(recording, chosen),
                on_start=lambda frames: bar.add_task(recording.name, total=frames.count),
                on_frame=lambda: bar.advance(bar.task_ids[0]), **({} if viewer is None else {'on_step': viewer.see}))
        for line in summary.report(result, out):
            print(line)
        if viewer is not None and viewer.address and not result['interrupted']:
            print(f'  {viewer.address} until Ctrl-C', flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()
    finally:
        if viewer is not None:
            viewer.close()
    return 130 if result['interrupted'] else int('damage' in result)


def _exports(kinds: str) -> tuple[str, ...]:
    from superslam_ros.offline.exports import FILES

    asked = tuple(kind.strip() for kind in kinds.split(',') if kind.strip())
    unknown = set(asked) - set(FILES)
    if unknown:
        raise ValueError(f'--export {", ".join(sorted(unknown))}: is not one of {", ".join(FILES)}')
    return asked


def _viewer(arguments: argparse.Namespace) -> Viewer | None:
    """Return the viewer, if one is wanted."""
    if not arguments.view and not arguments.save_rrd:
        return None
    from superslam_ros.viewer import Viewer

    viewer = Viewer(arguments.view, arguments.save_rrd)
    if viewer.address:
        print(f'open {viewer.address}', flush=True)
    return viewer


def _several(arguments: argparse.Namespace, config: SlamConfig, chosen: RunOptions) -> int:
    """Run several recordings; return 1 when one of them failed, or is damaged, 130 when interrupted."""
    from superslam_ros.evaluation import report
    from superslam_ros.offline import runs

    out = arguments.out or Path('superslam')
    todo = runs.tasks(arguments.recordings, out, config, chosen)
    ended = []
    try:
        with progress.Side() as bars:
            for done in runs.run_all(todo, arguments.jobs, arguments.ray, arguments.again, bars.tell):
                bars.end(done.name)
                ended.append(done)
                if done.error:
                    log.error('%s: %s', done.name, done.error)
    finally:
        if ended:
            ended.sort(key=lambda done: list(todo).index(done.name))
            tables = runs.write_tables(out, ended)
            report.show('run', runs.SHORT, [runs.short(done) for done in ended])
            print(*(f'  {path}' for path in tables), sep='\n')
    if any(done.result and done.result['interrupted'] for done in ended):
        return 130
    return int(any(done.error or done.result['damaged'] for done in ended))
