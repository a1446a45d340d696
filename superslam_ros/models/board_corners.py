"""The inner corners of chessboards, of ChArUco boards above all: SuperPoint's cells, for one kind of corner.

As in Deep ChArUco (arXiv 1812.03247) a corner is one of the 64 pixels of a cell of 8x8, or none is there (arXiv
1712.07629, section 3.2). What board a corner belongs to, and its number there, is not this network's: it knows no
board, and so it serves any. The paper's form, with a second head for the ids of one board, is there, too. The image
goes in with 2x2 pixels as channels (arXiv 1609.05158, read backwards), twice: normalised over the whole image, so that
a dark image looks like a bright one, and over some 40 pixels around, so that a shadow on a board does too.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models.superpoint import CELL

WIDTHS = (16, 32, 80, 128)
"""Channels at half, quarter and eighth resolution, and before the last layer."""
DILATIONS = (1, 2, 1)
"""Of the convolutions at an eighth of the resolution: a corner that is blurred away is where its neighbours say."""
UNSHUFFLE = 2
THRESHOLD = 0.15
"""Least score of a corner."""
MOST = 1000
"""No more corners are taken from an image."""
_REACH = 3
_DOUBT, _LEAST_PX = 0.75, 0.15      # of corners' errors: as part of the spread, and at least
_AROUND_CELLS = 5
_FAINT_IMAGE, _FAINT_AROUND = 0.004, 0.15
"""Added to standard deviations: of gray values in [0, 1], and of those normalised over the image."""


class BoardCorners(nn.Module):
    """(B, 1, H, W) images in [0, 1], sides multiples of 8, to (B, 65, H/8, W/8) logits, the last one for no corner."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS, ids: int = 0) -> None:
        """Make the layers with PyTorch's default random weights.

        :param ids: corners of the one board that the network knows, as the paper's does; 0 for a network for any.
        """
        super().__init__()
        self.layers = layers(widths, ids)
        for name, (channels_in, channels_out, kernel, stride, dilation) in self.layers.items():
            setattr(self, name, nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2 * dilation, dilation))

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> BoardCorners:
        """Make a network of the widths that a checkpoint's tensors have."""
        *widths, ids = (len(state.get(f'{name}.weight', ()))
                        for name in ('board1', 'board2', 'board5', 'boardA', 'boardI'))
        return cls(tuple(widths), max(0, ids - 1))

    @staticmethod
    def is_in(state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are those of this network."""
        return 'boardB.weight' in state

    @property
    def ids(self) -> int:
        """Corners of the board that the network knows, or 0."""
        return self.layers['boardI'][1] - 1 if 'boardI' in self.layers else 0

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name`` and its non-linearity (training normalises between them)."""
        return F.relu(getattr(self, name)(x), inplace=True)

    def encode(self, image: Tensor) -> Tensor:
        """Return the shared feature map (B, C, H/8, W/8)."""
        x = self.activation('board2', self.activation('board1', normalised(image)))
        for name in ('board3', 'board4'):
            x = x + self.activation(name, x)
        fine = self.activation('boardF', F.pixel_unshuffle(x, UNSHUFFLE))
        x = self.activation('board5', x) + fine
        for number in range(len(DILATIONS)):
            x = x + self.activation(f'board{6 + number}', x)
        return x

    def detect(self, encoded: Tensor) -> Tensor:
        """Return the logits (B, 65, H/8, W/8) of where in each cell a corner is."""
        return self.boardB(self.activation('boardA', encoded))

    def identify(self, encoded: Tensor) -> Tensor:
        """Return the logits (B, ids + 1, H/8, W/8) of which corner of the known board it is, the last one for none."""
        return self.boardI(self.activation('boardC', encoded))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits of where corners are."""
        return self.detect(self.encode(image))


def layers(widths: tuple[int, int, int, int], ids: int = 0) -> dict[str, tuple[int, int, int, int, int]]:
    """Return name -> (channels in, channels out, kernel, stride, dilation)."""
    half, quarter, eighth, last = widths
    return {
        'board1': (2 * UNSHUFFLE**2, half, 3, 1, 1), 'board2': (half, quarter, 3, 2, 1),
        'board3': (quarter, quarter, 3, 1, 1), 'board4': (quarter, quarter, 3, 1, 1),
        'board5': (quarter, eighth, 3, 2, 1), 'boardF': (quarter * UNSHUFFLE**2, eighth, 1, 1, 1),
        **{f'board{6 + number}': (eighth, eighth, 3, 1, dilation) for number, dilation in enumerate(DILATIONS)},
        'boardA': (eighth, last, 3, 1, 1), 'boardB': (last, CELL * CELL + 1, 1, 1, 1),
        **({'boardC': (eighth, last, 3, 1, 1), 'boardI': (last, ids + 1, 1, 1, 1)} if ids else {}),
    }


def normalised(image: Tensor) -> Tensor:
    """Return (B, 8, H/2, W/2): 2x2 pixels, of mean 0 and deviation 1 over the image, then over the surroundings."""
    deviation, mean = torch.std_mean(image, (1, 2, 3), keepdim=True)
    gray = (image - mean) / (deviation + _FAINT_IMAGE)
    cells = F.avg_pool2d(torch.cat([gray, gray * gray], 1), CELL)
    around = F.avg_pool2d(cells, _AROUND_CELLS, 1, _AROUND_CELLS // 2, count_include_pad=False)
    mean = around[:, :1]
    scale = 1 / ((around[:, 1:] - mean * mean).clamp_min(0).sqrt() + _FAINT_AROUND)
    pixels = F.pixel_unshuffle(gray, UNSHUFFLE)
    mean, scale = F.interpolate(
        torch.cat([mean, scale], 1), pixels.shape[-2:], mode='bilinear', align_corners=False).split(1, 1)
    return torch.cat([pixels, (pixels - mean) * scale], 1)


def peaks(
    scores: np.ndarray, threshold: float = THRESHOLD, radius: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where a score map (H, W) has its corners: (N, 2) pixels, (N,) scores, (N,) sigmas; the best first.

    A corner that lies between pixels, or is blurred, shares its probability among several: they are summed with
    Gaussian weights, and their mean is its place. ``sigma`` (pixels, of each coordinate) is as large as errors are for
    so wide a spread about it, by drawn images.

    :param threshold: least sum; ``radius``: within which one corner suppresses others (pixels).
    """
    summed = cv2.GaussianBlur(scores, (0, 0), 1.0, borderType=cv2.BORDER_CONSTANT) * np.float32(2 * np.pi)
    highest = cv2.dilate(summed, np.ones((2 * radius + 1,) * 2, np.uint8))
    y, x = np.nonzero((summed == highest) & (summed > threshold))
    order = np.argsort(-summed[y, x], kind='stable')[:MOST]
    y, x = y[order], x[order]
    # Of two pixels that are equally high, the second goes.
    near = np.maximum(np.abs(x[:, None] - x), np.abs(y[:, None] - y)) <= radius
    first = ~np.tril(near, -1).any(1)
    y, x = y[first], x[first]
    steps = np.arange(-_REACH, _REACH + 1)
    window = np.pad(scores, _REACH)[y[:, None, None] + steps[:, None] + _REACH, x[:, None, None] + steps + _REACH]
    weights = window * np.exp(-(steps[:, None] ** 2 + steps**2) / (2 * _REACH**2))
    total = np.maximum(weights.sum((1, 2)), 1e-9)
    moments = [((weights * power).sum((1, 2)) / total) for power in (
        np.broadcast_to(steps, window.shape[1:]), np.broadcast_to(steps[:, None], window.shape[1:]),
        steps[:, None] ** 2 + steps**2)]
    spread = np.sqrt(np.maximum(moments[2] - moments[0] ** 2 - moments[1] ** 2, 0) / 2)
    sigma = np.maximum(_DOUBT * spread, _LEAST_PX)
    return np.stack([x + moments[0], y + moments[1]], 1), np.minimum(summed[y, x], 1), sigma
