"""What a world is made of: textured rectangles in a frame with z up, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_SMALLEST_LEVEL = 8


class Texture:
    """A gray picture with its pyramid, stretched over a rectangle.

    Texel (0, 0) is the top-left one; the picture covers the rectangle edge to edge, so the centre of texel i
    of n lies at (i + 0.5) / n of the side.
    """

    def __init__(self, image: np.ndarray) -> None:
        """Build the pyramid of a (H, W) uint8 picture by averaging; raise ValueError for anything else."""
        if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f'texture: expected a (H, W) uint8 picture, got {image.dtype} {image.shape}')
        self.levels = [image]
        while min(self.levels[-1].shape) >= 2 * _SMALLEST_LEVEL:
            height, width = self.levels[-1].shape
            half = (width // 2, height // 2)
            self.levels.append(cv2.resize(self.levels[-1], half, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True)
class Surface:
    """A rectangle visible from one side: the one from which ``axis_v`` points down where ``axis_u`` points right.

    :ivar origin: (3,) metres in the world, the corner of the texture's top-left.
    :ivar axis_u: (3,) unit vector along the texture's rows; ``axis_v`` along its columns.
    :ivar size_m: lengths along u and v.
    """

    origin: np.ndarray
    axis_u: np.ndarray
    axis_v: np.ndarray
    size_m: tuple[float, float]
    texture: Texture

    @property
    def corners(self) -> np.ndarray:
        """(4, 3) corners in the world."""
        u, v = self.axis_u * self.size_m[0], self.axis_v * self.size_m[1]
        return np.stack([self.origin, self.origin + u, self.origin + u + v, self.origin + v])

    def points(self, uv_m: np.ndarray) -> np.ndarray:
        """Map (N, 2) metres on the rectangle to (N, 3) points in the world."""
        return self.origin + uv_m[:, :1] * self.axis_u + uv_m[:, 1:] * self.axis_v


@dataclass(frozen=True)
class World:
    """Textured rectangles, and the gray level seen where there is none."""

    surfaces: tuple[Surface, ...]
    background: int = 0


def rectangle(
    origin: tuple[float, float, float] | np.ndarray,
    axis_u: tuple[float, float, float] | np.ndarray,
    axis_v: tuple[float, float, float] | np.ndarray,
    size_m: tuple[float, float],
    texture: Texture,
) -> Surface:
    """Make a surface from anything array-like; the axes are brought to unit length."""
    u, v = (np.asarray(axis, dtype=np.float64) for axis in (axis_u, axis_v))
    return Surface(
        np.asarray(origin, dtype=np.float64), u / np.linalg.norm(u), v / np.linalg.norm(v), size_m, texture
    )


def checkerboard_world(
    squares: tuple[int, int] = (8, 6),
    square_m: float = 0.1,
    texels: int = 64,
    levels: tuple[int, int] = (40, 215),
) -> tuple[World, np.ndarray]:
    """Return a world of one checkerboard in the plane x = 0, seen from x < 0, centred on the origin.

    A camera at ``look_at((-d, 0, 0), (0, 0, 0))`` faces it.

    :param squares: columns and rows; ``texels`` are the texels along one square.
    :returns: the world, and its inner corners in it, (N, 3), row by row from the top left.
    """
    columns, rows = squares
    cell = (np.add.outer(np.arange(rows), np.arange(columns)) % 2).astype(np.uint8)
    image = np.where(np.kron(cell, np.ones((texels, texels), np.uint8)), levels[1], levels[0]).astype(
        np.uint8
    )
    size = columns * square_m, rows * square_m
    board = rectangle((0, size[0] / 2, size[1] / 2), (0, -1, 0), (0, 0, -1), size, Texture(image))
    row, column = np.mgrid[1:rows, 1:columns]
    uv = np.stack([column.ravel(), row.ravel()], axis=-1) * square_m
    return World((board,), background=128), board.points(uv)
