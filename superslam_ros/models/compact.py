"""A compact SuperPoint: the paper's cells and descriptors from a tenth of the arithmetic.

SuperPoint (arXiv 1712.07629) spends most of its time in the first two blocks, at full and at half resolution. Here
the image goes in with 2x2 pixels as four channels (pixel unshuffle, arXiv 1609.05158, read backwards), so that
nothing is computed at full resolution, and two strided convolutions lead to the cells of 8x8 pixels. Plain 3x3
convolutions throughout: while they are trained they have parallel branches, which are folded into one convolution on
export (RepVGG, arXiv 2101.03697).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import stability
from superslam_ros.models.superpoint import CELL, DESCRIPTOR_SIZE, score_map

UNSHUFFLE = 2
WIDTHS = (16, 32, 48, 80, 80, 80)
"""Channels of the encoder's convolutions; the second and the fourth halve the resolution."""
DETECTOR_WIDTH, DESCRIPTOR_WIDTH = 96, 128
FINE_WIDTH, MIDDLE_WIDTH = 48, 48
"""Channels that lead from half and from quarter resolution straight to the detector, which tells the pixels of a cell
apart."""
_STRIDED = (2, 4)
_SHORTCUTS = {'convF': (1, CELL // UNSHUFFLE), 'convM': (3, CELL // UNSHUFFLE // 2)}
"""Name -> the convolution whose output it takes, and how many of its pixels lie along a cell."""


class CompactSuperPoint(nn.Module):
    """The same interface as :class:`~superslam_ros.models.superpoint.SuperPoint`; (B, 1, H, W) images in [0, 1]."""

    def __init__(
        self, widths: Sequence[int] = WIDTHS, detector: int = DETECTOR_WIDTH, descriptor: int = DESCRIPTOR_WIDTH,
        fine: int = FINE_WIDTH, middle: int = MIDDLE_WIDTH, stable: int = 0,
    ) -> None:
        """Make the layers with PyTorch's default random weights.

        :param widths: channels of the encoder's convolutions, four or more; ``detector``, ``descriptor``: of the heads.
        :param fine: channels from half resolution to the detector, ``middle``: from quarter resolution; 0 for none.
        :param stable: channels of a stability head; 0 for none.
        """
        super().__init__()
        self.layers = layers(widths, detector, descriptor, fine, middle, stable)
        self.widths = tuple(widths)
        for name, (channels_in, channels_out, kernel, stride) in self.layers.items():
            setattr(self, name, nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2))

    @classmethod
    def like(cls, state: Mapping[str, Tensor], stable: int = 0) -> CompactSuperPoint:
        """Make a network of the widths that a checkpoint's tensors have.

        :param stable: channels of a stability head where they have none.
        """
        widths = []
        while f'conv{len(widths) + 1}.weight' in state:
            widths.append(len(state[f'conv{len(widths) + 1}.weight']))
        others = [len(state.get(f'{name}.weight', ())) for name in ('convPa', 'convDa', 'convF', 'convM')]
        return cls(widths, *others, stability.width(state) or stable)

    @staticmethod
    def is_in(state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are those of a compact network; the paper's first layer is called conv1a."""
        return all(f'conv{number}.weight' in state for number in range(1, max(_STRIDED) + 1))

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name`` and its non-linearity (training puts more branches beside it)."""
        return F.relu(getattr(self, name)(x), inplace=True)

    def of_pixels(self, name: str, x: Tensor, side: int) -> Tensor:
        """Convolution ``name`` of squares of pixels as channels, and its non-linearity (others run it in one step)."""
        return self.activation(name, F.pixel_unshuffle(x, side))

    def features(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what both heads see of (B, 1, H, W) images, and what the detector sees besides."""
        x, finer = image, []
        for number in range(1, len(self.widths) + 1):
            name = f'conv{number}'
            x = self.of_pixels(name, x, UNSHUFFLE) if number == 1 else self.activation(name, x)
            finer += [self.of_pixels(name, x, cell) for name, (after, cell) in _SHORTCUTS.items()
                      if after == number and name in self.layers]
        return x, finer

    def encode(self, image: Tensor) -> Tensor:
        """Return the shared feature map, (B, 1, H, W) -> (B, C, H/8, W/8), the finer channels last."""
        x, finer = self.features(image)
        return torch.cat([x, *finer], 1) if finer else x

    def detect(self, encoded: Tensor) -> Tensor:
        """Return (B, 65, H/8, W/8) logits: 64 pixels of the cell in row-major order, then the dustbin."""
        return self.convPb(self.activation('convPa', encoded))

    def describe(self, encoded: Tensor) -> Tensor:
        """Return (B, 256, H/8, W/8) descriptors, unit-length along the channels."""
        return F.normalize(self.convDb(self.activation('convDa', encoded[:, :self.widths[-1]])), dim=1)

    def stabilise(self, encoded: Tensor) -> list[Tensor]:
        """Return (B, 2, H/8, W/8) logits of what is unstable and stable; nothing without a stability head."""
        return stability.logits(self, encoded[:, :self.widths[-1]])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return score map (B, H, W), coarse descriptors (B, 256, H/8, W/8) and the rest, as SuperPoint does."""
        encoded = self.encode(image)
        return score_map(self.detect(encoded)), self.describe(encoded), *self.stabilise(encoded)


def layers(
    widths: Sequence[int], detector: int, descriptor: int, fine: int = 0, middle: int = 0, stable: int = 0,
) -> dict[str, tuple[int, int, int, int]]:
    """Return name -> (channels in, channels out, kernel, stride)."""
    inputs = [UNSHUFFLE**2, *widths]
    encoder = {f'conv{number}': (channels, widths[number - 1], 3, 2 if number in _STRIDED else 1)
               for number, channels in enumerate(inputs[:-1], 1)}
    for (name, (after, cell)), width in zip(_SHORTCUTS.items(), (fine, middle)):
        if width:
            encoder[name] = widths[after - 1] * cell**2, width, 1, 1
    return {
        **encoder,
        'convPa': (widths[-1] + fine + middle, detector, 3, 1), 'convPb': (detector, CELL * CELL + 1, 1, 1),
        'convDa': (widths[-1], descriptor, 3, 1), 'convDb': (descriptor, DESCRIPTOR_SIZE, 1, 1),
        **{name: (*shape, 1) for name, shape in stability.layers(widths[-1], stable).items()},
    }
