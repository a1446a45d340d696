"""Pairs of views of one labelled photograph, with everything the joint loss needs to know."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from superslam_ros.models.superpoint import CELL
from superslam_ros.training.data import homographies, photometric
from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.shapes import cell_labels
from superslam_ros.training.random import Rng

FIRST_VIEW = homographies.Spread(scale=(0.45, 0.95), rotation=math.pi / 18, perspective=0.1)
"""Of the photograph."""
SECOND_VIEW = homographies.Spread(
    scale=(0.55, 1.8), rotation=math.pi / 4, any_rotation=0.15, perspective=0.25, translation=0.7)
"""Of the first view: mostly within 45 degrees, some turned anyhow."""
IGNORED = -100
NOWHERE = -1e4
"""Pixels of what a view does not show."""


@dataclass
class Pairs:
    """A batch of view pairs.

    ``images`` (2B, 1, h, w): first views, then second views; ``labels`` (2B, h/8, w/8) classes, -100 where
    the view looks past the photograph; ``points`` (2, B, N, 2): pixels of the same N points in either view;
    ``valid`` (B, N): seen in both; ``centres`` (B, h/8 * w/8, 2): where the first view's cells are in the second.
    """

    images: Tensor
    labels: Tensor
    points: Tensor
    valid: Tensor
    centres: Tensor

    def and_(self, others: Pairs) -> Pairs:
        """Return both batches as one."""
        mine, theirs = len(self.valid), len(others.valid)

        def join(a: Tensor, b: Tensor) -> Tensor:
            return torch.cat([a[:mine], b[:theirs], a[mine:], b[theirs:]])

        return Pairs(
            join(self.images, others.images), join(self.labels, others.labels),
            torch.cat([self.points, others.points], 1), torch.cat([self.valid, others.valid]),
            torch.cat([self.centres, others.centres]))


class LabelledPhotos:
    """Photographs with adapted labels, kept on the training device."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Read a file written by ``adaptation.save_labels``.

        :raises FileNotFoundError: naming it.
        :raises ValueError: naming it, when it is damaged.
        """
        if not path.is_file():
            raise FileNotFoundError(f'labels {path} do not exist; make them with `superslam train label`')
        try:
            with np.load(path) as content:
                self.images, self.points = (
                    torch.from_numpy(content[name]).to(device) for name in ('images', 'points'))
            if self.images.ndim != 3 or self.points.ndim != 3 or self.points.shape[::2] != (len(self.images), 2):
                raise ValueError('images and points do not fit together')
        except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, TypeError, AttributeError) as error:
            raise ValueError(f'labels {path} cannot be read ({error}); make them with `superslam train label`'
                             ) from error

    def __len__(self) -> int:
        """Return the number of photographs."""
        return len(self.images)

    def pairs(self, batch: int, view: tuple[int, int], rng: Rng, extra: int = 64) -> Pairs:
        """Make a batch: two random views each, labels warped along, noise of its own on each view.

        :param view: (height, width) of the views, multiples of 8.
        :param extra: random points per pair besides the labelled ones, for the descriptors.
        """
        chosen = rng.integers(len(self), batch)
        photos = self.images[chosen][:, None].float() / 255
        source = tuple(photos.shape[-2:])
        H_photo_a = homographies.sample(batch, view, source, FIRST_VIEW, rng)
        H_photo_b = H_photo_a @ homographies.sample(batch, view, view, SECOND_VIEW, rng)
        scattered = rng.uniform(0, 1, batch, extra, 2) * self.points.new_tensor([view[1] - 1, view[0] - 1])
        scattered = homographies.warp_points(H_photo_a, scattered)
        points = torch.cat([self.points[chosen].nan_to_num(NOWHERE), scattered], 1)
        images, labels, seen = [], [], []
        for H_photo_view in (H_photo_a, H_photo_b):
            image, inside = homographies.warp(photos, H_photo_view, view)
            at = homographies.warp_points(torch.linalg.inv(H_photo_view), points)
            visible = ((at >= 0) & (at <= at.new_tensor([view[1] - 1, view[0] - 1]))).all(-1)
            visible &= (points > NOWHERE / 10).all(-1)
            corners = cell_labels(at[:, :-extra], visible[:, :-extra], *view)
            whole = inside.view(batch, view[0] // 8, 8, view[1] // 8, 8).all(4).all(2)
            images.append(photometric.distort(image, rng, share=0.9))
            labels.append(torch.where(whole, corners, IGNORED))
            seen.append((at, visible))
        H_b_a = torch.linalg.inv(H_photo_b) @ H_photo_a
        return Pairs(
            torch.cat(images), torch.cat(labels), torch.stack([at for at, _ in seen]), seen[0][1] & seen[1][1],
            homographies.warp_points(H_b_a, cell_centres(view, photos.device).expand(batch, -1, -1)))


def cell_centres(view: tuple[int, int], device: torch.device) -> Tensor:
    """Return (1, h/8 * w/8, 2) pixels of the centres of the cells of a view of (height, width) pixels."""
    return (pixel_grid(view[0] // CELL, view[1] // CELL, device) * CELL + (CELL - 1) / 2).view(1, -1, 2)
