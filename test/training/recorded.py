"""A recording of a rendered room with exact poses, as the data for improving takes it."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np

from superslam_ros import worlds
from superslam_ros.data import Camera, Frame
from superslam_ros.geometry.camera import Pinhole
from superslam_ros.training.data.evidence_frames import STABLE, LabelledPart

WIDTH, HEIGHT, FRAMES, KEYPOINTS = 128, 96, 10, 96


@cache
def _rendered(frames: int, seed: int) -> tuple[Camera, np.ndarray, list[Frame]]:
    camera = worlds.pinhole(WIDTH, HEIGHT)
    poses = worlds.demo_trajectory(frames, 10.0, seed)
    recording = worlds.Recording(worlds.room_world(seed, 120), poses, 10.0, worlds.Photometry(), camera)
    return camera, poses, [frame for frame, _ in recording]


class Recorded:
    """Stands in for evidence; keypoints are the same points of the room in every frame that shows them."""

    def __init__(self, depths: bool = True, frames: int = FRAMES, seed: int = 0) -> None:
        camera, poses, made = _rendered(frames, seed)
        self.images, self._depths = ([getattr(frame, name) for frame in made] for name in ('image', 'depth_m'))
        self.name, self.T_world_camera, self._has_depths = 'room', poses, depths
        self.pinhole = Pinhole(camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2])
        self.segment = np.zeros(frames, int)
        self._points, self.seen_from = self._choose(np.random.default_rng(seed))
        frame, keypoint, pixels, depth_m = self._look()
        self.first = np.searchsorted(frame, np.arange(frames + 1))
        self.pixels, self.depth_m = pixels.astype(np.float32), depth_m.astype(np.float32)
        if not depths:
            self.depth_m[:] = np.nan
        order = np.lexsort((frame, keypoint))
        self.tracks = SimpleNamespace(
            first=np.searchsorted(keypoint[order], np.arange(len(self._points) + 1)), frame=frame[order],
            keypoint=(np.arange(len(frame)) - self.first[frame])[order])
        self.structure = SimpleNamespace(T_world_camera=poses, points=self._points)

    def _choose(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return points of the room (T, 3), some of every frame, and the (T,) frames."""
        frames = np.repeat(np.arange(len(self.images)), KEYPOINTS // 4)
        pixels = np.stack([rng.integers(6, WIDTH - 6, len(frames)), rng.integers(6, HEIGHT - 6, len(frames))], 1)
        z = np.array([self._depths[frame][y, x] for frame, (x, y) in zip(frames, pixels)])
        good = np.isfinite(z)
        rays = self.pinhole.rays(pixels) * z[:, None]
        T = self.T_world_camera[frames]
        return (np.einsum('nij,nj->ni', T[:, :3, :3], rays) + T[:, :3, 3])[good], frames[good]

    def _look(self) -> tuple[np.ndarray, ...]:
        """Return frame, point, pixel and depth of everything that is seen, frame by frame."""
        rows = []
        for frame, T in enumerate(self.T_world_camera):
            here = (self._points - T[:3, 3]) @ T[:3, :3]
            pixels, z = self.pinhole.project(here), here[:, 2]
            whole = np.rint(np.nan_to_num(pixels, nan=-1)).astype(int)
            inside = (z > 0) & ((whole >= 5) & (whole < [WIDTH - 5, HEIGHT - 5])).all(1)
            x, y = whole.clip(0, [WIDTH - 1, HEIGHT - 1]).T
            at = np.flatnonzero(inside & (np.abs(self._depths[frame][y, x] - z) < 0.03 * z))
            at = np.random.default_rng(frame).permutation(at)[:KEYPOINTS]
            rows.append((np.full(len(at), frame), at, pixels[at], z[at]))
        return tuple(np.concatenate(column) for column in zip(*rows))

    def image(self, index: int) -> np.ndarray:
        """Return the image."""
        return self.images[index]

    def depth(self, index: int) -> np.ndarray | None:
        """Return the depths."""
        return self._depths[index] if self._has_depths else None

    def part(self, **changes: np.ndarray) -> LabelledPart:
        """Return it with all tracks stable, and all frames to train on."""
        given = {'labels': np.full(len(self._points), STABLE, np.int8),
                 'frames': np.ones(len(self.images), bool), **changes}
        return LabelledPart(self, self.tracks, self.structure, **given)
