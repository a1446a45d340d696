"""Homographic adaptation: corner labels for photographs from many views of each (SuperPoint section 5)."""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from superslam_ros.models import superpoint
from superslam_ros.training import homographies, pictures, workers
from superslam_ros.training.random import Rng

SPREAD = homographies.Spread(scale=(0.5, 1.5), rotation=math.pi / 2, perspective=0.15)
FLOOR = 0.002
"""Points below this averaged probability are never labels."""


def adapt(network: superpoint.SuperPoint, image: Tensor, views: int, rng: Rng, batch: int = 8) -> Tensor:
    """Average the detector's score map over random views of one image (eq. 9 and 10).

    :param image: (1, 1, H, W) in [0, 1]; H and W multiples of 8.
    :param views: how many homographies besides the identity.
    :returns: (H, W) averaged probability.
    """
    size = tuple(image.shape[-2:])
    total = superpoint.score_map(network.detect(network.encode(image)))[0].float()
    count = torch.ones_like(total)
    for start in range(0, views, batch):
        number = min(batch, views - start)
        H_image_view = homographies.sample(number, size, size, SPREAD, rng)
        seen, inside = homographies.warp(image.expand(number, -1, -1, -1), H_image_view, size)
        scores = superpoint.score_map(network.detect(network.encode(seen))).float() * inside
        both = torch.stack([scores, inside.float()], 1)
        back, in_view = homographies.warp(both, torch.linalg.inv(H_image_view), size)
        back = back * in_view[:, None]
        total += back[:, 0].sum(0)
        count += back[:, 1].sum(0)
    return total / count


def label(
    network: superpoint.SuperPoint, image: np.ndarray, rng: Rng, views: int = 50, top: int = 250,
    corners: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of one photograph: the ``top`` strongest points of its adapted score map.

    An absolute threshold would leave dense texture without labels, hence the count; points are refined
    to sub-pixel positions, so that they are still right after a warp.

    :param image: (H, W) uint8; H and W multiples of 8.
    :param corners: how much of the map is a locally normalised Shi-Tomasi response instead, 0 to 1: help
        for a detector that has seen only synthetic shapes.
    :returns: (N, 2) float32 pixels (x, y), (N,) float32 averaged probabilities.
    """
    tensor = torch.from_numpy(image).to(rng.device)[None, None].float() / 255
    with torch.inference_mode(), workers.autocast(rng.device):
        scores = adapt(network, tensor, views, rng)
        if corners > 0:
            prior = torch.from_numpy(corner_prior(image)).to(rng.device) * torch.quantile(scores, 0.99)
            scores = (1 - corners) * scores + corners * prior
        points, values = _strongest(scores, top)
    return points.float().cpu().numpy(), values.float().cpu().numpy()


def comparison(
    network: superpoint.SuperPoint, images: list[np.ndarray], labels: list[np.ndarray], rng: Rng
) -> np.ndarray:
    """Show what one pass over each image finds, left, beside its labels from many views, right.

    :param images: (H, W) uint8 of one size; ``labels`` (N, 2) pixels of each: one pass shows as many points.
    :returns: RGB.
    """
    tensors = torch.from_numpy(np.stack(images)).to(rng.device)[:, None].float() / 255
    with torch.inference_mode():
        scores = superpoint.score_map(network.detect(network.encode(tensors))).float()
    found = [part for one, points in zip(scores, labels)
             for part in (_strongest(one, len(points))[0].cpu(), torch.from_numpy(points))]
    nothing = [torch.zeros(0, 2)] * len(found)
    return pictures.corners(tensors.repeat_interleave(2, 0), nothing, found, columns=4, scale=2)


def _strongest(scores: Tensor, top: int) -> tuple[Tensor, Tensor]:
    points, values = superpoint.select(superpoint.suppress(scores[None], 4)[0], FLOOR, 4, top)
    return superpoint.refine(scores, points), values


def corner_prior(image: np.ndarray) -> np.ndarray:
    """Return (H, W) float32 in [0, 1]: the Shi-Tomasi response over what is usual within 33 px around."""
    response = cv2.cornerMinEigenVal(cv2.GaussianBlur(image, (0, 0), 0.8).astype(np.float32), 3)
    usual = cv2.blur(response, (33, 33)) + 1e-4 * float(response.max()) + 1e-12
    return np.clip(response / usual / 10, 0, 1)


def save_labels(path: Path, images: list[np.ndarray], points: list[np.ndarray], names: list[str]) -> None:
    """Write images (uint8, one size) and their points, (N, K, 2) padded with NaN, as one compressed file.

    The file appears whole or not at all.
    """
    most = max(len(p) for p in points)
    padded = np.full((len(points), most, 2), np.nan, np.float32)
    for row, found in zip(padded, points):
        row[:len(found)] = found
    partial = path.with_name(f'{path.name}.partial')
    try:
        with partial.open('wb') as file:
            np.savez_compressed(file, images=np.stack(images), points=padded, names=np.array(names))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
