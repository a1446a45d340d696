"""From the maps of the network to keypoints between pixels, over the copies of one image in several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from superslam_ros.data import Features
from superslam_ros.models import subpixel, superpoint


@dataclass(frozen=True)
class Level:
    """One size of an image, and what the network says of it.

    ``image`` (h, w) in [0, 1]; ``scores`` (h, w) the probability of a keypoint; ``peaks`` the same, zero but at local
    maxima; ``descriptors`` (256, h', w') of the cells.
    """

    image: Tensor
    scores: Tensor
    peaks: Tensor
    descriptors: Tensor


def decode(
    image: Tensor, levels: Sequence[Level], threshold: float, border: int, limit: int, refine: str,
) -> Features:
    """Choose the strongest keypoints of all levels, then refine and describe those.

    Keypoints of different levels may lie at one place: they describe surroundings of different size.

    :param image: (H, W) in [0, 1], to which the pixels belong; the first level may be the image itself.
    :param limit: of keypoints; 0 for all that are surer than ``threshold`` and not nearer to an edge than ``border``.
    :param refine: ``none``, ``scores`` or ``corners``.
    """
    found = [superpoint.select(level.peaks, threshold, border, limit) for level in levels]
    scores, order = torch.cat([values for _, values in found]).sort(descending=True, stable=True)
    if limit:
        scores, order = scores[:limit], order[:limit]
    numbers = torch.cat([torch.full_like(values, number) for number, (_, values) in enumerate(found)])[order]
    keypoints, descriptors, scales = (scores.new_empty(len(order), *size) for size in ((2,), (256,), ()))
    slopes = subpixel.gradients(image) if refine == 'corners' else None
    start = 0
    for number, (level, (pixels, _)) in enumerate(zip(levels, found)):
        whole = level.image.shape == image.shape
        rows = torch.nonzero(numbers == number)[:, 0]
        chosen, start = pixels[order[rows] - start], start + len(pixels)
        if refine != 'none':
            chosen = superpoint.refine(level.scores, chosen)
        if refine == 'corners':
            chosen = subpixel.to_corners(level.image, chosen, slopes=slopes if whole else None)
        descriptors[rows] = superpoint.sample_descriptors(level.descriptors[None], chosen[None])[0]
        # Pixel centres are whole numbers, so the top-left corner of an image is at -.5.
        ratio = chosen.new_tensor(image.shape[::-1]) / chosen.new_tensor(level.image.shape[::-1])
        chosen = (chosen + 0.5) * ratio - 0.5
        if refine == 'corners' and not whole:
            chosen = subpixel.to_corners(image, chosen, subpixel.COARSE_PX, slopes)
        keypoints[rows], scales[rows] = chosen, ratio.max()
    keypoints, scores, scales = (part.cpu().numpy() for part in (keypoints, scores, scales))
    return Features(keypoints, scores, descriptors, tuple(image.shape[::-1]), scales)
