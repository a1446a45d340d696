"""``superslam run``: every frame of a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import options, progress


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        'run',
        help='every frame of a recording: trajectory, summary, picture, result bag',
        description='Process every frame of a recording, without ROS. Writes trajectory.tum, summary.json, '
        'overview.png and the bag "result" into --out. The same recording and options give the same files, but '
        'for "timing" and "command" in the summary.',
    )
    parser.add_argument('recording', type=Path, help=options.INPUT)
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    options.add_features(parser)
    options.add_config(parser, 'extractor.max_keypoints=500')
    parser.add_argument('--ground-truth', type=Path, metavar='FILE.tum',
                        help='true poses of the optical frame (seconds x y z qx qy qz qw), for ATE and RPE; default: '
                        'those that a data set brings along')
    parser.add_argument('--record-images', action='store_true',
                        help='record the images and their calibration in the result bag')
    parser.add_argument('--record-descriptors', action='store_true',
                        help='keep the descriptors in the result bag (1 MB per 1000 keypoints)')
    parser.add_argument('--map', type=Path, metavar='MAP',
                        help='a map of `superslam map build`: adds localized.tum, the poses in it')
    options.add_camera(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    """Return 0; 1 when the recording is damaged, and the results cover what comes before; 130 when interrupted."""
    from superslam_ros.cli import settings
    from superslam_ros.offline import runner, summary
    from superslam_ros.offline.maps import MappingConfig

    config = settings.load(arguments.config, arguments.settings, MappingConfig)
    chosen = runner.RunOptions(
        arguments.features, options.reader_options(arguments), arguments.ground_truth, arguments.record_images,
        arguments.record_descriptors, arguments.map, arguments.command_line)
    with progress.bar() as bar:
        result = runner.run(
            arguments.recording, arguments.out, config, chosen,
            on_start=lambda frames: bar.add_task(arguments.recording.name, total=frames.count),
            on_frame=lambda: bar.advance(bar.task_ids[0]))
    for line in summary.report(result, arguments.out):
        print(line)
    return 130 if result['interrupted'] else int('damage' in result)
