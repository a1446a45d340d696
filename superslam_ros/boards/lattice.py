"""Lattices of chessboard corners: grown from three corners, each next one where those around it say."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from superslam_ros.boards.warp import apply, homography, local_affine

FEWEST = 4
"""Corners, fewer of which are no lattice."""
_NEIGHBOURS, _STARTS, _LIKELY, _TRIES = 8, 48, 200, 5
_START_SCORE = 0.3
"""Of a corner that a lattice is begun at: the others may be less likely."""
_TOLERANCE = 0.3
"""Of a step: how far a corner may be from where it is expected."""
_ENOUGH = 8
"""Corners that a homography is fitted to; fewer are extended by an affine map."""
_QUADRANTS = np.array([(1, 1), (-1, -1), (1, -1), (-1, 1)])
_REACHES = np.array([0.12, 0.22, 0.32])
"""Of a step: how far from a corner its four quadrants are looked at."""
_WRONG = -0.15
_DOUBTFUL = 0.4
"""Of the median over a lattice: products of a corner's score and of its likeness to a chessboard's."""
_SMOOTH_PX = 1.0
_RING = np.array([(1, 1), (-1, 0), (0, -1), (-1, -1), (1, -1), (-1, 1)])
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True)
class Lattice:
    """Corners with whole coordinates: ``cells`` (M, 2) int64, right-handed as seen in the image (y down).

    ``index`` (M,) int64 are their rows among the corners that it was grown from. ``chess`` is the sum over the corners
    of how much darker two of the four quadrants around them are than the others, in alternation from corner to corner
    as on a chessboard, each from -1 to 1; positive where the square right and below of (0, 0) is the brighter.
    """

    cells: np.ndarray
    index: np.ndarray
    chess: float = 0.0

    def __len__(self) -> int:
        """Return the number of corners."""
        return len(self.index)


def lattices(image: np.ndarray, pixels: np.ndarray, scores: np.ndarray, most: int = 6) -> list[Lattice]:
    """Return the lattices that corners (N, 2) form in an image (H, W) float32, those most like a chessboard first.

    No corner is in two of them.

    :param scores: (N,) the more likely a corner, the earlier a lattice is begun there.
    """
    free = np.isfinite(pixels).all(axis=1)
    smooth = cv2.GaussianBlur(image, (0, 0), _SMOOTH_PX)
    found = []
    while len(found) < most and free.sum() >= FEWEST:
        best = _largest(smooth, pixels, scores, free)
        if best is None:
            break
        found.append(best)
        free = free.copy()
        free[best.index] = False
    return sorted(found, key=lambda one: -abs(one.chess))


def _largest(image: np.ndarray, pixels: np.ndarray, scores: np.ndarray, free: np.ndarray) -> Lattice | None:
    """Grow from the most promising triples, until one takes most of what there is."""
    best, seen = None, np.zeros(len(pixels), dtype=bool)
    tries = 0
    for triple in _triples(image, pixels, scores, free):
        if tries >= _TRIES:
            break
        if best is not None and seen[triple].all():
            continue
        grown = _clean(image, pixels, scores, _grow(pixels, free, triple))
        tries += 1
        seen[grown.index] = True
        if len(grown) >= FEWEST and (best is None or abs(grown.chess) > abs(best.chess)):
            best = grown
        if best is not None and len(best) >= 0.7 * free.sum():
            break
    return best


def saddles(image: np.ndarray, at: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return (N,) how much brighter the first and third quadrants around points are than the others, from -1 to 1.

    :param at: (N, 2) pixels; ``along`` (N, 2, 2) the two steps, along[:, k], to the next corners.
    """
    corners = (_REACHES[:, None, None] * _QUADRANTS).reshape(-1, 2)
    places = (at[:, None] + corners @ along).astype(np.float32)
    seen = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = seen.reshape(len(at), len(_REACHES), 4)
    differ = (seen[..., :2].sum(-1) - seen[..., 2:].sum(-1)).mean(-1)
    spread = seen.max((1, 2)) - seen.min((1, 2))
    return differ / (2 * np.maximum(spread, 1e-6))


def _triples(image: np.ndarray, pixels: np.ndarray, scores: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return (T, 3) corners (origin, next along x, next along y), the most promising first."""
    index = np.flatnonzero(free)
    points = pixels[index]
    starts = np.argsort(-scores[index], kind='stable')[:_STARTS]
    starts = starts[scores[index[starts]] >= _START_SCORE]
    apart = np.linalg.norm(points[starts, None] - points[None], axis=2)
    count = min(_NEIGHBOURS, len(index) - 1)
    near = np.argsort(apart, axis=1, kind='stable')[:, 1:count + 1]
    first, second = (grid.ravel() for grid in np.meshgrid(np.arange(count), np.arange(count)))
    i, a, b = np.repeat(starts, count * count), near[:, first].ravel(), near[:, second].ravel()
    u, v = points[a] - points[i], points[b] - points[i]
    lu, lv = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    fits = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0.25 * lu * lv) & (lu < 3 * lv) & (lv < 3 * lu)
    i, a, b, u, v, lu, lv = (part[fits] for part in (i, a, b, u, v, lu, lv))
    if not len(i):
        return np.zeros((0, 3), dtype=np.int64)
    along = np.stack([u, v], axis=1)
    here, right, below = (saddles(image, points[corner], along) for corner in (i, a, b))
    chess = np.minimum(-here * right, -here * below)
    likely = np.argsort(-chess, kind='stable')[:_LIKELY]
    likely = likely[chess[likely] > 0]
    i, a, b, along, chess = (part[likely] for part in (i, a, b, along, chess))
    ring = points[i, None] + _RING.astype(float) @ along
    missed = ((ring[..., :1] - points[:, 0])**2 + (ring[..., 1:] - points[:, 1])**2).min(axis=2)
    around = (missed < (_TOLERANCE * np.minimum(lu, lv)[likely, None])**2).sum(axis=1)
    order = np.argsort(-(around + 1) * np.sqrt(chess), kind='stable')
    return index[np.stack([i, a, b], axis=1)[order]]


def _grow(pixels: np.ndarray, free: np.ndarray, triple: np.ndarray) -> Lattice:
    cells, index = [(0, 0), (1, 0), (0, 1)], triple.tolist()
    left = np.setdiff1d(np.flatnonzero(free), triple)
    while len(left):
        around = {(x + dx, y + dy) for x, y in cells for dx, dy in _SIDES} - set(cells)
        frontier = sorted(around)
        expected, step = _expect(np.array(cells, float), pixels[index], np.array(frontier, float))
        x, y = pixels[left].T
        apart = (expected[:, :1] - x)**2 + (expected[:, 1:] - y)**2
        nearest = apart.argmin(axis=1)
        part = np.sqrt(apart[np.arange(len(frontier)), nearest]) / step
        taken = set()
        for row in np.argsort(part, kind='stable').tolist():
            if not part[row] < _TOLERANCE:
                break
            corner = int(nearest[row])
            if corner not in taken:
                taken.add(corner)
                cells.append(frontier[row])
                index.append(int(left[corner]))
        if not taken:
            break
        left = np.delete(left, list(taken))
    return Lattice(np.array(cells), np.array(index))


def _expect(places: np.ndarray, pixels: np.ndarray, at: np.ndarray,
            without_own: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return where corners at ``at`` (F, 2) should be (F, 2), and the shorter of the steps there (F,)."""
    H = homography(places, pixels) if len(places) >= _ENOUGH else None
    if H is not None and (depth := np.concatenate([places, at]) @ H[2, :2] + H[2, 2]).min() * depth.max() <= 0:
        H = None                    # the horizon lies between them: no view of a board
    if H is None:
        value, gradient = local_affine(places, pixels, at, 1e-3, without_own=without_own)
        return value, np.linalg.norm(gradient, axis=2).min(axis=1)
    base = apply(H, at)
    step = np.minimum(*(np.linalg.norm(apply(H, at + side) - base, axis=1) for side in np.eye(2)))
    added, _ = local_affine(places, pixels - apply(H, places), at, 0.3, without_own=without_own)
    return base + added, step


def _clean(image: np.ndarray, pixels: np.ndarray, scores: np.ndarray, lattice: Lattice) -> Lattice:
    """Leave out what is not where the others say, or not where two squares of a chessboard's colours meet.

    Next to a board, what is around it has corners in line with its own by chance, of less contrast or probability.
    """
    cells, index = lattice.cells, lattice.index
    if len(lattice) >= _ENOUGH:
        places = cells.astype(float)
        expected, step = _expect(places, pixels[index], places, without_own=True)
        off = np.linalg.norm(expected - pixels[index], axis=1) / step
        keep = off < np.clip(4 * np.median(off), 0.1, _TOLERANCE)
        cells, index = cells[keep], index[keep]
    places = cells.astype(float)
    _, along = local_affine(places, pixels[index], places, 1e-3)
    chess = saddles(image, pixels[index], along) * (1 - 2 * (cells.sum(1) % 2))
    alike = chess * np.sign(chess.sum())
    sure = alike * scores[index]
    keep = (alike > _WRONG) & (sure >= _DOUBTFUL * np.median(sure))
    return Lattice(cells[keep], index[keep], float(chess[keep].sum()))
