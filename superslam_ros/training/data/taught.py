"""Pairs of views and what a trained SuperPoint, the teacher, says of them: a stock made once and used often."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

from superslam_ros.models import superpoint
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.training import workers
from superslam_ros.training.data import agreed, glue_pairs, photometric, scenes
from superslam_ros.training.data.glue_pairs import HomographyViews
from superslam_ros.training.data.homographies import Spread, warp_points
from superslam_ros.training.data.plane_pairs import textured
from superslam_ros.training.data.scenes import PosedViews
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

SECOND_VIEW = Spread(scale=(0.4, 2.5), rotation=math.pi / 6, any_rotation=0.15, perspective=0.25, translation=0.8)
"""Of the first view: mostly within 30 degrees, some turned anyhow."""
UPRIGHT = math.radians(35)
"""A view that is turned by more is described as the teacher describes the first view: its own word changes too much."""
_AT_ONCE = 8
_BLANK = 0.03
"""Part of the views that are of one gray level, half of them black: a covered lens has no keypoints."""
_CORNERS, _SCATTERED = 192, 128
"""Points per pair: the teacher's strongest, and random ones where there are gradients."""


class TaughtPairs(NamedTuple):
    """P pairs of views; of 2P views, first come the first ones.

    ``images`` (2P, 1, h, w) in [0, 1], or uint8; ``cells`` (2P, 65, h/8, w/8) the distribution over a cell's pixels
    that both views together bear out (:mod:`~superslam_ros.training.data.agreed`), or its square root as uint8;
    ``descriptors`` (2P, 256, h/8, w/8) the teacher's, or int8 127ths; ``points`` (2, P, N, 2) pixels of the same N
    points in either view; ``valid`` (P, N): seen in both; ``upright`` (P,) whether the second view is turned little.
    """

    images: Tensor
    cells: Tensor
    descriptors: Tensor
    points: Tensor
    valid: Tensor
    upright: Tensor


class Stock:
    """Pairs of views as bytes, on the training device: 0.9 MB a pair of 240x320."""

    def __init__(
        self, pairs: int, view: tuple[int, int], textures: Textures, teacher: SuperPoint, rng: Rng,
        scenes_share: float = 0.4,
    ) -> None:
        """Render the views, without noise, and ask the teacher.

        :param pairs: how many; ``view``: (height, width), multiples of 8.
        :param scenes_share: part of the pairs that are scenes of planes; the others are homographies.
        """
        kept: list[Tensor] = []
        for start in track(range(0, pairs, _AT_ONCE), description='asking the teacher'):
            count = min(_AT_ONCE, pairs - start)
            render = scenes.render_pairs if bool(rng.chance(scenes_share, 1)) else _render_homographies
            made = _packed(_taught(render(count, view, textures, rng), teacher, rng))
            # Pairs first, so that a part is a slice; the stock is made at once: lists of parts would take it twice.
            parts = [part.unflatten(0, (2, -1)).transpose(0, 1) for part in made[:3]]
            parts += [made.points.transpose(0, 1), made.valid, made.upright]
            kept = kept or [part.new_empty(pairs, *part.shape[1:]) for part in parts]
            for whole, part in zip(kept, parts):
                whole[start:start + count] = part
        *self._views, self._points, self._valid, self._upright = kept

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._valid)

    def draw(self, batch: int, rng: Rng, noisy: float = 0.9) -> TaughtPairs:
        """Return random pairs, noise of its own on each view, and now and then a view that shows nothing."""
        made = self.take(rng.integers(len(self), batch), rng, noisy)
        blank = rng.chance(_BLANK, 2 * batch)
        level = rng.uniform(0, 1, 2 * batch, 1, 1, 1) * rng.chance(0.5, 2 * batch, 1, 1, 1)
        grain = rng.normal(*made.images.shape) * rng.uniform(0, 0.02, 2 * batch, 1, 1, 1)
        nothing = torch.zeros_like(made.cells)
        nothing[:, -1] = 1
        here = blank[:, None, None, None]
        return made._replace(
            images=torch.where(here, (level + grain).clamp(0, 1), made.images),
            cells=torch.where(here, nothing, made.cells), descriptors=torch.where(here, 0, made.descriptors),
            valid=made.valid & ~blank.view(2, batch).any(0)[:, None])

    def take(self, chosen: Tensor, rng: Rng, noisy: float = 0.9) -> TaughtPairs:
        """Return the pairs of the numbers ``chosen`` (B,), noise of its own on each view.

        :param noisy: the part of the views that have any.
        """
        images, cells, descriptors = (part[chosen].transpose(0, 1).flatten(0, 1).float() for part in self._views)
        return TaughtPairs(
            photometric.distort(images / 255, rng, share=noisy), (cells / 255).square(), descriptors / 127,
            self._points[chosen].transpose(0, 1), self._valid[chosen], self._upright[chosen])


def _render_homographies(batch: int, view: tuple[int, int], textures: Textures, rng: Rng) -> HomographyViews:
    return glue_pairs.render_homographies(batch, view, textures, rng, second=SECOND_VIEW)


@torch.inference_mode()
def _taught(made: PosedViews | HomographyViews, teacher: SuperPoint, rng: Rng) -> TaughtPairs:
    """Ask the teacher about clean views, and find points that both views of a pair show."""
    images = made.images.contiguous(memory_format=torch.channels_last)
    with workers.autocast(images.device):
        encoded = teacher.encode(images)
        logits, descriptors = teacher.detect(encoded), teacher.describe(encoded)
    count = len(made.pairs)
    cells = agreed.cells(logits.float().softmax(1), made)
    corners = agreed.peaks(F.pixel_shuffle(cells[:count, :-1], superpoint.CELL).squeeze(1), _CORNERS)
    points = torch.cat([corners, textured(images[:count], _SCATTERED, rng)], 1)
    there, _ = glue_pairs.reproject(made, points, points)
    return TaughtPairs(made.images, cells, descriptors.float(), torch.stack([points, there.at]), there.seen,
                       _turn(made).abs() <= UPRIGHT)


def _turn(made: PosedViews | HomographyViews) -> Tensor:
    """Return (P,) by how many radians the second view of each pair is turned in the image plane."""
    if isinstance(made, PosedViews):
        return torch.atan2(made.T_1_0[:, 1, 0], made.T_1_0[:, 0, 0])
    height, width = made.images.shape[-2:]
    middle = made.H_1_0.new_tensor([[width / 2, height / 2], [width / 2 + 1, height / 2]])
    across = warp_points(made.H_1_0, middle.expand(len(made.H_1_0), -1, -1)).diff(dim=1)[:, 0]
    return torch.atan2(across[:, 1], across[:, 0])


def _packed(pairs: TaughtPairs) -> TaughtPairs:
    return pairs._replace(
        images=(pairs.images * 255).round().byte(), cells=(pairs.cells.sqrt() * 255).round().byte(),
        descriptors=(pairs.descriptors * 127).round().char())
