"""SuperPoint: self-supervised interest point detection and description (arXiv 1712.07629).

Tensors here are (B, 1, H, W) images in [0, 1] with H and W multiples of 8; pixel centres are at integer
coordinates, so the centre of cell (i, j) of the 8x8 grid is the pixel (8 j + 3.5, 8 i + 3.5).
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import stability

CELL = 8
DESCRIPTOR_SIZE = 256

LAYERS = {
    'conv1a': (1, 64, 3), 'conv1b': (64, 64, 3),
    'conv2a': (64, 64, 3), 'conv2b': (64, 64, 3),
    'conv3a': (64, 128, 3), 'conv3b': (128, 128, 3),
    'conv4a': (128, 128, 3), 'conv4b': (128, 128, 3),
    'convPa': (128, 256, 3), 'convPb': (256, CELL * CELL + 1, 1),
    'convDa': (128, 256, 3), 'convDb': (256, DESCRIPTOR_SIZE, 1),
}
"""Name -> (channels in, channels out, kernel), as in the published checkpoint (paper, sections 3 and 6)."""

STRIP_PIXELS, STRIP_ROWS, HALO = 2**16, 16, 2
"""A CPU takes a block of the encoder through strips of so many pixels, or of so many rows where that is more: what lies
between two convolutions stays in its caches. ``HALO``: rows around a strip that its two convolutions look at."""


class SuperPoint(nn.Module):
    """The network of section 3: a VGG-style encoder, a detector head and a descriptor head."""

    def __init__(self, stable: int = 0) -> None:
        """Make the layers with PyTorch's default random weights.

        :param stable: channels of a stability head; 0 for none, as in the published weights.
        """
        super().__init__()
        self.layers = {**LAYERS, **stability.layers(LAYERS['conv4b'][1], stable)}
        for name, (channels_in, channels_out, kernel) in self.layers.items():
            setattr(self, name, nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2))

    @classmethod
    def like(cls, state: Mapping[str, Tensor], stable: int = 0) -> SuperPoint:
        """Make a network with the layers that a checkpoint's tensors have.

        :param stable: channels of a stability head where they have none.
        """
        return cls(stability.width(state) or stable)

    @staticmethod
    def is_in(state: Mapping[str, Tensor]) -> bool:
        """Return whether tensors are those of such a network."""
        return 'conv1a.weight' in state

    def activation(self, name: str, x: Tensor) -> Tensor:
        """Convolution ``name`` and its non-linearity (training puts a normalisation between them)."""
        return F.relu(getattr(self, name)(x), inplace=True)

    def encode(self, image: Tensor) -> Tensor:
        """Return the shared feature map: (B, 1, H, W) -> (B, 128, H/8, W/8)."""
        x = image
        strips = x.device.type == 'cpu' and not (self.training or torch.is_grad_enabled() or torch.jit.is_tracing())
        for block in '1234':
            x = self._block_in_strips(block, x) if strips else self._block(block, x)
        return x

    def _block(self, block: str, x: Tensor) -> Tensor:
        x = self.activation(f'conv{block}b', self.activation(f'conv{block}a', x))
        return x if block == '4' else F.max_pool2d(x, 2)

    def _block_in_strips(self, block: str, x: Tensor) -> Tensor:
        """Compute what :meth:`_block` does, up to rounding, from strips of rows."""
        height, width = x.shape[-2:]
        rows = max(STRIP_ROWS, STRIP_PIXELS // (len(x) * width) // 2 * 2)
        if rows >= height:
            return self._block(block, x)
        factor, parts = 1 if block == '4' else 2, []
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            above = min(HALO, top)
            part = self._block(block, x[:, :, top - above:bottom + HALO])
            parts.append(part[:, :, above // factor:(above + bottom - top) // factor])
        return torch.cat(parts, 2)

    def detect(self, encoded: Tensor) -> Tensor:
        """Return (B, 65, H/8, W/8) logits: 64 pixels of the cell in row-major order, then the dustbin."""
        return self.convPb(self.activation('convPa', encoded))

    def describe(self, encoded: Tensor) -> Tensor:
        """Return (B, 256, H/8, W/8) descriptors, unit-length along the channels."""
        return F.normalize(self.convDb(self.activation('convDa', encoded)), dim=1)

    def stabilise(self, encoded: Tensor) -> list[Tensor]:
        """Return (B, 2, H/8, W/8) logits of what is unstable and stable; nothing without a stability head."""
        return stability.logits(self, encoded)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the score map and the coarse descriptors, and where there is a stability head, what it says.

        :param image: (B, 1, H, W) in [0, 1]; H and W multiples of 8.
        :returns: (B, H, W) probability of a keypoint in each pixel; (B, 256, H/8, W/8) descriptors; and
            (B, 2, H/8, W/8) logits.
        """
        encoded = self.encode(image)
        return score_map(self.detect(encoded)), self.describe(encoded), *self.stabilise(encoded)


def score_map(logits: Tensor) -> Tensor:
    """Softmax over each cell's 65 channels, dustbin dropped, cells unfolded: (B, 65, h, w) -> (B, 8h, 8w)."""
    return F.pixel_shuffle(logits.float().softmax(1)[:, :-1], CELL).squeeze(1)


def pad_to_cells(image: Tensor) -> Tensor:
    """Repeat the last row and column of (B, C, H, W) until both sides are multiples of 8."""
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % CELL, 0, -height % CELL), mode='replicate')


def on_host(tensor: Tensor) -> bool:
    """Return whether a tensor is where OpenCV works, and where to ask for a number waits for nobody."""
    return tensor.device.type == 'cpu'


def suppress(scores: Tensor, radius: int) -> Tensor:
    """Non-maximum suppression: zero every score that has a higher one within ``radius`` pixels.

    Maxima hide their neighbourhood; what is then highest among the rest is looked for twice more, so that
    a pixel hidden only by a pixel that was itself hidden comes back.

    :param scores: (B, H, W).
    """
    if radius < 1:
        return scores
    side = 2 * radius + 1
    if on_host(scores):     # OpenCV is many times as fast as pooling there
        found = [_suppress(one, np.ones((side, side), np.uint8)) for one in scores.detach().numpy()]
        return torch.from_numpy(np.stack(found))
    peaks = scores == _highest(scores, side)
    for _ in range(2):
        hidden = _highest(peaks.float(), side) > 0
        rest = scores.masked_fill(hidden, 0)
        peaks |= (rest == _highest(rest, side)) & ~hidden
    return scores.masked_fill(~peaks, 0)


def _suppress(scores: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Do so in one map (H, W)."""
    peaks = cv2.compare(scores, cv2.dilate(scores, square), cv2.CMP_EQ)
    for _ in range(2):
        free = cv2.bitwise_not(cv2.dilate(peaks, square))
        rest = cv2.copyTo(scores, free)
        peaks |= cv2.compare(rest, cv2.dilate(rest, square), cv2.CMP_EQ) & free
    return cv2.copyTo(scores, peaks)


def _highest(maps: Tensor, side: int) -> Tensor:
    """Return the highest value within a square around each pixel of (B, H, W) maps."""
    rows = F.max_pool2d(maps[:, None], (1, side), stride=1, padding=(0, side // 2))
    return F.max_pool2d(rows, (side, 1), stride=1, padding=(side // 2, 0))[:, 0]


def select(scores: Tensor, threshold: float, border: int, limit: int) -> tuple[Tensor, Tensor]:
    """Return the strongest pixels of one suppressed score map.

    :param scores: (H, W); pixels at or below ``threshold`` or nearer than ``border`` to the edge are left out.
    :param limit: at most so many; 0 for all. A GPU returns so many, the missing ones with scores of -1.
    :returns: (N, 2) float pixels (x, y) and (N,) scores, strongest first, equal ones in reading order.
    """
    height, width = scores.shape
    inner = scores[border:height - border, border:width - border]
    if on_host(scores) or not limit:
        inner_values = inner.reshape(-1)
        above = inner_values > threshold
        at = torch.from_numpy(np.flatnonzero(above.numpy())) if on_host(above) else torch.nonzero(above)[:, 0]
        values, order = inner_values[at].sort(descending=True, stable=True)
        at = at[order]
        at, values = (at[:limit], values[:limit]) if limit > 0 else (at, values)
    else:
        at, values = _strongest(inner.reshape(-1), threshold, limit)
    columns, rows = at % inner.shape[1], at // inner.shape[1]
    return torch.stack([columns + border, rows + border], dim=-1).to(scores.dtype), values


def _strongest(scores: Tensor, threshold: float, limit: int) -> tuple[Tensor, Tensor]:
    """Return places and values of the highest scores (N,), where there are fewer with -1 in place of the others.

    How many there are does not depend on the scores, so that a GPU need not be waited for. Scores are not negative, so
    their bits order as they do; behind them stands the place, for equal ones.
    """
    places = torch.arange(len(scores), device=scores.device)
    keys = (scores.float().view(torch.int32).long() << 32) - places
    at = keys.topk(min(limit, len(scores))).indices
    values = scores[at]
    return at, values.masked_fill(~(values > threshold), -1)


def refine(scores: Tensor, keypoints: Tensor, radius: int = 2) -> Tensor:
    """Move keypoints to the centre of mass of the scores around them (soft-argmax, sub-pixel).

    :param scores: (H, W) score map before suppression.
    :param keypoints: (N, 2) integer-valued pixels (x, y).
    """
    if len(keypoints) == 0:
        return keypoints
    steps = torch.arange(-radius, radius + 1, device=scores.device)
    dy, dx = torch.meshgrid(steps, steps, indexing='ij')
    padded = F.pad(scores[None, None], (radius,) * 4)[0, 0]
    columns, rows = keypoints.long().unbind(-1)
    patch = padded[rows[:, None, None] + dy + radius, columns[:, None, None] + dx + radius]
    mass = patch.sum((1, 2)).clamp_min(1e-12)
    offset = torch.stack([(patch * dx).sum((1, 2)), (patch * dy).sum((1, 2))], dim=-1) / mass[:, None]
    return keypoints + offset


def sample_descriptors(descriptors: Tensor, keypoints: Tensor) -> Tensor:
    """Interpolate coarse descriptors (B, 256, h, w) as :func:`sample` does: (B, N, 256), unit-length."""
    return F.normalize(sample(descriptors, keypoints), dim=-1)


def sample_stability(logits: Tensor, keypoints: Tensor) -> Tensor:
    """Return (B, N) probabilities that keypoints (B, N, 2) are stable, of (B, 2, h, w) logits.

    The logits are interpolated as :func:`sample` does, then comes the softmax (arXiv 1812.03245, section 5).
    """
    return sample(logits, keypoints).float().softmax(-1)[..., stability.STABLE]


def sample(maps: Tensor, keypoints: Tensor) -> Tensor:
    """Interpolate maps of cells bilinearly at keypoints.

    :param maps: (B, C, h, w), the (i, j) of a map at the pixel (8 j + 3.5, 8 i + 3.5).
    :param keypoints: (B, N, 2) pixels (x, y).
    :returns: (B, N, C).
    """
    height, width = maps.shape[-2:]
    size = torch.stack([keypoints.new_full((), side) for side in (width, height)])     # no copy from the host
    # grid_sample with align_corners=False puts cell i's centre at (2 i + 1) / size - 1.
    grid = (2 * keypoints + 1) / (CELL * size) - 1
    sampled = F.grid_sample(
        maps, grid[:, None].to(maps.dtype), mode='bilinear', padding_mode='border', align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)
