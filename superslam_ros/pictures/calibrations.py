"""A calibration in one picture: where the corners are, how well they fit, view by view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from superslam_ros.geometry.calibration import Calibration
from superslam_ros.geometry.camera import from_ideal, ideal, to_ideal
from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, KEYFRAME, PANEL, PAPER, TRUTH

_GRID = '#30363d'
ARROWS = 100.0
"""How much longer than they are the residuals are drawn, at most."""


def draw_calibration(path: Path, found: Calibration, title: str) -> None:
    """Write a PNG: corners and residuals in the image with the lines that the lens bends, residuals, and views."""
    width, height = found.camera.image_size
    figure = Figure(figsize=(15, 15 * 0.6 * height / width + 1.0), dpi=100, facecolor=PAPER)
    figure.text(0.02, 0.965, title.replace('$', r'\$'), color=INK, fontsize=15, fontweight='bold', va='center')
    figure.text(
        0.98, 0.965, f'{sum(map(len, found.views))} corners in {len(found.views)} views · {found.rms_px:.3f} px rms · '
        f'{found.held_out_px:.3f} px on views left out · focal length {found.camera.K[0, 0]:.1f} ± '
        f'{found.focal_sigma_px:.1f} px', color=FAINT, fontsize=11, va='center', ha='right')
    _draw_coverage(figure.add_axes((0.02, 0.07, 0.6, 0.86)), found)
    _draw_residuals(figure.add_axes((0.68, 0.50, 0.30, 0.42)), found)
    _draw_views(figure.add_axes((0.68, 0.09, 0.30, 0.30)), found)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(str(path))


def _draw_coverage(axes: Axes, found: Calibration) -> None:
    _panel(axes)
    width, height = found.camera.image_size
    for line in _bent_lines(found):
        axes.plot(*line.T, color=_GRID, linewidth=0.8)
    pixels, residuals = np.concatenate([view.pixels for view in found.views]), np.concatenate(found.residuals_px)
    longer = min(ARROWS, 0.04 * width / max(float(np.percentile(np.hypot(*residuals.T), 95)), 1e-6))
    axes.quiver(*pixels.T, *residuals.T * longer, angles='xy', scale_units='xy', scale=1, color=KEYFRAME, width=0.0015)
    axes.scatter(*pixels.T, s=5, color=ESTIMATE, linewidths=0)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_aspect('equal')
    axes.set_xlabel(f'corners, residuals {longer:.0f} times as long; lines: straight in the world', color=FAINT,
                    fontsize=10)


def _bent_lines(found: Calibration) -> list[np.ndarray]:
    """Return lines that are straight in the world, as the image shows them."""
    camera = found.camera
    width, height = camera.image_size
    border = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1],
                       [width / 2, 0], [width / 2, height - 1], [0, height / 2], [width - 1, height / 2]], float)
    straight = to_ideal(camera, border, False)
    if not np.isfinite(straight).all():     # a fisheye
        straight = ideal(camera, False).project(np.array([[x, y, 1] for x in (-2, 2) for y in (-2, 2)], float))
    (x0, y0), (x1, y1) = straight.min(0), straight.max(0)
    along = np.linspace(0, 1, 60)
    lines = [np.stack([np.full(60, x), y0 + along * (y1 - y0)], 1) for x in np.linspace(x0, x1, 9)]
    lines += [np.stack([x0 + along * (x1 - x0), np.full(60, y)], 1) for y in np.linspace(y0, y1, 7)]
    return [from_ideal(camera, line, False) for line in lines]


def _draw_residuals(axes: Axes, found: Calibration) -> None:
    _panel(axes)
    x, y = np.concatenate(found.residuals_px).T
    axes.scatter(x, y, s=6, color=ESTIMATE, alpha=0.5, linewidths=0)
    turn = np.linspace(0, 2 * np.pi, 90)
    axes.plot(found.rms_px * np.cos(turn), found.rms_px * np.sin(turn), color=TRUTH, linewidth=1.2)
    reach = 1.1 * max(np.percentile(np.abs([x, y]), 99.5), found.rms_px)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(reach, -reach)
    axes.set_aspect('equal')
    axes.set_xlabel('residuals (px), circle: rms', color=FAINT, fontsize=10)


def _draw_views(axes: Axes, found: Calibration) -> None:
    _panel(axes)
    errors = [float(np.sqrt((left**2).sum(1).mean())) for left in found.residuals_px]
    axes.bar(np.arange(len(errors)), errors, color=ESTIMATE, width=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.axhline(found.held_out_px, color=TRUTH, linewidth=1.2)
    axes.set_xlabel('rms (px) of every view, line: of views left out', color=FAINT, fontsize=10)


def _panel(axes: Axes) -> None:
    axes.set_facecolor(PANEL)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
