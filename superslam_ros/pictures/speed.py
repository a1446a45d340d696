"""How long the stages take, as bars: a panel for each setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, PANEL, PAPER


def draw_speed(path: Path, measured: Mapping[str, Mapping[str, float]]) -> None:
    """Write a PNG.

    :param measured: milliseconds by stage, by setting.
    """
    names = list(dict.fromkeys(name for rows in measured.values() for name in rows))
    figure = Figure(figsize=(4 + 4.2 * len(measured), 1.2 + 0.36 * len(names)), dpi=110, layout='constrained',
                    facecolor=PAPER)
    for number, (setting, rows) in enumerate(measured.items(), 1):
        axes = figure.add_subplot(1, len(measured), number, facecolor=PANEL)
        values = [rows.get(name, float('nan')) for name in names]
        axes.barh(names, values, color=[ESTIMATE if name.startswith('odometry') else FAINT for name in names])
        for place, value in enumerate(values):
            if value == value:
                axes.text(value, place, f' {value:.1f}', color=INK, va='center', fontsize='small')
        axes.invert_yaxis()
        axes.set_xscale('log')
        axes.set_xlim(right=3 * max(value for value in values if value == value))
        axes.set_title(setting, color=INK)
        axes.set_xlabel('ms, median', color=INK)
        axes.tick_params(colors=INK, labelleft=number == 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))
