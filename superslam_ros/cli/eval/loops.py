"""``superslam eval loops``: what loops do to the map of a rendered building, and which places are known again."""

from __future__ import annotations

import argparse
from typing import Any

from superslam_ros.cli import progress
from superslam_ros.cli.eval import buildings
from superslam_ros.evaluation import laps, maps, report, sessions


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'measure loop closure in a rendered building with twin rooms: trajectory before and after, precision, recall'
    parser = subparsers.add_parser('loops', help=text, description=text)
    buildings.add_options(parser, ('stereo', 'rgbd', 'mono'))
    parser.set_defaults(handler=evaluate_loops)


def evaluate_loops(arguments: argparse.Namespace) -> int:
    """Map a walk that comes back to where it began, then look for places of it, and for those of a twin building."""
    made = buildings.mapped(arguments)
    lap = laps.lap_figures(made, arguments.seed)
    _show_lap(lap)
    if arguments.mode == 'mono':    # has no metre that single frames and other sessions could be measured by
        if arguments.out:
            report.write_json(arguments.out / 'loops.json', {**buildings.about(arguments, made), 'lap': lap})
        return 0
    grown = _grown(made)
    found = buildings.look(arguments, made, 'revisits')
    twins = buildings.look(arguments, made, 'twins', paint=made.setting.building.paint + 1)
    places = maps.loop_figures(found, twins)
    report.show(f'{places["revisits"]} single frames of places on the map, {places["twins"]} of a twin building', (
        '', 'part', 'of'), [
        ['precision: found within .5 m and 5 degrees', places['precision'], places['fixes']],
        ['recall, where a keyframe shows .3 of it, turned by 30 degrees at most', places['recall'], places['due']],
        ['frames in rooms that are there twice, refused as AMBIGUOUS',
         places['copied_ambiguous'] / max(1, places['copied']), places['copied']],
        ['twins that were found', places['twins_found'] / max(1, places['twins']), places['twins']]])
    if arguments.out:
        report.write_json(arguments.out / 'loops.json', {
            **buildings.about(arguments, made), 'lap': lap, 'second_session': grown, 'places': places})
    return 0


def _grown(made: maps.Mapped) -> dict[str, dict[str, Any]]:
    """Map the walk once more as another session, the same way and a little beside it."""
    ways = {'the same way': sessions.again, 'beside it, higher and turned': sessions.otherwise}
    figures = {name: sessions.grown(made, sessions.walk(way(made.setting), progress=progress.track))
               for name, way in ways.items()}
    report.show('Keyframes that a second session adds to the map', ('', 'keyframes', 'map before', 'after', 'more'), [
        [name if one['joined'] else f'{name} (not found in the map)', *(one[key] for key in (
            'keyframes', 'before', 'after', 'added'))] for name, one in figures.items()])
    return figures


def _show_lap(lap: dict[str, Any]) -> None:
    drifting = lap['drifting']
    report.show(f'{lap["path_m"]:.0f} m, {lap["keyframes"]} keyframes, {lap["keyframes_in_map"]} of them in the map', (
        'ATE, m', ''), [
        ['odometry, all keyframes', lap['ate_odometry_m']], ['corrected by the map', lap['ate_map_m']],
        ['keyframes of the map, by the odometry', lap['ate_keyframes_before_m']],
        ['in the map', lap['ate_keyframes_after_m']],
        [f'with {lap["false_edges"]} false loops put in', lap['ate_keyframes_with_false_m']],
        *([] if drifting is None else [
            [f'with {laps.DRIFT_M * 100:g} cm and {laps.DRIFT_DEG:g} deg put into every edge of the odometry',
             drifting['ate_before_m']],
            ['in the map', drifting['ate_after_m']],
            [f'with {lap["false_edges"]} false loops put in', drifting['ate_with_false_m']]])])
    print(f'the scale of the map differs by {100 * lap["scale_spread"]:.1f} % (one sigma) from keyframe to keyframe')
    again = lap['again']
    report.show('ATE of all keyframes, m', ('', 'by the odometry', 'in the map', 'in the finished map'), [
        [name, *one.values()] for name, one in again.items()], again, across=True)
    print(f'{lap["loops_true"]} of {lap["loops"]} loops are true; {lap["false_edges_believed"]} of '
          f'{lap["false_edges"]} false ones were believed; the odometry was lost in {lap["frames_lost"]} frames')
