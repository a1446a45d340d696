"""The overview of a run in one picture: matches, keypoints, depth, trajectory and how tracking went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from superslam_ros.data import Features, Matches, TrackingState

_PAPER, _PANEL, _INK, _FAINT = '#0d1117', '#161b22', '#e6edf3', '#7d8590'
_ESTIMATE, _TRUTH, _LOST, _KEYFRAME = '#2dd4bf', '#f0b72f', '#ff6b6b', '#f0b72f'
_SCORES = LinearSegmentedColormap.from_list('scores', ['#1f6feb', '#2dd4bf', '#f5f06a'])
_DEPTHS = LinearSegmentedColormap.from_list('depths', ['#ff7b54', '#f9c74f', '#2dd4bf', '#1f6feb', '#5a3fc0'])
_INCHES, _DPI = 16.0, 120
_LEFT_PART = 0.63
_MOST_LINES = 90


@dataclass
class Scene:
    """The frame that is shown: with its reference image, its matches, and what is known of depth."""

    image: np.ndarray
    features: Features
    reference: np.ndarray
    temporal: Matches
    depth_points: np.ndarray
    depths_m: np.ndarray
    metric: bool = True


@dataclass
class Story:
    """Everything the picture tells besides the scene.

    ``figures`` are (value, label) pairs set large; ``trajectory`` and ``truth`` are (N, 3) positions in odom,
    ``headings`` (N, 3) viewing directions, ``landmarks`` (L, 3); the lists hold one entry per frame.
    """

    title: str
    facts: Sequence[str]
    figures: Sequence[tuple[str, str]]
    trajectory: np.ndarray
    headings: np.ndarray
    truth: np.ndarray | None
    landmarks: np.ndarray
    states: list[int] = field(default_factory=list)
    matches: list[int] = field(default_factory=list)
    inliers: list[int] = field(default_factory=list)
    keyframes: list[int] = field(default_factory=list)
    metric: bool = True


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
    _draw_trajectory(figure.add_axes((left, middle, 0.985 - left, 1 - 1.1 / height - middle)), story)
    _draw_timeline(figure.add_axes((left, low, 0.985 - left, strip)), story)
    figure.savefig(path, dpi=_DPI, facecolor=_PAPER, metadata={'Software': None})


def draw_matches(path: Path, image0: np.ndarray, image1: np.ndarray, matches: Matches, title: str) -> None:
    """Write two images side by side with lines between what matches, as PNG."""
    aspect = max(image.shape[1] / image.shape[0] for image in (image0, image1))
    stacked = aspect > 2
    width = _INCHES - 0.5 if stacked else (_INCHES - 0.62) / 2
    panel = width / aspect
    height = (2 * (panel + 0.34) if stacked else panel + 0.34) + 0.75
    figure = _figure(_INCHES, height)
    figure.text(
        0.25 / _INCHES, 1 - 0.42 / height, title, color=_INK, fontsize=17, fontweight='bold', va='center'
    )
    boxes = _boxes(height, 2 if stacked else 1, 1 if stacked else 2, width, panel, head=0.75)
    scene = Scene(image1, Features(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), (1, 1)), image0, matches,
                  np.zeros((0, 2)), np.zeros(0))
    captions = ('image 0', f'image 1 · {len(matches)} matches')
    _draw_matches(figure, [figure.add_axes(box) for box in boxes], scene, captions, most=400)
    figure.savefig(path, dpi=_DPI, facecolor=_PAPER, metadata={'Software': None})


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor=_PAPER)
    FigureCanvasAgg(figure)
    return figure


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
        story.title,
        color=_INK,
        fontsize=22,
        fontweight='bold',
        va='center',
    )
    figure.text(
        0.25 / _INCHES,
        1 - 0.78 / height,
        '   ·   '.join(story.facts),
        color=_FAINT,
        fontsize=12.5,
        va='center',
    )
    left = _LEFT_PART + 0.045
    for number, (value, label) in enumerate(story.figures):
        x = left + number * (0.985 - left) / 3
        figure.text(x, 1 - 0.40 / height, value, color=_ESTIMATE, fontsize=19, fontweight='bold', va='center')
        figure.text(x, 1 - 0.78 / height, label, color=_FAINT, fontsize=10.5, va='center')


def _show(axes: Axes, image: np.ndarray, caption: str, dim: float = 0.9) -> None:
    axes.imshow(image.astype(np.float32) * dim, cmap='gray', vmin=0, vmax=255, interpolation='lanczos')
    axes.set_xlim(-0.5, image.shape[1] - 0.5)
    axes.set_ylim(image.shape[0] - 0.5, -0.5)
    axes.set_axis_off()
    axes.text(0, -0.02, caption, transform=axes.transAxes, color=_FAINT, fontsize=10.5, va='top')


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
    _show(axes, scene.image, f'{len(features)} keypoints · colour: confidence', 0.8)
    order = np.argsort(features.scores, kind='stable')
    colours = _SCORES(_stretched(features.scores[order]))
    axes.scatter(*features.keypoints[order].T, s=16, facecolors='none', edgecolors=colours, linewidths=0.9)


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
    axes.add_collection(LineCollection(list(lines), colors=_ESTIMATE, linewidths=1.0, alpha=0.8))
    axes.scatter(*matches.keypoints1.T, s=8, c=_ESTIMATE, linewidths=0)


def _draw_trajectory(axes: Axes, story: Story) -> None:
    """Show the paths from above, or along the axis of the least extent."""
    _panel(axes)
    across, up = _plane(
        story.trajectory if story.truth is None else np.vstack([story.trajectory, story.truth])
    )
    unit = 'm' if story.metric else 'units'
    if len(story.landmarks):
        axes.scatter(
            story.landmarks[:, across], story.landmarks[:, up], s=2.0, c='#8b949e', alpha=0.35, linewidths=0
        )
    if story.truth is not None:
        axes.plot(story.truth[:, across], story.truth[:, up], color=_TRUTH, linewidth=4.5, alpha=0.55,
                  solid_capstyle='round', label='ground truth')
    axes.plot(
        story.trajectory[:, across], story.trajectory[:, up], color=_ESTIMATE, linewidth=1.8, label='estimate'
    )
    every = max(1, len(story.trajectory) // 12)
    axes.quiver(
        story.trajectory[::every, across], story.trajectory[::every, up], story.headings[::every, across],
        story.headings[::every, up], color=_ESTIMATE, width=0.004, scale=22, headwidth=4, alpha=0.9)
    axes.scatter(
        story.trajectory[:1, across],
        story.trajectory[:1, up],
        s=70,
        facecolors=_PANEL,
        edgecolors=_ESTIMATE,
        linewidths=2,
        zorder=4,
        label='start',
    )
    if len(story.landmarks):
        axes.scatter([], [], s=9, c='#8b949e', linewidths=0, label='landmarks')
    _limits(axes, story, across, up)
    if across == 1:
        axes.invert_xaxis()
    axes.set_xlabel(f'{"xyz"[across]} ({unit})', color=_FAINT, fontsize=10, labelpad=2)
    axes.set_ylabel(f'{"xyz"[up]} ({unit})', color=_FAINT, fontsize=10, labelpad=1)
    corner = _free_corner(axes, story.trajectory[:, [across, up]])
    axes.legend(loc=corner, labelcolor=_INK, fontsize=10, facecolor=_PANEL, edgecolor='none', framealpha=0.8)


def _free_corner(axes: Axes, path: np.ndarray) -> str:
    """Return the corner of the panel that is farthest from the path."""
    inside = axes.transAxes.inverted().transform(axes.transData.transform(path))
    corners = {'upper left': (0, 1), 'upper right': (1, 1), 'lower left': (0, 0), 'lower right': (1, 0)}
    return max(corners, key=lambda name: np.linalg.norm(inside - corners[name], axis=1).min())


def _limits(axes: Axes, story: Story, across: int, up: int) -> None:
    """Frame the path and the bulk of the landmarks, not the strays."""
    points = story.trajectory[:, [across, up]]
    if story.truth is not None:
        points = np.vstack([points, story.truth[:, [across, up]]])
    low, high = points.min(axis=0), points.max(axis=0)
    if len(story.landmarks):
        bulk = np.percentile(story.landmarks[:, [across, up]], [2, 98], axis=0)
        reach = 3 * max(*(high - low), 0.8 if story.metric else 0)
        low = np.minimum(low, np.maximum(bulk[0], low - reach))
        high = np.maximum(high, np.minimum(bulk[1], high + reach))
    # Equal scales: widen the shorter side to the shape of the panel.
    box, figure = axes.get_position(), axes.figure.get_size_inches()
    shape = np.array([box.width * figure[0], box.height * figure[1]])
    half = shape * max(*((high - low) / shape), 1e-3) * 0.56
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def _draw_timeline(axes: Axes, story: Story) -> None:
    _panel(axes)
    frames = np.arange(len(story.matches))
    axes.fill_between(frames, story.matches, color='#1f6feb', alpha=0.4, linewidth=0, label='matches')
    axes.fill_between(frames, story.inliers, color=_ESTIMATE, alpha=0.6, linewidth=0, label='inliers')
    top = max([*story.matches, 1]) * 1.1
    axes.vlines(story.keyframes, 0, top * 0.08, color=_KEYFRAME, linewidth=1.2, label='keyframes')
    lost = np.flatnonzero(np.asarray(story.states) == TrackingState.LOST)
    for number, frame in enumerate(lost):
        axes.axvspan(
            frame - 0.5, frame + 0.5, color=_LOST, alpha=0.45, linewidth=0, label='_' * (number > 0) + 'lost'
        )
    axes.set_xlim(0, max(len(frames) - 1, 1))
    axes.set_ylim(0, top)
    axes.set_xlabel('frame', color=_FAINT, fontsize=10, labelpad=2)
    axes.legend(
        loc='lower left',
        bbox_to_anchor=(-0.01, 0.98),
        ncol=4,
        frameon=False,
        labelcolor=_FAINT,
        fontsize=10,
        handlelength=1.2,
        columnspacing=1.6,
    )


def _panel(axes: Axes) -> None:
    axes.set_facecolor(_PANEL)
    axes.grid(color='#30363d', linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_FAINT, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_color('#30363d')


def _plane(points: np.ndarray) -> tuple[int, int]:
    """Return the axes across and up: seen from above, ahead is up; from the side where the motion is vertical."""
    extent = np.ptp(points, axis=0)
    if extent[2] > 2 * extent[:2].max():
        return int(extent[1] > extent[0]), 2
    return 1, 0


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
