"""Walks through a building: laps, and second sessions from other sides, heights, headings and in other light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from superslam_ros.worlds.building import BuildingOptions
from superslam_ros.worlds.trajectory import look_at

_STEP_M = 0.01
_AHEAD_M = 0.9
_SMOOTH_M = 0.8
_ASIDE_M, _LEAST_M = 0.35, 0.3


@dataclass(frozen=True)
class Walk:
    """How someone carries a camera along the lap of a building.

    :ivar laps: how many, or a part of one; ``start`` is where it begins, a part of the lap.
    :ivar visits: rooms that are walked into on the way.
    :ivar side_m: how far to the left of the lap it goes; ``heading_rad`` how far to the left it looks.
    :ivar height_m: of the camera; ``pitch_rad`` upwards.
    :ivar back: the other way round.
    :ivar steady: on wheels, and not in a hand: it keeps its height, and looks where it goes.
    :ivar rest_s: it stands for so long at first, and then sets off within a second.
    :ivar seed: of the bob and sway of a hand, and of where it looks.
    """

    laps: float = 1.0
    start: float = 0.0
    visits: tuple[int, ...] = (0, 2, 5)
    rate_hz: float = 10.0
    speed: float = 0.9
    side_m: float = 0.0
    heading_rad: float = 0.0
    height_m: float = 1.35
    pitch_rad: float = -0.06
    back: bool = False
    steady: bool = False
    rest_s: float = 0.0
    seed: int = 0


def lap(options: BuildingOptions, visits: Sequence[int] = ()) -> np.ndarray:
    """Return (N, 2) points, 1 cm apart, of a lap around the corridor, through the doors of some rooms and out again.

    It goes from the south-west corner to the east, and closes; N is its length in centimetres.

    :raises ValueError: for a room that is not there.
    """
    count = options.columns * options.rows
    if not all(0 <= room < count for room in visits):
        raise ValueError(f'walk: visits {list(visits)}, but the rooms are 0 to {count - 1}')
    middle = options.corridor_m / 2 + 0.1       # boxes stand along the outer walls
    x, y = options.length_m - middle, options.width_m - middle
    south, north = ([room for room in visits if room // options.columns == row] for row in (0, 1))
    corners = [np.array([[middle, middle]])]
    corners += [_visit(options, room, middle, 1) for room in sorted(south)]
    corners += [np.array([[x, middle], [x, y]])]
    corners += [_visit(options, room, y, -1) for room in sorted(north, reverse=True)]
    return _rounded(np.concatenate([*corners, [[middle, y]]]))


def _visit(options: BuildingOptions, room: int, corridor: float, way: int) -> np.ndarray:
    """Return the corners of a way from the corridor (at y) around a room and back; ``way`` is along x."""
    (x, y), yaw = options.room_pose(room)
    half = np.array(options.room_m) / 2
    inward = np.array([0, np.cos(yaw)])
    across = np.array([float(way), 0])
    middle, threshold = np.array([x, y]), np.array([x, corridor])
    # The furniture reaches 0.9 m from the walls.
    aside = max(0.3, min(1.1, half[0] - 1.5)) * across
    deep = max(0.2, min(1.0, half[1] - 1.5)) * inward
    inside = middle - (half[1] - 0.9) * inward
    return np.array([threshold, inside, middle + aside, middle + deep, middle - aside, inside, threshold])


def walk(options: BuildingOptions, how: Walk | None = None) -> np.ndarray:
    """Return (F, 4, 4) T_world_camera of a walk, ``rate_hz`` poses a second at constant speed.

    :raises ValueError: for a walk through walls, of a room that is not there, or of less than two poses.
    """
    how = how or Walk()
    if abs(how.side_m) > _ASIDE_M or not _LEAST_M <= how.height_m <= options.height_m - _LEAST_M:
        raise ValueError(f'walk: {how.side_m:g} m beside the lap at a height of {how.height_m:g} m; at most '
                         f'{_ASIDE_M:g} m to either side, and {_LEAST_M:g} m from floor and ceiling')
    points = lap(options, how.visits)
    length = len(points) * _STEP_M
    travelled = np.arange(0, how.laps * length, how.speed / how.rate_hz)
    if how.rest_s:
        travelled = _set_off(how, how.laps * length)
    if len(travelled) < 2:
        raise ValueError(f'walk: {how.laps:g} laps are no way to go')
    along = (how.start * length + (-travelled if how.back else travelled)) / _STEP_M
    direction = _directions(points) + (np.pi if how.back else 0)
    course = np.arctan2(_at(np.sin(direction), along), _at(np.cos(direction), along))
    place = np.stack([_at(points[:, axis], along) for axis in (0, 1)], axis=-1)
    place += how.side_m * np.stack([-np.sin(course), np.cos(course)], axis=-1)
    return _carried(place, course, travelled / how.speed, how)


def _set_off(how: Walk, length: float) -> np.ndarray:
    """Return (F,) metres travelled of a walk that begins with a rest."""
    since = np.arange(0, how.rest_s + 0.5 + length / how.speed, 1 / how.rate_hz) - how.rest_s
    # Without a jerk: half a second is lost.
    run = np.clip(since, 0, 1)
    return how.speed * np.where(since < 1, run**3 - run**4 / 2, since - 0.5)


def _carried(place: np.ndarray, course: np.ndarray, time: np.ndarray, how: Walk) -> np.ndarray:
    """Add the height and, of a hand, its bob and sway, and where a person looks."""
    sway = np.random.default_rng([how.seed, 17]).uniform(0, 2 * np.pi, 6)
    hand = 0.0 if how.steady else 1.0
    height = how.height_m + hand * (0.05 * np.sin(0.9 * time + sway[0]) + 0.012 * np.sin(2 * np.pi * 1.8 * time))
    heading = course + how.heading_rad + hand * 0.22 * np.sin(0.5 * time + sway[1])
    heading += hand * 0.01 * np.sin(2 * np.pi * 0.9 * time + sway[2])
    pitch = how.pitch_rad + hand * (
        0.06 * np.sin(0.7 * time + sway[3]) + 0.008 * np.sin(2 * np.pi * 1.8 * time + sway[4]))
    roll = hand * 0.03 * np.sin(0.6 * time + sway[5])
    position = np.column_stack([place, height])
    ahead = np.stack([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)], axis=-1)
    return np.stack([look_at(p, p + a, r) for p, a, r in zip(position, ahead, roll)])


def _rounded(corners: np.ndarray) -> np.ndarray:
    """Return (N, 2) points, evenly spaced, of a closed way without sharp turns."""
    # Between corners far apart, a point every 1.2 m: only what is nearer is cut off.
    dense = [here + (there - here) * part for here, there in zip(corners, np.roll(corners, -1, axis=0))
             for part in np.linspace(0, 1, max(1, round(float(np.linalg.norm(there - here)) / 1.2)), endpoint=False)]
    way = np.array(dense)
    for _ in range(4):      # Chaikin, 1974
        after = np.roll(way, -1, axis=0)
        way = np.stack([0.75 * way + 0.25 * after, 0.25 * way + 0.75 * after], axis=1).reshape(-1, 2)
    closed = np.concatenate([way, way[:1]])
    passed = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    even = np.arange(0, passed[-1] - _STEP_M / 2, _STEP_M)
    return np.stack([np.interp(even, passed, closed[:, axis]) for axis in (0, 1)], axis=-1)


def _directions(points: np.ndarray) -> np.ndarray:
    """Return the (N,) course at each point of a closed way: to where it is a little later, smoothed."""
    ahead = np.roll(points, -round(_AHEAD_M / _STEP_M), axis=0) - points
    unit = ahead / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    wide = round(_SMOOTH_M / _STEP_M)
    padded = np.concatenate([unit[-wide:], unit, unit[:wide]])
    kernel = np.ones(2 * wide + 1) / (2 * wide + 1)
    x, y = (np.convolve(padded[:, axis], kernel, 'valid') for axis in (0, 1))
    return np.arctan2(y, x)


def _at(values: np.ndarray, along: np.ndarray) -> np.ndarray:
    return np.interp(along, np.arange(len(values)), values, period=len(values))
