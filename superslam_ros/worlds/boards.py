"""ChArUco boards seen by any camera, with exact corners; what blur, motion, darkness and noise make of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.boards.drawing import printed
from superslam_ros.data import Camera
from superslam_ros.worlds.render import pixel_grid, pixel_rays, project

INK, PAPER = 0.08, 0.9
"""Gray levels, 1 being white."""
_GAMMA = 2.2
_FULL_WELL, _READ_NOISE = 10_000.0, 4.0
"""Electrons of a white pixel, and of the noise of reading one."""


class Placed(NamedTuple):
    """A board in front of a camera: ``T_camera_board`` (4, 4), in the board's frame of :class:`Board`.

    ``bend_m``: how far the middle columns stand out to the camera. ``legacy``: which pattern, by default the first.
    """

    board: Board
    T_camera_board: np.ndarray
    bend_m: float = 0.0
    legacy: bool | None = None


class BoardView(NamedTuple):
    """What a camera sees: ``image`` (H, W) float32 gray in [0, 1], and of each board all inner corners (N, 2) pixels.

    NaN where a corner is behind the camera; corners beside the image are given, too.
    """

    image: np.ndarray
    pixels: list[np.ndarray]


def facing(board: Board, distance_m: float, tilt_rad: float = 0.0, axis_rad: float = 0.0, roll_rad: float = 0.0,
           aside_m: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Return T_camera_board of a board whose middle lies ``distance_m`` ahead, ``aside_m`` right and down.

    :param tilt_rad: about an axis in the image plane that makes the angle ``axis_rad`` with x.
    :param roll_rad: about the board's own normal, first.
    """
    tilt = cv2.Rodrigues(tilt_rad * np.array([np.cos(axis_rad), np.sin(axis_rad), 0.0]))[0]
    R = tilt @ cv2.Rodrigues(np.array([0.0, 0.0, roll_rad]))[0]
    middle = np.array([board.squares_x, board.squares_y, 0]) * board.square_m / 2
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = R, np.array([*aside_m, distance_m]) - R @ middle
    return T


def render_boards(camera: Camera, placed: Sequence[Placed], background: float | np.ndarray = 0.5,
                  margin_squares: float = 0.7, supersample: int = 4) -> BoardView:
    """Render boards on white sheets; each pixel is the mean of ``supersample`` squared exact rays. Nearer ones cover.

    :param background: gray level, or a picture (H, W) of levels, behind the boards.
    """
    width, height = camera.image_size
    fine = pixel_rays(camera, pixel_grid(camera, supersample))
    image = np.full(fine.shape[:2], background, np.float32) if np.isscalar(background) else np.kron(
        np.asarray(background, np.float32), np.ones((supersample, supersample), np.float32))
    for one in sorted(placed, key=lambda one: -_middle(one)[2]):
        place, ahead = _meet(one, fine)
        size = np.array([one.board.squares_x, one.board.squares_y])
        sheet = ((place > -margin_squares) & (place < size + margin_squares)).all(-1) & ahead
        gray = printed(one.board, one.legacy).at(place[sheet])
        around = 0.0 if one.board.inverted else 1.0
        image[sheet] = INK + (PAPER - INK) * np.where(np.isnan(gray), around, gray)
    return BoardView(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA),
                     [_corners(camera, one) for one in placed])


def photograph(image: np.ndarray, *, blur_px: float = 0.5, motion_px: tuple[float, float] = (0.0, 0.0),
               dark: float = 1.0, gain: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return (H, W) uint8, what a camera makes of levels in [0, 1]: blur, then Poisson and read noise, then 8 bits.

    :param blur_px: standard deviation of the lens's blur.
    :param motion_px: way of the image during the exposure, centred on where the corners are.
    :param dark: so many times less light than exposes well; ``gain`` amplifies what was read.
    """
    light = image.astype(np.float32) ** _GAMMA
    if any(motion_px):
        light = cv2.filter2D(light, -1, _motion_kernel(motion_px), borderType=cv2.BORDER_REPLICATE)
    if blur_px > 0:
        light = cv2.GaussianBlur(light, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
    rng = np.random.default_rng(seed)
    electrons = rng.poisson(light * (_FULL_WELL / dark)) + rng.normal(0, _READ_NOISE, light.shape)
    levels = np.clip(electrons / _FULL_WELL * gain, 0, 1) ** (1 / _GAMMA)
    return np.rint(levels * 255).astype(np.uint8)


def _middle(one: Placed) -> np.ndarray:
    half = np.array([one.board.squares_x, one.board.squares_y, 0]) * one.board.square_m / 2
    return one.T_camera_board[:3, :3] @ half + one.T_camera_board[:3, 3]


def _height(one: Placed, x: np.ndarray) -> np.ndarray:
    """Return z of the bent board at x metres along its rows: a parabola, 0 at both ends."""
    part = x / (one.board.squares_x * one.board.square_m)
    return -4 * one.bend_m * part * (1 - part)


def _meet(one: Placed, fine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where (H, W, 2) rays meet the board, in squares, and whether in front of the camera."""
    R, t = one.T_camera_board[:3, :3], one.T_camera_board[:3, 3]
    start, R = (-R.T @ t).astype(np.float32), R.astype(np.float32)
    way = fine @ R[:2] + R[2]
    length = -start[2] / way[..., 2]
    for _ in range(6 if one.bend_m else 0):
        length = (_height(one, start[0] + length * way[..., 0]) - start[2]) / way[..., 2]
    place = (start[:2] + length[..., None] * way[..., :2]) / np.float32(one.board.square_m)
    return place, length > 0


def _corners(camera: Camera, one: Placed) -> np.ndarray:
    points = one.board.corners_m()
    points[:, 2] = _height(one, points[:, 0])
    return project(camera, np.linalg.inv(one.T_camera_board), points)[0]


def _motion_kernel(motion_px: tuple[float, float]) -> np.ndarray:
    """Return the kernel of a straight, even motion, its middle at the kernel's."""
    reach = int(np.ceil(np.abs(motion_px).max() / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = (np.arange(256) + 0.5) / 256 - 0.5
    x, y = reach + steps * motion_px[0], reach + steps * motion_px[1]
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
            np.add.at(kernel, (row, column), (1 - np.abs(x - column)) * (1 - np.abs(y - row)))
    return kernel / kernel.sum()
