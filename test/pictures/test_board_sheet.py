"""Sheets to print: true to scale, and readable for OpenCV's detector."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from superslam_ros.boards.board import Board
from superslam_ros.evaluation.opencv_boards import OpenCvDetector, available
from superslam_ros.pictures.board_sheet import PAPERS, draw_sheet, page_size

POINT_MM = 25.4 / 72
BOARDS = [Board('plain', 5, 7, 0.036, 0.027, 'DICT_6X6_250'),
          Board('old $x$', 6, 4, 0.03, 0.02, 'DICT_4X4_50', 5, True)]


def loops(path: Path) -> list[np.ndarray]:
    """Return the polygons (K, 2) of the board in an SVG file (mm)."""
    text = path.read_text()
    outline = max(re.findall(r' d="([^"]+)"', text), key=len)
    return [np.array([[float(x), float(y)] for x, y in re.findall(r'[ML] (\S+) (\S+)', part)]) * POINT_MM
            for part in outline.split('z') if 'M' in part]


@pytest.mark.parametrize('board', BOARDS, ids=lambda board: board.name)
def test_a_sheet_is_true_to_scale_and_readable(tmp_path: Path, board: Board) -> None:
    draw_sheet(tmp_path / 'sheet.svg', board, 'A4')
    page = page_size(board, 'A4')
    size = re.search(r'width="(\S+)pt" height="(\S+)pt"', (tmp_path / 'sheet.svg').read_text())
    np.testing.assert_allclose([float(size[1]) * POINT_MM, float(size[2]) * POINT_MM], page, atol=0.01)
    found = loops(tmp_path / 'sheet.svg')
    extent = np.ptp(np.concatenate(found), axis=0)
    np.testing.assert_allclose(extent, 1000 * board.square_m * np.array([board.squares_x, board.squares_y]), atol=0.02)
    if available(board):
        scale = 8
        image = np.full([round(scale * side) for side in page[::-1]], 255, np.uint8)
        cv2.fillPoly(image, [np.rint(loop * scale * 16).astype(np.int32) for loop in found], 0, cv2.LINE_AA, 4)
        small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        ids, pixels = OpenCvDetector(board)(small)
        assert len(ids) == len(board.corners_m())
        distances = np.linalg.norm(pixels[1:] - pixels[:-1], axis=1)[np.diff(ids % (board.squares_x - 1)) == 1]
        np.testing.assert_allclose(distances, 1000 * board.square_m * scale / 2, atol=0.3)


def test_a_pdf_has_the_size_of_the_paper(tmp_path: Path) -> None:
    draw_sheet(tmp_path / 'sheet.pdf', BOARDS[0], 'legal')
    box = re.search(rb'/MediaBox \[ ?0 0 (\S+) (\S+) ?\]', (tmp_path / 'sheet.pdf').read_bytes())
    np.testing.assert_allclose([float(side) * POINT_MM for side in box.groups()], PAPERS['legal'], atol=0.1)


def test_the_same_board_gives_the_same_bytes(tmp_path: Path) -> None:
    for suffix in ('svg', 'pdf'):
        for name in 'ab':
            draw_sheet(tmp_path / f'{name}.{suffix}', BOARDS[0], 'A4')
        assert (tmp_path / f'a.{suffix}').read_bytes() == (tmp_path / f'b.{suffix}').read_bytes()


@pytest.mark.parametrize('paper, complaint', [
    ('letter', 'take legal or squares of 34.5 mm'), ('A5', 'take A4 or squares of 24.5 mm'),
    ('150x200', 'has 150x200 mm'), ('100x90', 'take A4$'), ('B5', 'expected A0, A1')])
def test_paper_that_is_too_small_is_refused_with_what_would_do(paper: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        page_size(BOARDS[0], paper)


def test_a_wide_board_turns_the_page() -> None:
    assert page_size(BOARDS[0], 'A4') == (210, 297) and page_size(BOARDS[0], '300x400') == (300, 400)
    assert page_size(Board('wide', 11, 4, 0.024, 0.018, 'DICT_4X4_50'), 'A4') == (297, 210)
