"""Evaluations for people: tables on the terminal, JSON files, pictures of matches."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from superslam_ros.data import Matches
from superslam_ros.evaluation import homography, measures, relative_pose
from superslam_ros.evaluation.sequences import Pair

RIGHT, WRONG = (80, 200, 60), (60, 60, 230)     # BGR
POSE_FIGURES = {
    'auc_5': 'AUC 5 deg', 'auc_10': 'AUC 10 deg', 'auc_20': 'AUC 20 deg', 'rotation_5': 'rotation within 5 deg',
    'precision': 'precision', 'matching_score': 'matching score', 'matches': 'matches',
}
MOST_LINES = 400
TITLE_HEIGHT = 22


class Distinct:
    """Makes names distinct: the second "a" is "a (2)"."""

    def __init__(self) -> None:
        """Begin without names."""
        self._seen: Counter[str] = Counter()

    def __call__(self, name: str) -> str:
        """Return the name, numbered where it has been before."""
        self._seen[name] += 1
        return name if self._seen[name] == 1 else f'{name} ({self._seen[name]})'


def show(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]],
    lower: Collection[str] = (), across: bool = False,
) -> None:
    """Print a table whose first column names the row, the best figure of each column in bold.

    :param lower: the columns in which less is better.
    :param across: compare the figures of a row instead; ``lower`` then names rows.
    """
    table = Table(title=title, title_justify='left')
    for number, column in enumerate(columns):
        table.add_column(column, justify='right' if number else 'left')
    figures = [list(row[1:]) for row in rows]
    if across:
        bold = [_best(row, names[0] in lower) for row, names in zip(figures, rows)]
    else:
        by_column = [_best(column, name in lower) for column, name in zip(zip(*figures), columns[1:])]
        bold = [[marks[row] for marks in by_column] for row in range(len(rows))]
    for row, marks in zip(rows, bold):
        cells = [f'[bold]{_text(value)}[/bold]' if mark else _text(value)
                 for value, mark in zip(row[1:], marks)]
        table.add_row(str(row[0]), *cells)
    Console().print(table)


def _best(values: Sequence[Any], lower: bool) -> list[bool]:
    numbers = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    if len(numbers) < 2:
        return [False] * len(values)
    best = min(numbers) if lower else max(numbers)
    return [value == best for value in values]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.3f}' if math.isfinite(value) else '-'
    return str(value)


def show_poses(
    title: str, results: dict[str, list[relative_pose.PoseResult]], orders: int = 1
) -> dict[str, dict[str, Any]]:
    """Print the table of front-ends and return their figures, ready for JSON.

    :param orders: so many results in succession are of the same pair.
    """
    first, *others = results
    summaries = {name: relative_pose.summarise(found) for name, found in results.items()}
    rows = [[name, *(summary[key] for summary in summaries.values())] for key, name in POSE_FIGURES.items()]
    figures = {name: homography.plain(summary) for name, summary in summaries.items()}
    leads = ['']
    for name in others:
        lead, margin = relative_pose.lead(results[first], results[name], orders)
        figures[name].update(lead_of_first=round(lead, 6), lead_margin=round(margin, 6))
        leads.append(f'{lead:+.3f} ±{margin:.3f}'.replace('0.', '.'))
    if others:
        rows.insert(2, [f'  lead of {first}', *leads])
    show(title, ['', *summaries], rows, across=True)
    return figures


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file; the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def draw_matches(pair: Pair, matches: Matches, title: str) -> np.ndarray:
    """Return (H, W, 3) BGR: a title, both images side by side, right matches in green over wrong ones in red.

    :param pair: with its images at the size that was matched.
    """
    right = measures.right_matches(matches.keypoints0, matches.keypoints1, pair.H_1_0)
    # An even selection of both kinds, the wrong ones first so that they lie below.
    step = max(1, math.ceil(len(matches) / MOST_LINES))
    order = np.concatenate([np.flatnonzero(~right)[::step], np.flatnonzero(right)[::step]])
    colours = [RIGHT if right[number] else WRONG for number in order]
    return _draw(pair.image0, pair.image1, matches.select(order), colours, title)


def draw_confidences(image0: np.ndarray, image1: np.ndarray, matches: Matches, title: str) -> np.ndarray:
    """Return the same of two (H, W) uint8 images, from red (confidence 0) over yellow to green (1, on top)."""
    order = np.argsort(matches.scores, kind='stable')[::max(1, math.ceil(len(matches) / MOST_LINES))]
    colours = [(60, round(230 * min(1, 2 * score)), round(230 * min(1, 2 - 2 * score)))
               for score in np.clip(matches.scores[order], 0, 1).tolist()]
    return _draw(image0, image1, matches.select(order), colours, title)


def _draw(
    image0: np.ndarray, image1: np.ndarray, matches: Matches, colours: Sequence[tuple[int, int, int]], title: str
) -> np.ndarray:
    width = image0.shape[1]
    canvas = np.zeros((max(image0.shape[0], image1.shape[0]), width + image1.shape[1]), np.uint8)
    canvas[:image0.shape[0], :width] = image0
    canvas[:image1.shape[0], width:] = image1
    canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)
    ends = np.round(np.hstack([matches.keypoints0, matches.keypoints1])).astype(int).tolist()
    for (x0, y0, x1, y1), colour in zip(ends, colours):
        cv2.line(canvas, (x0, y0), (x1 + width, y1), colour, 1, cv2.LINE_AA)
    strip = np.zeros((TITLE_HEIGHT, canvas.shape[1], 3), np.uint8)
    cv2.putText(strip, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([strip, canvas])


def write_picture(path: Path, rows: Sequence[np.ndarray]) -> None:
    """Write pictures of one width below each other.

    :raises OSError: when the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.concatenate(rows)):
        raise OSError(f'{path} cannot be written')
