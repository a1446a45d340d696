"""Homographic adaptation: corner labels for photographs from many views of each (SuperPoint section 5)."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from superslam_ros.models import superpoint
from superslam_ros.training import pictures, workers
from superslam_ros.training.data import homographies
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
    total = _scores(network, image)[0]
    count = torch.ones_like(total)
    for start in range(0, views, batch):
        number = min(batch, views - start)
        H_image_view = homographies.sample(number, size, size, SPREAD, rng)
        seen, inside = homographies.warp(image.expand(number, -1, -1, -1), H_image_view, size)
        scores = _scores(network, seen) * inside
        both = torch.stack([scores, inside.float()], 1)
        back, in_view = homographies.warp(both, torch.linalg.inv(H_image_view), size)
        back = back * in_view[:, None]
        total += back[:, 0].sum(0)
        count += back[:, 1].sum(0)
    return total / count


def _scores(network: superpoint.SuperPoint, images: Tensor) -> Tensor:
    """Return (B, H, W) float32 scores; only the network computes in bfloat16, in which pixels are off by some."""
    with workers.autocast(images.device):
        logits = network.detect(network.encode(images))
    return superpoint.score_map(logits)


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
    with torch.inference_mode():
        scores = adapt(network, tensor, views, rng)
        if corners > 0:
            prior = torch.from_numpy(corner_prior(image)).to(rng.device) * torch.quantile(scores, 0.99)
            scores = (1 - corners) * scores + corners * prior
        points, values = _strongest(scores, top)
    return points.cpu().numpy(), values.cpu().numpy()


def comparison(
    network: superpoint.SuperPoint, images: list[np.ndarray], labels: list[np.ndarray], rng: Rng
) -> np.ndarray:
    """Show what one pass over each image finds, left, beside its labels from many views, right.

    :param images: (H, W) uint8 of one size; ``labels`` (N, 2) pixels of each: one pass shows as many points.
    :returns: RGB.
    """
    tensors = torch.from_numpy(np.stack(images)).to(rng.device)[:, None].float() / 255
    with torch.inference_mode():
        scores = _scores(network, tensors)
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

    :raises OSError: naming the file, when it cannot be written.
    """
    _write(path, images=np.stack(images), points=_padded(points), names=np.array(names))


class Parts:
    """What is labelled of a run that is not through, a file for each photograph: the same run goes on with them."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        """Take a folder; what was labelled there with other options is removed."""
        self._folder, said, about = folder, folder / 'options.json', json.dumps(options, default=str)
        if folder.exists() and not (said.is_file() and said.read_text() == about):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        said.write_text(about)

    def write(self, name: str, images: list[np.ndarray], points: list[np.ndarray], rng: Rng) -> None:
        """Keep the images and labels of one photograph, and where the random numbers are behind it."""
        state = rng.generator.get_state().numpy()
        _write(self._folder / f'{name}.npz', images=np.stack(images), points=_padded(points), state=state)

    def read(self, name: str, rng: Rng) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
        """Return the images and labels of a photograph, if it is labelled, as if it had been labelled now."""
        path = self._folder / f'{name}.npz'
        if not path.is_file():
            return None
        with np.load(path) as part:
            rng.generator.set_state(torch.from_numpy(part['state']))
            return list(part['images']), [points[~np.isnan(points[:, 0])] for points in part['points']]

    def remove(self) -> None:
        """Remove them."""
        shutil.rmtree(self._folder)


def _padded(points: list[np.ndarray]) -> np.ndarray:
    """Return (N, K, 2) float32 of N times at most K points, padded with NaN."""
    most = max(len(p) for p in points)
    padded = np.full((len(points), most, 2), np.nan, np.float32)
    for row, found in zip(padded, points):
        row[:len(found)] = found
    return padded


def _write(path: Path, **arrays: np.ndarray) -> None:
    """Write a compressed file, which appears whole or not at all."""
    partial = path.with_name(f'{path.name}.partial')
    try:
        with partial.open('wb') as file:
            np.savez_compressed(file, **arrays)
        os.replace(partial, path)
    except OSError as error:
        raise OSError(f'{path} cannot be written ({error.strerror or error}): is the disk full?') from error
    finally:
        partial.unlink(missing_ok=True)
