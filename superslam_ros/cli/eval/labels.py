"""``superslam eval labels``: how well `superslam improve` tells stable keypoints from those that mislead."""

from __future__ import annotations

import argparse
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.evaluation import report


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure how well tracks of a recording tell stable keypoints from unstable ones: a rendered walk with '
            'boxes that move, highlights and swaying shadows')
    parser = subparsers.add_parser('labels', help=text, description=text)
    parser.add_argument('--frames', type=int, default=200, metavar='N', help='at 10 a second (default 200)')
    parser.add_argument('--start', type=float, default=0.0, metavar='PART',
                        help='of a lap, where it begins (default 0)')
    parser.add_argument('--seed', type=int, default=0, help='of building, path, noise and all that moves (default 0)')
    parser.add_argument('--size', type=int, nargs=2, default=(320, 240), metavar=('WIDTH', 'HEIGHT'),
                        help='default 320 240')
    parser.add_argument('--one-camera', action='store_true',
                        help='without depth: the structure is that of one camera, by pycolmap if it is installed')
    parser.add_argument('--weights', default='', metavar='FILE', help='SuperPoint (default: the shipped one)')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for labels.json and labels.png')
    parser.set_defaults(handler=evaluate_labels)


def evaluate_labels(arguments: argparse.Namespace) -> int:
    """Render, label, and show what was right."""
    from superslam_ros import worlds
    from superslam_ros.offline import labels
    from superslam_ros.offline.demo import DemoOptions
    from superslam_ros.slam import ExtractorConfig, SlamConfig

    options = DemoOptions(
        arguments.frames, arguments.seed, *arguments.size, rate_hz=10.0, walk=worlds.Walk(start=arguments.start),
        building=worlds.BuildingOptions(seed=arguments.seed, paint=arguments.seed),
        hazards=worlds.HazardOptions(seed=arguments.seed))
    with progress.bar() as bar:
        task = bar.add_task('rendering', total=arguments.frames)
        found = labels.evaluate(options, SlamConfig(ExtractorConfig(weights=arguments.weights)),
                                lambda: bar.advance(task), arguments.out, arguments.one_camera)
    title = f'{found["frames"]} frames, {found["lost"]} lost; {found["tracks"]} tracks of 10 observations or more'
    report.show(title, ('', 'part', 'of'), [
        ['of what moves, called unstable', found['unstable'], found['moving']],
        *([f'  {name}', found[f'unstable_{name}'], found[f'{name}s']] for name in ('mover', 'highlight', 'shadow')),
        ['of what moves, called stable', found['called_stable'], found['moving']],
        ['of what is called stable, right', found['stable'], found['stable_tracks']]])
    if arguments.out:
        report.write_json(arguments.out / 'labels.json', {'seed': arguments.seed, 'start': arguments.start, **found})
    return 0
