"""``superslam charuco board``: boards to print, and the file that describes them."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from superslam_ros.cli.charuco import images


def add(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    text = 'write a board to print, as SVG and PDF true to scale, and the file that describes it'
    parser = subparsers.add_parser('board', help=text, description=text)
    images.add_board(parser, required=False)
    parser.add_argument('--name', default='board', help='of the board (default board)')
    parser.add_argument('--squares', default='5x7', metavar='XxY', help='across and down (default 5x7)')
    parser.add_argument('--square-m', type=float, default=0.036, metavar='M', help='side of a square (default 0.036)')
    parser.add_argument('--marker-m', type=float, metavar='M', help='side of a marker (default 3/4 of a square)')
    parser.add_argument('--dictionary', default='DICT_5X5_100', help='default DICT_5X5_100')
    parser.add_argument('--first-id', type=int, default=0, metavar='N', help='of the markers (default 0)')
    parser.add_argument('--legacy', action='store_true', help='the pattern that OpenCV drew up to 4.5')
    parser.add_argument('--inverted', action='store_true', help='black and white exchanged')
    parser.add_argument('--paper', default='A4', metavar='SIZE',
                        help='A0 to A5, letter, legal, tabloid, or WIDTHxHEIGHT in mm (default A4)')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR')
    parser.set_defaults(handler=board)


def board(arguments: argparse.Namespace) -> int:
    """Write the sheets, and the file."""
    from superslam_ros.boards.board import Board
    from superslam_ros.boards.files import read_boards
    from superslam_ros.pictures import board_sheet

    if arguments.board:
        boards = list(read_boards(arguments.board).values())
    else:
        squares = re.fullmatch(r'(\d+)x(\d+)', arguments.squares)
        if not squares:
            raise ValueError(f'--squares {arguments.squares}: must be ACROSSxDOWN, as 5x7')
        marker_m = arguments.marker_m or round(0.75 * arguments.square_m, 6)
        boards = [Board(arguments.name, int(squares[1]), int(squares[2]), arguments.square_m, marker_m,
                        arguments.dictionary, arguments.first_id, arguments.legacy, arguments.inverted)]
    for one in boards:
        board_sheet.page_size(one, arguments.paper)     # before anything is written
    for one in boards:
        for suffix in ('svg', 'pdf'):
            board_sheet.draw_sheet(arguments.out / f'{one.name}.{suffix}', one, arguments.paper)
        print(f'{arguments.out / one.name}.svg, .pdf: {board_sheet.describe(one)}, on {arguments.paper}')
    if not arguments.board:
        print(_write_file(arguments.out / f'{arguments.name}.yaml', boards[0]))
    return 0


def _write_file(path: Path, board) -> Path:
    import yaml

    from superslam_ros.boards.files import KEYS

    values = {key: getattr(board, key) for key in KEYS}
    path.write_text(yaml.safe_dump({'boards': {board.name: values}}, sort_keys=False), encoding='utf-8')
    return path
