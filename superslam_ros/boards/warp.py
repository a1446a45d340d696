"""From the squares of a board to the pixels of an image: a homography, and what lens and bending add to it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

NEAR_SQUARES = 1.2
"""How far what adds to the homography is alike: standard deviation of the weights of corners around."""
FEWEST_FOR_RESIDUALS = 6
_NODES = 2      # to a square


class Region(NamedTuple):
    """A rectangle of whole squares: its first column and row, how many, and into how many samples each is cut."""

    x: int
    y: int
    columns: int
    rows: int
    samples: int


def homography(places: np.ndarray, pixels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
    """Return the (3, 3) homography of least algebraic error from places (N, 2) to pixels (N, 2), N at least 4.

    The normalised direct linear transform (Hartley and Zisserman, Multiple View Geometry, algorithm 4.2).

    :returns: None where the points do not determine it.
    """
    normal, (A, B) = [], (None, None)
    for points in (places, pixels):
        middle = points.mean(0)
        spread = np.sqrt(((points - middle)**2).sum(1).mean() / 2)
        if not spread > 0:
            return None
        matrix = np.array([[1 / spread, 0, -middle[0] / spread], [0, 1 / spread, -middle[1] / spread], [0, 0, 1]])
        normal.append((points - middle) / spread)
        A, B = B, matrix
    (x, y), (u, v) = normal[0].T, normal[1].T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], 1),
                           np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], 1)])
    if weights is not None:
        rows = rows * np.sqrt(np.tile(weights, 2))[:, None]
    values, vectors = np.linalg.eigh(rows.T @ rows)
    if values[1] < 1e-10 * values[-1]:
        return None
    H = np.linalg.solve(B, vectors[:, 0].reshape(3, 3)) @ A
    return H / np.linalg.norm(H)


def apply(H: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., 2) by a homography; those on its horizon to no number."""
    mapped = points @ H[:, :2].T + H[:, 2]
    with np.errstate(divide='ignore', invalid='ignore'):
        return mapped[..., :2] / mapped[..., 2:]


def local_affine(places: np.ndarray, values: np.ndarray, at: np.ndarray, stiffness: float,
                 weights: np.ndarray | None = None, without_own: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Fit an affine function to values (N, 2) at places (N, 2) around each of the points ``at`` (F, 2).

    :param stiffness: what holds the gradient at zero, in corners at a distance of a square.
    :param without_own: whether a place tells nothing of itself.
    :returns: values (F, 2) and gradients (F, 2, 2), [:, k] along coordinate k.
    """
    distance = ((places[None] - at[:, None])**2).sum(-1)
    near = np.exp(distance / (-2 * NEAR_SQUARES**2)) + 1e-9
    if weights is not None:
        near = near * weights
    if without_own:
        near = np.where(distance < 1e-9, 0, near)
    # Weighted sums about the origin, then moved to each point: sum w (p - a)(p - a)' and sum w (p - a) v.
    (x, y), (a, b) = places.T, at.T
    one, px, py, xx, xy, yy, *sums = (near @ np.column_stack(
        [np.ones_like(x), x, y, x * x, x * y, y * y, values, values * x[:, None], values * y[:, None]])).T
    normal = np.empty((len(at), 3, 3))
    normal[:, 0, 0] = one + 1e-9
    normal[:, 0, 1] = normal[:, 1, 0] = px - a * one
    normal[:, 0, 2] = normal[:, 2, 0] = py - b * one
    normal[:, 1, 1] = xx - 2 * a * px + a * a * one + stiffness
    normal[:, 2, 2] = yy - 2 * b * py + b * b * one + stiffness
    normal[:, 1, 2] = normal[:, 2, 1] = xy - a * py - b * px + a * b * one
    v, vx, vy = np.array(sums).reshape(3, 2, len(at))
    solved = np.linalg.solve(normal, np.stack([v, vx - a * v, vy - b * v]).transpose(2, 0, 1))
    return solved[:, 0], solved[:, 1:]


class Warp:
    """Maps places in squares to pixels; made of corners (N, 2) whose places (N, 2) are known."""

    def __init__(self, places: np.ndarray, pixels: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Fit the homography and what is left.

        :raises ValueError: when the corners lie on a line.
        """
        self.places = np.asarray(places, dtype=np.float64)
        H = homography(self.places, pixels, weights) if len(places) >= 4 else None
        if H is None:
            raise ValueError('the corners lie on a line')
        if np.median(self.places @ H[2, :2] + H[2, 2]) < 0:
            H = -H
        self.H, self.weights = H, weights
        self.residuals = pixels - apply(H, self.places)
        self._stiffness = 0.3
        if weights is not None:
            self._stiffness *= float(weights.mean())

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return pixels (..., 2) of points (..., 2) in squares; NaN beyond the horizon."""
        points = np.asarray(points, dtype=np.float64)
        flat = points.reshape(-1, 2)
        pixels = apply(self.H, flat)
        pixels[flat @ self.H[2, :2] + self.H[2, 2] <= 0] = np.nan
        return (pixels + self._added(flat)).reshape(points.shape)

    def without_own(self) -> np.ndarray:
        """Return the pixels (N, 2) that the other corners would give each corner."""
        if len(self.places) < FEWEST_FOR_RESIDUALS:
            return apply(self.H, self.places)
        added, _ = local_affine(self.places, self.residuals, self.places, self._stiffness, self.weights, True)
        return apply(self.H, self.places) + added

    def jacobian(self, points: np.ndarray) -> np.ndarray:
        """Return (N, 2, 2) derivatives of the pixels with respect to the squares at points (N, 2)."""
        step = 0.05
        moves = step * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
        moved = self(points + moves[:, None])
        return ((moved[:2] - moved[2:]) / (2 * step)).transpose(1, 2, 0)

    def rectify(self, image: np.ndarray, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Sample an image on the squares of a region.

        :returns: (rows * samples, columns * samples) float32, and bool: inside the image.
        """
        nodes = [np.linspace(0, count, _NODES * count + 1) + first
                 for first, count in ((region.x, region.columns), (region.y, region.rows))]
        added = self._added(np.stack(np.meshgrid(*nodes), -1).reshape(-1, 2)).reshape(len(nodes[1]), len(nodes[0]), 2)
        x, y = ((np.arange(count * region.samples) + 0.5) / region.samples
                for count in (region.columns, region.rows))
        between = np.meshgrid(np.float32(x * _NODES), np.float32(y * _NODES))
        smooth = cv2.remap(added.astype(np.float32), *between, cv2.INTER_LINEAR)
        H = self.H
        X, Y = (x + region.x)[None, :], (y + region.y)[:, None]
        depth = H[2, 0] * X + H[2, 1] * Y + H[2, 2]
        front = depth > 1e-9
        depth = np.where(front, depth, 1)
        u = ((H[0, 0] * X + H[0, 1] * Y + H[0, 2]) / depth + smooth[..., 0]).astype(np.float32)
        v = ((H[1, 0] * X + H[1, 1] * Y + H[1, 2]) / depth + smooth[..., 1]).astype(np.float32)
        height, width = image.shape
        inside = front & (u >= 0) & (v >= 0) & (u <= width - 1) & (v <= height - 1)
        return cv2.remap(image, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), inside

    def _added(self, points: np.ndarray) -> np.ndarray:
        if len(self.places) < FEWEST_FOR_RESIDUALS:
            return np.zeros_like(points)
        return local_affine(self.places, self.residuals, points, self._stiffness, self.weights)[0]
