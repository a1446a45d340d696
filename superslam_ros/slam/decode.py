"""From the maps of the network to keypoints between pixels, over the copies of one image in several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from superslam_ros.data import Features
from superslam_ros.models import subpixel, superpoint


@dataclass(frozen=True)
class Level:
    """One size of an image, and what the network says of it.

    ``image`` (h, w) in [0, 1]; ``scores`` (h, w) the probability of a keypoint; ``peaks`` the same, zero but at local
    maxima; ``descriptors`` (256, h', w') of the cells, and ``stability`` (2, h', w') logits, None where the weights
    have no such head.
    """

    image: Tensor
    scores: Tensor
    peaks: Tensor
    descriptors: Tensor
    stability: Tensor | None = None


class Decoded(NamedTuple):
    """Keypoints of an image as they are on the device.

    ``keypoints`` (N, 2), ``scores`` (N,) in decreasing order, negative behind the last one, ``scales`` (N,),
    ``descriptors`` (N, 256), ``stability`` (N,) probabilities or None.
    """

    keypoints: Tensor
    scores: Tensor
    scales: Tensor
    descriptors: Tensor
    stability: Tensor | None = None


def decode(
    image: Tensor, levels: Sequence[Level], threshold: float, border: int, limit: int, refine: str,
) -> Decoded:
    """Choose the strongest keypoints of all levels, then refine and describe those.

    Keypoints of different levels may lie at one place: they describe surroundings of different size. With a ``limit``,
    a GPU refines and describes so many of every level, since to know which of them count would be to wait for it.

    :param image: (H, W) uint8, to which the pixels belong; the first level may be the image itself.
    :param limit: of keypoints; 0 for all that are surer than ``threshold`` and not nearer to an edge than ``border``.
    :param refine: ``none``, ``scores``, ``corners`` or ``harris``; this one is as ``corners``
        where the image was too large to be searched itself.
    """
    found = [superpoint.select(level.peaks, threshold, border, limit) for level in levels]
    if superpoint.on_host(image) and limit:
        found = _strongest(found, limit)
    if refine == 'harris' and levels[0].image.shape != image.shape:
        refine = 'corners'      # which are then looked for in the image itself
    places = [_place(image, level, pixels, refine) for level, (pixels, _) in zip(levels, found)]
    scores, order = torch.cat([values for _, values in found]).sort(descending=True, stable=True)
    scores, order = (scores[:limit], order[:limit]) if limit else (scores, order)
    keypoints, scales, descriptors, stability = (
        None if parts[0] is None else torch.cat(parts)[order] for parts in zip(*places))
    return Decoded(keypoints, scores, scales, descriptors, stability)


def _strongest(found: Sequence[tuple[Tensor, Tensor]], limit: int) -> list[tuple[Tensor, Tensor]]:
    """Leave those of every level that are among the strongest of all."""
    order = torch.cat([values for _, values in found]).sort(descending=True, stable=True).indices[:limit]
    end, left = 0, []
    for pixels, values in found:
        start, end = end, end + len(values)
        count = int(((order >= start) & (order < end)).sum())
        left.append((pixels[:count], values[:count]))
    return left


def _place(
    image: Tensor, level: Level, pixels: Tensor, refine: str
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Refine and describe the keypoints of a level.

    :returns: pixels (N, 2) of the image, scales (N,), descriptors (N, 256), stability (N,) or None.
    """
    whole = level.image.shape == image.shape
    if refine != 'none':
        peaks, pixels = pixels, superpoint.refine(level.scores, pixels)
    if refine == 'corners':
        pixels = subpixel.to_corners(level.image, pixels)
    elif refine == 'harris':
        pixels = subpixel.to_peaks(level.image, peaks, pixels)
    descriptors = superpoint.sample_descriptors(level.descriptors[None], pixels[None])[0]
    stability = level.stability
    if stability is not None:
        stability = superpoint.sample_stability(stability[None], pixels[None])[0]
    # Pixel centres are whole numbers, so the top-left corner of an image is at -.5.
    (high, wide), (level_high, level_wide) = image.shape, level.image.shape
    ratios = wide / level_wide, high / level_high
    if not whole:
        pixels = torch.stack([(one + 0.5) * ratio - 0.5 for one, ratio in zip(pixels.unbind(1), ratios)], 1)
    if refine == 'corners' and not whole:
        pixels = subpixel.to_corners(image, pixels, subpixel.COARSE_PX)
    return pixels, torch.full_like(pixels[:, 0], max(ratios)), descriptors, stability


def collect(decoded: Sequence[Decoded], image_size: tuple[int, int], weights: str) -> list[Features]:
    """Bring keypoints of some images to the host, waiting once; descriptors stay where they are.

    :param image_size: (width, height) of each image.
    :param weights: SHA-256 of those that made them.
    """
    moved = [[part if part is None else part.to('cpu', non_blocking=True)
              for part in (one.keypoints, one.scores, one.scales, one.stability)] for one in decoded]
    if decoded and decoded[0].scores.is_cuda:
        torch.cuda.current_stream(decoded[0].scores.device).synchronize()
    features = []
    for one, (keypoints, scores, scales, stability) in zip(decoded, moved):
        count = int((scores >= 0).sum())
        features.append(Features(keypoints[:count].numpy(), scores[:count].numpy(), one.descriptors[:count],
                                 image_size, scales[:count].numpy(), weights,
                                 None if stability is None else stability[:count].numpy()))
    return features
