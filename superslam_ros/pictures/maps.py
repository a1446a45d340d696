"""A map from above: landmarks, the way of each session, loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP
from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, LOST, PANEL, PAPER, TRUTH

_SESSIONS = (ESTIMATE, TRUTH, '#8f7bff', '#58a6ff', '#f778ba', '#7ee787')
_SHOWN = 0.98
"""Part of the landmarks that the picture has room for; a few far ones would shrink everything else."""
_HEIGHTS, _INKED, _UPWARD = (4.0, 9.0), 9000, 0.5
"""Inches that the picture is high; square points of landmarks, all together; part of the way across that the camera
went up and down, from which on it is seen from the side."""


def draw_map(path: Path, kept: Map, title: str) -> None:
    """Write a PNG of a map as seen from above or, where the camera went up and down, from the side.

    :raises ValueError: when there is nothing in it.
    """
    if not kept.keyframes:
        raise ValueError(f'{title}: the map has no keyframes')
    places = np.stack([one.T_map_camera[:3, 3] for one in kept.keyframes.values()])
    points = kept.points_of(kept.landmarks.living())
    across, up = _plane(places)
    low, high = _extent(np.vstack([places, points])[:, [across, up]], places[:, [across, up]])
    shape = float((high - low)[1] / (high - low)[0])
    figure = Figure(figsize=(11, float(np.clip(10 * shape + 1, *_HEIGHTS))), dpi=110, facecolor=PAPER,
                    layout='constrained')
    axes = figure.add_subplot()
    _dress(axes, kept.metric)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    size = float(np.clip(_INKED / max(1, len(points)), 1.5, 8.0))       # few are to be seen as well as many
    axes.scatter(points[:, across], points[:, up], s=size, c='#8b949e', alpha=0.5, linewidths=0)
    _draw_sessions(axes, kept, across, up)
    _draw_loops(axes, kept, across, up)
    loops = sum(edge.kind == LOOP and edge.inlier for edge in kept.edges)
    axes.set_title(f'{title}: {len(kept.keyframes)} keyframes, {len(points)} landmarks, {loops} loops', color=INK,
                   loc='left')
    axes.legend(facecolor=PANEL, edgecolor=PANEL, labelcolor=INK, fontsize='small')
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path), metadata={'Software': None})


def _plane(places: np.ndarray) -> tuple[int, int]:
    """Return the axes to draw: without z, or without the one of the least extent where that of z is large."""
    extent = np.ptp(places, axis=0)
    least = int(np.argmin(extent)) if extent[2] > _UPWARD * extent[:2].max() else 2
    return tuple(axis for axis in range(3) if axis != least)


def _dress(axes: Axes, metric: bool) -> None:
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=FAINT)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(color='#30363d', linewidth=0.6)
    axes.set_aspect('equal')
    axes.set_xlabel('m' if metric else 'units', color=FAINT)


def _draw_sessions(axes: Axes, kept: Map, across: int, up: int) -> None:
    for number, (session, about) in enumerate(sorted(kept.sessions.items())):
        mine = [one.T_map_camera[:3, 3] for one in kept.keyframes.values() if one.session == session]
        if mine:
            way = np.stack(mine)
            axes.plot(way[:, across], way[:, up], '.-', color=_SESSIONS[number % len(_SESSIONS)], linewidth=1.4,
                      markersize=4, label=about.name or f'session {session}')


def _draw_loops(axes: Axes, kept: Map, across: int, up: int) -> None:
    places = {number: one.T_map_camera[[across, up], 3] for number, one in kept.keyframes.items()}
    loops = [(places[edge.start], places[edge.end]) for edge in kept.edges if edge.kind == LOOP and edge.inlier]
    if loops:
        axes.add_collection(LineCollection(loops, colors=LOST, linewidths=1.6, label='loops', zorder=3))


def _extent(everything: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners (2,) of what is shown: all keyframes, and the landmarks but for the farthest."""
    low, high = np.quantile(everything, [(1 - _SHOWN) / 2, (1 + _SHOWN) / 2], axis=0)
    low, high = np.minimum(low, places.min(0)), np.maximum(high, places.max(0))
    margin = 0.05 * max(1e-3, float((high - low).max()))
    return low - margin, high + margin
