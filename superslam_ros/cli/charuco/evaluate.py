"""``superslam charuco eval``: our detector beside OpenCV's, on degraded pictures."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from superslam_ros.cli import progress
from superslam_ros.cli.charuco import images
from superslam_ros.inputs.shots import ImageOptions


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = ('measure the corners found in degraded photographs, or in rendered pictures of the board, and how often '
            "the board is found where it is not, beside OpenCV's detector")
    parser = subparsers.add_parser('eval', help=text, description=f'{text}. Of photographs, what OpenCV finds in them '
                                   'as they are is taken for true, its bias subtracted.')
    parser.add_argument('paths', type=Path, nargs='*', metavar='PATH',
                        help='photographs, folders or bags; none: rendered pictures')
    images.add_board(parser)
    parser.add_argument('--name', default='', help='of the board, where the file has several (default: the first)')
    parser.add_argument('--degradations', nargs='+', default=[], metavar='NAME',
                        help='such as original dark-64 motion-15 dark-64+blur-2 (default: a list of all kinds)')
    parser.add_argument('--draws', type=int, default=1, metavar='N', help='of each random degradation (default 1)')
    parser.add_argument('--rendered', type=int, default=6, metavar='N', help='rendered pictures (default 6)')
    parser.add_argument('--false', type=int, default=48, metavar='N',
                        help='rendered pictures without the board: other layouts of its markers, chessboards, other '
                        'fiducials (default 48; 0: none)')
    parser.add_argument('--without', type=Path, nargs='+', default=[], metavar='PATH',
                        help='photographs without the board, folders or bags of them')
    parser.add_argument('--seed', type=int, default=0, help='of the rendered pictures (default 0)')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help='folder for eval.json, grid.png, and the pictures in which the board is not, but found')
    parser.set_defaults(handler=evaluate)


def evaluate(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write figures and a picture."""
    from superslam_ros.evaluation import boards, degradations, report
    from superslam_ros.evaluation.opencv_boards import bias_px
    from superslam_ros.pictures.board_grids import draw_grid

    board = _board(arguments)
    names = arguments.degradations or list(degradations.NAMES)
    for name in names:
        degradations.parts(name)
    if arguments.draws < 1 or arguments.rendered < 1 or arguments.false < 0:
        raise ValueError('--draws and --rendered must be 1 or more, --false 0 or more')
    pictures = _pictures(arguments, board)
    found_by = boards.detectors(board)
    steps = boards.evaluate(found_by, pictures, names, arguments.draws)
    done = list(progress.track(steps, 'degradations', len(names)))
    columns, rows = boards.as_rows((name, scores) for name, scores, _ in done)
    kind = 'photographs' if arguments.paths else 'rendered pictures'
    report.show(f'{len(pictures)} {kind} of {board.name}; right is within {boards.NEAR_PX:g} px', columns, rows)
    bias = bias_px() if boards.OPENCV in found_by else None
    if bias is not None:
        print(f"bias of OpenCV's corners, subtracted: ({bias[0]:+.2f}, {bias[1]:+.2f}) px")
    poses = {} if arguments.paths else _compare_poses(board, pictures, names, arguments.draws)
    false = _count_false(arguments, board, found_by)
    if arguments.out:
        report.write_json(arguments.out / 'eval.json', {
            'board': board.name, 'pictures': len(pictures), 'draws': arguments.draws,
            'opencv_bias_px': None if bias is None else bias.round(3).tolist(),
            'degradations': {name: {detector: score.figures() for detector, score in scores.items()}
                             for name, scores, _ in done},
            'poses': poses,
            'without': {kind: {'pictures': one.pictures, 'found': one.found} for kind, one in false.items()}})
        draw_grid(arguments.out / 'grid.png', [_tile(name, *shown[0]) for name, _, shown in done],
                  f'{board.name}: corners found, and recall in this picture')
        print(arguments.out / 'grid.png')
    return 0


def _compare_poses(board, pictures, names, draws) -> dict:
    """Compare poses with the truth of rendered pictures; print a table, return the figures."""
    from superslam_ros.evaluation import board_poses, report

    steps = board_poses.compare(board, pictures, names, draws)
    done = list(progress.track(steps, 'poses', len(names)))
    columns, rows = board_poses.as_rows(done)
    report.show('errors of poses: medians, in percent of the distance and degrees; NEES, the mean normalised squared '
                'error, is 6 where covariances are right', columns, rows)
    return {name: board_poses.figures(errors) for name, _, errors in done}


def _count_false(arguments: argparse.Namespace, board, found_by) -> dict:
    """Look for the board where it is not; print a table, keep the pictures in which we find it, return the counts."""
    from superslam_ros.evaluation import false_boards, report

    pictures = chain(false_boards.rendered(board, arguments.false, arguments.seed), _without(arguments))
    judged = []
    for picture, accepted in progress.track(false_boards.count(found_by, pictures), 'without the board'):
        judged.append((picture.kind, accepted))
        if next(iter(accepted.values())):
            print(f'the board is not in this picture, but found: {picture.kind}: {picture.name}')
            if arguments.out:
                report.write_picture(arguments.out / f'false-{len(judged):04d}.png', [picture.image])
    found = false_boards.totals(judged)
    if judged:
        columns, rows = false_boards.as_rows(found)
        report.show(f'pictures without {board.name} in which it is found', columns, rows)
    return found


def _without(arguments: argparse.Namespace):
    from superslam_ros.evaluation import false_boards

    if arguments.without:
        for number, shot in enumerate(images.shots(arguments.without, ImageOptions())):
            if shot.image is not None:
                yield from false_boards.photographs(shot.name, shot.image, number)


def _tile(name: str, image, found):
    from superslam_ros.pictures.board_grids import Tile

    return Tile(name, image, {detector: one.pixels[one.right] for detector, one in found.items()},
                {detector: one.pixels[one.wrong] for detector, one in found.items()},
                {detector: one.right.sum() / one.known for detector, one in found.items()})


def _board(arguments: argparse.Namespace):
    from superslam_ros.boards.files import read_boards

    known = read_boards(arguments.board)
    if arguments.name and arguments.name not in known:
        raise ValueError(f'--name {arguments.name}: {arguments.board} has {", ".join(known)}')
    return known[arguments.name or next(iter(known))]


def _pictures(arguments: argparse.Namespace, board) -> list:
    from superslam_ros.evaluation import boards

    if not arguments.paths:
        return list(boards.rendered(board, arguments.rendered, arguments.seed))
    taken = images.shots(arguments.paths, ImageOptions())
    found = [boards.known_by_opencv(shot.name, shot.image, board) for shot in taken if shot.image is not None]
    pictures = [picture for picture in found if picture]
    if not pictures:
        raise ValueError(f'OpenCV finds board {board.name} in none of {len(found)} photographs, so nothing is known '
                         'of where its corners are')
    if len(pictures) < len(found):
        print(f'left out, as OpenCV does not find the board in them: {len(found) - len(pictures)} of {len(found)}')
    return pictures
