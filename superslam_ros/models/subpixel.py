"""Keypoints between pixels, by the gradients of the image."""

from __future__ import annotations

import torch
from torch import Tensor

COARSE_PX = 3
"""Radius of the window in which keypoints of smaller copies are drawn to the corners of the image itself."""
_STEPS = 3
_PRIOR = 0.25
"""Weight of the detector's position, as part of the weight of the gradients."""
_NOISE = 1e-4
"""Sum of squared gradients below which nothing moves."""


def to_corners(image: Tensor, keypoints: Tensor, radius: int = 2) -> Tensor:
    """Move keypoints towards where the image gradients around them meet (sub-pixel).

    A corner x is where the sum of (g . (x - p))^2 over the pixels p around, with gradients g, is least (Foerstner
    and Guelch 1987). Along an edge such an x is free, and in texture it runs off to any corner near by; so it is
    held by a second term: the squared distance to where the detector put the keypoint.

    :param image: (H, W) in [0, 1], or uint8.
    :param keypoints: (N, 2) pixels (x, y).
    :param radius: of the window (pixels), whose weights fall to 1/e there.
    :returns: (N, 2) pixels, inside the image.
    """
    steps = torch.arange(-radius, radius + 1, device=image.device, dtype=keypoints.dtype)
    weights = (-(steps.square() + steps.square()[:, None]) / radius**2).exp().flatten()
    last = torch.stack([keypoints.new_full((), side - 1) for side in image.shape[::-1]])    # no copy from the host
    moved = keypoints
    for _ in range(_STEPS):
        gx, gy = gradients(image, moved, radius)
        away = (moved - keypoints)[..., None, None]
        along = gx * (away[:, 0] + steps) + gy * (away[:, 1] + steps[:, None])
        xx, xy, yy, x, y = (product.flatten(1) @ weights
                            for product in (gx * gx, gx * gy, gy * gy, gx * along, gy * along))
        held = _PRIOR * (xx + yy) / 2 + _NOISE
        xx, yy = xx + held, yy + held
        offset = torch.stack([yy * x - xy * y, xx * y - xy * x], -1) / (xx * yy - xy * xy)[:, None]
        moved = (keypoints + offset).clamp_min(0).minimum(last)
    return moved


def gradients(image: Tensor, points: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return the slopes of an image along x and along y, per pixel, by Scharr's 3x3 kernel, around points.

    The image between its pixels is interpolated bilinearly, and goes on beyond its edges as it is there. Only what
    lies around the points is computed, so that a large image takes no more time and memory than a small one.

    :param image: (H, W) in [0, 1], or uint8, whose 255 is 1.
    :param points: (N, 2) x, y.
    :returns: two of (N, 2 radius + 1, 2 radius + 1), rows first, at steps of one pixel.
    """
    whole = points.floor()
    x, y = (points - whole)[..., None, None].unbind(1)
    reach = torch.arange(-radius - 1, radius + 3, device=image.device)
    columns, rows = (
        (along[:, None] + reach).clamp(0, side - 1) for along, side in zip(whole.long().unbind(1), image.shape[::-1]))
    patch = image.take(rows[:, :, None] * image.shape[1] + columns[:, None])
    patch = patch.to(points.dtype) / 255 if patch.dtype == torch.uint8 else patch
    patch = (1 - x) * patch[:, :, :-1] + x * patch[:, :, 1:]
    patch = (1 - y) * patch[:, :-1] + y * patch[:, 1:]
    along_x, along_y = (patch[:, :, 2:] - patch[:, :, :-2]) / 2, (patch[:, 2:] - patch[:, :-2]) / 2
    return ((3 * along_x[:, :-2] + 10 * along_x[:, 1:-1] + 3 * along_x[:, 2:]) / 16,
            (3 * along_y[:, :, :-2] + 10 * along_y[:, :, 1:-1] + 3 * along_y[:, :, 2:]) / 16)
