"""A building to get lost in: corridors around rooms of one plan, some of them twins; deterministic from seeds.

Walls are thin and painted on both sides, doors are openings. Textures are painted when they are first seen. What a
camera may see is found through the openings from the cell that it is in, so that a frame costs what is in sight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from superslam_ros.data import Camera
from superslam_ros.worlds import paint
from superslam_ros.worlds.furniture import along_walls, in_room
from superslam_ros.worlds.render import before, pixel_rays
from superslam_ros.worlds.room import box
from superslam_ros.worlds.surface import Surface, Texture, World, rectangle

DOOR_M = (1.2, 2.1)
"""Width and height of a door."""
_PANEL_M = 5.0
Painter = Callable[[tuple[float, float], float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class BuildingOptions:
    """Plan and paint of a building; the default has a lap of about 100 m.

    :ivar length_m: outer length along x, ``width_m`` along y; ``corridor_m`` is how wide the corridor around is.
    :ivar columns: rooms along the length, in ``rows`` rows (one or two), each with a door to the corridor.
    :ivar seed: of where furniture stands.
    :ivar paint: of all textures: another one makes a building of the same shape that looks different.
    :ivar moved: part of the furniture that stands elsewhere than the seed says.
    :ivar twins: the third room has the furniture of the first in other paint; the last but two is the first's copy in
        every detail, turned about where there are two rows.
    """

    length_m: float = 30.0
    width_m: float = 16.0
    corridor_m: float = 2.4
    height_m: float = 2.8
    columns: int = 4
    rows: int = 2
    seed: int = 0
    paint: int = 0
    moved: float = 0.0
    twins: bool = True
    texels_per_metre: int = 160

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        :raises ValueError: naming it.
        """
        if self.rows not in (1, 2) or self.columns < 1 or not 0 <= self.moved <= 1:
            raise ValueError('building: one or two rows of at least one room, and a part of the furniture from 0 to 1')
        if min(self.room_m) < 3 or self.corridor_m < 1.6 or self.height_m < DOOR_M[1] + 0.2:
            raise ValueError(f'building: rooms of {self.room_m[0]:.1f} x {self.room_m[1]:.1f} m, a corridor of '
                             f'{self.corridor_m:g} m and a height of {self.height_m:g} m; at least 3 x 3, 1.6 and '
                             f'{DOOR_M[1] + 0.2:g} m are needed')

    @property
    def room_m(self) -> tuple[float, float]:
        """Length and depth of a room."""
        return ((self.length_m - 2 * self.corridor_m) / self.columns,
                (self.width_m - 2 * self.corridor_m) / self.rows)

    def room_pose(self, room: int) -> tuple[np.ndarray, float]:
        """Return the middle (x, y) of a room, and its yaw: its door is on the side of its own -y."""
        length, depth = self.room_m
        row, column = divmod(room, self.columns)
        middle = np.array([(column + 0.5) * length, (row + 0.5) * depth]) + self.corridor_m
        return middle, np.pi * row

    def twin_of(self, room: int) -> tuple[int, int]:
        """Return which room's furniture a room has, and which room's paint."""
        count = self.columns * self.rows
        if self.twins and count >= 4:
            if room == 2:
                return 0, 2
            if room == count - 3 and room > 2:
                return 0, 0
        return room, room


    def copied(self) -> list[int]:
        """Return the rooms that are alike in every detail."""
        rooms = [room for room in range(self.columns * self.rows) if self.twin_of(room) == (0, 0)]
        return rooms if len(rooms) > 1 else []

    def within(self, room: int, place: np.ndarray) -> bool:
        """Return whether a point (x, y, ...) is in a room."""
        return bool((np.abs(place[:2] - self.room_pose(room)[0]) <= np.array(self.room_m) / 2).all())


class Painted(Texture):
    """A texture that is painted when it is first read."""

    def __init__(self, painter: Painter, size_m: tuple[float, float], texels_per_metre: float,
                 seed: Sequence[int]) -> None:
        """Remember what to paint; the same arguments give the same texture."""
        self._recipe = painter, size_m, texels_per_metre, seed

    @cached_property
    def levels(self) -> list[np.ndarray]:
        """The pyramid, the finest level first."""
        painter, size_m, texels_per_metre, seed = self._recipe
        return Texture(painter(size_m, texels_per_metre, np.random.default_rng(seed))).levels


@dataclass(frozen=True, eq=False)
class Portal:
    """An opening to another cell, its (4, 3) corners in the world."""

    cell: int
    corners: np.ndarray


@dataclass(frozen=True, eq=False)
class Cell:
    """A room or a piece of corridor: everything within a rectangle of the floor from ``low`` to ``high`` (x, y)."""

    low: np.ndarray
    high: np.ndarray
    surfaces: tuple[Surface, ...]
    portals: tuple[Portal, ...]


@dataclass(frozen=True, eq=False)
class Building:
    """Cells: the corridor's south, east, north and west piece, then the rooms, row by row from the south-west."""

    options: BuildingOptions
    cells: tuple[Cell, ...]
    background: int = 96

    @cached_property
    def world(self) -> World:
        """Everything; to render a frame of it, :meth:`seen_from` is much quicker."""
        return World(tuple(surface for cell in self.cells for surface in cell.surfaces), self.background)

    def seen_from(self, camera: Camera, T_world_camera: np.ndarray) -> World:
        """Return what may be in sight of a camera: of the cell it is in, and of those behind openings in its view.

        :raises ValueError: when the camera is outside of the building.
        """
        place = T_world_camera[:2, 3]
        inside = [index for index, cell in enumerate(self.cells) if ((cell.low <= place) & (place <= cell.high)).all()]
        if not inside:
            raise ValueError(f'the camera at {np.round(T_world_camera[:3, 3], 2)} is outside of the building')
        edge = np.array([[x, y] for x in np.linspace(-0.5, camera.width - 0.5, 9)
                         for y in np.linspace(-0.5, camera.height - 0.5, 9)])
        rays = pixel_rays(camera, edge, np.float64)
        seen: set[int] = set()
        self._look(inside[0], np.concatenate([rays.min(0), rays.max(0)]), np.linalg.inv(T_world_camera), (), seen)
        return World(tuple(surface for index in sorted(seen) for surface in self.cells[index].surfaces
                           if _faces(surface, T_world_camera[:3, 3])), self.background)

    def _look(self, index: int, window: np.ndarray, T_camera_world: np.ndarray, way: tuple[int, ...],
              seen: set[int]) -> None:
        """Add a cell and those that are seen through it, within a window (x, y low and high) of rays (x / z, y / z)."""
        seen.add(index)
        for portal in self.cells[index].portals:
            if portal.cell in (*way, index):
                continue
            through = _window(portal.corners, T_camera_world, window)
            if through is not None:
                self._look(portal.cell, through, T_camera_world, (*way, index), seen)


def building(options: BuildingOptions | None = None) -> Building:
    """Return a building with a corner at the origin, z up."""
    options = options or BuildingOptions()
    rooms = range(options.columns * options.rows)
    return Building(options, (*_corridor(options), *(_room(options, room) for room in rooms)))


def _faces(surface: Surface, eye: np.ndarray) -> bool:
    return float(np.cross(surface.axis_v, surface.axis_u) @ (eye - surface.origin)) > 0


def _window(corners: np.ndarray, T_camera_world: np.ndarray, window: np.ndarray) -> np.ndarray | None:
    """Return the part of a window that an opening covers, None where it is out of sight."""
    local = before(T_camera_world, corners)
    if not len(local):
        return None
    rays = local[:, :2] / local[:, 2:]
    low, high = np.maximum(rays.min(0), window[:2]), np.minimum(rays.max(0), window[2:])
    return np.concatenate([low, high]) if (low < high).all() else None


@dataclass
class _Builder:
    """Puts up walls, floors and furniture of one cell, in its own frame; every texture gets the next number."""

    options: BuildingOptions
    seed: tuple[int, ...]
    surfaces: list[Surface] = field(default_factory=list)

    def texture(self, painter: Painter, size_m: tuple[float, float]) -> Painted:
        """Return the next texture."""
        return Painted(painter, size_m, self.options.texels_per_metre,
                       (self.options.paint, *self.seed, len(self.surfaces)))

    def add(self, origin: Sequence[float], u: Sequence[float], v: Sequence[float], size_m: tuple[float, float],
            painter: Painter) -> None:
        """Add a rectangle."""
        self.surfaces.append(rectangle(origin, u, v, size_m, self.texture(painter, size_m)))

    def wall(self, start: np.ndarray, end: np.ndarray, holes: Sequence[tuple[float, float, float]] = ()) -> None:
        """Add a wall that begins on the left of who sees it; holes are (from, to, height) along it, in order."""
        along, height = (end - start) / np.linalg.norm(end - start), self.options.height_m
        at = 0.0
        for first, last, top in (*holes, (float(np.linalg.norm(end - start)), 0.0, height)):
            for piece, size in _pieces(at, first):
                self.add((*(start + along * piece), height), (*along, 0), (0, 0, -1), (size, height), paint.wall)
            if top < height:
                self.add((*(start + along * first), height), (*along, 0), (0, 0, -1), (last - first, height - top),
                         paint.wall)
            at = last

    def room(self, low: np.ndarray, high: np.ndarray, holes: dict[str, Sequence[tuple[float, float, float]]]) -> None:
        """Add the four walls (``north``, ``east``, ``south``, ``west`` have holes), floor and ceiling."""
        nw, se = np.array([low[0], high[1]]), np.array([high[0], low[1]])
        for side, start, end in (('north', nw, high), ('east', high, se), ('south', se, low), ('west', low, nw)):
            self.wall(start, end, holes.get(side, ()))
        long = int(high[1] - low[1] > high[0] - low[0])
        for piece, size in _pieces(0, high[long] - low[long]):
            corner, far = low.copy(), high.copy()
            corner[long] += piece
            far[long] = corner[long] + size
            area = far[0] - corner[0], far[1] - corner[1]
            self.add((corner[0], far[1], 0), (1, 0, 0), (0, -1, 0), area, paint.floor)
            self.add((*corner, self.options.height_m), (1, 0, 0), (0, 1, 0), area, paint.ceiling)

    def furnish(self, boxes: np.ndarray) -> None:
        """Add boxes, rows of (x, y, base, length, width, height, yaw)."""
        for number, (x, y, base, length, width, height, yaw) in enumerate(boxes):
            paints = _Builder(self.options, (*self.seed, 1000 + number))
            for side in box((x, y, base), (length, width, height), yaw, lambda area: area):
                paints.surfaces.append(replace(side, texture=paints.texture(paint.crate, side.size_m)))
            self.surfaces += paints.surfaces


def _pieces(first: float, last: float) -> list[tuple[float, float]]:
    """Cut a length into pieces, (start, size), none longer than a panel."""
    count = max(1, int(np.ceil((last - first) / _PANEL_M - 1e-9)))
    size = (last - first) / count
    return [(first + number * size, size) for number in range(count)] if last - first > 1e-6 else []


def _corridor(options: BuildingOptions) -> list[Cell]:
    length, width, wide, high = options.length_m, options.width_m, options.corridor_m, options.height_m
    doors = [(column + 0.5) * options.room_m[0] - DOOR_M[0] / 2 for column in range(options.columns)]
    row = [(door + wide, door + wide + DOOR_M[0], DOOR_M[1]) for door in doors]
    ends = (0.0, wide, high), (length - wide, length, high)
    plans = (   # low, high, holes of the sides
        ((0, 0), (length, wide), {'north': (ends[0], *row, ends[1])}),
        ((length - wide, wide), (length, width - wide), {
            'north': ((0.0, wide, high),), 'south': ((0.0, wide, high),)}),
        ((0, width - wide), (length, width), {'south': (ends[0], *(row if options.rows == 2 else ()), ends[1])}),
        ((0, wide), (wide, width - wide), {'north': ((0.0, wide, high),), 'south': ((0.0, wide, high),)}),
    )
    cells = []
    for index, (low, far, holes) in enumerate(plans):
        low, far = np.array(low, float), np.array(far, float)
        build = _Builder(options, (1, index))
        build.room(low, far, holes)
        build.furnish(along_walls(options.seed, options.moved, index, low, far))
        cells.append(Cell(low, far, tuple(build.surfaces), _ways(options, index)))
    return cells


def _ways(options: BuildingOptions, piece: int) -> tuple[Portal, ...]:
    """Return the openings of a piece of the corridor: to the two pieces beside it, and through doors."""
    wide, x, y = options.corridor_m, options.length_m - options.corridor_m, options.width_m - options.corridor_m
    junctions = {0: ((1, x, wide), (3, 0.0, wide)), 2: ((1, x, y), (3, 0.0, y)),
                 1: ((0, x, wide), (2, x, y)), 3: ((0, 0.0, wide), (2, 0.0, y))}[piece]
    ways = [Portal(other, _opening(left, left + wide, at, options.height_m)) for other, left, at in junctions]
    row = {0: 0, 2: 1}.get(piece, options.rows)
    if row < options.rows:
        ways += [Portal(4 + room, _door(options, room))
                 for room in range(row * options.columns, (row + 1) * options.columns)]
    return tuple(ways)


def _opening(left: float, right: float, y: float, top: float) -> np.ndarray:
    return np.array([[left, y, 0], [right, y, 0], [right, y, top], [left, y, top]])


def _door(options: BuildingOptions, room: int) -> np.ndarray:
    (x, y), yaw = options.room_pose(room)
    return _opening(x - DOOR_M[0] / 2, x + DOOR_M[0] / 2, y - np.cos(yaw) * options.room_m[1] / 2, DOOR_M[1])


def _room(options: BuildingOptions, room: int) -> Cell:
    middle, yaw = options.room_pose(room)
    furniture, painted = options.twin_of(room)
    half = np.array(options.room_m) / 2
    build = _Builder(options, (2, painted))
    door = half[0] - DOOR_M[0] / 2, half[0] + DOOR_M[0] / 2, DOOR_M[1]
    build.room(-half, half, {'south': (door,)})
    build.furnish(in_room(options.seed, options.moved, furniture, half))
    piece = 0 if room < options.columns else 2
    R = np.round([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    placed = tuple(replace(one, origin=R @ one.origin + [*middle, 0], axis_u=R @ one.axis_u, axis_v=R @ one.axis_v)
                   for one in build.surfaces)
    return Cell(middle - half, middle + half, placed, (Portal(piece, _door(options, room)),))
