"""Boards in an image: corners, lattices, what is printed between them, and the pose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from superslam_ros.boards import decode, saddle
from superslam_ros.boards.align import Aligned, align
from superslam_ros.boards.board import Board
from superslam_ros.boards.decode import Hypothesis
from superslam_ros.boards.drawing import draw, without_bits
from superslam_ros.boards.extent import ends_early
from superslam_ros.boards.files import refuse_alike
from superslam_ros.boards.lattice import FEWEST, Lattice, lattices
from superslam_ros.boards.pose import board_pose
from superslam_ros.boards.types import BoardDetection, Detections
from superslam_ros.boards.warp import Region, Warp
from superslam_ros.data import Camera

if TYPE_CHECKING:
    from superslam_ros.boards.corners import CornerDetector

SMALLEST_PX = 16
"""Sides of an image, below which there is no board to be found."""
SAMPLES = 16
"""To a square, of the image that a drawing is laid over."""
LARGEST_STEP_PX = 64.0
"""Squares of more pixels are looked at in a smaller copy."""
SMALLEST_STEP_PX = 16.0
"""Smaller squares have no room for edges without those of the marker."""
CLEARER = 8.0
"""Nats between the best hypothesis and the next."""
LIKE_CHESS = 0.25
BEYOND = 3
"""Corners beyond a board's edge, from which on it is another, larger one."""
SAME_PART = 0.3
"""Of a step: corners nearer to each other are the same."""
FIT, FIT_OF_BEST = 0.35, 0.5
LARGEST_SIGMA_PX, LARGEST_SIGMA_STEP = 3.0, 0.12
_NO_CAMERA = 'no pose: the camera is not calibrated (no camera_info)'


class BoardDetector:
    """Finds boards, several and the same one more than once; needs one thread."""

    def __init__(self, boards: Mapping[str, Board] | Iterable[Board], corners: CornerDetector | None = None,
                 device: str = 'cpu') -> None:
        """Take the boards to look for; read the corner networks, unless something else finds the corners.

        :param corners: called with the gray image; its result has ``pixels`` (N, 2) and ``scores`` (N,).
        :raises ValueError: when there is no board, or two look the same.
        """
        self.boards = list(boards.values()) if isinstance(boards, Mapping) else list(boards)
        if not self.boards:
            raise ValueError('no boards: describe at least one')
        refuse_alike(self.boards)
        if corners is None:
            from superslam_ros.boards.corners import CornerDetector

            corners = CornerDetector(device=device)
        self._corners = corners

    def detect(self, image: np.ndarray, camera: Camera | None = None, rectified: bool = False) -> Detections:
        """Find the boards in an image.

        :param image: (H, W) gray: uint8, uint16, or floating point in [0, 1].
        :param camera: the image's calibration; without it, or with that of another size, corners have no pose.
        :param rectified: whether the image is rectified.
        :raises ValueError: when the image is none.
        """
        gray = _unit(image)
        height, width = gray.shape
        if min(width, height) < SMALLEST_PX:
            return Detections([], f'no board: the image is only {width}x{height}')
        camera, no_pose = _calibration(camera, width, height)
        found = self._corners(image if image.dtype == np.uint8 else gray)
        pixels = np.asarray(found.pixels, dtype=np.float64).reshape(-1, 2)
        candidates = [one for one in lattices(gray, pixels, np.asarray(found.scores))
                      if abs(one.chess) >= LIKE_CHESS * len(one)] if len(pixels) >= FEWEST else []
        boards: list[BoardDetection] = []
        why = f'no board: {len(pixels)} corners of chessboards' + (' and no lattice of them' if len(pixels) else '')
        for lattice in candidates:
            places = pixels[lattice.index]
            if _covered(places, boards):
                continue
            seen = _Seen(gray, lattice, places)
            laid, reason = self._recognise(seen)
            if laid is None:
                why = reason if lattice is candidates[0] else why
            elif not _repeats(laid.detection, boards):
                boards.append(_posed(laid, camera, no_pose, rectified))
        boards.sort(key=lambda one: -len(one.ids))
        return Detections(boards, '' if boards else why)

    def _recognise(self, seen: _Seen) -> tuple[_Laid | None, str]:
        """Return the board that a lattice belongs to, or why none."""
        if seen.warp is None:
            return None, 'no board: the corners seen lie on a line'
        found = seen.hypotheses(self.boards)
        corners = f'{len(seen.lattice)} corners of a chessboard'
        if not found:
            return None, f'no board: {corners}, of another number of squares than the boards described'
        best, tried = found[0], len(found)
        spare = decode.nats(best.z, tried)
        if spare < 0:
            return None, f'no board: {corners}, but the markers between them are not those of the boards described'
        others = [one for one in found[1:] if one.board == best.board or one.z > best.z - 3]
        if others and (best.z**2 - max(others[0].z, 0)**2) / 2 < CLEARER:
            return None, f'no board: two places on {best.board.name} or another board fit what is seen equally well'
        if best.agreeing < decode.MOST or best.markers < decode.FEWEST_MARKERS:
            return None, (f'no board: only {best.agreeing:.0%} of {best.markers} markers agree with {best.board.name}: '
                          'a board of another layout?')
        beyond = ~decode.inside(best.places(seen.lattice.cells, seen.region), best.board)
        if beyond.sum() >= BEYOND:
            return None, f'no board: what looks like {best.board.name} goes on beyond its edge; count its squares'
        laid = seen.lay(best, spare)
        if laid is None:
            return None, f'no board: what looks like {best.board.name} ends before its edge; count its squares'
        if len(laid.detection.ids) < FEWEST:
            return None, f'no board: {best.board.name} seems to be there, but too few of its corners are certain'
        return laid, ''


class _Laid(NamedTuple):
    """A board found, and its corners (N, 2) by what is around each alone: those have independent errors."""

    detection: BoardDetection
    board: Board
    own: np.ndarray
    own_sigma_px: np.ndarray


class _Seen:
    """A lattice in an image, at a scale at which its squares are not too large."""

    def __init__(self, gray: np.ndarray, lattice: Lattice, pixels: np.ndarray) -> None:
        self.lattice = lattice
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
        try:
            self.warp: Warp | None = Warp(lattice.cells, self.pixels)
        except ValueError:
            self.warp = None

    def hypotheses(self, boards: list[Board]) -> list[Hypothesis]:
        """Return all ways to lay the boards on the lattice, the best first.

        Before the bits are read, the corners are moved to where a board without bits fits: that does not favour any
        board's bits.
        """
        found, aligned = [], {}
        even_bright = self.lattice.chess > 0
        for board in boards:
            kind = board.codes.shape[1], board.marker_m / board.square_m, board.inverted
            if kind not in aligned:
                warp = self._without_bits(board, even_bright)
                aligned[kind] = warp, decode.read(
                    self.image, warp, self.lattice.cells, self.region, even_bright, board)
            found += decode.hypotheses(aligned[kind][1], self.region, self.lattice.cells, board)
        return sorted(found, key=lambda one: -one.z)

    def lay(self, best: Hypothesis, spare: float) -> _Laid | None:
        """Lay the drawing of a board over the image and return the corners where it fits, None where it is cut off."""
        board = best.board
        region = Region(0, 0, board.squares_x, board.squares_y, SAMPLES)
        corners = board.corners_m()[:, :2] / board.square_m
        places = best.places(self.lattice.cells, self.region)
        own = decode.inside(places, board)
        found = align(self.smooth, Warp(places[own], self.pixels[own]), draw(board, SAMPLES, legacy=best.legacy),
                      region, corners, best.turned(self.blur), rounds=3)
        if ends_early(found, board):
            return None
        gap_px = (1 - board.marker_m / board.square_m) / 2 * self.step
        if self.step >= SMALLEST_STEP_PX:
            found = saddle.join(self.image, found, int(np.clip(gap_px - 1, 2, 5)))
        keep = self._certain(found)
        pixels, own = ((part[keep] + 0.5) * self.scale - 0.5 for part in (found.pixels, found.own))
        detection = BoardDetection(board.name, np.flatnonzero(keep), pixels, found.sigma_px[keep] * self.scale,
                                   legacy=best.legacy, evidence=spare)
        return _Laid(detection, board, own, found.own_sigma_px[keep] * self.scale)

    def _without_bits(self, board: Board, even_bright: bool) -> Warp:
        marked, plain = without_bits(board, SAMPLES)
        region = self.region._replace(samples=SAMPLES)
        y, x = np.mgrid[:region.rows, :region.columns]
        bright = ((x + y + region.x + region.y) % 2 == 0) == even_bright
        squares = np.where((bright ^ board.inverted)[..., None, None], marked, plain)
        template = squares.transpose(0, 2, 1, 3).reshape(region.rows * SAMPLES, region.columns * SAMPLES)
        found = align(self.smooth, self.warp, template, region, self.lattice.cells.astype(float))
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


def _posed(laid: _Laid, camera: Camera | None, no_pose: str, rectified: bool) -> BoardDetection:
    found = laid.detection
    if camera is None:
        return replace(found, reason=no_pose)
    pose = board_pose(laid.board.corners_m()[found.ids], laid.own, laid.own_sigma_px, camera, rectified)
    if pose.T_camera_board is None:
        return replace(found, reason=f'no pose: {pose.reason}')
    return replace(found, T_camera_board=pose.T_camera_board, covariance=pose.covariance)


def _unit(image: np.ndarray) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]; what is not a number becomes black."""
    image = np.asarray(image)
    if image.ndim != 2 or not image.size:
        raise ValueError(f'expected a gray image (H, W), got an array of shape {image.shape}')
    if image.dtype.kind == 'u':
        return image.astype(np.float32) / np.iinfo(image.dtype).max
    if image.dtype.kind != 'f':
        raise ValueError(f'expected a gray image of uint8, uint16 or floating point, got {image.dtype}')
    return np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)


def _calibration(camera: Camera | None, width: int, height: int) -> tuple[Camera | None, str]:
    """Return the camera of images of this size, or None and why there is no pose."""
    if camera is None:
        return None, _NO_CAMERA
    try:
        return camera.of_image(width, height), ''
    except ValueError as error:
        return None, f'no pose: the image {error}'


def _step(cells: np.ndarray, pixels: np.ndarray) -> float:
    """Return the typical distance of neighbours in pixels."""
    apart = np.abs(cells[:, None] - cells[None]).sum(-1)
    first, second = np.nonzero(apart == 1)
    return float(np.median(np.linalg.norm(pixels[first] - pixels[second], axis=1))) if len(first) else 1.0


def _covered(pixels: np.ndarray, boards: list[BoardDetection]) -> bool:
    """Say whether most corners of a lattice lie on corners of a board that is found already."""
    for board in boards:
        apart = np.linalg.norm(board.pixels[:, None] - board.pixels[None], axis=2)
        step = np.median(np.where(apart > 0, apart, np.inf).min(axis=1))
        near = np.linalg.norm(pixels[:, None] - board.pixels[None], axis=2).min(axis=1)
        if (near < SAME_PART * step).mean() > 0.5:
            return True
    return False


def _repeats(found: BoardDetection, boards: list[BoardDetection]) -> bool:
    """Say whether a board is one found already: the same corners in the same places."""
    for other in boards:
        if other.board == found.board:
            _, mine, theirs = np.intersect1d(found.ids, other.ids, return_indices=True)
            if len(mine) and np.median(np.linalg.norm(found.pixels[mine] - other.pixels[theirs], axis=1)) < 10:
                return True
    return False


def _with(found: BoardDetection, **changes: object) -> BoardDetection:
    import dataclasses

    return dataclasses.replace(found, **changes)
