"""``superslam eval relocalization``: single frames of another session in the map of a rendered building."""

from __future__ import annotations

import argparse

from superslam_ros.cli.eval import buildings
from superslam_ros.evaluation import maps, report

SESSIONS = {'same light': {}, 'evening': {'light': 'evening'}, 'night': {'light': 'night'},
            'half of the furniture moved': {'moved': 0.5}}
COLUMNS = ('session', 'within .25 m, 2 deg', 'within .05 m, 1 deg', 'wrong', 'NEES, mean', 'median', 'ms')


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure where single frames are found in the map of a rendered building, without a hint: from other '
            'sides, in other light, with furniture moved; and in a wrong map')
    parser = subparsers.add_parser('relocalization', help=text, description=text)
    buildings.add_options(parser)
    parser.add_argument('--strangers', type=int, default=500, metavar='N',
                        help='frames of a building of the same shape that is not in the map (default 500)')
    parser.set_defaults(handler=evaluate_relocalization)


def evaluate_relocalization(arguments: argparse.Namespace) -> int:
    """Map a lap, then look for frames of other sessions in it."""
    if arguments.strangers < 1:
        raise ValueError(f'--strangers {arguments.strangers}: must be 1 or more')
    made = buildings.mapped(arguments)
    figures = {name: maps.relocalization_figures(buildings.look(arguments, made, name, **how))
               for name, how in SESSIONS.items()}
    keys = 'near_of_due', 'exact_of_due', 'wrong', 'nees', 'nees_median', 'milliseconds'
    rows = [[name, *('-' if one[key] is None else one[key] for key in keys)] for name, one in figures.items()]
    report.show(f'{arguments.frames} single frames of each session: parts of those of which a keyframe shows .3, '
                'turned by 30 degrees at most, outside of rooms that are there twice; NEES, which is 6 and 5.35 where '
                'covariances are exact; milliseconds of one thread from descriptors to the pose', COLUMNS, rows)
    strangers = buildings.look(arguments, made, 'strangers', paint=made.setting.building.paint + 1,
                               count=arguments.strangers)
    believed = sum(one.error is not None for one in strangers)
    print(f'{believed} of {len(strangers)} frames of another building were found in this map')
    if arguments.out:
        report.write_json(arguments.out / 'relocalization.json', {
            **buildings.about(arguments, made), 'sessions': figures,
            'strangers': {'frames': len(strangers), 'found': believed}})
    return 0
