"""Where the boxes of a building stand: rows of (x, y, base, length, width, height, yaw), metres and radians."""

from __future__ import annotations

import numpy as np


def in_room(seed: int, moved_part: float, furniture: int, half: np.ndarray) -> np.ndarray:
    """Return boxes along the walls of a room, with one on some of them; the middle and the door stay free.

    :param moved_part: of them that stand elsewhere than without it.
    """
    rng, moved = (np.random.default_rng([seed, 2, furniture, which]) for which in (0, 1))
    boxes = []
    for place in range(9):
        size = rng.uniform([0.5, 0.4, 0.5], [1.0, 0.7, 1.7])
        where, other = rng.uniform(-1, 1), moved.uniform(-1, 1)
        if moved.uniform() < moved_part:
            where = other
        side, yaw = place % 3, rng.normal(0, 0.15)
        in_depth = half[1 if side == 1 else 0] - 0.5 * size[1] - 0.12
        along = where * (half[0 if side == 1 else 1] - 0.9)
        x, y = ((-in_depth, along), (along, in_depth), (in_depth, along))[side]
        boxes.append((x, y, 0.0, *(size[[1, 0, 2]] if side != 1 else size), yaw))
        if place % 4 == 0:
            boxes.append((x, y, size[2], *rng.uniform(0.3, 0.4, 3), yaw + rng.normal(0, 0.4)))
    return np.array(boxes)


def along_walls(seed: int, moved_part: float, piece: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return boxes along the outer wall of a piece of the corridor, every three metres or so."""
    rng, moved = (np.random.default_rng([seed, 1, piece, which]) for which in (0, 1))
    long = piece % 2
    boxes = []
    for at in np.arange(low[long] + 2.5, high[long] - 2.0, 3.0):
        size = rng.uniform([0.4, 0.25, 0.4], [0.9, 0.4, 1.6])
        at, other = at + rng.uniform(-0.8, 0.8), at + moved.uniform(-1.4, 1.4)
        if moved.uniform() < moved_part:
            at = other
        place, shape = np.empty(2), size.copy()
        place[long] = at
        outer, inward = (low, 1) if piece in (0, 3) else (high, -1)
        place[1 - long] = outer[1 - long] + inward * (0.5 * size[1] + 0.06)
        if long:
            shape[:2] = size[1], size[0]
        boxes.append((*place, 0.0, *shape, rng.normal(0, 0.06)))
    return np.array(boxes).reshape(-1, 7)
