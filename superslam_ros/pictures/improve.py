"""The report of `superslam improve`: one page with tables and pictures, which needs no other file."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

RIGHT, WRONG = (80, 200, 60), (60, 60, 230)     # BGR
_LINES, _WIDTH, _QUALITY = 120, 1200, 85
_SIDE = 480
"""Smaller images are enlarged, so that lines are thin beside what they join."""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em;
       color: #1f2328; background: #fff; }
.verdict { padding: .8em 1em; border-left: .4em solid; background: #f6f8fa; }
.accepted { border-color: #1a7f37; } .refused { border-color: #cf222e; }
table { border-collapse: collapse; margin: 1em 0; } caption { text-align: left; font-weight: 600; padding: .3em 0; }
td, th { padding: .25em .9em; border-bottom: 1px solid #d1d9e0; text-align: right; font-variant-numeric: tabular-nums; }
td:first-child, th:first-child, td.text { text-align: left; }
figure { margin: 1.2em 0; } figure img { max-width: 100%; } figcaption, .note { color: #59636e; font-size: .9em; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; } .verdict { background: #161b22; } td, th { border-color: #30363d; }
  figcaption, .note { color: #9198a1; } }
"""


@dataclass(frozen=True)
class Table:
    """Rows of which the first cell is a name; numbers are shown with three digits, None and NaN as a dash."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ''


@dataclass(frozen=True, eq=False)
class Picture:
    """(H, W, 3) uint8 BGR with what is to be seen."""

    caption: str
    image: np.ndarray


@dataclass
class Page:
    """What is reported, in this order; sections have a heading and tables or pictures."""

    title: str
    accepted: bool
    reason: str
    sections: list[tuple[str, list[Table | Picture]]] = field(default_factory=list)


def write(path: Path, page: Page) -> None:
    """Write the page; the same content gives the same bytes.

    :raises OSError: when it cannot be written.
    """
    verdict = 'accepted' if page.accepted else 'refused'
    body = [f'<h1>{html.escape(page.title)}</h1>',
            f'<p class="verdict {verdict}"><strong>{verdict.capitalize()}.</strong> {html.escape(page.reason)}</p>']
    for heading, parts in page.sections:
        body.append(f'<h2>{html.escape(heading)}</h2>')
        body += [_table(part) if isinstance(part, Table) else _figure(part) for part in parts]
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(page.title)}</title><style>{_STYLE}</style></head>\n<body>\n'
        + '\n'.join(body) + '\n</body></html>\n', encoding='utf-8')


def draw_pair(
    image0: np.ndarray, image1: np.ndarray, keypoints0: np.ndarray, keypoints1: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Return (H, W, 3) BGR: two (H, W) uint8 images side by side, right matches in green over wrong ones in red.

    An even selection of 120 matches is drawn; images of less than 480 pixels across are enlarged.
    """
    scale = max(1, round(_SIDE / image0.shape[1]))
    image0, image1 = (cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
                      for image in (image0, image1))
    width = image0.shape[1]
    canvas = np.zeros((max(len(image0), len(image1)), width + image1.shape[1]), np.uint8)
    canvas[:len(image0), :width], canvas[:len(image1), width:] = image0, image1
    canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)
    step = max(1, math.ceil(len(right) / _LINES))
    ends = np.rint((np.hstack([keypoints0, keypoints1]) + 0.5) * scale - 0.5).astype(int)
    for chosen, colour in ((~right, WRONG), (right, RIGHT)):
        for x0, y0, x1, y1 in ends[chosen][::step].tolist():
            cv2.line(canvas, (x0, y0), (x1 + width, y1), colour, 1, cv2.LINE_AA)
    return canvas


def beneath(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures of one width, one beneath the other."""
    return np.concatenate(list(pictures))


def _table(table: Table) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        kinds = (' class="text"' if ' ' in str(cell) else '' for cell in cells)
        return '<tr>' + ''.join(f'<{tag}{kind}>{html.escape(_text(cell))}</{tag}>'
                                for cell, kind in zip(cells, kinds)) + '</tr>'

    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ''
    return (f'<table><caption>{html.escape(table.title)}</caption>{row(table.columns, "th")}'
            + ''.join(row(cells, 'td') for cells in table.rows) + f'</table>{note}')


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return '–'
    return f'{value:.3f}' if isinstance(value, float) else str(value)


def _figure(picture: Picture) -> str:
    image, caption = picture.image, html.escape(picture.caption)
    if image.shape[1] > _WIDTH:
        height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
        image = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    data = base64.b64encode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()).decode()
    return (f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{data}"><figcaption>{caption}</figcaption>'
            '</figure>')
