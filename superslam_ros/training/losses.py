"""Descriptor losses: contrastive on points (InfoNCE), and the paper's dense hinge loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from superslam_ros.models.superpoint import CELL, sample_descriptors

_SAME_PLACE = 8.0


def contrastive(
    coarse: Tensor, points: Tensor, valid: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE (arXiv 1807.03748): every point must find itself among the others of its pair.

    :param coarse: (2B, 256, h, w) unit-length descriptors, first views then second views.
    :param points: (2, B, N, 2) pixels; ``valid`` (B, N) those that count.
    :param scale: inverse temperature (scalar, learnt).
    :returns: the loss, and the share of points whose nearest neighbour is right.
    """
    batch, count = valid.shape
    first, second = coarse.float().split(batch)
    a, b = sample_descriptors(first, points[0]), sample_descriptors(second, points[1])
    similarity = scale * a @ b.transpose(1, 2)
    same = torch.eye(count, dtype=torch.bool, device=valid.device)
    losses, right = [], []
    for scores, pixels in ((similarity, points[1]), (similarity.transpose(1, 2), points[0])):
        # A point that is not there, or in nearly the same place, is no wrong answer.
        excluded = ((torch.cdist(pixels, pixels) < _SAME_PLACE) | ~valid[:, None]) & ~same
        scores = scores.masked_fill(excluded, -1e4)
        target = torch.arange(count, device=valid.device).expand(batch, -1)
        each = F.cross_entropy(scores.flatten(0, 1), target.flatten(), reduction='none').view(batch, count)
        losses.append((each * valid).sum() / valid.sum().clamp_min(1))
        right.append(((scores.argmax(-1) == target) & valid).sum() / valid.sum().clamp_min(1))
    return sum(losses) / 2, sum(right) / 2


def hinge(
    coarse: Tensor, there: Tensor, centres: Tensor, positive_margin: float = 1.0, negative_margin: float = 0.2,
    positive_weight: float = 250.0,
) -> Tensor:
    """The dense hinge loss of SuperPoint (eq. 4 to 6): all cells of one view against all of the other.

    :param coarse: (2B, 256, h, w) unit-length descriptors, first views then second views.
    :param there: (B, h * w, 2) pixels of the second view at which the first view's cells are, far away where not seen.
    :param centres: (1, h * w, 2) pixels of the cells' own centres.
    """
    a, b = (part.flatten(2).transpose(1, 2) for part in coarse.float().split(len(there)))
    positive = torch.cdist(there, centres.expand_as(there)) <= CELL
    similarity = a @ b.transpose(1, 2)
    attract = positive_weight * F.relu(positive_margin - similarity) * positive
    repel = F.relu(similarity - negative_margin) * ~positive
    return (attract + repel).mean()


def some(valid: Tensor, count: int) -> Tensor:
    """Return (B, count) indices: valid points first, strong and weak labels alike.

    The multiples of the golden ratio spread any run of indices evenly.
    """
    index = torch.arange(valid.shape[1], device=valid.device)
    order = (index * 0.6180339887) % 1
    return torch.sort(valid + 0.5 * order, dim=1, descending=True).indices[:, :count]
