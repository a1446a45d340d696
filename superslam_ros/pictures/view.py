"""What RViz shows of a recorded result with ``config/superslam.rviz``, drawn without RViz."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from superslam_ros.bags.bag import BagError, Connection, deserialize, open_bag
from superslam_ros.geometry.pose import rotation

NAMES = ('landmarks', 'path', 'odometry', 'keyframes', 'observations', 'overlay')
"""Last parts of the topics that are shown, ``superslam/NAME`` in any namespace."""
_GROUND, _GRID, _PATH, _ELLIPSOID = '#0d1117', '#3c424a', '#2dd4bf', '#f0b72f'
_PITCH, _YAW, _FIELD_OF_VIEW = 0.6, 3.9, 0.785
"""Where the camera of config/superslam.rviz orbits, and RViz's opening angle, in radians."""
_SIGMAS = 3
_INCHES, _DPI = (12.8, 7.2), 100


@dataclass
class Camera:
    """An orbiting camera: looks at ``focus`` (3,) from ``distance`` metres."""

    focus: np.ndarray
    distance: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return (..., 3) x right and y up of (..., 3) points, in units of the picture's height, and the depth."""
        direction = np.array([np.cos(_YAW) * np.cos(_PITCH), np.sin(_YAW) * np.cos(_PITCH), np.sin(_PITCH)])
        right = np.cross([0, 0, 1], direction)
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(direction, right), -direction])
        seen = (points - self.focus - self.distance * direction) @ axes.T
        depth = np.where(seen[..., 2:] > 1e-3, seen[..., 2:], np.nan)
        return np.concatenate([seen[..., :2] / (2 * np.tan(_FIELD_OF_VIEW / 2) * depth), depth], -1)


@dataclass
class Shown:
    """The latest message of every topic, by the last part of its name."""

    messages: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> np.ndarray:
        """(N, 3) positions."""
        poses = self.messages['path'].poses if 'path' in self.messages else []
        return np.array([_xyz(stamped.pose.position) for stamped in poses]).reshape(-1, 3)

    @property
    def landmarks(self) -> np.ndarray:
        """(N, 4) x, y, z, and age in keyframes."""
        return cloud(self.messages['landmarks']) if 'landmarks' in self.messages else np.zeros((0, 4))

    def lines(self, name: str) -> tuple[np.ndarray, tuple[float, ...]]:
        """Return (N, 2, 3) ends of a topic of markers, and their colour."""
        markers = self.messages[name].markers if name in self.messages else []
        ends = np.array([_xyz(point) for marker in markers for point in marker.points]).reshape(-1, 2, 3)
        return ends, tuple(getattr(markers[0].color, part) for part in 'rgba') if markers else (0, 0, 0, 0)


def draw_view(path: Path, result: Path) -> None:
    """Draw the end of a recorded result as PNG.

    :param result: bag with the topics of the nodes, as ``make demo``, ``bag.launch.py record:=`` or ``run`` write it.
    :raises BagError: when the bag has no odometry in it.
    """
    shown = read(result)
    figure = Figure(figsize=_INCHES, facecolor=_GROUND)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_ylim(-0.5, 0.5)
    axes.set_xlim(-0.5 * _INCHES[0] / _INCHES[1], 0.5 * _INCHES[0] / _INCHES[1])
    _draw_world(axes, shown)
    if 'overlay' in shown.messages:
        overlay = shown.messages['overlay']
        image = np.asarray(overlay.data, np.uint8).reshape(overlay.height, overlay.width, 3)
        height = 0.36
        width = height * _INCHES[1] / _INCHES[0] * image.shape[1] / image.shape[0]
        inset = figure.add_axes((0.012, 0.02, width, height))
        inset.imshow(image, interpolation='lanczos')
        inset.set_axis_off()
    figure.savefig(path, dpi=_DPI, facecolor=_GROUND, metadata={'Software': None})


def read(result: Path) -> Shown:
    """Read the latest message of every topic that is shown."""
    raws: dict[str, tuple[Connection, bytes]] = {}
    with open_bag(result) as reader:
        for connection, _, raw in reader.messages():
            name = connection.topic.rpartition('/')[2]
            if name in NAMES and connection.topic.endswith(f'superslam/{name}'):
                raws[name] = connection, raw
    if 'odometry' not in raws:
        raise BagError(f'{result}: no topic superslam/odometry; give a result of the nodes or of `superslam run`')
    return Shown({name: deserialize(raw, connection) for name, (connection, raw) in raws.items()})


def cloud(message: Any) -> np.ndarray:
    """Return (N, 4) x, y, z in metres, and age in keyframes, of a PointCloud2 of landmarks."""
    return np.frombuffer(message.data, '<f4').reshape(-1, message.point_step // 4)[:, :4]


def _draw_world(axes: Axes, shown: Shown) -> None:
    landmarks, path = shown.landmarks, shown.path
    around = np.vstack([landmarks[:, :3], path, [_xyz(shown.messages['odometry'].pose.pose.position)]])
    low, high = np.percentile(around, [5, 95], axis=0)
    camera = Camera((low + high) / 2, 1.3 * max(np.linalg.norm(high - low), 0.5))
    reach = int(np.ceil(camera.distance))
    lines = np.array([[[i, -reach, 0], [i, reach, 0]] for i in range(-reach, reach + 1)], dtype=float)
    middle = np.array([*np.round(camera.focus[:2]), 0])
    for grid in (lines, lines[..., [1, 0, 2]]):
        _add_lines(axes, camera, middle + grid, _GRID, 0.8)
    if len(landmarks):
        x, y, depth = camera.project(landmarks[:, :3]).T
        order = np.argsort(-depth)
        axes.scatter(x[order], y[order], s=4, c=landmarks[order, 3], cmap='rainbow_r', linewidths=0)
    for name, width in (('observations', 0.6), ('keyframes', 1.4)):
        ends, colour = shown.lines(name)
        _add_lines(axes, camera, ends, colour, width)
    if len(path) > 1:
        _add_lines(axes, camera, np.stack([path[:-1], path[1:]], 1), _PATH, 2.4)
    _draw_odometry(axes, camera, shown.messages['odometry'], camera.distance)


def _draw_odometry(axes: Axes, camera: Camera, odometry: Any, distance: float) -> None:
    """Draw the axes of the pose, and the ellipsoid of three standard deviations around it."""
    pose = odometry.pose.pose
    centre = _xyz(pose.position)
    R = rotation([getattr(pose.orientation, axis) for axis in 'xyzw'])
    for column, colour in zip(R.T, ('#ff5555', '#50fa7b', '#6699ff')):
        _add_lines(axes, camera, np.array([[centre, centre + 0.06 * distance * column]]), colour, 3)
    values, vectors = np.linalg.eigh(np.asarray(odometry.pose.covariance).reshape(6, 6)[:3, :3])
    radii = _SIGMAS * np.sqrt(np.maximum(values, 0))
    angle, turn = np.meshgrid(np.linspace(0, np.pi, 13), np.linspace(0, 2 * np.pi, 25))
    sphere = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], -1)
    surface = centre + (sphere * radii) @ vectors.T
    for mesh in (surface, surface.swapaxes(0, 1)):
        _add_lines(axes, camera, np.stack([mesh[:, :-1], mesh[:, 1:]], 2).reshape(-1, 2, 3), _ELLIPSOID, 0.5)


def _add_lines(axes: Axes, camera: Camera, ends: np.ndarray, colour: Any, width: float) -> None:
    seen = camera.project(ends)[..., :2]
    axes.add_collection(LineCollection(seen[np.isfinite(seen).all((1, 2))], colors=[colour], linewidths=width))


def _xyz(vector: Any) -> list[float]:
    return [vector.x, vector.y, vector.z]
