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


def among_keypoints(
    coarse: Tensor, keypoints: Tensor, real: Tensor, there: Tensor, seen: Tensor, scale: Tensor | float,
    robust: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Every keypoint must find its place in the pair's other view among all keypoints there.

    The probability that it does, by a softmax of the similarities, is p; the loss (1 - p^q) / q is between InfoNCE (q
    near 0) and the share of the wrong ones (1): what is hopeless, or wrongly labelled, does not outweigh what is nearly
    right (generalised cross entropy, arXiv 1805.07836, eq. 6).

    :param coarse: (2P, 256, h, w) unit-length descriptors, first views then second views.
    :param keypoints: (2P, N, 2) pixels, ``real`` (2P, N) bool those that are there.
    :param there: (2P, N, 2) where they are in the other view, ``seen`` (2P, N) bool those that it shows.
    :param scale: inverse temperature.
    :param robust: q.
    :returns: the loss, and the share of the keypoints that are more alike to their place than to any other keypoint.
    """
    half = len(coarse) // 2
    own, other = sample_descriptors(coarse, keypoints), coarse.roll(half, 0)
    same = scale * (own * sample_descriptors(other, there)).sum(-1, keepdim=True)
    wrong = scale * own @ own.roll(half, 0).transpose(1, 2)
    near = torch.cdist(there, keypoints.roll(half, 0)) < _SAME_PLACE
    wrong = wrong.masked_fill(near | ~real.roll(half, 0)[:, None], -1e4)
    log_p = same[..., 0] - torch.logsumexp(torch.cat([same, wrong], 2), 2)
    each = (1 - (robust * log_p).exp()) / robust
    right = ((same[..., 0] >= wrong.amax(2)) & seen).sum() / seen.sum().clamp_min(1)
    return (each * seen).sum() / seen.sum().clamp_min(1), right


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
