"""Keypoints between pixels, by the gradients of the image."""

from __future__ import annotations

import torch
from torch import Tensor

COARSE_PX = 3
"""Radius of the window in which keypoints of smaller copies are drawn to the corners of the image itself."""
_STEPS = 3
_PRIOR, _PEAK = 0.25, 1.0
"""Weight of the detector's position, and of a peak's, as part of the weight of the gradients."""
_NOISE = 1e-4
"""Sum of squared gradients below which nothing moves."""
_REACH, _NEAR = 4, 3.0
"""Pixels along each axis within which a peak is looked for; standard deviation of its distance."""
_FAINT, _NONE = 1e-4, 1e-8
"""Mean squared gradient of which half is noise; response below which there is no peak."""


def to_corners(image: Tensor, keypoints: Tensor, radius: int = 2, prior: float = _PRIOR) -> Tensor:
    """Move keypoints towards where the image gradients around them meet (sub-pixel).

    A corner x is where the sum of (g . (x - p))^2 over the pixels p around, with gradients g, is least (Foerstner
    and Guelch 1987). Along an edge such an x is free, and in texture it runs off to any corner near by; so it is
    held by a second term: the squared distance to where the detector put the keypoint.

    :param image: (H, W) in [0, 1], or uint8.
    :param keypoints: (N, 2) pixels (x, y).
    :param radius: of the window (pixels), whose weights fall to 1/e there.
    :param prior: weight of where the keypoint was, as part of that of the gradients.
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
        held = prior * (xx + yy) / 2 + _NOISE
        xx, yy = xx + held, yy + held
        offset = torch.stack([yy * x - xy * y, xx * y - xy * x], -1) / (xx * yy - xy * xy)[:, None]
        moved = (keypoints + offset).clamp_min(0).minimum(last)
    return moved


def to_peaks(image: Tensor, pixels: Tensor, keypoints: Tensor) -> Tensor:
    """Move keypoints onto peaks of the corner response near by (sub-pixel).

    The response is the determinant over the trace of the structure tensor (Harris and Stephens 1988; Noble 1988), a
    function of the image alone, so that its peaks stay on the same things in another view, wherever a detector put the
    keypoints there. Of the peaks within 4 px the highest is taken, the farther away the lower it counts, and placed
    between pixels by the parabola through the responses around it; where there is none, a keypoint stays. A peak is
    inside of its corner, the more so the wider the averages, so :func:`to_corners` has the last word.

    :param image: (H, W) in [0, 1].
    :param pixels: (N, 2) whole ones (x, y) around which to look; ``keypoints`` (N, 2) where the detector has them.
    :returns: (N, 2) pixels, inside the image.
    """
    response = _response(image, pixels, _REACH + 1)
    side, inner = len(response), response[1:-1, 1:-1]
    rows = torch.maximum(torch.maximum(response[:-2], response[1:-1]), response[2:])
    highest = torch.maximum(torch.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    steps = torch.arange(-_REACH, _REACH + 1, device=image.device, dtype=keypoints.dtype)
    x, y = (-(steps[:, None] - away).square() / (2 * _NEAR**2) for away in (keypoints - pixels).unbind(1))
    peaks = torch.where(inner >= highest, inner * (y[:, None] + x).exp(), 0).flatten(0, 1)
    height, at = peaks.max(0)
    row, column = at.div(len(steps), rounding_mode='floor'), at % len(steps)
    around = torch.arange(3, device=image.device)
    around = (around[:, None] * side + around).flatten()
    parabola, exact = _summit(response.flatten(0, 1).gather(0, row * side + column + around[:, None]))
    moved = pixels + torch.stack([column, row], 1) - _REACH + parabola
    moved = torch.where((exact & (height > _NONE))[:, None], moved, keypoints)
    return to_corners(image, moved, prior=_PEAK)


def _response(image: Tensor, pixels: Tensor, radius: int) -> Tensor:
    """Return the corner response (2 radius + 1, 2 radius + 1, N), rows first, around whole pixels (N, 2).

    Gradients are differences in the image smoothed by 1 2 1, and their products are averaged by 1 4 6 4 1. The image
    goes on beyond its edges as it is there.
    """
    reach = torch.arange(-radius - 4, radius + 5, device=image.device)[:, None]
    columns, rows = (
        (reach + along).clamp(0, size - 1) for along, size in zip(pixels.long().unbind(1), image.shape[::-1]))
    patch = _smooth(image.take(rows[:, None] * image.shape[1] + columns), 2)        # the points last: long rows
    x, y = (patch[1:-1, 2:] - patch[1:-1, :-2]) / 2, (patch[2:, 1:-1] - patch[:-2, 1:-1]) / 2
    xx, xy, yy = (_smooth(product, 4) for product in (x * x, x * y, y * y))
    return (xx * yy - xy * xy) / (xx + yy + _FAINT)


def _smooth(maps: Tensor, times: int) -> Tensor:
    """Average neighbours along the first two axes, so many times; each axis is shorter by that."""
    for _ in range(times):
        maps = maps[1:] + maps[:-1]
    for _ in range(times):
        maps = maps[:, 1:] + maps[:, :-1]
    return maps / 4**times


def _summit(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the parabola through 3x3 values (9, N), rows first, is highest: (N, 2) from the middle one.

    And whether it is within a pixel of that, (N,).
    """
    (a, b, c), (d, e, f), (g, h, i) = values.view(3, 3, -1)
    x, y, xx, yy, xy = (f - d) / 2, (h - b) / 2, f + d - 2 * e, h + b - 2 * e, (i + a - c - g) / 4
    away = torch.stack([xy * y - yy * x, xy * x - xx * y], 1)
    determinant = xx * yy - xy * xy
    exact = (determinant > 0) & (away.abs().amax(1) < determinant)
    return away / determinant.masked_fill(~exact, 1)[:, None], exact


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
