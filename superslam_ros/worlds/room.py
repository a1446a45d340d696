"""The room: walls with posters, a tiled floor, a panelled ceiling and crates; deterministic from a seed."""

from __future__ import annotations

import numpy as np

from superslam_ros.worlds import paint
from superslam_ros.worlds.surface import Surface, Texture, World, rectangle

ROOM_SIZE_M = (8.0, 6.0, 3.0)
# x, y of the middle, length, width, height (metres), yaw (radians).
_CRATES = (
    (2.9, 1.9, 0.9, 0.7, 1.1, 0.3), (3.1, -1.2, 0.7, 0.8, 0.8, -0.4), (1.6, -2.3, 1.1, 0.6, 1.4, 0.1),
    (-0.4, 2.35, 1.2, 0.7, 0.9, -0.15), (-2.6, 2.0, 0.8, 0.8, 1.6, 0.5), (-3.0, -0.3, 0.7, 1.1, 1.2, 0.2),
    (-1.5, -2.2, 0.9, 0.7, 1.0, -0.5), (3.3, 0.5, 0.5, 0.5, 1.7, 0.7), (0.4, -2.5, 0.5, 0.5, 0.6, 0.9),
    (1.3, 2.5, 0.5, 0.5, 1.3, 0.4), (-2.9, -2.2, 0.6, 0.6, 1.8, 0.15),
)
# Crates that stand on others: base height after the yaw.
_STACKED = (
    (-0.5, 2.35, 0.5, 0.5, 0.5, 0.4, 0.9),
    (2.9, 1.9, 0.5, 0.4, 0.45, 0.8, 1.1),
    (3.1, -1.2, 0.4, 0.4, 0.5, 0.3, 0.8),
)


def room_world(seed: int = 0, texels_per_metre: int = 320) -> World:
    """Return a room of 8 x 6 x 3 m, the origin in the middle of the floor, z up, with crates along the walls.

    :param seed: changes every texture; the geometry stays, so that :func:`demo_trajectory` never hits a crate.
    :param texels_per_metre: detail of the textures; 320 is finer than a 320x240 image ever sees.
    """
    rng = np.random.default_rng(seed)
    length, width, height = ROOM_SIZE_M
    x, y = length / 2, width / 2

    def painted(painter, size_m: tuple[float, float]) -> Texture:
        return Texture(painter(size_m, texels_per_metre, rng))

    surfaces = [
        rectangle(
            (x, y, height), (0, -1, 0), (0, 0, -1), (width, height), painted(paint.wall, (width, height))
        ),
        rectangle(
            (-x, -y, height), (0, 1, 0), (0, 0, -1), (width, height), painted(paint.wall, (width, height))
        ),
        rectangle(
            (-x, y, height), (1, 0, 0), (0, 0, -1), (length, height), painted(paint.wall, (length, height))
        ),
        rectangle(
            (x, -y, height), (-1, 0, 0), (0, 0, -1), (length, height), painted(paint.wall, (length, height))
        ),
        rectangle((-x, y, 0), (1, 0, 0), (0, -1, 0), (length, width), painted(paint.floor, (length, width))),
        rectangle(
            (-x, -y, height), (1, 0, 0), (0, 1, 0), (length, width), painted(paint.ceiling, (length, width))
        ),
    ]
    for cx, cy, *size, yaw, base in [(*crate, 0.0) for crate in _CRATES] + list(_STACKED):
        surfaces += box((cx, cy, base), tuple(size), yaw, lambda area: painted(paint.crate, area))
    return World(tuple(surfaces), background=96)


def box(
    foot: tuple[float, float, float], size_m: tuple[float, float, float], yaw: float, texture
) -> list[Surface]:
    """Return the top and the four sides of a box.

    :param foot: middle of the underside; ``size_m`` length, width and height.
    :param texture: function of a side's (width, height) in metres that returns its :class:`Texture`.
    """
    length, width, height = size_m
    c, s = np.cos(yaw), np.sin(yaw)
    ahead, left, up = np.array([c, s, 0]), np.array([-s, c, 0]), np.array([0.0, 0, 1])
    centre = np.asarray(foot, dtype=np.float64)
    sides = []
    for normal, reach, across, side in (
        (ahead, length, left, width), (-ahead, length, -left, width),
        (left, width, -ahead, length), (-left, width, ahead, length),
    ):
        # Seen from outside, the texture's u points to the viewer's right: z cross the outward normal.
        corner = centre + normal * reach / 2 - across * side / 2 + up * height
        sides.append(rectangle(corner, across, -up, (side, height), texture((side, height))))
    corner = centre - ahead * length / 2 + left * width / 2 + up * height
    return [*sides, rectangle(corner, ahead, -left, (length, width), texture((length, width)))]
