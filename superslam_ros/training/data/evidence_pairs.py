"""Pairs of frames of a recording whose structure is known: what is to be described alike, what is not to be trusted.

Self-improving visual odometry (arXiv 1812.03245, section 4) learns from pairs of frames that tracks go through. Where
matching fails, tracks end, so what is left to learn lies beyond: keypoints are projected, by the points and depths of
the structure, into all frames that show the same place, and looked for behind what hides them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.data import evidence_frames, glue_pairs, homographies
from superslam_ros.training.data.evidence_frames import Frames, LabelledPart
from superslam_ros.training.data.homographies import Spread, pixel_grid, warp_points
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

REACH = 60
"""Frames by which those of a pair are apart; pairs farther apart are revisits, which share tracks."""
SHARED = 15
OVERLAP = (0.15, 0.97)
"""Share of what one frame shows that the other must show, too; above it nothing has moved."""
SPREAD = Spread(scale=(0.45, 1.0), rotation=math.radians(20), any_rotation=0.03, perspective=0.1, translation=0.8)
"""Of the views of frames: from pixel for pixel to half of that, as two octaves see them. The second view of a pair
looks at what the first one shows."""
_ASIDE = 0.25
"""Part of a frame that is between its edges and the middle of such a view."""
_LEVELS = 8
"""Pairs are drawn as often of every so many of the overlaps."""
_BORDER, _ROWS = 4, 40
"""Of the views (pixels); of the depths by which frames are compared."""


class EvidenceViews(NamedTuple):
    """Views of P pairs of frames: of 2P views, first come the first ones; without noise.

    ``images`` (2P, 1, h, w) in [0, 1]; ``keypoints`` (2P, N, 2) pixels, ``real`` (2P, N) those that are inside;
    ``there`` (2P, N, 2) where the keypoints are in the pair's other view, ``seen`` (2P, N) whether it shows them;
    ``labels`` (2P, N) int8: 1 stable, -1 unstable, 0 not known.
    """

    images: Tensor
    keypoints: Tensor
    real: Tensor
    there: Tensor
    seen: Tensor
    labels: Tensor


class EvidencePairs:
    """The frames of recordings on the training device, and pairs of them that show the same."""

    def __init__(self, parts: Sequence[LabelledPart], view: tuple[int, int], device: torch.device,
                 most: int = evidence_frames.MOST) -> None:
        """Read the frames, and find the pairs.

        :param view: (height, width) of the views, multiples of 8.
        :param most: frames that are held, of all parts.
        :raises ValueError: naming a recording of which too little may be trained on; when no two frames show the same.
        """
        self._parts = [_Part(frames, view, device) for frames in evidence_frames.gather(parts, most)]
        self._sizes = torch.tensor([float(len(part.pairs)) for part in self._parts], device=device)
        if not self._sizes.sum():
            raise ValueError('no two frames to train on show one place from different ones: the camera stood still, '
                             'or has seen every place from one side only')

    def __len__(self) -> int:
        """Return the number of pairs."""
        return int(self._sizes.sum())

    def draw(self, batch: int, rng: Rng) -> EvidenceViews:
        """Return random pairs, each frame through a homography of its own (SuperPoint, arXiv 1712.07629, appendix)."""
        of_part = torch.multinomial(self._sizes, batch, replacement=True, generator=rng.generator)
        found = [part.draw(count, rng) for part, count in
                 zip(self._parts, torch.bincount(of_part, minlength=len(self._parts)).tolist()) if count]
        # First views first, whatever the part.
        halves = [[torch.stack(field.chunk(2)) for field in one] for one in found]
        return EvidenceViews(*(torch.cat(fields, 1).flatten(0, 1) for fields in zip(*halves)))


class _Part:
    """The frames of one recording."""

    def __init__(self, frames: Frames, view: tuple[int, int], device: torch.device) -> None:
        self.view = view

        def on_device(array, dtype: torch.dtype | None = None) -> Tensor:
            return torch.from_numpy(array).to(device, dtype)

        self._textures = Textures(on_device(frames.images))
        self._depth, self._K, self._K_depth = (
            on_device(frames.depth), on_device(frames.K, torch.float32), on_device(frames.K_depth, torch.float32))
        self._T_world_camera = on_device(frames.T_world_camera)
        self._pixels, self._inverse = on_device(frames.pixels), on_device(frames.inverse)
        self._labels, self._real = on_device(frames.labels), on_device(frames.real)
        self.pairs, self._odds = self._find_pairs(
            *(on_device(field) for field in (frames.number, frames.segment, frames.shared)))

    def _find_pairs(self, number: Tensor, segment: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        """Return (P, 2) pairs of frames, and (P,) how often to draw each."""
        near = (segment[:, None] == segment) & (
            ((number[:, None] - number).abs() <= REACH) | (shared >= SHARED))
        overlap = torch.zeros(near.shape, device=near.device)
        for one, others in enumerate(near):
            overlap[one, others] = self._overlap(one, torch.nonzero(others)[:, 0])
        overlap = torch.minimum(overlap, overlap.T)
        pairs = torch.nonzero((overlap >= OVERLAP[0]) & (overlap <= OVERLAP[1]))
        level = (overlap[pairs[:, 0], pairs[:, 1]] * _LEVELS).long().clamp_max(_LEVELS - 1)
        return pairs, 1 / torch.bincount(level, minlength=_LEVELS)[level].double()

    def _overlap(self, number: int, others: Tensor) -> Tensor:
        """Return (B,) the share of the points of a frame, of known depth, that others (B,) show."""
        step = max(1, min(self._depth.shape[1:]) // _ROWS)
        depth = self._depth[:, ::step, ::step]
        K = self._K_depth / step
        K[2, 2] = 1
        K = K.expand(len(others), 3, 3)
        points = pixel_grid(*depth.shape[1:], depth.device)[1::3, 1::3].reshape(1, -1, 2)
        this = torch.full_like(others, number)
        found = glue_pairs.by_depth(points.expand(len(others), -1, -1), depth[this].float(), K,
                                    self._motion(this, others), depth[others].float(), K)
        return found.seen.sum(1) / found.known.sum(1).clamp_min(1)

    def _motion(self, first: Tensor, second: Tensor) -> Tensor:
        """Return (B, 4, 4) T_second_first, float32 of what is computed in float64."""
        return (torch.linalg.inv(self._T_world_camera[second]) @ self._T_world_camera[first]).float()

    def draw(self, batch: int, rng: Rng) -> EvidenceViews:
        """Return random pairs."""
        view = self.view
        chosen = torch.multinomial(self._odds, batch, replacement=True, generator=rng.generator)
        first, second = self.pairs[chosen].unbind(1)
        here, other = torch.cat([first, second]), torch.cat([second, first])
        H_frame_view = homographies.sample(2 * batch, view, self._textures.size, SPREAD, rng)
        at, seen = self._carried(here, other)
        H_frame_view[batch:] = self._towards(
            H_frame_view[batch:], at[:batch], seen[:batch] & _inside(
                warp_points(torch.linalg.inv(H_frame_view[:batch]), self._pixels[first]), view))
        H_view_frame = torch.linalg.inv(H_frame_view)
        images = glue_pairs.look_through(self._textures, here, H_frame_view, view)
        keypoints = warp_points(H_view_frame, self._pixels[here])
        there = warp_points(H_view_frame.roll(batch, 0), at)
        real = self._real[here] & _inside(keypoints, view)
        return EvidenceViews(images, keypoints, real, there, real & seen & _inside(there, view), self._labels[here])

    def _towards(self, H_frame_view: Tensor, points: Tensor, seen: Tensor) -> Tensor:
        """Move views (B, 3, 3) to the middle of the points (B, N, 2) of the frame that count, if there are any."""
        height, width = self._textures.size
        middle = points.masked_fill(~seen[..., None], torch.nan).nanmedian(1).values
        size = middle.new_tensor([width, height])
        middle = torch.minimum(torch.maximum(middle, _ASIDE * size), (1 - _ASIDE) * size)
        centre = warp_points(H_frame_view, middle.new_tensor([[self.view[1] / 2, self.view[0] / 2]]).expand(
            len(middle), 1, 2))[:, 0]
        shift = torch.eye(3, device=middle.device).repeat(len(middle), 1, 1)
        shift[:, :2, 2] = (middle - centre).nan_to_num(0)
        return shift @ H_frame_view

    def _carried(self, here: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, N, 2) pixels of the other frames at which the keypoints of frames are, (B, N) whether they do."""
        inverse = self._inverse[here]
        known = inverse.isfinite() & self._real[here]
        inverse = inverse.nan_to_num(1.0)
        K = self._K
        rays = F.pad((self._pixels[here] - K[:2, 2]) / K[[0, 1], [0, 1]], (0, 1), value=1.0)
        T = self._motion(here, other)
        moved = rays @ T[:, :3, :3].transpose(1, 2) + inverse[..., None] * T[:, None, :3, 3]
        found = glue_pairs.seen_at(moved, inverse, self._depth[other].float(), self._K_depth.expand(len(here), 3, 3),
                                   known)
        return moved[..., :2] / moved[..., 2:].clamp_min(1e-3) * K[[0, 1], [0, 1]] + K[:2, 2], found.seen


def _inside(points: Tensor, view: tuple[int, int]) -> Tensor:
    height, width = view
    return ((points >= _BORDER) & (points <= points.new_tensor([width - 1, height - 1]) - _BORDER)).all(-1)
