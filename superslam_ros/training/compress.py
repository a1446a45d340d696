"""A trained SuperGlue made smaller: fewer channels, heads, hidden units and rounds, as alike as linear algebra gets.

What a layer returns is added to the keypoints' vectors, and all that reads them is linear: so the vectors may be
projected onto the directions that hold nearly all of them (arXiv 2401.15024). Within a layer, each head's products are
replaced by the best ones of lower rank, the hidden units that matter most stay, and the last weights are fitted to
what the large network adds, errors of the layers before included. Training does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from superslam_ros.models import superglue
from superslam_ros.models.superglue import HEADS, KINDS, SIZE, KeypointSet, Layer, SuperGlue

_RIDGE = 1e-4
_SPREAD = 0.1
"""Standard deviation of what the small heads return."""
Pair = tuple[KeypointSet, KeypointSet]


class _Seen(NamedTuple):
    """What one side of the pairs goes through in a layer: lists with one (B, N, ...) tensor a batch and side."""

    x: list[Tensor]
    source: list[Tensor]
    mask: list[Tensor | None]
    source_mask: list[Tensor | None]

    def real(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the (K, C) rows of (B, N, C) tensors that are real keypoints."""
        return _joined(tensors, self.mask)

    def others(self) -> Tensor:
        """Return the (K, C) rows of the real keypoints that are looked at."""
        return _joined(self.source, self.source_mask)


def _joined(tensors: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([one.flatten(0, 1) if mask is None else one[mask] for one, mask in zip(tensors, masks)])


@torch.no_grad()
def compressed(large: SuperGlue, pairs: Sequence[Pair], size: int, rounds: int) -> SuperGlue:
    """Return a network of ``size`` channels that does nearly what the first ``rounds`` of ``large`` do.

    :param pairs: keypoints of some batches of pairs, two thousand keypoints at least.
    :raises ValueError: when ``large`` has fewer channels or rounds than that, or already has a projection.
    """
    if large.input_proj is not None or size > large.size or rounds > large.rounds:
        raise ValueError(f'a SuperGlue of {large.rounds} rounds of {large.size} channels cannot be made one of '
                         f'{rounds} rounds of {size}: only a network of {SIZE} channels can be made smaller')
    training, large = large.training, large.eval()
    targets = _streams(large, pairs, rounds)
    basis = superglue.principal(torch.cat([_seen(pairs, target, 0).real(target) for target in targets]), size)
    small = SuperGlue(rounds, size).to(basis.device).eval()
    if small.input_proj is not None:
        small.input_proj.weight.copy_(basis[..., None])
    _copy_encoder(large, small, basis)
    x = [small.begin(one) for pair in pairs for one in pair]
    for number, (old, new) in enumerate(zip(large.gnn.layers, small.gnn.layers)):
        seen = _seen(pairs, x, number)
        _narrow_attention(old, new, seen, basis)
        _fit_update(old, new, seen, basis, targets[number + 1])
        x = [one + new(one, source, mask) for one, source, mask in zip(seen.x, seen.source, seen.source_mask)]
    _narrow_projection(large, small, basis)
    large.train(training)
    return small


def _streams(network: SuperGlue, pairs: Sequence[Pair], rounds: int) -> list[list[Tensor]]:
    """Return what the vectors of all sides are before each layer, and at the end."""
    x = [network.begin(one) for pair in pairs for one in pair]
    found = [x]
    for number, layer in enumerate(network.gnn.layers[:len(KINDS) * rounds]):
        seen = _seen(pairs, x, number)
        x = [one + layer(one, source, mask) for one, source, mask in zip(seen.x, seen.source, seen.source_mask)]
        found.append(x)
    return found


def _seen(pairs: Sequence[Pair], x: list[Tensor], number: int) -> _Seen:
    masks = [one.mask for pair in pairs for one in pair]
    if KINDS[number % 2] == 'self':
        return _Seen(x, x, masks, masks)
    other = [side ^ 1 for side in range(len(x))]
    return _Seen(x, [x[side] for side in other], masks, [masks[side] for side in other])


def _copy_encoder(large: SuperGlue, small: SuperGlue, basis: Tensor) -> None:
    *same, last = zip(large.kenc.encoder, small.kenc.encoder)
    for old, new in same:
        new.load_state_dict(old.state_dict())
    _set(last[1], basis @ last[0].weight[..., 0], basis @ last[0].bias)


def _set(layer: nn.Conv1d, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight[..., None])
    layer.bias.copy_(bias)


def _narrow_attention(old: Layer, new: Layer, seen: _Seen, basis: Tensor) -> None:
    """Give each head of the small layer the best products of its rank.

    A logit is a product of query and key; a message is a product of the head's values and the part of the update
    that reads them. The merging projection of the small layer stays the identity: the update holds it.
    """
    size, width = len(basis), len(basis) // HEADS
    order, narrow = superglue.by_head(len(old.attn.merge.weight), basis.device), superglue.by_head(size, basis.device)
    query, key, value = ((project.weight[order, :, 0] @ basis.T, project.bias[order]) for project in old.attn.proj)
    queries, keys, values = (torch.zeros(size, size + 1, device=basis.device) for _ in range(3))     # the bias last
    looked = [_looked_at(old, x @ basis, source @ basis, source, mask)
              for x, source, mask in zip(seen.x, seen.source, seen.source_mask)]
    reads = old.mlp[0].weight[:, len(order):, 0] @ old.attn.merge.weight[:, order, 0]
    rootx, backx = _root(F.pad(seen.real(seen.x), (0, 1), value=1.0))
    y = seen.others()
    rooty, backy = _root(y - y.mean(0))
    for head in range(HEADS):
        many, few = _of(head, len(order)), _of(head, size)
        # The softmax does not see what is added to all keys' logits alike: no bias of the key.
        asked = torch.cat([query[0][many], query[1][many, None]], 1) / math.sqrt(len(order) / HEADS)
        left, strength, right = torch.linalg.svd(rootx @ asked.T @ key[0][many] @ rooty)
        scale = (strength[:width] * math.sqrt(width)).sqrt()
        queries[few] = (backx @ left[:, :width] * scale).T
        keys[few, :-1] = (backy @ right[:width].T * scale).T
        got = seen.real([one[:, head] for one in looked])
        rootg, backg = _root(got - got.mean(0))
        _, _, right = torch.linalg.svd(reads[:, many] @ value[0][many] @ rootg)
        values[few, :-1] = right[:width] @ backg * _SPREAD
    for layer, weight in zip(new.attn.proj, (queries, keys, values)):
        _set(layer, weight[narrow.argsort(), :-1], weight[narrow.argsort(), -1])
    _set(new.attn.merge, torch.eye(size, device=basis.device), torch.zeros(size, device=basis.device))


def _of(head: int, size: int) -> slice:
    width = size // HEADS
    return slice(head * width, (head + 1) * width)


def _root(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the symmetric root of the second moments of (K, C) rows, and its inverse; both slightly regular."""
    moments = rows.T.double() @ rows.double() / len(rows)
    values, vectors = torch.linalg.eigh(moments)
    roots = values.clamp_min(values[-1] * 1e-6).sqrt()
    return (vectors * roots @ vectors.T).to(rows), (vectors / roots @ vectors.T).to(rows)


def _looked_at(layer: Layer, x: Tensor, source: Tensor, carried: Tensor, mask: Tensor | None) -> Tensor:
    """Return (B, heads, N, C): the mean of what (B, M, C) ``carried`` says of each head's attention."""
    order = superglue.by_head(x.shape[2], x.device)
    query, key = (
        F.linear(one, project.weight[order, :, 0], project.bias[order]).unflatten(2, (HEADS, -1)).transpose(1, 2)
        for one, project in zip((x, source), layer.attn.proj))
    logits = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None, None], -torch.inf).nan_to_num(neginf=-1e9)
    return logits.softmax(-1) @ carried[:, None]


def _fit_update(old: Layer, new: Layer, seen: _Seen, basis: Tensor, target: list[Tensor]) -> None:
    """Choose the hidden units of the small layer, fit what they read of the messages, and what they add."""
    size, wide = len(basis), len(old.attn.merge.weight)
    hidden = []          # before the normalisation, as the large layer has it for the small one's vectors
    for x, source, mask in zip(seen.x, seen.source, seen.source_mask):
        back = x @ basis
        hidden.append(F.linear(torch.cat([back, old.attn(back, source @ basis, mask)], 2), old.mlp[0].weight[..., 0],
                               old.mlp[0].bias))
    wanted = seen.real(hidden)
    active = old.mlp[2](old.mlp[1](wanted))
    weight = active.square().mean(0) * (basis @ old.mlp[3].weight[..., 0]).square().sum(0)
    keep = weight.topk(2 * size).indices.sort().values
    # What is not read of the vectors themselves is read of the messages.
    rest = wanted[:, keep] - seen.real(seen.x) @ (old.mlp[0].weight[keep, :wide, 0] @ basis.T).T
    messages = seen.real([new.attn(*one) for one in zip(seen.x, seen.source, seen.source_mask)])
    reads, bias = _fitted(messages, rest)
    _set(new.mlp[0], torch.cat([old.mlp[0].weight[keep, :wide, 0] @ basis.T, reads], 1), bias)
    for name in ('weight', 'bias', 'running_mean', 'running_var'):
        getattr(new.mlp[1], name).copy_(getattr(old.mlp[1], name)[keep])
    inside = F.linear(torch.cat([seen.real(seen.x), messages], 1), new.mlp[0].weight[..., 0], new.mlp[0].bias)
    added = seen.real(target) @ basis.T - seen.real(seen.x)
    _set(new.mlp[3], *_fitted(new.mlp[2](new.mlp[1](inside)), added))


def _fitted(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias that give (K, C') outputs of (K, C) inputs, by least squares."""
    middle, centre = inputs.mean(0), outputs.mean(0)
    x, y = (inputs - middle).double(), (outputs - centre).double()
    moments = x.T @ x
    moments.diagonal().add_(_RIDGE * moments.diagonal().mean())
    weight = torch.linalg.solve(moments, x.T @ y).T.to(inputs)
    return weight, centre - weight @ middle


def _narrow_projection(large: SuperGlue, small: SuperGlue, basis: Tensor) -> None:
    """Make products of the projected vectors what they were: only their own space matters to them."""
    turn, upper = torch.linalg.qr(large.final_proj.weight[..., 0] @ basis.T)
    scale = (small.size / large.size) ** 0.25
    _set(small.final_proj, upper * scale, turn.T @ large.final_proj.bias * scale)
    small.bin_score.copy_(large.bin_score)
