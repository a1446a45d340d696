"""The panels of a run's overview that tell of all its frames: the path, and how tracking went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes

from superslam_ros.data import TrackingState

PAPER, PANEL, INK, FAINT = '#0d1117', '#161b22', '#e6edf3', '#7d8590'
ESTIMATE, TRUTH, LOST, KEYFRAME = '#2dd4bf', '#f0b72f', '#ff6b6b', '#f0b72f'
_GRID = '#30363d'


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


def draw_trajectory(axes: Axes, story: Story) -> None:
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
        axes.plot(story.truth[:, across], story.truth[:, up], color=TRUTH, linewidth=4.5, alpha=0.55,
                  solid_capstyle='round', label='ground truth')
    axes.plot(
        story.trajectory[:, across], story.trajectory[:, up], color=ESTIMATE, linewidth=1.8, label='estimate'
    )
    every = max(1, len(story.trajectory) // 12)
    axes.quiver(
        story.trajectory[::every, across], story.trajectory[::every, up], story.headings[::every, across],
        story.headings[::every, up], color=ESTIMATE, width=0.004, scale=22, headwidth=4, alpha=0.9)
    axes.scatter(
        story.trajectory[:1, across],
        story.trajectory[:1, up],
        s=70,
        facecolors=PANEL,
        edgecolors=ESTIMATE,
        linewidths=2,
        zorder=4,
        label='start',
    )
    if len(story.landmarks):
        axes.scatter([], [], s=9, c='#8b949e', linewidths=0, label='landmarks')
    _limits(axes, story, across, up)
    if across == 1:
        axes.invert_xaxis()
    axes.set_xlabel(f'{"xyz"[across]} ({unit})', color=FAINT, fontsize=10, labelpad=2)
    axes.set_ylabel(f'{"xyz"[up]} ({unit})', color=FAINT, fontsize=10, labelpad=1)
    corner = _free_corner(axes, story.trajectory[:, [across, up]])
    axes.legend(loc=corner, labelcolor=INK, fontsize=10, facecolor=PANEL, edgecolor='none', framealpha=0.8)


def _free_corner(axes: Axes, path: np.ndarray) -> str:
    """Return the corner of the panel that is farthest from the path."""
    inside = axes.transAxes.inverted().transform(axes.transData.transform(path))
    corners = {'upper left': (0, 1), 'upper right': (1, 1), 'lower left': (0, 0), 'lower right': (1, 0)}
    return max(corners, key=lambda name: np.linalg.norm(inside - corners[name], axis=1).min())


def _limits(axes: Axes, story: Story, across: int, up: int) -> None:
    """Frame the path and the bulk of the landmarks near it, not the strays, which would make the path small."""
    points = story.trajectory[:, [across, up]]
    if story.truth is not None:
        points = np.vstack([points, story.truth[:, [across, up]]])
    low, high = points.min(axis=0), points.max(axis=0)
    if len(story.landmarks):
        bulk = np.percentile(story.landmarks[:, [across, up]], [10, 90], axis=0)
        reach = 1.5 * max(*(high - low), 0.8 if story.metric else 0)
        low = np.minimum(low, np.maximum(bulk[0], low - reach))
        high = np.maximum(high, np.minimum(bulk[1], high + reach))
    # Equal scales: widen the shorter side to the shape of the panel.
    box, figure = axes.get_position(), axes.figure.get_size_inches()
    shape = np.array([box.width * figure[0], box.height * figure[1]])
    half = shape * max(*((high - low) / shape), 1e-3) * 0.56
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - half[0], middle[0] + half[0])
    axes.set_ylim(middle[1] - half[1], middle[1] + half[1])


def draw_timeline(axes: Axes, story: Story) -> None:
    """Show how many matches there were frame by frame, how many of them fitted, and where tracking was lost."""
    _panel(axes)
    frames = np.arange(len(story.matches))
    axes.fill_between(frames, story.matches, color='#1f6feb', alpha=0.4, linewidth=0, label='matches')
    axes.fill_between(frames, story.inliers, color=ESTIMATE, alpha=0.6, linewidth=0, label='inliers')
    top = max([*story.matches, 1]) * 1.1
    axes.vlines(story.keyframes, 0, top * 0.08, color=KEYFRAME, linewidth=1.2, label='keyframes')
    lost = np.flatnonzero(np.asarray(story.states) == TrackingState.LOST)
    for number, frame in enumerate(lost):
        axes.axvspan(
            frame - 0.5, frame + 0.5, color=LOST, alpha=0.45, linewidth=0, label='_' * (number > 0) + 'lost'
        )
    axes.set_xlim(0, max(len(frames) - 1, 1))
    axes.set_ylim(0, top)
    axes.set_xlabel('frame', color=FAINT, fontsize=10, labelpad=2)
    axes.legend(
        loc='lower left',
        bbox_to_anchor=(-0.01, 0.98),
        ncol=4,
        frameon=False,
        labelcolor=FAINT,
        fontsize=10,
        handlelength=1.2,
        columnspacing=1.6,
    )


def _panel(axes: Axes) -> None:
    axes.set_facecolor(PANEL)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    for spine in axes.spines.values():
        spine.set_color(_GRID)


def _plane(points: np.ndarray) -> tuple[int, int]:
    """Return the axes across and up: seen from above, ahead is up; from the side where the motion is vertical."""
    extent = np.ptp(points, axis=0)
    if extent[2] > 2 * extent[:2].max():
        return int(extent[1] > extent[0]), 2
    return 1, 0
