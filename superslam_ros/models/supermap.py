"""SuperMap: the keypoints of an image matched to the landmarks of a map in one pass of SuperGlue's layers.

The second set are landmarks, seen from a reference view near the camera: where they are in it takes the place of a
keypoint's position, and a second encoder adds what else a map knows of them. Its last layer begins at zero, so that
with SuperGlue's weights (arXiv 1911.11763) the untrained network is SuperGlue, fed with projected landmarks.

What the landmarks' self-attention adds does not depend on the image, but for what the image has told the landmarks by
then. After the first rounds that is taken to be what a perfect image would tell: the landmarks are matched to
themselves once, and kept is what self-attention adds there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint, superglue
from superslam_ros.models.superglue import HEADS, ROUNDS, SIZE, KeypointSet, SuperGlue

ABOUT = ('doubt across', 'doubt along', 'nearness', 'turn', 'octave', 'observations', 'age')
"""What the second encoder is told of a landmark, in this order: :func:`seen_from`."""
FRESH = 2
"""Rounds in which the landmarks' self-attention sees what the image has told them."""
SCORE = 0.12
"""A landmark has no detection score: all get that of an ordinary keypoint."""
_ENCODER = (32, 64)
_NEAREST_M = 1e-3
_FARTHEST = 1.5
"""Of projections, in units of normalised keypoints: the image ends at .71."""


class LandmarkSet(NamedTuple):
    """The landmarks of one place, or a batch of them padded to one length.

    ``keypoints`` (..., L, 2) their projections into the reference view, normalised as keypoints; ``descriptors``
    (..., L, 256); ``about`` (..., L, 7) as :data:`ABOUT`; ``mask`` (..., L) bool, None where all are real.
    """

    keypoints: Tensor
    descriptors: Tensor
    about: Tensor
    mask: Tensor | None = None

    def as_keypoints(self) -> KeypointSet:
        """Return them as SuperGlue would get them."""
        scores = torch.full_like(self.keypoints[..., 0], SCORE)
        return KeypointSet(self.keypoints, scores, self.descriptors, self.mask)


class Place(NamedTuple):
    """What the network keeps of the landmarks of a place, for any number of images.

    ``x`` (B, L, size) what the layers add to; ``added`` by round: (B, L, size) of self-attention, None where it has to
    see the image.
    """

    x: Tensor
    added: Sequence[Tensor | None]
    mask: Tensor | None


class Known(NamedTuple):
    """What a map knows of (..., L) landmarks, in its frame.

    ``points`` (..., L, 3), ``covariance`` (..., L, 3, 3); ``directions`` (..., L, 3) unit vectors in which cameras
    looked at them, on average; ``scales`` (..., L) of their keypoints, as in Features; ``counts`` (..., L) of
    observations; ``ages_s`` (..., L) since they were last seen, less that of the place's newest.
    """

    points: Tensor
    covariance: Tensor
    directions: Tensor
    scales: Tensor
    counts: Tensor
    ages_s: Tensor


def seen_from(
    T_reference_map: Tensor, K: Tensor, image_size: tuple[int, int], known: Known, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Look at landmarks from a reference view.

    No unit of length is in what it returns: maps of one camera have an arbitrary one.

    :param T_reference_map: (..., 4, 4); ``K`` (..., 3, 3) of the camera whose keypoints are to be matched, and its
        ``image_size`` (width, height).
    :returns: (..., L, 2) normalised keypoints, (..., L, 7) as :data:`ABOUT`.
    """
    R = T_reference_map[..., :3, :3]
    points = known.points @ R.mT + T_reference_map[..., None, :3, 3]
    z = points[..., 2].clamp_min(_NEAREST_M)
    across = points[..., :2] / z[..., None]
    focal = K[..., None, [0, 1], [0, 1]]
    keypoints = superglue.normalise(across * focal + K[..., None, :2, 2], image_size)
    covariance = R[..., None, :, :] @ known.covariance @ R.mT[..., None, :, :]
    jacobian = torch.cat([torch.eye(2).to(points).expand(*across.shape[:-1], 2, 2), -across[..., None]], -1)
    jacobian = jacobian * (focal[..., None] / z[..., None, None])
    doubt = (jacobian @ covariance @ jacobian.mT).diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(0).sqrt()
    doubt = doubt / (0.7 * max(image_size))
    along = covariance[..., 2, 2].clamp_min(0).sqrt() / z
    log_z = z.log()
    middle = log_z.masked_fill(~mask, torch.nan) if mask is not None else log_z
    middle = middle.nanmedian(-1, keepdim=True).values.nan_to_num(0.0)
    turn = 1 - (F.normalize(points, dim=-1) * (known.directions @ R.mT)).sum(-1)
    about = torch.stack([
        (doubt + 1e-3).log() + 5, (along + 1e-3).log() + 4, (middle - log_z).clamp(-3, 3), turn,
        known.scales.log2(), known.counts.clamp_min(1).log() / 2, known.ages_s.clamp_min(0).log1p() / 5], -1)
    return keypoints.clamp(-_FARTHEST, _FARTHEST), about.clamp(-5, 5)


class LandmarkEncoder(nn.Module):
    """What a map knows of a landmark as a vector that is added to its descriptor; nothing, before training."""

    def __init__(self, size: int) -> None:
        """Make the layers."""
        super().__init__()
        widths = (len(ABOUT), *_ENCODER, size)
        self.layers = nn.ModuleList([nn.Linear(*pair) for pair in zip(widths, widths[1:])])
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, about: Tensor) -> Tensor:
        """Return (B, L, size) from (B, L, 7)."""
        x = about
        for number, layer in enumerate(self.layers):
            x = layer(F.relu(x) if number else x)
        return x


class SuperMap(nn.Module):
    """SuperGlue's layers between an image and a map.

    :ivar fresh: rounds in which the landmarks' self-attention sees what the image has told them; as many as there are
        rounds make it SuperGlue to the last bit, and keep nothing of a place but the first layer.
    """

    def __init__(self, rounds: int = ROUNDS, size: int = SIZE, fresh: int = FRESH) -> None:
        """Make the layers with random weights, ``rounds`` and ``size`` as of a SuperGlue."""
        super().__init__()
        self.fresh = fresh
        self.glue = SuperGlue(rounds, size)
        self.landmarks = LandmarkEncoder(size)

    def train(self, mode: bool = True) -> SuperMap:
        """Train, with normalisations as they are: a layer meets keypoints, landmarks, and landmarks by themselves."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def remember(self, landmarks: LandmarkSet) -> Place:
        """Return what to keep of (B, L, ...) landmarks."""
        mask = landmarks.mask
        x = self.glue.begin(landmarks.as_keypoints()) + self.landmarks(landmarks.about)
        layers = self.glue.gnn.layers
        added: list[Tensor | None] = [layers[0](x, x, mask)]
        twin = x + added[0]
        for number in range(1, self.glue.rounds if self.fresh < self.glue.rounds else 1):
            twin = twin + layers[2 * number - 1](twin, twin, mask)
            change = layers[2 * number](twin, twin, mask)
            twin = twin + change
            added.append(change if number >= self.fresh else None)
        return Place(x, added + [None] * (self.glue.rounds - len(added)), mask)

    def forward(
        self, query: KeypointSet, place: Place, iterations: int = 20, depths: Sequence[int] = (-1,)
    ) -> Tensor | list[Tensor]:
        """Return the log assignment of a batch of images to one place each.

        :param query: (B, N, ...) keypoints; ``place``: of (B, L, ...) landmarks.
        :param depths: after which rounds (0 to ``rounds - 1``) to assign; several for deep supervision.
        :returns: (B, N + 1, L + 1) log assignment with the dustbins last, or a list of them by depth.
        """
        x0, x1, after = self.glue.begin(query), place.x, []
        for number, added in enumerate(place.added):
            own, cross = self.glue.gnn.layers[2 * number:2 * number + 2]
            x0 = x0 + own(x0, x0, query.mask)
            x1 = x1 + (own(x1, x1, place.mask) if added is None else added)
            x0, x1 = x0 + cross(x0, x1, place.mask), x1 + cross(x1, x0, query.mask)
            after.append((x0, x1))
        assigned = [self.glue.assign(*after[depth], query.mask, place.mask, iterations) for depth in depths]
        return assigned if len(depths) > 1 else assigned[0]


def load(path: str | os.PathLike) -> SuperMap:
    """Read the weights of a SuperMap, or those of a SuperGlue to begin with.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, when it is damaged or of another network.
    """
    state = checkpoint.load_state(path)
    if 'landmarks.layers.0.weight' not in state:
        glue = superglue.load(path)
        network = SuperMap(glue.rounds, glue.size)
        network.glue.load_state_dict(glue.state_dict())
        return network
    layers = {name.split('.')[3] for name in state if name.startswith('glue.gnn.layers.')}
    size = len(state['glue.final_proj.weight']) if 'glue.final_proj.weight' in state else SIZE
    network = SuperMap(len(layers) // 2 or ROUNDS, size if size % HEADS == 0 else SIZE)
    checkpoint.fill(network, state, path)
    return network
