"""Trajectories of several front-ends over their ground truth, a panel for each bag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Estimate:
    """A trajectory (N, 3), and the truth at the same times (N, 3) that it is aligned with, if it is known."""

    label: str
    positions: np.ndarray
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class Panel:
    """What is drawn of a bag; ``unit`` is written at the axis."""

    title: str
    unit: str
    estimates: Sequence[Estimate]


def draw_trajectories(path: Path, panels: Sequence[Panel]) -> None:
    """Write a PNG; every bag is seen along the direction of least motion."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.4 * rows), dpi=110, layout='constrained')
    for number, panel in enumerate(panels, 1):
        _draw(figure.add_subplot(rows, columns, number), panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))


def _draw(axes: Axes, panel: Panel) -> None:
    truths = [one.truth for one in panel.estimates if one.truth is not None]
    base = max(truths or [one.positions for one in panel.estimates], key=len)
    if not len(base):
        axes.set_title(f'{panel.title}: never tracked')
        return
    centre = base.mean(0)
    plane = np.linalg.svd(base - centre, full_matrices=False)[2][:2] if len(base) > 2 else np.eye(3)[:2]
    if truths:
        axes.plot(*((base - centre) @ plane.T).T, color='0.2', linewidth=3, alpha=0.35, label='truth')
    for one in panel.estimates:
        axes.plot(*((one.positions - centre) @ plane.T).T, '.-', linewidth=1, markersize=3, label=one.label)
    axes.set_title(panel.title)
    axes.set_xlabel(panel.unit)
    axes.axis('equal')
    axes.grid(alpha=0.3)
    axes.legend(fontsize='small')
