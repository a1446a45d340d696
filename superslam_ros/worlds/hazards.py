"""What misleads a camera that moves through a world: things that move, highlights, and shadows that sway.

A box goes ahead along the camera's way. Lamps over it shine on surfaces that are not quite even, so that their
highlights wander, split and vanish as the camera moves (Blinn, SIGGRAPH 1977), or through something that sways.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.data import Camera
from superslam_ros.worlds import paint
from superslam_ros.worlds.building import Building
from superslam_ros.worlds.render import View, pixel_grid, pixel_rays, render
from superslam_ros.worlds.room import box
from superslam_ros.worlds.surface import Surface, Texture, World

_NEAREST_M = 0.9
"""Movers nearer to the camera than this step aside."""
_LAMP_M, _SPACING_M, _REACH_M = 1.0, 3.0, 9.0
"""Height of lamps over the camera's way, their distance along it, and how far from the camera they shine."""
_SHINE, _SHARP, _SEEN = 170.0, 900.0, 15.0
"""Gray levels of a highlight and its exponent, and levels from which on it counts."""
_RIPPLES, _SLOPE, _WAVE_M = 5, 0.03, (0.25, 0.7)
_CONE, _CELL, _DARK = 0.75, 0.11, 0.5
"""Radians: how wide a swaying shadow is, and the cells of its pattern; part of the light that it leaves."""
_FADED_M = 5.0
"""From a lamp its shadows reach so far."""


class Kind(enum.IntEnum):
    """What a pixel shows."""

    STEADY = 0
    MOVER = 1
    HIGHLIGHT = 2
    SHADOW = 3
    """The edge of one that moves."""


class HazardView(NamedTuple):
    """A view, and ``kind`` (H, W) uint8 of what its pixels and those next to them show."""

    image: np.ndarray
    depth_m: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class HazardOptions:
    """How much of everything there is.

    :ivar movers: boxes that go ahead of the camera.
    :ivar highlights: whether every other lamp makes them; ``shadows`` likewise of the other ones.
    """

    movers: int = 2
    highlights: bool = True
    shadows: bool = True
    seed: int = 0


class Hazards:
    """A world with all that along a way; the same options give the same images."""

    def __init__(self, world: World | Building, poses: np.ndarray, rate_hz: float,
                 options: HazardOptions | None = None) -> None:
        """Place everything along a camera's poses (F, 4, 4) T_world_camera."""
        self.options, self._world, self._rate_hz = options or HazardOptions(), world, rate_hz
        self._way = poses[:, :3, 3]
        rng = np.random.default_rng([self.options.seed, 71])
        self._movers = [_Mover(self._way, rate_hz, number, rng) for number in range(self.options.movers)]
        steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(self._way[:, :2], axis=0), axis=1))])
        # Beyond the end of the way, too: what is ahead is lit.
        over = [self._way[np.abs(steps - at).argmin()] for at in np.arange(1.0, steps[-1] + _SPACING_M, _SPACING_M)]
        self._lamps = [place + np.append(rng.uniform(-0.4, 0.4, 2), _LAMP_M) for place in over]
        self._ripples = _Ripples(rng)
        self._shadows = [_Shadow(lamp, rng) for lamp in self._lamps[1::2]] if self.options.shadows else []

    def render(self, camera: Camera, T_world_camera: np.ndarray, frame: int) -> HazardView:
        """Return what a camera sees at the time of a frame, from a pose near that frame's."""
        still = self._world if isinstance(self._world, World) else self._world.seen_from(camera, T_world_camera)
        eye = T_world_camera[:3, 3]
        moving = [side for mover in self._movers for side in mover.at(frame, eye)]
        world = World((*still.surfaces, *moving), still.background)
        seen = render(world, camera, T_world_camera)
        points, normals = _surroundings(world, seen, camera, T_world_camera)
        image, kind = seen.image.astype(np.float32), np.zeros(seen.image.shape, np.uint8)
        light = self._light(points, eye, frame)
        image *= light
        kind[_grown(cv2.morphologyEx(light, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0.1, 1)] = Kind.SHADOW
        shine = self._shine(points, normals, eye)
        image += shine
        kind[_grown(shine > _SEEN, 2)] = Kind.HIGHLIGHT
        kind[_grown(seen.surface >= len(still.surfaces), 2)] = Kind.MOVER
        return HazardView(np.rint(image).clip(0, 255).astype(np.uint8), seen.depth_m, kind)

    def _light(self, points: np.ndarray, eye: np.ndarray, frame: int) -> np.ndarray:
        """Return the part of the light (H, W) float32 that swaying things leave at points (H, W, 3)."""
        light = np.ones(points.shape[:2], np.float32)
        for shadow in self._shadows:
            if np.linalg.norm(shadow.lamp - eye) < _REACH_M:
                np.minimum(light, shadow.light(points, frame / self._rate_hz), out=light)
        return light

    def _shine(self, points: np.ndarray, normals: np.ndarray, eye: np.ndarray) -> np.ndarray:
        """Return the gray levels (H, W) float32 that highlights add at points (H, W, 3) of surfaces."""
        shine = np.zeros(points.shape[:2], np.float32)
        if not self.options.highlights:
            return shine
        uneven = normals + self._ripples(points)
        uneven /= np.linalg.norm(uneven, axis=-1, keepdims=True)
        to_eye = _unit(eye - points)
        for lamp in self._lamps[::2]:
            if np.linalg.norm(lamp - eye) < _REACH_M:
                cosine = (_unit(_unit(lamp - points) + to_eye) * uneven).sum(-1)
                np.maximum(shine, _SHINE * np.maximum(np.nan_to_num(cosine), 0).astype(np.float32)**_SHARP, out=shine)
        return shine


class _Mover:
    """A box that goes ahead of the camera, now faster, now slower, from side to side."""

    def __init__(self, way: np.ndarray, rate_hz: float, number: int, rng: np.random.Generator) -> None:
        size = rng.uniform([0.35, 0.35, 0.8], [0.55, 0.55, 1.7])
        self._sides = box((0, 0, 0), tuple(size), 0, lambda area: Texture(paint.crate(area, 200, rng)))
        time = np.arange(len(way)) / rate_hz
        phase = rng.uniform(0, 2 * np.pi, 3)
        ahead = 2.6 + 1.0 * number + 0.7 * np.sin(rng.uniform(0.7, 1.1) * time + phase[0])
        at = np.arange(len(way)) + rate_hz * ahead
        self._place = np.stack([np.interp(at, np.arange(len(way)), way[:, axis]) for axis in (0, 1)], -1)
        course = np.unwrap(np.arctan2(*np.gradient(self._place, axis=0).T[::-1]))
        aside = 0.3 * np.sin(rng.uniform(0.8, 1.3) * time + phase[1])
        self._place += aside[:, None] * np.stack([-np.sin(course), np.cos(course)], -1)
        self._yaw = course + 0.5 * np.sin(0.6 * time + phase[2])

    def at(self, frame: int, eye: np.ndarray) -> list[Surface]:
        """Return its sides at the time of a frame; none where it is too near."""
        place, yaw = self._place[frame], self._yaw[frame]
        if np.linalg.norm(place - eye[:2]) < _NEAREST_M:
            return []
        R = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        return [replace(one, origin=R @ one.origin + np.append(place, 0), axis_u=R @ one.axis_u, axis_v=R @ one.axis_v)
                for one in self._sides]


class _Ripples:
    """By how much surfaces are uneven: the slopes of a few waves through the world."""

    def __init__(self, rng: np.random.Generator) -> None:
        directions = _unit(rng.normal(0, 1, (_RIPPLES, 3)))
        self._waves = 2 * np.pi / rng.uniform(*_WAVE_M, (_RIPPLES, 1)) * directions
        self._directions, self._phases = directions, rng.uniform(0, 2 * np.pi, _RIPPLES)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return what to add to normals (H, W, 3)."""
        return _SLOPE * np.cos(points @ self._waves.T + self._phases) @ self._directions


class _Shadow:
    """A lamp behind something that sways, such as leaves before a window."""

    def __init__(self, lamp: np.ndarray, rng: np.random.Generator) -> None:
        self.lamp = lamp
        azimuth = rng.uniform(0, 2 * np.pi)
        forward = _unit(np.array([np.cos(azimuth), np.sin(azimuth), -0.55]))
        right = _unit(np.cross(forward, [0, 0, 1]))
        self._R = np.stack([right, np.cross(forward, right), forward])
        cells = round(2 * _CONE / _CELL) + 2
        pattern = np.where(rng.uniform(size=(cells, cells)) < 0.35, _DARK, 1.0).astype(np.float32)
        self._pattern = cv2.GaussianBlur(np.kron(pattern, np.ones((16, 16), np.float32)), (0, 0), 1.2)
        self._rate = rng.uniform(1.2, 2.2, 2)
        self._phase = rng.uniform(0, 2 * np.pi, 2)

    def light(self, points: np.ndarray, time_s: float) -> np.ndarray:
        """Return the part of its light (H, W) that reaches points (H, W, 3)."""
        local = (points - self.lamp) @ self._R.T
        z = np.where(local[..., 2] > 0.2, local[..., 2], np.nan)
        sway = 1.3 * _CELL * np.sin(self._rate * time_s + self._phase)
        texel = (local[..., :2] / z[..., None] + sway + _CONE) / _CELL * 16
        texel = np.nan_to_num(texel, nan=-100.0, posinf=-100.0, neginf=-100.0).astype(np.float32)
        light = cv2.remap(self._pattern, texel, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)
        near = np.clip((_FADED_M - np.nan_to_num(local[..., 2], nan=_FADED_M)) / 2, 0, 1)
        return (1 - near * (1 - light)).astype(np.float32)


def _surroundings(
    world: World, seen: View, camera: Camera, T_world_camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (H, W, 3) that pixels show, NaN where there is nothing, and the normals of their surfaces."""
    rays = pixel_rays(camera, pixel_grid(camera, 1), np.float64)
    local = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], -1) * seen.depth_m[..., None]
    points = local @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    normals = np.array([np.cross(one.axis_v, one.axis_u) for one in world.surfaces] + [[0, 0, 1]])
    return points, normals[seen.surface]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1,) * 2, np.uint8)) > 0
