"""The overview of a run in one picture: matches, keypoints, depth, trajectory and how tracking went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from superslam_ros.data import Features, Matches
from superslam_ros.pictures.panels import ESTIMATE, FAINT, INK, PAPER, Story, draw_timeline, draw_trajectory

_SCORES = LinearSegmentedColormap.from_list('scores', ['#1f6feb', '#2dd4bf', '#f5f06a'])
_DEPTHS = LinearSegmentedColormap.from_list('depths', ['#ff7b54', '#f9c74f', '#2dd4bf', '#1f6feb', '#5a3fc0'])
_INCHES, _DPI = 16.0, 120
_LEFT_PART = 0.63
_MOST_LINES = 90
_MOST_PIXELS = 2000
"""Along the longer side of an image; its panel has fewer."""


@dataclass
class Scene:
    """The frame that is shown: with its reference image, its matches, and what is known of depth."""

    image: np.ndarray
    features: Features
    reference: np.ndarray
    temporal: Matches
    depth_points: np.ndarray
    depths_m: np.ndarray


def draw_overview(path: Path, scene: Scene, story: Story) -> None:
    """Write the overview as PNG."""
    aspect = scene.image.shape[1] / scene.image.shape[0]
    columns = 1 if aspect > 2 else 2
    rows = 3 if columns == 1 else 2
    panel_width = (_INCHES * _LEFT_PART - 0.35 - 0.12 * (columns - 1)) / columns
    panel_height = panel_width / aspect
    height = max(rows * (panel_height + 0.34) + 1.15, 6.2)
    figure = _figure(_INCHES, height)
    _heading(figure, height, story)
    boxes = _boxes(height, rows, columns, panel_width, panel_height)
    _draw_matches(figure, [figure.add_axes(box) for box in boxes[:2]], scene)
    panels = [figure.add_axes(box) for box in boxes[2:]]
    _draw_keypoints(panels[0], scene)
    if len(panels) > 1:
        _draw_depth(panels[1], scene)
    left, low, strip = _LEFT_PART + 0.045, 0.62 / height, 1.35 / height
    middle = low + strip + 0.95 / height
    draw_trajectory(figure.add_axes((left, middle, 0.985 - left, 1 - 1.1 / height - middle)), story)
    draw_timeline(figure.add_axes((left, low, 0.985 - left, strip)), story)
    figure.savefig(path, dpi=_DPI, facecolor=PAPER, metadata={'Software': None})


def draw_matches(path: Path, image0: np.ndarray, image1: np.ndarray, matches: Matches, title: str) -> None:
    """Write two images side by side with lines between what matches, as PNG."""
    aspect = max(image.shape[1] / image.shape[0] for image in (image0, image1))
    stacked = aspect > 2
    width = _INCHES - 0.5 if stacked else (_INCHES - 0.62) / 2
    panel = width / aspect
    height = (2 * (panel + 0.34) if stacked else panel + 0.34) + 0.75
    figure = _figure(_INCHES, height)
    figure.text(
        0.25 / _INCHES, 1 - 0.42 / height, _plain(title), color=INK, fontsize=17, fontweight='bold', va='center'
    )
    boxes = _boxes(height, 2 if stacked else 1, 1 if stacked else 2, width, panel, head=0.75)
    scene = Scene(image1, Features(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), (1, 1)), image0, matches,
                  np.zeros((0, 2)), np.zeros(0))
    captions = ('image 0', f'image 1 · {len(matches)} matches')
    _draw_matches(figure, [figure.add_axes(box) for box in boxes], scene, captions, most=400)
    figure.savefig(path, dpi=_DPI, facecolor=PAPER, metadata={'Software': None})


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    """Keep dollar signs of names from being read as mathematics."""
    return text.replace('$', r'\$')


def _boxes(
    height: float, rows: int, columns: int, panel_width: float, panel_height: float, head: float = 1.1
) -> list[tuple[float, float, float, float]]:
    boxes = []
    for row in range(rows):
        for column in range(columns):
            x = 0.25 + column * (panel_width + 0.12)
            y = height - head - (row + 1) * panel_height - row * 0.34
            boxes.append((x / _INCHES, y / height, panel_width / _INCHES, panel_height / height))
    return boxes


def _heading(figure: Figure, height: float, story: Story) -> None:
    figure.text(
        0.25 / _INCHES,
        1 - 0.40 / height,
        _plain(story.title),
        color=INK,
        fontsize=22,
        fontweight='bold',
        va='center',
    )
    figure.text(
        0.25 / _INCHES,
        1 - 0.78 / height,
        _plain('   ·   '.join(story.facts)),
        color=FAINT,
        fontsize=12.5,
        va='center',
    )
    left = _LEFT_PART + 0.045
    for number, (value, label) in enumerate(story.figures):
        x = left + number * (0.985 - left) / 3
        figure.text(x, 1 - 0.40 / height, value, color=ESTIMATE, fontsize=19, fontweight='bold', va='center')
        figure.text(x, 1 - 0.78 / height, label, color=FAINT, fontsize=10.5, va='center')


def _show(axes: Axes, image: np.ndarray, caption: str, dim: float = 0.9) -> None:
    height, width = image.shape
    if max(image.shape) > _MOST_PIXELS:     # Matplotlib takes 30 times the memory of what it is given
        factor = _MOST_PIXELS / max(image.shape)
        image = cv2.resize(image, (max(1, round(width * factor)), max(1, round(height * factor))),
                           interpolation=cv2.INTER_AREA)
    axes.imshow(image.astype(np.float32) * dim, cmap='gray', vmin=0, vmax=255, interpolation='lanczos',
                extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set_axis_off()
    axes.text(0, -0.02, caption, transform=axes.transAxes, color=FAINT, fontsize=10.5, va='top')


def _draw_matches(
    figure: Figure, axes: Sequence[Axes], scene: Scene,
    captions: tuple[str, str] = ('reference keyframe', ''), most: int = _MOST_LINES,
) -> None:
    """Show two images and lines between them, the strongest matches spread over the image."""
    matches = scene.temporal
    _show(axes[0], scene.reference, captions[0])
    _show(axes[1], scene.image, captions[1] or f'current frame · {len(matches)} matches')
    kept = _spread(matches.keypoints0, matches.scores, most, scene.reference.shape)
    colours = _SCORES(_stretched(matches.scores[kept]))
    order = matches.keypoints0[kept]
    for a, b, colour in zip(order, matches.keypoints1[kept], colours):
        figure.add_artist(ConnectionPatch(
            a, b, 'data', 'data', axesA=axes[0], axesB=axes[1], color=colour, alpha=0.55, linewidth=0.8))
    for panel, points in ((axes[0], order), (axes[1], matches.keypoints1[kept])):
        panel.scatter(*points.T, s=9, c=colours, linewidths=0, zorder=3)


def _draw_keypoints(axes: Axes, scene: Scene) -> None:
    features = scene.features
    _show(axes, scene.image, f'{len(features)} keypoints · colour: confidence, size: scale', 0.8)
    order = np.argsort(features.scores, kind='stable')
    colours = _SCORES(_stretched(features.scores[order]))
    sizes = 16 * features.scales[order]**2
    axes.scatter(*features.keypoints[order].T, s=sizes, facecolors='none', edgecolors=colours, linewidths=0.9)


def _draw_depth(axes: Axes, scene: Scene) -> None:
    if not len(scene.depth_points):
        _draw_flow(axes, scene)
        return
    near, far = np.percentile(scene.depths_m, [2, 95])
    _show(axes, scene.image, f'depth of keypoints · {near:.1f} m (orange) to {far:.1f} m (violet)', 0.7)
    level = (np.log(scene.depths_m) - np.log(near)) / max(np.log(far) - np.log(near), 1e-6)
    axes.scatter(*scene.depth_points.T, s=18, c=_DEPTHS(level.clip(0, 1)), linewidths=0)


def _draw_flow(axes: Axes, scene: Scene) -> None:
    _show(axes, scene.image, 'motion of keypoints since the keyframe', 0.7)
    matches = scene.temporal
    lines = np.stack([matches.keypoints0, matches.keypoints1], axis=1)
    axes.add_collection(LineCollection(list(lines), colors=ESTIMATE, linewidths=1.0, alpha=0.8))
    axes.scatter(*matches.keypoints1.T, s=8, c=ESTIMATE, linewidths=0)


def _stretched(scores: np.ndarray) -> np.ndarray:
    """Return ranks in [0, 1], so that every colour is used."""
    if len(scores) < 2:
        return np.ones(len(scores))
    return np.argsort(np.argsort(scores, kind='stable'), kind='stable') / (len(scores) - 1)


def _spread(points: np.ndarray, scores: np.ndarray, most: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return indices of at most ``most`` points, taking the best of every cell of a grid in turn."""
    if len(points) <= most:
        return np.arange(len(points))
    cells = (points / (max(shape) / 14)).astype(int)
    taken: dict[tuple[int, int], int] = {}
    rank = np.zeros(len(points))
    order = np.argsort(-scores, kind='stable')
    for index in order:
        cell = tuple(cells[index])
        rank[index] = taken[cell] = taken.get(cell, -1) + 1
    return order[np.argsort(rank[order], kind='stable')][:most]
