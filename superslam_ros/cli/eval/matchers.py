"""``superslam eval matchers``: how long ago a map may have been made, by what matches frames to it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from superslam_ros.cli import options, progress, settings
from superslam_ros.evaluation import gaps, map_gaps, report
from superslam_ros.offline import truths
from superslam_ros.offline.maps import MappingConfig
from superslam_ros.offline.opened import opened
from superslam_ros.offline.provenance import provenance

MATCHERS = ('nearest', 'supermap')
GAPS_S = (1.0, 2.0, 5.0)
COLUMNS = '', 'frames', 'm away', 'found', 'within 1 m, 5 deg / .25 m, 2 deg / .05 m, 1 deg', 'wrong', 'ms'


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'compare what matches frames to a map: those of a recording, to the map of what was seen some time before'
    parser = subparsers.add_parser('matchers', help=text, description=text)
    parser.add_argument('recording', type=Path, help=options.INPUT)
    parser.add_argument('--ground-truth', type=Path, metavar='FILE.tum', help=options.GROUND_TRUTH)
    parser.add_argument('--gap', type=float, nargs='+', default=GAPS_S, metavar='SECONDS', dest='gaps',
                        help=f'age of the newest keyframe in the map (default {" ".join(map("{:g}".format, GAPS_S))})')
    parser.add_argument('--matchers', nargs='+', choices=MATCHERS, default=MATCHERS,
                        help=f'what to compare (default {" ".join(MATCHERS)}); map.matcher_weights is for supermap')
    options.add_config(parser, 'map.min_inliers=20')
    options.add_camera(parser)
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the JSON')
    parser.set_defaults(handler=evaluate_matchers)


def evaluate_matchers(arguments: argparse.Namespace) -> int:
    """Run the odometry, then look for its frames in maps of different ages.

    :raises ValueError: for a gap that is not more than 0, a recording without ground truth, or one that is too short.
    """
    if min(arguments.gaps) <= 0:
        raise ValueError(f'--gap {min(arguments.gaps):g}: must be more than 0')
    config = settings.load(arguments.config, arguments.settings, MappingConfig)
    with opened(arguments.recording, config, options.reader_options(arguments)) as (frames, config):
        found = truths.truth_of(arguments.recording, frames, arguments.ground_truth)
        if found is None:
            raise ValueError(f'{arguments.recording}: has no ground truth of its own; give --ground-truth FILE.tum')
        images = (recorded.frame for recorded in progress.track(frames, 'frames', frames.count))
        made = map_gaps.walk(images, config, gaps.Truth(found.stamps_ns, found.poses))
    matchers = {name: replace(config.map, matcher=name) for name in arguments.matchers}
    content = {}
    for gap in sorted(set(arguments.gaps)):
        measured = {name: map_gaps.figures(looked) for name, looked in map_gaps.compare(
            made, gap, config.map, matchers).items()}
        if not next(iter(measured.values()))['frames']:
            continue
        content[f'{gap:g}'] = measured
        report.show(f'{arguments.recording.name}: in a map of {gap:g} s before', COLUMNS, [
            _row(name, one) for name, one in measured.items()], ('wrong', 'ms'))
    if not content:
        raise ValueError(f'{arguments.recording}: no frame that is tracked, with a pose in {found.file}, comes '
                         f'{min(arguments.gaps):g} s after two keyframes; try a shorter --gap')
    if arguments.out:
        report.write_json(arguments.out / 'matchers.json', {
            **provenance({'superpoint': config.extractor.weights, 'places': '',
                          'supermap': config.map.matcher_weights}),
            'command': arguments.command_line, 'recording': arguments.recording.name, 'gap_s': content})
    return 0


def _row(name: str, one: dict[str, Any]) -> list[Any]:
    return [name, one['frames'], f'{one["away_median_m"]:.1f}', one['found'],
            f'{one["right"]} / {one["near"]} / {one["exact"]}', one['wrong'], f'{one["milliseconds"]:.0f}']
