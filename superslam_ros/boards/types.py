"""What is found in an image: corners of chessboards, and boards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Corners(NamedTuple):
    """Inner corners of chessboards in an image, of whatever board.

    :ivar pixels: (N, 2) float64, where they are; a pixel's centre is at integer coordinates.
    :ivar scores: (N,) 0 to 1.
    :ivar sigma_px: (N,) float64 standard deviation of each coordinate.
    """

    pixels: np.ndarray
    scores: np.ndarray
    sigma_px: np.ndarray


@dataclass(frozen=True)
class BoardDetection:
    """A board in an image.

    :ivar board: its name.
    :ivar ids: (N,) int64 of the inner corners found, ascending; numbered as :meth:`Board.corners_m`.
    :ivar pixels: (N, 2) float64, where they are; a pixel's centre is at integer coordinates.
    :ivar sigma_px: (N,) float64 standard deviation of each coordinate.
    :ivar T_camera_board: (4, 4) in the camera's optical frame, None where there is no pose.
    :ivar covariance: (6, 6) of it: x, y, z, rotation about x, y, z, axes fixed to the camera's frame.
    :ivar legacy: which pattern was found.
    :ivar evidence: how far the markers' bits speak for the board: nats beyond what is required, 0 at least.
    :ivar reason: why there is no pose, or why its covariance is large; empty otherwise.
    """

    board: str
    ids: np.ndarray
    pixels: np.ndarray
    sigma_px: np.ndarray
    T_camera_board: np.ndarray | None = None
    covariance: np.ndarray | None = None
    legacy: bool = False
    evidence: float = 0.0
    reason: str = ''


@dataclass(frozen=True)
class Detections:
    """The boards of an image, those with the most corners first; ``reason`` says why there is none.

    ``others``: whether something else looks like a board.
    """

    boards: list[BoardDetection] = field(default_factory=list)
    reason: str = ''
    others: bool = False
