"""What detectors found in degraded pictures, as a grid of small pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, LOST, PAPER, TRUTH

COLUMNS = 5
_WIDTH, _HEAD = 3.2, 0.34
_STYLES = ({'color': TRUTH, 'marker': 's', 's': 22}, {'color': ESTIMATE, 'marker': 'o', 's': 8})
"""Of the last detector, which lies below, and of the first."""


@dataclass(frozen=True)
class Tile:
    """One degraded picture (H, W) uint8: corners right and wrong by detector, (N, 2) pixels, and their recall."""

    title: str
    image: np.ndarray
    right: Mapping[str, np.ndarray]
    wrong: Mapping[str, np.ndarray]
    recall: Mapping[str, float]


def draw_grid(path: Path, tiles: Sequence[Tile], title: str) -> None:
    """Write a PNG."""
    detectors = list(tiles[0].right)
    shape = max((tile.image.shape for tile in tiles), key=lambda shape: shape[0] / shape[1])
    columns, height = min(COLUMNS, len(tiles)), _WIDTH * shape[0] / shape[1] + _HEAD
    rows = math.ceil(len(tiles) / columns)
    size = columns * (_WIDTH + 0.08) + 0.08, rows * height + 0.5
    figure = Figure(figsize=size, dpi=100, facecolor=PAPER)
    figure.text(0.1 / size[0], 1 - 0.25 / size[1], title.replace('$', r'\$'), color=INK, fontsize=13, va='center')
    figure.legend(
        handles=[Line2D([], [], linestyle='', color=_style(n)['color'], marker=_style(n)['marker'], label=name)
                 for n, name in enumerate(detectors)] + [Line2D([], [], linestyle='', color=LOST, marker='x',
                                                                label='wrong')],
        loc='upper right', ncol=len(detectors) + 1, frameon=False, labelcolor=INK, fontsize=10)
    for number, tile in enumerate(tiles):
        left, top = 0.08 + number % columns * (_WIDTH + 0.08), 0.5 + number // columns * height
        axes = figure.add_axes((left / size[0], 1 - (top + height - 0.04) / size[1], _WIDTH / size[0],
                                (height - _HEAD) / size[1]))
        _draw(axes, tile, detectors)
        recalls = '  '.join(f'{tile.recall[name]:.2f}' for name in detectors)
        figure.text(left / size[0], 1 - (top + 0.18) / size[1], tile.title, color=INK, fontsize=10, va='center')
        figure.text((left + _WIDTH) / size[0], 1 - (top + 0.18) / size[1], recalls, color=FAINT, fontsize=10,
                    va='center', ha='right')
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))


def _draw(axes, tile: Tile, detectors: Sequence[str]) -> None:
    axes.imshow(tile.image, cmap='gray', vmin=0, vmax=255, interpolation='antialiased')
    axes.set_axis_off()
    for number, name in reversed(list(enumerate(detectors))):
        axes.scatter(*tile.right[name].T, linewidths=0.9, facecolors='none',
                     edgecolors=_style(number)['color'], **{k: v for k, v in _style(number).items() if k != 'color'})
        axes.scatter(*tile.wrong[name].T, color=LOST, marker='x', s=26, linewidths=1.2)
    axes.set_xlim(-0.5, tile.image.shape[1] - 0.5)
    axes.set_ylim(tile.image.shape[0] - 0.5, -0.5)


def _style(number: int) -> dict:
    return _STYLES[1 if number == 0 else 0]
