"""Photometric noise on batches of images, each effect with its own random strength per image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.training.random import Rng

_KERNEL = 9


def distort(images: Tensor, rng: Rng, share: float = 0.7) -> Tensor:
    """Apply shading, contrast, brightness, blur, motion blur, gaussian noise, speckle and salt and pepper.

    :param images: (B, 1, H, W) in [0, 1].
    :param share: the part of the images that is touched at all; each effect then has its own odds.
    :returns: the same shape, in [0, 1].
    """
    batch = len(images)

    def strength(high: float, odds: float) -> Tensor:
        return rng.uniform(0, high, batch, 1, 1, 1) * rng.chance(odds, batch, 1, 1, 1)

    out = images * (1 + _shading(rng, images) * strength(0.8, 0.4))
    out = 0.5 + (out - 0.5) * torch.exp(rng.sign(batch, 1, 1, 1) * strength(0.7, 0.6))
    out = out + rng.sign(batch, 1, 1, 1) * strength(0.25, 0.6)
    out = out.clamp(1e-4, 1) ** torch.exp(rng.sign(batch, 1, 1, 1) * strength(0.5, 0.4))
    out = _blur(out, rng)
    noise = torch.maximum(strength(0.03, 0.8), strength(0.12, 0.3))
    out = out + rng.normal(*images.shape) * noise
    out = out * (1 + rng.normal(*images.shape) * strength(0.2, 0.2))
    grain = rng.uniform(0, 1, *images.shape)
    amount = strength(0.01, 0.15)
    out = torch.where(grain < amount, 0.0, torch.where(grain > 1 - amount, 1.0, out))
    return torch.where(rng.chance(share, batch, 1, 1, 1), out.clamp(0, 1), images)


def _shading(rng: Rng, images: Tensor) -> Tensor:
    """Return smooth light and shadow in [-1, 1]: a few random values spread over the image."""
    coarse = rng.normal(len(images), 1, 4, 5)
    return F.interpolate(coarse, images.shape[-2:], mode='bicubic', align_corners=False).clamp(-2, 1) / 2


def _blur(images: Tensor, rng: Rng) -> Tensor:
    """Convolve each image with its own kernel: nothing, a gaussian, or a straight motion."""
    batch = len(images)
    steps = torch.arange(_KERNEL, device=images.device) - _KERNEL // 2
    y, x = torch.meshgrid(steps, steps, indexing='ij')
    sigma = rng.uniform(0.05, 1.6, batch, 1, 1)
    gaussian = torch.exp(-(x * x + y * y) / (2 * sigma * sigma))
    angle = rng.uniform(0, math.pi, batch, 1, 1)
    along = x * angle.cos() + y * angle.sin()
    across = y * angle.cos() - x * angle.sin()
    length = rng.uniform(0.5, _KERNEL / 2, batch, 1, 1)
    motion = (along.abs() <= length) * torch.exp(-across * across / 0.5)
    identity = ((x == 0) & (y == 0)).float().expand(batch, -1, -1)
    choice = rng.uniform(0, 1, batch, 1, 1)
    kernel = torch.where(choice < 0.4, identity, torch.where(choice < 0.8, gaussian, motion))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True))[:, None]
    padded = F.pad(images.transpose(0, 1), (_KERNEL // 2,) * 4, mode='reflect')
    return F.conv2d(padded, kernel, groups=batch).transpose(0, 1)
