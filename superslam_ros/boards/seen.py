"""A lattice of corners in an image: what the boards described make of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.boards import decode, extent, saddle
from superslam_ros.boards.align import Aligned, Look, align, draw_together
from superslam_ros.boards.board import Board
from superslam_ros.boards.decode import Hypothesis
from superslam_ros.boards.drawing import draw, without_bits
from superslam_ros.boards.lattice import Lattice
from superslam_ros.boards.types import BoardDetection
from superslam_ros.boards.warp import Region, Warp

SAMPLES = 16
"""To a square, of the image that a drawing is laid over."""
LARGEST_STEP_PX = 64.0
"""Squares of more pixels are looked at in a smaller copy."""
SMALLEST_STEP_PX = 16.0
"""Smaller squares have no room for edges without those of the marker."""
SAME_PART = 0.3
"""Of a step: corners nearer to each other are the same."""
LIKE_A_BOARD = 0.2
"""How well squares of a board fit around the corners, the median: half of what striped shadows leave of it."""
FIT, FIT_OF_BEST = 0.35, 0.5
LARGEST_SIGMA_PX, LARGEST_SIGMA_STEP = 3.0, 0.12
SHARED = 0.015
"""Squares by which all corners are off in common where the blur's standard deviation is a square; it goes with its
square. So are poses' errors as large as their covariances say on rendered boards (``superslam charuco eval``)."""
DISTURBED = 0.85
"""Median of the drawing's fit, below which there is more on a board than noise and blur: shadows move its edges. On
rendered boards it is 0.75 in stripes of shadow, and 0.89 or more in the dark, in noise, and blurred."""
SURE_PX = 0.1
"""Standard deviation of corners placed by the network that are believed there."""
FEWEST_SURE = 6

Refine = Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""From an image, corners (N, 2) and the length of a square to more exact corners (N, 2), standard deviations (N,)."""


class Laid(NamedTuple):
    """A board found, and its corners (N, 2) by what is around each alone: those have independent errors.

    ``shared_px``: standard deviation of what they are off by in common, in a blurred image.
    """

    detection: BoardDetection
    board: Board
    own: np.ndarray
    own_sigma_px: np.ndarray
    shared_px: float


class Seen:
    """A lattice in an image, at a scale at which its squares are not too large."""

    def __init__(self, gray: np.ndarray, lattice: Lattice, pixels: np.ndarray) -> None:
        """Take a lattice whose corners are at pixels (M, 2) of an image (H, W) float32."""
        self.lattice = lattice
        self._gray = gray
        self.scale = 1
        step = _step(lattice.cells, pixels)
        while step / self.scale > LARGEST_STEP_PX:
            self.scale *= 2
        self.image = gray if self.scale == 1 else cv2.resize(
            gray, None, fx=1 / self.scale, fy=1 / self.scale, interpolation=cv2.INTER_AREA)
        self.step = step / self.scale
        coarse = self.step / SAMPLES
        self.smooth = cv2.GaussianBlur(self.image, (0, 0), 0.4 * coarse) if coarse > 1.2 else self.image
        low, high = lattice.cells.min(0) - 1, lattice.cells.max(0) + 1
        self.region = Region(int(low[0]), int(low[1]), *map(int, high - low), decode.SAMPLES)
        self.pixels = (pixels + 0.5) / self.scale - 0.5
        self.blur = np.zeros((2, 2))
        self._read: dict[tuple, decode.Reading | None] = {}
        try:
            self.warp: Warp | None = Warp(lattice.cells, self.pixels)
        except ValueError:
            self.warp = None

    def hypotheses(self, boards: list[Board]) -> list[Hypothesis]:
        """Return all ways to lay the boards on the lattice, the best first.

        Before the bits are read, the corners are moved to where a board without bits fits: that does not favour any
        board's bits.
        """
        if self.warp is None:
            return []
        found = [one for board in self._fitting(boards) if (reading := self._reading(board))
                 for one in decode.hypotheses(reading, self.region, self.lattice.cells, board)]
        return sorted(found, key=lambda one: -one.z)

    def unlike(self, boards: list[Board]) -> str:
        """Say why there is no way to lay any of the boards on the lattice."""
        if any(self._reading(board) is None for board in self._fitting(boards)):
            return 'and around them too few squares with markers'
        return 'of another number of squares than the boards described'

    def in_a_mirror(self, boards: list[Board]) -> bool:
        """Say whether one of the boards fits what a mirror makes of the lattice."""
        cells = self.lattice.cells * [-1, 1] + [2 * self.region.x + self.region.columns, 0]
        for board in self._fitting(boards):
            reading = self._reading(board)
            if reading is None:
                continue
            bits, known, bright = reading
            flipped = decode.Reading(bits[:, ::-1, :, ::-1], known[:, ::-1], bright[:, ::-1])
            found = decode.hypotheses(flipped, self.region, cells, board)
            if found and decode.nats(found[0].z, len(found)) > 0 and found[0].agreeing >= decode.MOST:
                return True
        return False

    def only(self, some: np.ndarray) -> Seen:
        """Return what is seen of some (M,) bool of the corners."""
        lattice = Lattice(self.lattice.cells[some], self.lattice.index[some], self.lattice.chess)
        return Seen(self._gray, lattice, (self.pixels[some] + 0.5) * self.scale - 0.5)

    def lay(self, best: Hypothesis, spare: float, cells: np.ndarray,
            refine: Refine | None = None) -> tuple[Laid | None, str]:
        """Lay the drawing of a board over the image and return the corners where it fits.

        :param cells: (K, 2) of all corners of chessboards that are in line with these, also those beyond its edge.
        :param refine: what finds a corner's place without knowing what is drawn around it; for boards in shadows.
        :returns: None, and how it differs, where the image has a board of another size.
        """
        board = best.board
        region = Region(0, 0, board.squares_x, board.squares_y, SAMPLES)
        corners = board.corners_m()[:, :2] / board.square_m
        places = best.places(self.lattice.cells, self.region)
        own = decode.inside(places, board)
        found = align(self.smooth, Warp(places[own], self.pixels[own]), draw(board, SAMPLES, legacy=best.legacy),
                      region, corners, best.turned(self.blur), rounds=3)
        try:
            other = extent.differs(self.image, found, best.places(cells, self.region), board, best.legacy)
        except ValueError:
            return None, 'is seen on a line only'
        if other:
            return None, other
        gap_px = (1 - board.marker_m / board.square_m) / 2 * self.step
        if self.step >= SMALLEST_STEP_PX:
            found = saddle.join(self.image, found, int(np.clip(gap_px - 1, 2, 5)))
        if refine is not None and np.nanmedian(found.fit) < DISTURBED:
            found = self._refined(found, corners, refine)
        keep = self._certain(found)
        pixels, own = ((part[keep] + 0.5) * self.scale - 0.5 for part in (found.pixels, found.own))
        detection = BoardDetection(board.name, np.flatnonzero(keep), pixels, found.sigma_px[keep] * self.scale,
                                   legacy=best.legacy, evidence=spare)
        shared_px = SHARED * np.linalg.eigvalsh(found.blur)[-1]**2 * self.step * self.scale
        return Laid(detection, board, own, found.own_sigma_px[keep] * self.scale, shared_px), ''

    def _refined(self, found: Aligned, corners: np.ndarray, refine: Refine) -> Aligned:
        """Take the places that ``refine`` is sure of; what the drawing is off by there, it may be off by elsewhere."""
        known = np.flatnonzero(np.isfinite(found.pixels).all(axis=1) & np.isfinite(found.sigma_px))
        pixels, sigma = refine(self.image, found.pixels[known], self.step)
        sure = sigma < SURE_PX
        if sure.sum() < FEWEST_SURE:
            return found
        known, pixels, sigma = known[sure], pixels[sure], sigma[sure]
        off = np.sqrt(((found.own[known] - pixels)**2).mean())
        own, own_sigma = found.own.copy(), np.maximum(found.own_sigma_px, off)
        own[known], own_sigma[known] = pixels, np.minimum(sigma, own_sigma[known])
        return found._replace(**dict(zip(('pixels', 'sigma_px', 'own', 'own_sigma_px'),
                                         draw_together(own, own_sigma, found.fit, corners))))

    def _fitting(self, boards: list[Board]) -> list[Board]:
        return [board for board in boards if decode.fits(self.lattice.cells, self.region, board)]

    @cached_property
    def _look(self) -> Look:
        return Look(self.smooth, self.warp, self.region._replace(samples=SAMPLES))

    def _reading(self, board: Board) -> decode.Reading | None:
        """Return what the squares hold, if so many are seen, and look like a board's, that they may tell which."""
        kind = board.codes.shape[1], board.marker_m / board.square_m, board.inverted
        if kind not in self._read:
            even_bright = self.lattice.chess > 0
            known, marked = decode.squares(self.region, self.lattice.cells, even_bright != board.inverted)
            enough = (known & marked).sum() >= decode.FEWEST_MARKERS
            warp = self._without_bits(board, even_bright) if enough else None
            self._read[kind] = None if warp is None else decode.read(
                self.image, warp, self.lattice.cells, self.region, even_bright, board)
        return self._read[kind]

    def _without_bits(self, board: Board, even_bright: bool) -> Warp | None:
        marked, plain = without_bits(board, SAMPLES)
        region = self.region._replace(samples=SAMPLES)
        y, x = np.mgrid[:region.rows, :region.columns]
        bright = ((x + y + region.x + region.y) % 2 == 0) == even_bright
        squares = np.where((bright ^ board.inverted)[..., None, None], marked, plain)
        template = squares.transpose(0, 2, 1, 3).reshape(region.rows * SAMPLES, region.columns * SAMPLES)
        found = align(self.smooth, self.warp, template, region, self.lattice.cells.astype(float), look=self._look)
        usable = np.isfinite(found.fit)
        if not usable.any() or np.median(found.fit[usable]) < LIKE_A_BOARD:
            return None
        self.blur = found.blur
        moved = np.linalg.norm(found.pixels - self.pixels, axis=1)
        fits = (found.fit > 0.3) & (moved < SAME_PART * self.step)
        pixels = np.where(fits[:, None], found.pixels, self.pixels)
        return Warp(self.lattice.cells, pixels)

    def _certain(self, found: Aligned) -> np.ndarray:
        """Return (N,) bool: the corners that are in the image, are seen there, and well enough to be placed."""
        height, width = self.image.shape
        with np.errstate(invalid='ignore'):
            inside = ((found.pixels >= 1) & (found.pixels <= [width - 2, height - 2])).all(axis=1)
            best = np.nanpercentile(found.fit, 80) if np.isfinite(found.fit).any() else 1
            limit = min(LARGEST_SIGMA_PX, LARGEST_SIGMA_STEP * self.step)
            return inside & (found.fit > max(FIT, FIT_OF_BEST * best)) & (found.sigma_px < limit)


def _step(cells: np.ndarray, pixels: np.ndarray) -> float:
    """Return the typical distance of neighbours in pixels."""
    apart = np.abs(cells[:, None] - cells[None]).sum(-1)
    first, second = np.nonzero(apart == 1)
    return float(np.median(np.linalg.norm(pixels[first] - pixels[second], axis=1))) if len(first) else 1.0
