"""The networks as others run them: tensors with names in and out, plain layers between, nothing of our own around.

An extractor ends at its heads, before the softmax: what follows is cheap, and chips that compute in integers do it
badly. A compact one becomes convolutions, ReLU and one concatenation: the pixel unshuffle is part of a convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import stability
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.folded import FoldedSuperGlue
from superslam_ros.models.superglue import SIZE, KeypointSet, SuperGlue
from superslam_ros.models.superpoint import CELL, DESCRIPTOR_SIZE, SuperPoint


class Port(NamedTuple):
    """An input or output: its name, its shape in numbers and names of what may vary, what it holds."""

    name: str
    shape: tuple[int | str, ...]
    meaning: str


class Graph(NamedTuple):
    """A network to export, tensors to follow it with, and what goes in and comes out."""

    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def of_extractor(network: SuperPoint | CompactSuperPoint, size: tuple[int, int] | None = None) -> Graph:
    """Return the graph of an extractor.

    :param size: (width, height) of the one image that goes in, multiples of 8; None for any size and number.
    """
    width, height = size or ('width', 'height')
    many = 1 if size else 'batch'
    cells = (height // CELL, width // CELL) if size else ('height/8', 'width/8')
    module = _CompactHeads.of(network) if isinstance(network, CompactSuperPoint) else _Heads(network)
    stable = [Port('stability', (many, stability.LOGITS, *cells), 'logits: of what is unstable, and of what is stable')]
    return Graph(
        module.eval().requires_grad_(False), (_numbers(1, 1, *((height, width) if size else (64, 96))),),
        (Port('image', (many, 1, height, width), 'gray, 0 to 1; sides are multiples of 8'),),
        (Port('logits', (many, CELL * CELL + 1, *cells), 'of the 64 pixels of each cell, row by row, and of none'),
         Port('descriptors', (many, DESCRIPTOR_SIZE, *cells), 'of each cell, to be divided by their length'),
         *(stable if hasattr(network, stability.HIDDEN) else [])))


def of_matcher(network: SuperGlue, counts: tuple[int, int] | None = None, iterations: int = 20) -> Graph:
    """Return the graph of a SuperGlue for one pair of images.

    :param counts: of keypoints in either image, of which masks say what is real; None for any, all of them real.
    :param iterations: of the optimal transport.
    """
    inputs, example = [], []
    for side, count in enumerate(counts or ('n', 'm')):
        number = count if counts else 7 + side
        inputs += [
            Port(f'keypoints{side}', (1, count, 2), 'x, y: (pixel - size / 2) / (0.7 longer side)'),
            Port(f'scores{side}', (1, count), 'confidences of the detector'),
            Port(f'descriptors{side}', (1, count, SIZE), 'of unit length')]
        example += [_numbers(1, number, 2) - 0.5, _numbers(1, number),
                    F.normalize(_numbers(1, number, SIZE, seed=side) - 0.5, dim=2)]
        if counts:
            inputs.append(Port(f'mask{side}', (1, count), 'bool: which keypoints are real'))
            example.append(torch.arange(number)[None] < max(1, number - 1))
    sides = tuple(count + 1 for count in counts) if counts else ('n+1', 'm+1')
    return Graph(
        _Assignment(network, iterations).eval(), tuple(example), tuple(inputs),
        (Port('log_assignment', (1, *sides), 'logarithm of the probability that two keypoints match; the last row and '
              'column: that one matches none'),))


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    """Return the same numbers in [0, 1) every time."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class _Heads(nn.Module):
    """The paper's network up to its heads."""

    def __init__(self, network: SuperPoint) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        encoded = self.network.encode(image)
        return (self.network.detect(encoded), self.network.convDb(self.network.activation('convDa', encoded)),
                *self.network.stabilise(encoded))


class _CompactHeads(CompactSuperPoint):
    """A compact network up to its heads, with strided convolutions in the place of the pixel unshuffles."""

    @classmethod
    def of(cls, network: CompactSuperPoint) -> _CompactHeads:
        heads = cls.like(network.state_dict())
        heads.load_state_dict(network.state_dict())
        heads(torch.zeros(1, 1, CELL, CELL))    # which replaces the convolutions
        return heads

    def of_pixels(self, name: str, x: Tensor, side: int) -> Tensor:
        conv = getattr(self, name)
        if conv.stride == (1, 1):
            setattr(self, name, _strided(conv, side))
        return self.activation(name, x)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x, finer = self.features(image)
        return (self.detect(torch.cat([x, *finer], 1) if finer else x), self.convDb(self.activation('convDa', x)),
                *self.stabilise(x))


def _strided(conv: nn.Conv2d, factor: int) -> nn.Conv2d:
    """Return the convolution that does what ``conv`` does behind a pixel unshuffle."""
    kernel = conv.kernel_size[0]
    whole = nn.Conv2d(conv.in_channels // factor**2, conv.out_channels, kernel * factor, factor,
                      conv.padding[0] * factor)
    parts = conv.weight.detach().view(conv.out_channels, -1, factor, factor, kernel, kernel)
    whole.weight.data = parts.permute(0, 1, 4, 2, 5, 3).reshape(whole.weight.shape)
    whole.bias.data = conv.bias.detach().clone()
    return whole


class _Assignment(nn.Module):
    """A SuperGlue as a function of tensors."""

    def __init__(self, network: SuperGlue, iterations: int) -> None:
        super().__init__()
        self.network, self.iterations = FoldedSuperGlue(network.eval()), iterations

    def forward(self, *tensors: Tensor) -> Tensor:
        sides: Sequence[Sequence[Tensor]] = tensors[:len(tensors) // 2], tensors[len(tensors) // 2:]
        return self.network(*(KeypointSet(*side) for side in sides), iterations=self.iterations)
