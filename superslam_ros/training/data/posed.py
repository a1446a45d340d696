"""Pairs of frames of a recording with depth and poses: real parallax, real light, real blur."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from superslam_ros.data import PosedImage
from superslam_ros.training.data.glue_pairs import by_depth
from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.map_views import Places, times
from superslam_ros.training.data.scenes import PosedViews, each_with_each
from superslam_ros.training.random import Rng

OVERLAP = (0.15, 0.98)
"""Share of what one frame shows that the other must show, too; above it nothing has moved."""


class PosedFrames:
    """The frames of one recording on the training device, and which of them see the same things.

    :ivar pairs: (P, 2) int64 numbers of frames that overlap.
    """

    def __init__(self, frames: Sequence[PosedImage], pixels: int, device: torch.device) -> None:
        """Shrink the frames, with their aspect kept, and compare each with each.

        :param frames: of one size.
        :param pixels: about how many an image shall have; it is never enlarged.
        :raises ValueError: when no two frames overlap.
        """
        shrunk = [_shrink(frame, pixels) for frame in frames]
        images, depths, intrinsics, poses = (np.stack(part) for part in zip(*shrunk))
        self.images = torch.from_numpy(images).to(device)
        self.depth_m = torch.from_numpy(depths).to(device)
        self.K = torch.from_numpy(intrinsics).to(device)
        self._T_world_camera = torch.from_numpy(poses).to(device)
        overlap = torch.stack([self._overlap(number) for number in range(len(frames))])
        overlap = torch.minimum(overlap, overlap.T)
        self._overlaps = (overlap >= OVERLAP[0]) & (overlap <= OVERLAP[1])
        self.pairs = torch.nonzero(self._overlaps)
        if not len(self.pairs):
            raise ValueError(f'no two of {len(frames)} frames show the same things from different places')

    def views(self, batch: int, rng: Rng) -> PosedViews:
        """Return random pairs of frames."""
        first, second = self.pairs[rng.integers(len(self.pairs), batch)].unbind(1)
        both = torch.cat([first, second])
        return PosedViews(self.images[both][:, None].float() / 255, self.depth_m[both], self.K[both],
                          each_with_each(batch, 2, both.device), self._motion(first, second))

    def places(self, batch: int, rng: Rng, views: int = 4, queries: int = 2) -> Places:
        """Return random frames as queries, and for the map of each group other frames that show what the first does.

        Where a frame overlaps with few others, some are in the map more than once.
        """
        query, first = self.pairs[rng.integers(len(self.pairs), batch)].unbind(1)
        found = [first]
        for _ in range(views - 1 + queries - 1):
            beside = self._overlaps[first].float()
            found.append(torch.multinomial(beside, 1, generator=rng.generator)[:, 0])
        frames = torch.stack([*found, query], 1)
        T_view_place = torch.stack([self._motion(first, one) for one in frames.unbind(1)], 1)
        return Places(self.images[frames][:, :, None].float() / 255, self.depth_m[frames], self.K[first], T_view_place,
                      times(batch, views, queries, rng), torch.zeros_like(first, dtype=torch.bool), queries)

    def _motion(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, 4, 4) T_second_first, float32 of what is computed in float64."""
        return (torch.linalg.inv(self._T_world_camera[second]) @ self._T_world_camera[first]).float()

    def _overlap(self, number: int) -> Tensor:
        """Return (N,) the share of the points of a frame, of known depth, that each frame shows."""
        step = max(1, min(self.depth_m.shape[1:]) // 60)
        depth_m = self.depth_m[:, ::step, ::step]
        K = self.K / step
        K[:, 2, 2] = 1
        points = pixel_grid(*depth_m.shape[1:], depth_m.device)[2::4, 2::4].reshape(1, -1, 2)
        every = torch.arange(len(depth_m), device=depth_m.device)
        this = torch.full_like(every, number)
        T_every_this = self._motion(this, every)
        found = by_depth(points.expand(len(every), -1, -1), depth_m[this], K[this], T_every_this, depth_m, K)
        return found.seen.sum(1) / found.known.sum(1).clamp_min(1)


def _shrink(frame: PosedImage, pixels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return image (h, w), depth (h, w), K (3, 3) and pose (4, 4) of a frame at sides that are multiples of 8."""
    height, width = frame.image.shape
    scale = min(1.0, math.sqrt(pixels / (height * width)))
    h, w = (max(8, round(side * scale / 8) * 8) for side in (height, width))
    x, y = w / width, h / height
    K = frame.K.copy()
    K[0] *= x
    K[1] *= y
    # Centres are at integers: (c + .5) scales, not c.
    K[0, 2] += 0.5 * x - 0.5
    K[1, 2] += 0.5 * y - 0.5
    rows, columns = (((np.arange(n) + 0.5) / s).astype(int) for n, s in ((h, y), (w, x)))
    depth_m = frame.depth_m[np.ix_(rows, columns)]
    image = cv2.resize(frame.image, (w, h), interpolation=cv2.INTER_AREA)
    return image, depth_m.astype(np.float32), K.astype(np.float32), frame.T_world_camera
