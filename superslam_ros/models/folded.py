"""SuperGlue as it runs: the same function of the same weights, in fewer steps.

Batch normalisation and the merging of heads are multiplied into the layers around them, queries, keys and values come
from one product, and the channels of a head lie beside each other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import superglue
from superslam_ros.models.superglue import HEADS, KINDS, KeypointSet, Layer, SuperGlue
from superslam_ros.models.supermap import LandmarkSet, Place, SuperMap
from superslam_ros.models.transport import log_optimal_transport


class _Linear(NamedTuple):
    weight: Tensor
    bias: Tensor | None


class _Step(NamedTuple):
    """A layer: queries, keys and values of all heads; the update's two products."""

    attention: _Linear
    hidden: _Linear
    added: _Linear


class FoldedSuperGlue:
    """Assigns the keypoints of two images as the :class:`~superslam_ros.models.superglue.SuperGlue` it is made of."""

    @torch.no_grad()
    def __init__(self, network: SuperGlue, dtype: torch.dtype = torch.float32) -> None:
        """Fold the layers of a network in evaluation mode, which stays as it is.

        :param dtype: of the products; sums, and the transport, are float32.
        """
        self.size, self.rounds, self.dtype = network.size, network.rounds, dtype
        self._input = None if network.input_proj is None else network.input_proj.weight[..., 0].clone()
        self._encoder = _folded(network.kenc.encoder)
        self._steps = [_Step(*(_Linear(*(part.to(dtype).contiguous() for part in one)) for one in _step(layer)))
                       for layer in network.gnn.layers]
        self._final = _Linear(network.final_proj.weight[..., 0] / self.size**0.25,
                              network.final_proj.bias / self.size**0.25)
        self._bin_score = network.bin_score.detach().clone()

    def __call__(self, set0: KeypointSet, set1: KeypointSet, iterations: int = 20) -> Tensor:
        """Return the (B, N + 1, M + 1) log assignment of (B, N, ...) and (B, M, ...) keypoints, dustbins last."""
        x0, x1 = self._begin(set0), self._begin(set1)
        for number, step in enumerate(self._steps):
            if KINDS[number % 2] == 'cross':
                x0, x1 = self._cross(step, x0, x1, set0.mask, set1.mask)
            else:
                x0, x1 = x0 + self._own(step, x0, set0.mask), x1 + self._own(step, x1, set1.mask)
        return self._assign(x0, x1, set0.mask, set1.mask, iterations)

    def _own(self, step: _Step, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return what self-attention adds to (B, N, C) vectors."""
        low = x.to(self.dtype)
        return _update(step, low, _attend(*_heads(F.linear(low, *step.attention)), mask))

    def _cross(
        self, step: _Step, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the vectors of both sides after they have looked at each other."""
        low0, low1 = x0.to(self.dtype), x1.to(self.dtype)
        (query0, *seen0), (query1, *seen1) = (_heads(F.linear(low, *step.attention)) for low in (low0, low1))
        return (x0 + _update(step, low0, _attend(query0, *seen1, mask1)),
                x1 + _update(step, low1, _attend(query1, *seen0, mask0)))

    def _assign(
        self, x0: Tensor, x1: Tensor, mask0: Tensor | None, mask1: Tensor | None, iterations: int
    ) -> Tensor:
        scores = F.linear(x0, *self._final) @ F.linear(x1, *self._final).transpose(1, 2)
        return log_optimal_transport(scores, self._bin_score, iterations, mask0, mask1)

    def _begin(self, one: KeypointSet) -> Tensor:
        x = torch.cat([one.keypoints, one.scores[..., None]], 2)
        for number, layer in enumerate(self._encoder):
            x = F.linear(F.relu_(x) if number else x, *layer)
        return x + (one.descriptors if self._input is None else F.linear(one.descriptors, self._input))


class FoldedSuperMap(FoldedSuperGlue):
    """Assigns keypoints to the landmarks of a place as the :class:`~superslam_ros.models.supermap.SuperMap` does."""

    @torch.no_grad()
    def __init__(self, network: SuperMap, dtype: torch.dtype = torch.float32) -> None:
        """Fold the layers of a network in evaluation mode, which stays as it is."""
        super().__init__(network.glue, dtype)
        self._fresh, self._landmarks = network.fresh, network.landmarks

    def remember(self, landmarks: LandmarkSet) -> Place:
        """Return what to keep of (B, L, ...) landmarks."""
        mask, rounds = landmarks.mask, self.rounds
        x = self._begin(landmarks.as_keypoints()) + self._landmarks(landmarks.about)
        added: list[Tensor | None] = [self._own(self._steps[0], x, mask)]
        twin = x + added[0]
        for number in range(1, rounds if self._fresh < rounds else 1):
            twin = twin + self._own(self._steps[2 * number - 1], twin, mask)
            change = self._own(self._steps[2 * number], twin, mask)
            twin = twin + change
            added.append(change if number >= self._fresh else None)
        return Place(x, added + [None] * (rounds - len(added)), mask)

    def __call__(self, query: KeypointSet, place: Place, iterations: int = 20) -> Tensor:
        """Return the (B, N + 1, L + 1) log assignment of (B, N, ...) keypoints, dustbins last."""
        x0, x1 = self._begin(query), place.x
        for number, added in enumerate(place.added):
            own, cross = self._steps[2 * number:2 * number + 2]
            x0 = x0 + self._own(own, x0, query.mask)
            x1 = x1 + (self._own(own, x1, place.mask) if added is None else added)
            x0, x1 = self._cross(cross, x0, x1, query.mask, place.mask)
        return self._assign(x0, x1, query.mask, place.mask, iterations)


def _step(layer: Layer) -> tuple[_Linear, _Linear, _Linear]:
    """Fold a layer."""
    size = len(layer.attn.merge.weight)
    order = superglue.by_head(size, layer.attn.merge.weight.device)
    query, key, value = ((project.weight[order, :, 0], project.bias[order]) for project in layer.attn.proj)
    hidden, added = _folded(layer.mlp)
    own, merged = hidden.weight.split(size, 1)
    reads = merged @ layer.attn.merge.weight[..., 0]
    return (_Linear(torch.cat([query[0], key[0], value[0]]), torch.cat([query[1], key[1], value[1]])),
            _Linear(torch.cat([own, reads[:, order]], 1), hidden.bias + merged @ layer.attn.merge.bias), added)


def _folded(mlp: nn.Sequential) -> list[_Linear]:
    """Return the linear layers of an MLP, normalisation included; ReLU belongs between them."""
    found = []
    for layer in mlp:
        if isinstance(layer, nn.Conv1d):
            found.append(_Linear(layer.weight[..., 0].clone(), layer.bias.clone()))
        elif isinstance(layer, nn.BatchNorm1d):
            gain = layer.weight / (layer.running_var + layer.eps).sqrt()
            weight, bias = found.pop()
            found.append(_Linear(weight * gain[:, None], (bias - layer.running_mean) * gain + layer.bias))
    return found


def _heads(projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split (B, N, 3 C) into queries, keys and values (B, H, N, C / H)."""
    batch, count, _ = projected.shape
    return projected.view(batch, count, 3, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Return (B, N, C) messages of all heads."""
    if query.device.type == 'cpu' and query.dtype == torch.bfloat16 and mask is None:
        # PyTorch's fused kernel computes this in float32 on a CPU; the products alone take half the time.
        message = (query / math.sqrt(query.shape[-1]) @ key.transpose(2, 3)).softmax(-1) @ value
    else:
        message = superglue.attend(query, key, value, mask)
    return message.transpose(1, 2).flatten(2)


def _update(step: _Step, x: Tensor, message: Tensor) -> Tensor:
    """Return what the layer adds to the (B, N, C) vectors, float32."""
    return F.linear(F.relu_(F.linear(torch.cat([x, message], 2), *step.hidden)), *step.added).float()
