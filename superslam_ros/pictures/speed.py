"""How long the stages take, as bars: a panel for each setting."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, PANEL, PAPER

_OTHERS = re.compile("paper's|SIFT|ORB")
"""In the names of what ours is compared with."""


def draw_speed(path: Path, measured: Mapping[str, Mapping[str, float]]) -> None:
    """Write a PNG.

    :param measured: milliseconds by stage, by setting.
    """
    names = list(dict.fromkeys(name for rows in measured.values() for name in rows))
    figure = Figure(figsize=(3 + 4.2 * len(measured), 1.1 + 0.36 * len(names)), dpi=115, layout='constrained',
                    facecolor=PAPER)
    for number, (setting, rows) in enumerate(measured.items(), 1):
        axes = figure.add_subplot(1, len(measured), number, facecolor=PANEL)
        values = [rows.get(name, float('nan')) for name in names]
        axes.barh(range(len(names)), values, height=0.7,
                  color=[FAINT if _OTHERS.search(name) else ESTIMATE for name in names])
        for place, value in enumerate(values):
            if value == value:
                axes.text(value, place, f' {value:.0f}' if value >= 10 else f' {value:.1f}', color=INK, va='center')
        axes.set_yticks(range(len(names)), [textwrap.fill(name, 45) for name in names])
        axes.invert_yaxis()
        axes.set_xscale('log')
        axes.set_xlim(right=3 * max(value for value in values if value == value))
        axes.xaxis.set_major_formatter('{x:g}')
        axes.set_title(setting, color=INK)
        axes.set_xlabel('ms, median', color=INK)
        axes.tick_params(colors=INK, labelleft=number == 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
