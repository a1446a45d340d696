"""Keypoints between pixels, by the gradients of the image."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models import superpoint

COARSE_PX = 3
"""Radius of the window in which keypoints of smaller copies are drawn to the corners of the image itself."""
_STEPS = 3
_PRIOR = 0.25
"""Weight of the detector's position, as part of the weight of the gradients."""
_NOISE = 1e-4
"""Sum of squared gradients below which nothing moves."""


def to_corners(image: Tensor, keypoints: Tensor, radius: int = 2, slopes: Tensor | None = None) -> Tensor:
    """Move keypoints towards where the image gradients around them meet (sub-pixel).

    A corner x is where the sum of (g . (x - p))^2 over the pixels p around, with gradients g, is least (Foerstner
    and Guelch 1987). Along an edge such an x is free, and in texture it runs off to any corner near by; so it is
    held by a second term: the squared distance to where the detector put the keypoint.

    :param image: (H, W) in [0, 1].
    :param keypoints: (N, 2) pixels (x, y).
    :param radius: of the window (pixels), whose weights fall to 1/e there.
    :param slopes: what :func:`gradients` says of the image, where that is known already.
    :returns: (N, 2) pixels, inside the image.
    """
    slopes = (gradients(image) if slopes is None else slopes)[None]
    steps = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    window = torch.cartesian_prod(steps, steps)
    weights = (-window.square().sum(1) / radius**2).exp()
    size = torch.stack([keypoints.new_full((), side) for side in image.shape[::-1]])    # no copy from the host
    moved = keypoints
    for _ in range(_STEPS):
        pixels = moved[:, None] + window
        gx, gy = F.grid_sample(
            slopes, ((2 * pixels + 1) / size - 1)[None], padding_mode='border', align_corners=False)[0]
        dx, dy = (pixels - keypoints[:, None]).unbind(-1)
        along = gx * dx + gy * dy
        xx, xy, yy, x, y = ((weights * product).sum(1)
                            for product in (gx * gx, gx * gy, gy * gy, gx * along, gy * along))
        held = _PRIOR * (xx + yy) / 2 + _NOISE
        xx, yy = xx + held, yy + held
        offset = torch.stack([yy * x - xy * y, xx * y - xy * x], -1) / (xx * yy - xy * xy)[:, None]
        moved = (keypoints + offset).clamp_min(0).minimum(size - 1)
    return moved


def gradients(image: Tensor) -> Tensor:
    """Return (2, H, W): the slopes of an image (H, W) along x and y, by Scharr's 3x3 kernel, per pixel."""
    if superpoint.on_host(image):
        gray = image.detach().numpy()
        return torch.from_numpy(np.stack([
            cv2.Scharr(gray, cv2.CV_32F, *along, scale=1 / 32, borderType=cv2.BORDER_REPLICATE)
            for along in ((1, 0), (0, 1))]))
    padded = F.pad(image[None, None], (1, 1, 1, 1), mode='replicate')[0, 0]
    along_x, along_y = (padded[:, 2:] - padded[:, :-2]) / 2, (padded[2:] - padded[:-2]) / 2
    return torch.stack([(3 * along_x[:-2] + 10 * along_x[1:-1] + 3 * along_x[2:]) / 16,
                        (3 * along_y[:, :-2] + 10 * along_y[:, 1:-1] + 3 * along_y[:, 2:]) / 16])
