"""``superslam eval relocalization``: another session in the map of a rendered building, and single frames of some."""

from __future__ import annotations

import argparse
from typing import Any

from superslam_ros.cli import progress
from superslam_ros.cli.eval import buildings
from superslam_ros.evaluation import maps, report, sessions

SESSIONS = {'same light': {}, 'evening': {'light': 'evening'}, 'night': {'light': 'night'},
            'half of the furniture moved': {'moved': 0.5}}
IN_A_ROW = {'same light': {}, 'night, half of the furniture moved': {'light': 'night', 'moved': 0.5}}
NEAR = 'within .25 m, 2 deg', 'within .05 m, 1 deg', 'wrong', 'NEES, mean', 'median'


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure where a second session is found in the finished map of a rendered building, and where single '
            'frames are, without a hint: from other sides, in other light, with furniture moved; and in a wrong map')
    parser = subparsers.add_parser('relocalization', help=text, description=text)
    buildings.add_options(parser)
    parser.add_argument('--strangers', type=int, default=500, metavar='N',
                        help='frames of a building of the same shape that is not in the map (default 500)')
    parser.set_defaults(handler=evaluate_relocalization)


def evaluate_relocalization(arguments: argparse.Namespace) -> int:
    """Map a lap and finish the map, then look for other sessions in it, and for single frames."""
    if arguments.strangers < 1:
        raise ValueError(f'--strangers {arguments.strangers}: must be 1 or more')
    made = buildings.mapped(arguments)
    made.mapper.finish()
    second = _in_a_row(made)
    figures = {name: maps.relocalization_figures(buildings.look(arguments, made, name, **how))
               for name, how in SESSIONS.items()}
    keys = 'near_of_due', 'exact_of_due', 'wrong', 'nees', 'nees_median', 'milliseconds'
    report.show(f'{arguments.frames} single frames of each session: parts of those of which a keyframe shows .3, '
                'turned by 30 degrees at most, outside of rooms that are there twice; NEES, which is 6 and 5.35 where '
                'covariances are exact; milliseconds of one thread from descriptors to the pose', (
                    'frames', *NEAR, 'ms'), _rows(figures, keys))
    strangers = buildings.look(arguments, made, 'strangers', paint=made.setting.building.paint + 1,
                               count=arguments.strangers)
    believed = sum(one.error is not None for one in strangers)
    print(f'{believed} of {len(strangers)} frames of another building were found in this map')
    if arguments.out:
        report.write_json(arguments.out / 'relocalization.json', {
            **buildings.about(arguments, made), 'second_session': second, 'sessions': figures,
            'strangers': {'frames': len(strangers), 'found': believed}})
    return 0


def _in_a_row(made: maps.Mapped) -> dict[str, dict[str, Any]]:
    """Localise a second session, keyframe by keyframe."""
    how = sessions.otherwise(made.setting)
    figures = {}
    for name, of in IN_A_ROW.items():
        keyframes = sessions.walk(how, progress=progress.track, **of)
        figures[name] = sessions.session_figures(sessions.localise(made, keyframes))
    keys = 'keyframes', 'found', 'near', 'exact', 'wrong', 'nees', 'nees_median'
    report.show('A second session, keyframe by keyframe: part of the keyframes that were found; where the camera is '
                'said to be at all of them, by landmarks or by the odometry since; NEES of those found', (
                    'session', 'keyframes', 'found', *NEAR), _rows(figures, keys))
    return figures


def _rows(figures: dict[str, dict[str, Any]], keys: tuple[str, ...]) -> list[list[Any]]:
    return [[name, *('-' if one[key] is None else one[key] for key in keys)] for name, one in figures.items()]
