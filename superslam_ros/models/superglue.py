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
from superslam_ros.models.transport import log_optimal_transport

SIZE = 256
"""Of descriptors, and of the published networks' channels."""
HEADS = 4
ENCODER = (32, 64, 128, 256)
KINDS = ('self', 'cross')
ROUNDS = 9
"""Of a self and a cross layer each, in the paper and the published weights."""


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
    size = torch.stack([keypoints.new_full((), side) for side in image_size])      # no copy from the host
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


def _linear(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to (..., C) instead of (B, C, N)."""
    return F.linear(x, layer.weight[..., 0], layer.bias)


def _through(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """Apply an MLP to (B, N, C)."""
    for layer in mlp:
        if isinstance(layer, nn.Conv1d):
            x = _linear(layer, x)
        elif isinstance(layer, nn.BatchNorm1d):
            x = layer(x.flatten(0, 1)).view(x.shape)
        else:
            x = layer(x)
    return x


class KeypointEncoder(nn.Module):
    """Position and score as a vector that is added to the descriptor (eq. 2)."""

    def __init__(self, size: int) -> None:
        """Make the layers."""
        super().__init__()
        self.encoder = _mlp((3, *ENCODER, size))

    def forward(self, keypoints: Tensor, scores: Tensor) -> Tensor:
        """Return (B, N, size) from (B, N, 2) and (B, N)."""
        return _through(self.encoder, torch.cat([keypoints, scores[..., None]], 2))


class Attention(nn.Module):
    """Multi-head attention (eq. 4 and 5); channel c belongs to head c mod 4, as in the published weights."""

    def __init__(self, size: int) -> None:
        """Make the projections."""
        super().__init__()
        self.merge = nn.Conv1d(size, size, 1)
        self.proj = nn.ModuleList([nn.Conv1d(size, size, 1) for _ in range(3)])

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Let (B, N, size) look at (B, M, size), where ``mask`` (B, M) allows it."""
        order = by_head(x.shape[2], x.device)
        query, key, value = (
            F.linear(tensor, project.weight[order, :, 0], project.bias[order]).unflatten(2, (HEADS, -1)).transpose(1, 2)
            for project, tensor in zip(self.proj, (x, source, source))
        )
        message = attend(query, key, value, mask).transpose(1, 2).flatten(2)
        return F.linear(message, self.merge.weight[:, order, 0], self.merge.bias)

    @torch.no_grad()
    def begin_alike(self, sharpness: float) -> None:
        """Make query and key the same turn of the channels, so that like attends to like.

        :param sharpness: the mean logit of equal unit vectors, which each head sees a quarter of.
        """
        query, key, value = self.proj
        size = len(query.weight)
        turn = nn.init.orthogonal_(torch.empty(size, size)) * math.sqrt(HEADS * math.sqrt(size / HEADS) * sharpness)
        for projection in (query, key):
            projection.weight.copy_(turn[..., None])
            projection.bias.zero_()
        # Channels of unit vectors are small, and so would be the message beside what it is added to.
        value.weight.mul_(4)


def by_head(size: int, device: torch.device) -> Tensor:
    """Return (size,) the channels, those of one head beside each other."""
    return torch.arange(size, device=device).view(-1, HEADS).T.flatten()


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Return what (B, H, N, C) queries get from (B, H, M, C), where ``mask`` (B, M) allows it."""
    if mask is not None:
        # Where there is nothing to look at, look at the padding: softmax over nothing is NaN.
        mask = (mask | ~mask.any(1, keepdim=True))[:, None, None]
    # The exporter of PyTorch 2.0 does not know it.
    if hasattr(F, 'scaled_dot_product_attention') and not torch.jit.is_tracing():
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value


class Layer(nn.Module):
    """One round of messages (eq. 3)."""

    def __init__(self, size: int) -> None:
        """Make the attention and the update."""
        super().__init__()
        self.attn = Attention(size)
        self.mlp = _mlp((2 * size, 2 * size, size))

    def forward(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """Return what is added to ``x``."""
        return _through(self.mlp, torch.cat([x, self.attn(x, source, mask)], 2))


class GraphNetwork(nn.Module):
    """Alternating self and cross layers (section 3.1)."""

    def __init__(self, rounds: int, size: int) -> None:
        """Make the layers, two a round."""
        super().__init__()
        self.layers = nn.ModuleList([Layer(size) for _ in KINDS * rounds])

    def forward(
        self, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return both sides' (B, N, size) after every cross layer."""
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
    """The network of section 3; state names and shapes are those of the published checkpoints.

    A lean one has fewer channels than descriptors have; then a projection comes first, of which the published
    checkpoints have none.
    """

    def __init__(self, rounds: int = ROUNDS, size: int = SIZE) -> None:
        """Make the layers with PyTorch's default random weights.

        :param rounds: of a self and a cross layer each; fewer are faster.
        :param size: channels, a multiple of 4; fewer are faster.
        """
        super().__init__()
        self.rounds, self.size = rounds, size
        self.input_proj = nn.Conv1d(SIZE, size, 1, bias=False) if size != SIZE else None
        self.kenc = KeypointEncoder(size)
        self.gnn = GraphNetwork(rounds, size)
        self.final_proj = nn.Conv1d(size, size, 1)
        self.bin_score = nn.Parameter(torch.tensor(1.0))

    def forward(
        self, set0: KeypointSet, set1: KeypointSet, iterations: int = 20, depths: Sequence[int] = (-1,)
    ) -> Tensor | list[Tensor]:
        """Return the log assignment of a batch of image pairs.

        :param set0: (B, N, ...) keypoints of the first images; ``set1``: (B, M, ...).
        :param depths: after which cross layers (0 to ``rounds - 1``) to assign; several for deep supervision.
        :returns: (B, N + 1, M + 1) log assignment with the dustbins last, or a list of them by depth.
        """
        after = self.gnn(self.begin(set0), self.begin(set1), set0.mask, set1.mask)
        assigned = [self.assign(*after[depth], set0.mask, set1.mask, iterations) for depth in depths]
        return assigned if len(depths) > 1 else assigned[0]

    def begin(self, one: KeypointSet) -> Tensor:
        """Return (B, N, size): what the layers add to."""
        x = one.descriptors
        if self.input_proj is not None:
            # The sum stays float32, as without a projection.
            with torch.autocast(x.device.type, enabled=False):
                x = _linear(self.input_proj, x)
        return x + self.kenc(one.keypoints, one.scores)

    def assign(
        self, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None, iterations: int
    ) -> Tensor:
        """Return the log assignment of (B, N, size) and (B, M, size)."""
        # Scores reach 20 and more, where bfloat16 has steps of .125: all of this is float32.
        with torch.autocast(x0.device.type, enabled=False):
            final0, final1 = _linear(self.final_proj, x0.float()), _linear(self.final_proj, x1.float())
            scores = final0 @ final1.transpose(1, 2) / math.sqrt(self.size)
            return log_optimal_transport(scores, self.bin_score, iterations, mask0, mask1)

    def last_layers(self) -> list[nn.Conv1d]:
        """Return the last layer of every MLP: what they return is added to the descriptors."""
        return [mlp[-1] for mlp in (self.kenc.encoder, *(layer.mlp for layer in self.gnn.layers))]

    @torch.no_grad()
    def begin_as_nearest(self, sharpness: float = 20.0, descriptors: Tensor | None = None) -> None:
        """Make the untrained network score pairs by descriptor similarity alone: mutual nearest neighbour.

        A similarity of .4 then weighs as much as a dustbin; a higher one would lose right matches. Attention
        begins at keypoints that look alike: what a layer could add comes from there from the first step on.

        :param sharpness: the score of two equal descriptors.
        :param descriptors: (N, 256), for a network of fewer channels: it keeps the directions they differ most in.
        """
        for number, layer in enumerate(self.gnn.layers):
            layer.attn.begin_alike(10.0 if KINDS[number % 2] == 'cross' else 3.0)
        for layer in self.last_layers():
            layer.weight.zero_()
            layer.bias.zero_()
        if self.input_proj is not None:
            basis = (nn.init.orthogonal_(torch.empty(self.size, SIZE)) if descriptors is None
                     else principal(descriptors, self.size))
            self.input_proj.weight.copy_(basis[..., None])
        self.final_proj.weight.copy_(torch.eye(self.size)[..., None] * math.sqrt(sharpness * math.sqrt(self.size)))
        self.final_proj.bias.zero_()
        self.bin_score.fill_(0.4 * sharpness)


def principal(vectors: Tensor, count: int) -> Tensor:
    """Return (count, C) orthonormal directions that hold most of (N, C) vectors, their mean included."""
    return torch.linalg.eigh(vectors.T.double() @ vectors.double())[1][:, -count:].T.to(vectors)


def load(path: str | os.PathLike) -> SuperGlue:
    """Read a checkpoint of as many layers and channels as it has.

    :raises FileNotFoundError: naming the file.
    :raises ValueError: naming the file, when it is damaged or not a SuperGlue.
    """
    state = checkpoint.load_state(path)
    layers = {name.split('.')[2] for name in state if name.startswith('gnn.layers.')}
    size = len(state['final_proj.weight']) if 'input_proj.weight' in state and 'final_proj.weight' in state else SIZE
    network = SuperGlue(len(layers) // 2 or ROUNDS, size if size % HEADS == 0 else SIZE)
    checkpoint.fill(network, state, path)
    return network


def mutual_matches(assignment: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return index pairs that prefer each other and are surer than ``threshold`` (section 3.2).

    :param assignment: (N, M) probabilities without the dustbins, N and M at least 1.
    :returns: (K,) rows, (K,) columns, (K,) confidences.
    """
    best, column = assignment.max(1)
    row = torch.arange(len(assignment), device=assignment.device)
    keep = (assignment.argmax(0)[column] == row) & (best > threshold)
    return row[keep], column[keep], best[keep]
