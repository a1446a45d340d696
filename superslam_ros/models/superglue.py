"""SuperGlue: feature matching with graph neural networks (arXiv 1911.11763).

Keypoints of two images attend to each other and to their own kind; an optimal transport problem with a
dustbin on either side assigns them. Sets of different size share a batch through masks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import checkpoint

SIZE = 256
HEADS = 4
ENCODER = (32, 64, 128, 256)
KINDS = ('self', 'cross')
ROUNDS = 9
"""Of a self and a cross layer each, in the paper and the published weights."""
_NEVER = -1e9


class KeypointSet(NamedTuple):
    """One image's keypoints, or a batch of them padded to one length.

    ``keypoints`` (..., N, 2) normalised (:func:`normalise`); ``scores`` (..., N); ``descriptors``
    (..., N, 256); ``mask`` (..., N) bool, true for real keypoints, None where all are.
    """

    keypoints: Tensor
    scores: Tensor
    descriptors: Tensor
    mask: Tensor | None = None


def normalise(keypoints: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Centre pixels on the image and divide by 0.7 of its longer side, as the published weights expect.

    :param keypoints: (..., 2) pixels; ``image_size``: (width, height).
    """
    size = keypoints.new_tensor(image_size)
    return (keypoints - size / 2) / (0.7 * size.max())


def pad_sets(sets: Sequence[KeypointSet]) -> KeypointSet:
    """Stack the sets of several images into one padded batch, at least one keypoint wide."""
    longest = max([1, *(len(one.scores) for one in sets)])
    if all(len(one.scores) == longest for one in sets):
        return KeypointSet(*(torch.stack(part) for part in list(zip(*sets))[:3]))

    def pad(tensor: Tensor) -> Tensor:
        return F.pad(tensor, (0, 0) * (tensor.dim() - 1) + (0, longest - len(tensor)))

    parts = [torch.stack([pad(one[part]) for one in sets]) for part in range(3)]
    mask = torch.stack([torch.arange(longest, device=one.scores.device) < len(one.scores) for one in sets])
    return KeypointSet(*parts, mask)


def _mlp(channels: Sequence[int]) -> nn.Sequential:
    """1x1 convolutions with batch normalisation and ReLU between them."""
    layers: list[nn.Module] = []
    for index, (size_in, size_out) in enumerate(zip(channels, channels[1:])):
        layers.append(nn.Conv1d(size_in, size_out, 1))
        if index < len(channels) - 2:
            layers += [nn.BatchNorm1d(size_out), nn.ReLU()]
    nn.init.zeros_(layers[-1].bias)
    return nn.Sequential(*layers)


class KeypointEncoder(nn.Module):
    """Position and score as a vector that is added to the descriptor (eq. 2)."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.encoder = _mlp((3, *ENCODER, SIZE))

    def forward(self, keypoints: Tensor, scores: Tensor) -> Tensor:
        """Return (B, 256, N) from (B, N, 2) and (B, N)."""
        return self.encoder(torch.cat([keypoints.transpose(1, 2), scores[:, None]], 1))


class Attention(nn.Module):
    """Multi-head attention (eq. 4 and 5); channel c belongs to head c mod 4, as in the published weights."""

    def __init__(self) -> None:
        """Make the projections."""
        super().__init__()
        self.merge = nn.Conv1d(SIZE, SIZE, 1)
        self.proj = nn.ModuleList([nn.Conv1d(SIZE, SIZE, 1) for _ in range(3)])

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Let (B, 256, N) look at (B, 256, M), where ``mask`` (B, M) allows it."""
        batch = len(x)
        query, key, value = (
            project(tensor).view(batch, SIZE // HEADS, HEADS, -1).permute(0, 2, 3, 1)
            for project, tensor in zip(self.proj, (x, source, source))
        )
        if mask is not None:
            # Where there is nothing to look at, look at the padding: softmax over nothing is NaN.
            mask = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        message = _attend(query, key, value, mask)
        return self.merge(message.permute(0, 3, 1, 2).reshape(batch, SIZE, -1))

    @torch.no_grad()
    def begin_alike(self, sharpness: float) -> None:
        """Make query and key the same turn of the channels, so that like attends to like.

        :param sharpness: the mean logit of equal unit vectors, which each head sees a quarter of.
        """
        query, key, value = self.proj
        turn = nn.init.orthogonal_(torch.empty(SIZE, SIZE)) * math.sqrt(HEADS * math.sqrt(SIZE / HEADS) * sharpness)
        for projection in (query, key):
            projection.weight.copy_(turn[..., None])
            projection.bias.zero_()
        # Channels of unit vectors are small, and so would be the message beside what it is added to.
        value.weight.mul_(4)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    if hasattr(F, 'scaled_dot_product_attention'):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value


class Layer(nn.Module):
    """One round of messages (eq. 3)."""

    def __init__(self) -> None:
        """Make the attention and the update."""
        super().__init__()
        self.attn = Attention()
        self.mlp = _mlp((2 * SIZE, 2 * SIZE, SIZE))

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Return what is added to ``x``."""
        return self.mlp(torch.cat([x, self.attn(x, source, mask)], 1))


class GraphNetwork(nn.Module):
    """Alternating self and cross layers (section 3.1)."""

    def __init__(self, rounds: int) -> None:
        """Make the layers, two a round."""
        super().__init__()
        self.layers = nn.ModuleList([Layer() for _ in KINDS * rounds])

    def forward(
        self, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return both sides' (B, 256, N) after every cross layer."""
        after = []
        for number, layer in enumerate(self.layers):
            cross = KINDS[number % 2] == 'cross'
            delta0 = layer(x0, x1 if cross else x0, mask1 if cross else mask0)
            delta1 = layer(x1, x0 if cross else x1, mask0 if cross else mask1)
            x0, x1 = x0 + delta0, x1 + delta1
            if cross:
                after.append((x0, x1))
        return after


class SuperGlue(nn.Module):
    """The network of section 3; state names and shapes are those of the published checkpoints."""

    def __init__(self, rounds: int = ROUNDS) -> None:
        """Make the layers with PyTorch's default random weights.

        :param rounds: of a self and a cross layer each; fewer are faster.
        """
        super().__init__()
        self.rounds = rounds
        self.kenc = KeypointEncoder()
        self.gnn = GraphNetwork(rounds)
        self.final_proj = nn.Conv1d(SIZE, SIZE, 1)
        self.bin_score = nn.Parameter(torch.tensor(1.0))

    def forward(
        self, set0: KeypointSet, set1: KeypointSet, iterations: int = 20, depths: Sequence[int] = (-1,)
    ) -> Tensor | list[Tensor]:
        """Return the log assignment of a batch of image pairs.

        :param set0: (B, N, ...) keypoints of the first images; ``set1``: (B, M, ...).
        :param depths: after which cross layers (0 to ``rounds - 1``) to assign; several for deep supervision.
        :returns: (B, N + 1, M + 1) log assignment with the dustbins last, or a list of them by depth.
        """
        x0, x1 = (
            one.descriptors.transpose(1, 2) + self.kenc(one.keypoints, one.scores) for one in (set0, set1)
        )
        after = self.gnn(x0, x1, set0.mask, set1.mask)
        assigned = [self._assign(*after[depth], set0.mask, set1.mask, iterations) for depth in depths]
        return assigned if len(depths) > 1 else assigned[0]

    def _assign(
        self, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None, iterations: int
    ) -> Tensor:
        # Scores reach 20 and more, where bfloat16 has steps of .125: all of this is float32.
        with torch.autocast(x0.device.type, enabled=False):
            final0, final1 = self.final_proj(x0.float()), self.final_proj(x1.float())
            scores = final0.transpose(1, 2) @ final1 / math.sqrt(SIZE)
            return log_optimal_transport(scores, self.bin_score, iterations, mask0, mask1)

    def last_layers(self) -> list[nn.Conv1d]:
        """Return the last layer of every MLP: what they return is added to the descriptors."""
        return [mlp[-1] for mlp in (self.kenc.encoder, *(layer.mlp for layer in self.gnn.layers))]

    @torch.no_grad()
    def begin_as_nearest(self, sharpness: float = 20.0) -> None:
        """Make the untrained network score pairs by descriptor similarity alone: mutual nearest neighbour.

        A similarity of .4 then weighs as much as a dustbin; a higher one would lose right matches. Attention
        begins at keypoints that look alike: what a layer could add comes from there from the first step on.

        :param sharpness: the score of two equal descriptors.
        """
        for number, layer in enumerate(self.gnn.layers):
            layer.attn.begin_alike(10.0 if KINDS[number % 2] == 'cross' else 3.0)
        for layer in self.last_layers():
            layer.weight.zero_()
            layer.bias.zero_()
        self.final_proj.weight.copy_(torch.eye(SIZE)[..., None] * math.sqrt(sharpness * math.sqrt(SIZE)))
        self.final_proj.bias.zero_()
        self.bin_score.fill_(0.4 * sharpness)


def load(path: str | os.PathLike) -> SuperGlue:
    """Read a checkpoint of as many layers as it has.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, when it is damaged or not a SuperGlue.
    """
    layers = {name.split('.')[2] for name in checkpoint.load_state(path) if name.startswith('gnn.layers.')}
    network = SuperGlue(len(layers) // 2 or ROUNDS)
    checkpoint.load_into(network, path)
    return network


def log_optimal_transport(
    scores: Tensor, bin_score: Tensor, iterations: int, mask0: Tensor | None = None, mask1: Tensor | None = None
) -> Tensor:
    """Sinkhorn's algorithm in log space with a dustbin row and column (section 3.2, eq. 8 to 10).

    :param scores: (B, N, M); ``mask0`` (B, N) and ``mask1`` (B, M) mark what is real.
    :returns: (B, N + 1, M + 1) log assignment, scaled so that a sure match is 0; -inf where masked.
    """
    batch, rows, columns = scores.shape
    real0 = scores.new_ones(batch, rows, dtype=torch.bool) if mask0 is None else mask0
    real1 = scores.new_ones(batch, columns, dtype=torch.bool) if mask1 is None else mask1
    coupled = torch.cat([
        torch.cat([scores, bin_score.expand(batch, rows, 1)], 2),
        bin_score.expand(batch, 1, columns + 1)], 1)
    # An empty side has next to no mass: log(0) would poison the gradients.
    count0, count1 = (real.sum(1, keepdim=True).to(scores).clamp_min(1e-6) for real in (real0, real1))
    norm = -(count0 + count1).log()
    # Every keypoint has mass 1, each dustbin as much as there are keypoints on the other side.
    log_mu = torch.cat([norm.expand(-1, rows), count1.log() + norm], 1)
    log_nu = torch.cat([norm.expand(-1, columns), count0.log() + norm], 1)
    always = real0.new_ones(batch, 1)
    live0, live1 = torch.cat([real0, always], 1), torch.cat([real1, always], 1)
    live = live0[:, :, None] & live1[:, None]
    # Finite inside: the gradient of a logsumexp over nothing but -inf is NaN.
    coupled = coupled.masked_fill(~live, _NEVER)
    u, v = torch.zeros_like(log_mu), torch.zeros_like(log_nu)
    for _ in range(iterations):
        u = (log_mu - torch.logsumexp(coupled + v[:, None], 2)).masked_fill(~live0, 0)
        v = (log_nu - torch.logsumexp(coupled + u[..., None], 1)).masked_fill(~live1, 0)
    return (coupled + u[..., None] + v[:, None] - norm[..., None]).masked_fill(~live, -torch.inf)


def mutual_matches(assignment: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return index pairs that prefer each other and are surer than ``threshold`` (section 3.2).

    :param assignment: (N, M) probabilities without the dustbins, N and M at least 1.
    :returns: (K,) rows, (K,) columns, (K,) confidences.
    """
    best, column = assignment.max(1)
    row = torch.arange(len(assignment), device=assignment.device)
    keep = (assignment.argmax(0)[column] == row) & (best > threshold)
    return row[keep], column[keep], best[keep]
