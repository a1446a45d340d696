"""Boards in an image: corners, lattices, what is printed between them, and the pose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from superslam_ros.boards import decode
from superslam_ros.boards.board import Board
from superslam_ros.boards.explain import explain
from superslam_ros.boards.files import refuse_alike
from superslam_ros.boards.lattice import FEWEST, lattices
from superslam_ros.boards.pose import board_pose
from superslam_ros.boards.seen import SAME_PART, Laid, Seen
from superslam_ros.boards.types import BoardDetection, Detections
from superslam_ros.data import Camera

if TYPE_CHECKING:
    from superslam_ros.boards.corners import CornerDetector

SMALLEST_PX = 16
"""Sides of an image, below which there is no board to be found."""
CLEARER = 8.0
"""Nats between the best hypothesis and the next."""
MOST_HINTS = 3
"""Images of which it is said what would fit: that takes up to a second."""
LIKE_CHESS, LIKELY = 0.25, 0.35
"""Of a lattice that may be a board's: the mean of its chess, and the median of its corners' scores, at least."""
_NO_CAMERA = 'no pose: the camera is not calibrated (no camera_info)'


class BoardDetector:
    """Finds boards, several and the same one more than once; needs one thread."""

    def __init__(self, boards: Mapping[str, Board] | Iterable[Board], corners: CornerDetector | None = None,
                 device: str = 'cpu') -> None:
        """Take the boards to look for; read the corner networks, unless something else finds the corners.

        :param corners: called with the gray image; its result has ``pixels`` (N, 2) and ``scores`` (N,). Its
            ``refine``, if it has one, places corners in shadows more exactly (:data:`seen.Refine`).
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
        self._refine = getattr(corners, 'refine', None)

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
        pixels, scores = np.asarray(found.pixels, dtype=np.float64).reshape(-1, 2), np.asarray(found.scores)
        candidates = [one for one in lattices(gray, pixels, scores)
                      if abs(one.chess) >= LIKE_CHESS * len(one)
                      and np.median(scores[one.index]) >= LIKELY] if len(pixels) >= FEWEST else []
        boards: list[BoardDetection] = []
        why = f'no board: {len(pixels)} corners of chessboards' + (' and no lattice of them' if len(pixels) else '')
        for lattice in candidates:
            places = pixels[lattice.index]
            if _covered(places, boards):
                continue
            seen = Seen(gray, lattice, places)
            laid, reason = self._recognise(seen)
            if laid is None:
                why = reason if lattice is candidates[0] else why
            elif not _repeats(laid.detection, boards):
                boards.append(_posed(laid, camera, no_pose, rectified))
        boards.sort(key=lambda one: -len(one.ids))
        return Detections(boards, '' if boards else why, len(candidates) > len(boards))

    def explain(self, image: np.ndarray) -> str:
        """Say which description would fit the board in an image in which none of those described is found.

        Takes up to a second: the usual mistakes are tried one by one.

        :returns: empty when no usual mistake explains it.
        """
        gray = _unit(image)
        found = self._corners(image if image.dtype == np.uint8 else gray)
        pixels = np.asarray(found.pixels, dtype=np.float64).reshape(-1, 2)
        for lattice in lattices(gray, pixels, np.asarray(found.scores), most=2) if len(pixels) >= FEWEST else []:
            said = explain(Seen(gray, lattice, pixels[lattice.index]), self.boards)
            if said:
                return said
        return ''

    def _recognise(self, seen: Seen) -> tuple[Laid | None, str]:
        """Return the board that a lattice belongs to, or why none."""
        best, spare, reason = self._best(seen, 0)
        if best is None:
            return None, reason
        beyond = ~decode.inside(best.places(seen.lattice.cells, seen.region), best.board)
        if beyond.any() and best.agreeing < decode.MOST:
            # What the lattice has taken in around the board bends it: once more, without.
            tried, all_cells, seen = len(seen.hypotheses(self.boards)), seen.lattice.cells, seen.only(~beyond)
            best, spare, reason = self._best(seen, tried)
            if best is None:
                return None, reason
        else:
            all_cells = seen.lattice.cells
        if best.agreeing < decode.MOST or best.markers < decode.FEWEST_MARKERS:
            return None, (f'no board: only {best.agreeing:.0%} of {best.markers} markers agree with {best.board.name}: '
                          'a board of another layout?')
        laid, reason = seen.lay(best, spare, all_cells, self._refine)
        if laid is None:
            return None, f'no board: what looks like {best.board.name} {reason}; count its squares'
        if len(laid.detection.ids) < FEWEST:
            return None, f'no board: {best.board.name} seems to be there, but too few of its corners are certain'
        return laid, ''

    def _best(self, seen: Seen, tried: int) -> tuple[decode.Hypothesis | None, float, str]:
        """Return the hypothesis that the bits speak for, and by how much, or why none.

        :param tried: hypotheses looked at before.
        """
        if seen.warp is None:
            return None, 0.0, 'no board: the corners seen lie on a line'
        found = seen.hypotheses(self.boards)
        corners = f'{len(seen.lattice)} corners of a chessboard'
        if not found:
            return None, 0.0, f'no board: {corners}, {seen.unlike(self.boards)}'
        best = found[0]
        spare = decode.nats(best.z, len(found) + tried)
        if spare < 0:
            if seen.in_a_mirror(self.boards):
                return None, 0.0, 'no board: a board is seen in a mirror, or the image is flipped'
            return None, 0.0, (f'no board: {corners}, but the markers between them are not those of the boards '
                               'described')
        others = [one for one in found[1:] if one.board == best.board or one.z > best.z - 3]
        if others and (best.z**2 - max(others[0].z, 0)**2) / 2 < CLEARER:
            return None, 0.0, (f'no board: two places on {best.board.name} or another board fit what is seen equally '
                               'well')
        return best, spare, ''


class Hints:
    """Says, of the first images with other boards than those described, which description would fit them."""

    def __init__(self, detector: BoardDetector) -> None:
        """Take the detector that looks for the boards described."""
        self._detector, self._left = detector, MOST_HINTS

    def __call__(self, image: np.ndarray, found: Detections) -> Detections:
        """Return what was found in an image, its reason completed by what to describe instead, if that is known."""
        if found.boards:
            self._left = 0          # the description is right
        if not self._left or not found.others:
            return found
        self._left -= 1
        said = self._detector.explain(image)
        return replace(found, reason=f'{found.reason}; {said}') if said else found


def _posed(laid: Laid, camera: Camera | None, no_pose: str, rectified: bool) -> BoardDetection:
    found = laid.detection
    if camera is None:
        return replace(found, reason=no_pose)
    pose = board_pose(laid.board.corners_m()[found.ids], laid.own, laid.own_sigma_px, camera, rectified,
                      laid.shared_px)
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
