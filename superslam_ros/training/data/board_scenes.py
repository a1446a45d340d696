"""Images of boards to train on, with where the inner corners are: drawn on photographs, seen by a bad camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from superslam_ros.boards.board import Board
from superslam_ros.training.data import board_clutter, board_light, boards
from superslam_ros.training.data.board_light import GAMMA

SQUARE_PX = (6.0, 70.0)
"""Least and greatest length of a square in the image, where it is not foreshortened."""
EMPTY, SECOND, OTHERS, FOREIGN = 0.1, 0.12, 0.2, 0.1
"""Part of the images without a board, with two, with other prints besides; of the boards that are not the known one."""
_FINE = 2           # light is gathered from 2x2 places a pixel
_TEXTURE_PX = (12, 96)
_BORDER_PX = 1.0
_HIDDEN = 0.3       # part of a corner's surroundings that may be covered


@dataclass(frozen=True)
class View:
    """Where a flat picture is in an image: a camera with lens distortion and rolling shutter, and bent paper.

    Undistorted image coordinates are ``d * (1 + lens * |d|^2)``: to see what a pixel shows needs no iteration.
    """

    homography: np.ndarray      # picture coordinates to undistorted image coordinates
    focal: float
    centre: np.ndarray
    lens: float
    bend: np.ndarray            # amplitude, spatial frequency, two phases
    roll: np.ndarray            # pixels along x and y over the height of the image; amplitude and frequency of a shake

    def to_picture(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (H, W, 2) float32 picture coordinates of each pixel, and which are in front of the camera."""
        x = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
        y = np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], (height, width))
        d = [(at + shift - middle) / self.focal
             for at, shift, middle in zip((x, y), self._rolled(y[:, :1], height), self.centre.tolist())]
        stretch = 1 + self.lens * (d[0] * d[0] + d[1] * d[1])
        u, v, w = (row[0] * d[0] * stretch + row[1] * d[1] * stretch + row[2]
                   for row in np.linalg.inv(self.homography).tolist())
        # Of rays in front of the camera the inverse's third coordinate is positive: it is 1 by their depth.
        ahead = w > 1e-6
        w = np.where(ahead, w, 1)
        u, v = u / w, v / w
        amplitude, frequency, *phases = self.bend.tolist()
        if amplitude:
            u, v = (one + amplitude * np.sin(other * frequency + phase)
                    for one, other, phase in ((u, v, phases[0]), (v, u, phases[1])))
        return np.stack([u, v], -1), ahead

    def to_image(self, places: np.ndarray, height: int) -> np.ndarray:
        """Return (N, 2) pixels of (N, 2) picture coordinates; NaN where they are behind the camera."""
        amplitude, frequency, *phases = self.bend
        flat = places
        for _ in range(12 if amplitude else 0):
            flat = places - amplitude * np.sin(flat[:, ::-1] * frequency + phases)
        rays = np.c_[flat, np.ones(len(flat))] @ self.homography.T
        rays[rays[:, 2] <= 0] = np.nan
        undistorted = rays[:, :2] / rays[:, 2:]
        d = undistorted
        for _ in range(12):
            d = undistorted / (1 + self.lens * (d * d).sum(1, keepdims=True))
        seen = d * self.focal + self.centre
        pixels = seen
        for _ in range(8):
            pixels = seen - np.stack(self._rolled(pixels[:, 1], height), 1)
        return pixels

    def _rolled(self, y: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much rows were read elsewhere than they show."""
        along = y / height - 0.5
        across, down, shake, frequency = self.roll.tolist()
        return across * along + shake * np.sin(y * frequency), down * along


def random_view(rng: np.random.Generator, middle: np.ndarray, square_px: float, width: int, height: int) -> View:
    """Draw a view of a picture whose ``middle`` (in squares) is near the middle of the image.

    :param square_px: length of a square there, were it not foreshortened.
    """
    focal = width * rng.uniform(0.6, 1.6)
    centre = np.array([width - 1, height - 1]) / 2 + rng.normal(0, 0.03, 2) * width
    tilt, axis = math.radians(rng.uniform(0, 65)), rng.uniform(0, 2 * math.pi)
    turned = cv2.Rodrigues(np.array([math.cos(axis) * tilt, math.sin(axis) * tilt, 0.0]))[0] @ cv2.Rodrigues(
        np.array([0, 0, rng.uniform(-math.pi, math.pi)]))[0]
    away = focal / square_px
    at = (rng.uniform(0.15, 0.85, 2) * [width, height] - centre) / focal * away
    looked_at = middle * rng.uniform(0.4, 1.6, 2)
    shift = np.array([*at, away]) - turned[:, :2] @ looked_at
    corner = (width**2 + height**2) / (2 * focal) ** 2
    lens = rng.uniform(-0.12, 0.3) / float(corner) if rng.random() < 0.5 else 0.0
    bend = np.zeros(4)
    if rng.random() < 0.4:
        bend = np.array([rng.uniform(0, 0.12), rng.uniform(0.2, 0.8), *rng.uniform(0, 2 * math.pi, 2)])
    roll = np.zeros(4)
    if rng.random() < 0.15:
        roll = np.array([*rng.uniform(-0.15, 0.15, 2) * width, rng.uniform(0, 1.5), rng.uniform(0.02, 0.12)])
    return View(np.column_stack([turned[:, :2], shift]), focal, centre, lens, bend, roll)


class Scene(NamedTuple):
    """``image`` (H, W) uint8, ``corners`` (N, 2) float64 pixels, ``ids`` (N,) int64, :data:`boards.NO_ID` for none."""

    image: np.ndarray
    corners: np.ndarray
    ids: np.ndarray


class BoardScenes:
    """Draws images and their corners; the same numbers come from the same generator."""

    def __init__(
        self, photos: np.ndarray, width: int = 256, height: int = 192, board: Board | None = None
    ) -> None:
        """Take (N, h, w) uint8 photographs to draw on.

        :param board: most boards are this one, and its corners have ids; by default none is the same as another.
        """
        self.photos, self.width, self.height, self.board = photos, width, height, board

    def draw(self, rng: np.random.Generator) -> Scene:
        """Draw an image, with the corners that it shows."""
        light, seen, square = self._background(rng), np.zeros((0, 3)), SQUARE_PX[1]
        if rng.random() < OTHERS:
            for _ in range(rng.integers(1, 4)):
                self._paste_other(light, rng)
        if rng.random() >= EMPTY:
            for _ in range(1 + int(rng.random() < SECOND)):
                square = math.exp(rng.uniform(*np.log(SQUARE_PX)))
                alpha, added = self._paste_board(light, square, rng)
                seen = np.concatenate([seen[_visible(seen, alpha, 2)], added])
        if rng.random() < 0.45:
            for _ in range(rng.integers(1, 4)):
                mask = board_clutter.cover(light, self._background(rng), square, rng)
                seen = seen[_visible(seen, mask, max(2, round(0.2 * square)))]
        return Scene(self._taken(light, square, rng), seen[:, :2], seen[:, 2].astype(np.int64))

    def _taken(self, light: np.ndarray, square: float, rng: np.random.Generator) -> np.ndarray:
        """Return what a camera makes of a scene; blur acts on light, or on an image that is made already."""
        light = board_light.illuminate(light, rng)
        late = rng.random() < 0.4
        if not late:
            light = board_light.focus(light, square, rng)
        image = board_light.expose(light, rng)
        if late:
            image = np.clip(board_light.focus(image.astype(np.float32), square, rng), 0, 255)
            image = np.rint(image).astype(np.uint8)
        return board_light.develop(image, rng)

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        """Return (H, W) float32 light of a random part of a photograph."""
        photo = self.photos[rng.integers(len(self.photos))]
        most = min(photo.shape[1] / self.width, photo.shape[0] / self.height)
        zoom = rng.uniform(min(1.0, 0.6 * most), most)
        width, height = int(self.width * zoom), int(self.height * zoom)
        x, y = (int(rng.integers(0, room + 1)) for room in (photo.shape[1] - width, photo.shape[0] - height))
        part = cv2.resize(photo[y:y + height, x:x + width], (self.width, self.height), interpolation=cv2.INTER_AREA)
        return _TO_LIGHT[part]

    def _paste_board(
        self, light: np.ndarray, square: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a board into a scene; return what it covers, (H, W) uint8, and its corners (N, 3): x, y, id."""
        scale = int(np.clip(_FINE * square, *_TEXTURE_PX))
        if self.board is None or rng.random() < FOREIGN:
            board = boards.random_board(rng, scale)
        else:
            board = boards.printed_board(self.board, rng, scale)
        view = random_view(rng, board.middle, square, self.width, self.height)
        alpha = self._paste(light, board.picture, board.scale, board.margin, view, rng)
        corners = view.to_image(board.corners, self.height)
        inside = ((corners > _BORDER_PX) & (corners < [self.width - 1 - _BORDER_PX, self.height - 1 - _BORDER_PX]))
        return alpha, np.column_stack([corners, board.ids])[inside.all(1)]

    def _paste_other(self, light: np.ndarray, rng: np.random.Generator) -> None:
        page = board_clutter.other_print(rng)
        size = np.array(page.shape[::-1]) / 16.0        # in units of 16 pixels of the page
        unit = math.exp(rng.uniform(math.log(0.15), math.log(0.8))) * self.width / size.max()
        self._paste(light, page, 16, 0.0, random_view(rng, size / 2, unit, self.width, self.height), rng)

    def _paste(
        self, light: np.ndarray, picture: np.ndarray, scale: int, margin: float, view: View, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw a flat picture into a scene; return what it covers, (H, W) uint8."""
        places, ahead = view.to_picture(self.width, self.height)
        places = (places + np.float32(margin)) * np.float32(scale) - np.float32(0.5)
        places[~ahead] = -1e4
        fine = cv2.resize(places, None, fx=_FINE, fy=_FINE, interpolation=cv2.INTER_LINEAR)
        ink = cv2.remap(picture, fine, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        x, y = fine[..., 0], fine[..., 1]
        on = (x > -0.5) & (x < picture.shape[1] - 0.5) & (y > -0.5) & (y < picture.shape[0] - 0.5)
        ink, alpha = (cv2.resize(plane, (self.width, self.height), interpolation=cv2.INTER_AREA)
                      for plane in (ink, on.astype(np.uint8) * np.uint8(255)))
        black, white = rng.uniform(0, 0.15), rng.uniform(0.25, 1.0)
        tone = np.float32(black) + np.float32((white - black) / 255) * ink
        light += (alpha * np.float32(1 / 255)) * (tone - light)
        return alpha


_TO_LIGHT = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)


def _visible(corners: np.ndarray, mask: np.ndarray, radius: int) -> np.ndarray:
    """Return which corners (N, 2 or more) a mask (H, W) uint8 leaves visible, with most of what is around them."""
    covered = cv2.blur(mask, (2 * radius + 1,) * 2)
    x, y = np.rint(corners[:, :2]).astype(int).T
    return covered[y, x] < 255 * _HIDDEN
