"""Where in a small patch the corner of a board is, between pixels, and how surely (arXiv 1812.03247, section 3.3).

Deep ChArUco's RefineNet draws a heat map eight times as fine as the pixels. Here the position is a regression with a
standard deviation of its own, learnt as the likelihood of a normal distribution (arXiv 1703.04977), so that what is
blurred says so; and a third output says whether there is a corner at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 24
"""Side of a patch; its middle lies between pixels."""
REACH = 4.0
"""How far from the middle a corner may be, along each axis, in pixels of the patch."""
WIDTHS = (32, 64, 96)
"""Channels at half and at quarter resolution, and of the hidden layer."""
LEVELS = 4
_FAINT = 0.004      # standard deviation added to that of gray values in [0, 1]
_LEAST, _MOST = -4.0, 2.0       # bounds of the logarithm of a standard deviation


class BoardRefine(nn.Module):
    """(B, 1, 24, 24) patches in [0, 1] to offsets (B, 2) from the middle, ln(sigma) (B,), and logits (B,) of a corner.

    Offsets and sigma are in pixels of the patch.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        """Make the layers with PyTorch's default random weights."""
        super().__init__()
        half, quarter, hidden = widths
        self.convolutions = {'refine1': (4, half, 1), 'refine2': (half, half, 1), 'refine3': (half, quarter, 2),
                             'refine4': (quarter, quarter, 1)}
        for name, (channels_in, channels_out, stride) in self.convolutions.items():
            setattr(self, name, nn.Conv2d(channels_in, channels_out, 3, stride, 1))
        self.refineA = nn.Linear(quarter * (PATCH // 4) ** 2, hidden)
        self.refineB = nn.Linear(hidden, 4)

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> BoardRefine:
        """Make a network of the widths that a checkpoint's tensors have."""
        return cls(tuple(len(state.get(f'{name}.weight', ())) for name in ('refine1', 'refine3', 'refineA')))

    @staticmethod
    def is_in(state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are those of this network."""
        return 'refineB.weight' in state

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name`` and its non-linearity (training normalises between them)."""
        return F.relu(getattr(self, name)(x), inplace=True)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets, logarithms of sigma, logits."""
        deviation, mean = torch.std_mean(patches, (1, 2, 3), keepdim=True)
        x = F.pixel_unshuffle((patches - mean) / (deviation + _FAINT), 2)
        x = self.activation('refine1', x)
        x = x + self.activation('refine2', x)
        x = self.activation('refine3', x)
        x = x + self.activation('refine4', x)
        out = self.refineB(F.relu(self.refineA(x.flatten(1))))
        return out[:, :2], out[:, 2].clamp(_LEAST, _MOST), out[:, 3]


def pyramid(image: Tensor) -> list[Tensor]:
    """Return an image (H, W) and smaller copies of it, each half as large, as long as a patch fits."""
    levels = [image]
    while len(levels) < LEVELS and min(levels[-1].shape) >= 2 * PATCH:
        levels.append(F.avg_pool2d(levels[-1][None], 2)[0])
    return levels


def cut(levels: list[Tensor], pixels: Tensor, steps: Tensor) -> Tensor:
    """Return patches (N, 1, 24, 24) around places in an image.

    :param levels: as :func:`pyramid` gives them.
    :param pixels: (N, 2) the middles, pixels of the image; ``steps`` (N,) pixels of the image per pixel of a patch.
    """
    along = torch.arange(PATCH, dtype=pixels.dtype, device=pixels.device) - (PATCH - 1) / 2
    window = torch.stack(torch.meshgrid(along, along, indexing='xy'), -1)
    which = steps.log2().floor().clamp(0, len(levels) - 1)
    patches = pixels.new_empty(len(pixels), 1, PATCH, PATCH)
    for number, level in enumerate(levels):
        of = (which == number).nonzero()[:, 0]
        if len(of):
            places = pixels[of, None, None] + window * steps[of, None, None, None]
            size = places.new_tensor(level.shape[::-1]) * 2**number
            patches[of] = F.grid_sample(
                level[None, None], ((2 * places + 1) / size - 1).reshape(1, -1, PATCH, 2),
                padding_mode='border', align_corners=False).reshape(-1, 1, PATCH, PATCH)
    return patches
