"""Boards to print: SVG and PDF, true to scale, with what is printed on them and a ruler."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

from superslam_ros.boards.board import Board
from superslam_ros.boards.drawing import outlines

PAPERS = {'A0': (841, 1189), 'A1': (594, 841), 'A2': (420, 594), 'A3': (297, 420), 'A4': (210, 297), 'A5': (148, 210),
          'letter': (215.9, 279.4), 'legal': (215.9, 355.6), 'tabloid': (279.4, 431.8)}
"""Width and height upright (mm)."""
MARGIN_MM = 8.0
"""What printers leave blank."""
FOOT_MM = 21.0
"""Below the board, for the description and the ruler."""
RULER_MM = 100
_INCH = 25.4


def page_size(board: Board, paper: str) -> tuple[float, float]:
    """Return width and height (mm) of the page on which a board is printed: upright, or turned where it fits only so.

    :param paper: one of :data:`PAPERS`, or WIDTHxHEIGHT in mm.
    :raises ValueError: when there is no such paper, or the board does not fit; with what would.
    """
    width, height = _paper(paper)
    for page in ((width, height), (height, width)):
        if _fits(board, page, 1):
            return page
    needed, remedies = _needed(board, 1), []
    larger = [name for name, size in PAPERS.items() if _fits(board, size, 1) or _fits(board, size[::-1], 1)]
    if larger:
        inches = paper.lower() in ('letter', 'legal', 'tabloid')
        remedies.append(min(larger, key=lambda name: (name.islower() != inches, math.prod(PAPERS[name]))))
    largest = max(_largest_square_mm(board, page) for page in ((width, height), (height, width)))
    if largest > 0:
        remedies.append(f'squares of {largest:g} mm at most')
    raise ValueError(
        f'board {board.name} needs {needed[0]:.0f}x{needed[1]:.0f} mm with margins and ruler, {paper} has '
        f'{width:g}x{height:g} mm: take {" or ".join(remedies) or "a larger paper"}')


def draw_sheet(path: Path, board: Board, paper: str = 'A4') -> None:
    """Write a board as a page, .svg or .pdf by the name of the file.

    :raises ValueError: see :func:`page_size`.
    """
    width, height = page_size(board, paper)
    figure = Figure(figsize=(width / _INCH, height / _INCH), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    size = _size_mm(board)
    left, top = (width - size[0]) / 2, (height - FOOT_MM - size[1]) / 2
    _fill(axes, [1000 * loop + [left, top] for loop in outlines(board)])
    _foot(axes, board, left=(width - min(size[0], width - 2 * MARGIN_MM)) / 2, y=top + size[1] + 5, width=width)
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({'svg.hashsalt': board.name, 'pdf.fonttype': 42}):
        if path.suffix == '.svg':
            FigureCanvasSVG(figure).print_svg(str(path), metadata={'Date': None, 'Title': describe(board)})
        else:
            FigureCanvasPdf(figure).print_pdf(str(path), metadata={'CreationDate': None, 'Title': describe(board)})


def describe(board: Board) -> str:
    """Return what a board is, in a line."""
    markers = f'{board.dictionary} from id {board.first_id}'
    pattern = ', legacy pattern' if board.layouts[0] else ''
    inverted = ', inverted' if board.inverted else ''
    return (f'{board.name}: {board.squares_x}x{board.squares_y} squares of {1000 * board.square_m:g} mm, markers '
            f'{1000 * board.marker_m:g} mm, {markers}{pattern}{inverted}')


def _fill(axes: Axes, loops: list[np.ndarray]) -> None:
    """Fill closed polygons (K, 2), holes being those that run the other way round."""
    codes = [code for loop in loops
             for code in (Outline.MOVETO, *[Outline.LINETO] * (len(loop) - 1), Outline.CLOSEPOLY)]
    points = np.concatenate([np.vstack([loop, loop[:1]]) for loop in loops])
    axes.add_patch(PathPatch(Outline(points, codes), facecolor='black', linewidth=0, antialiased=False))


def _foot(axes: Axes, board: Board, left: float, y: float, width: float) -> None:
    """Draw the description, how to print, and the ruler."""
    size = _size_mm(board)
    lines = (describe(board), f'Print at 100 %, not fitted to the page. The squares cover {size[0]:g} x {size[1]:g} '
             f'mm, and the ruler is {RULER_MM} mm: measure both.')
    longest = max(len(line) for line in lines)
    points = min(8.0, (width - left - MARGIN_MM) / longest * 5.3)
    for number, line in enumerate(lines):
        axes.text(left, y + 4 * number, line, fontsize=points, color='black', va='center')
    y += 12
    axes.plot([left, left + RULER_MM], [y, y], color='black', linewidth=0.5, solid_capstyle='butt')
    for mm in range(0, RULER_MM + 1, 5):
        axes.plot([left + mm] * 2, [y, y - (2.5 if mm % 10 == 0 else 1.5)], color='black', linewidth=0.4)
        if mm % 50 == 0:
            axes.text(left + mm, y + 2.5, f'{mm}' + (' mm' if mm == RULER_MM else ''), fontsize=6, color='black',
                      ha='center', va='center')


def _paper(name: str) -> tuple[float, float]:
    known = {paper.lower(): size for paper, size in PAPERS.items()}
    if name.lower() in known:
        return known[name.lower()]
    match = re.fullmatch(r'(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)', name)
    if not match:
        raise ValueError(f'paper {name!r}: expected {", ".join(PAPERS)}, or WIDTHxHEIGHT in mm, as 300x400')
    return float(match[1]), float(match[2])


def _size_mm(board: Board) -> tuple[float, float]:
    return 1000 * board.squares_x * board.square_m, 1000 * board.squares_y * board.square_m


def _needed(board: Board, scale: float) -> tuple[float, float]:
    width, height = _size_mm(board)
    return max(scale * width, RULER_MM + 6) + 2 * MARGIN_MM, scale * height + 2 * MARGIN_MM + FOOT_MM


def _fits(board: Board, page: tuple[float, float], scale: float) -> bool:
    return all(needed <= there + 1e-6 for needed, there in zip(_needed(board, scale), page))


def _largest_square_mm(board: Board, page: tuple[float, float]) -> float:
    """Return the largest side of a square, in halves of a millimetre, with which a board fits; 0 for none."""
    if page[0] < _needed(board, 0)[0]:
        return 0.0
    across, down = page[0] - 2 * MARGIN_MM, page[1] - 2 * MARGIN_MM - FOOT_MM
    return max(0.0, math.floor(2 * min(across / board.squares_x, down / board.squares_y)) / 2)
