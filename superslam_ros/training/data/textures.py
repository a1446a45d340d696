"""Photographs on the training device, to be read anywhere at any scale, in batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LEVELS = 4


class Textures:
    """A stack of photographs of one size with their pyramids; each goes on for ever, mirrored at its edges.

    :ivar size: (height, width) of the photographs, pixels.
    """

    def __init__(self, images: Tensor) -> None:
        """Build the pyramids.

        :param images: (N, H, W) uint8 on the device where they will be read; H and W multiples of 8.
        """
        self.size, self._count = tuple(images.shape[-2:]), len(images)
        levels = [images]
        for _ in range(_LEVELS - 1):
            levels.append(torch.cat([
                F.avg_pool2d(part[:, None].float(), 2)[:, 0].round().byte() for part in levels[-1].split(64)]))
        self._flat = torch.cat([level.flatten() for level in levels])
        sizes = torch.tensor([[*level.shape[-2:], level.numel()] for level in levels], device=images.device)
        self._heights, self._widths = sizes[:, 0], sizes[:, 1]
        self._offsets = sizes[:, 2].cumsum(0) - sizes[:, 2]

    def __len__(self) -> int:
        """Return the number of photographs."""
        return self._count

    def look(self, photo: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
        """Read photographs bilinearly, from the pyramid level that suits.

        :param photo: (...) int64 numbers of the photographs.
        :param u: (...) places across, 0 at the left edge and 1 at the right one; ``v`` (...) downwards.
        :param footprint: (...) how many pixels of the photograph, in length, one that is read covers.
        :returns: (...) float32 in [0, 1].
        """
        level = footprint.clamp(1, 2**(_LEVELS - 1)).log2().round().long()
        height, width = self._heights[level], self._widths[level]
        start = self._offsets[level] + photo * height * width
        left, right, x = _neighbours(u, width)
        top, bottom, y = _neighbours(v, height)
        upper, lower = start + top * width, start + bottom * width
        above = torch.lerp(self._flat[upper + left].float(), self._flat[upper + right].float(), x)
        below = torch.lerp(self._flat[lower + left].float(), self._flat[lower + right].float(), x)
        return torch.lerp(above, below, y) / 255


def _neighbours(place: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the two pixels between whose centres a mirrored place lies, and how far along it is."""
    mirrored = 1 - (1 - place.remainder(2)).abs()
    at = (mirrored * size - 0.5).clamp_min(0)
    first = torch.minimum(at.long(), size - 1)
    return first, torch.minimum(first + 1, size - 1), at - first
