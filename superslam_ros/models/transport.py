"""Optimal transport with a dustbin on either side (arXiv 1911.11763, section 3.2, eq. 8 to 10).

Sinkhorn's iterations multiply by exponentials of the scores, which takes a tenth of the time that sums of
exponentials in log space take. Each row is divided by its largest entry beforehand: then every row and every
column has an entry of 1 (in the dustbin's row if nowhere else), and scores of any size are safe in float32.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_NEVER = -1e9
_LEAST = 1e-18
"""Sums below this count as this: only scores 40 apart that contradict each other come to it."""


def log_optimal_transport(
    scores: Tensor, bin_score: Tensor, iterations: int, mask0: Tensor | None = None, mask1: Tensor | None = None
) -> Tensor:
    """Sinkhorn's algorithm with a dustbin row and column.

    :param scores: (B, N, M) float32; ``mask0`` (B, N) and ``mask1`` (B, M) mark what is real.
    :returns: (B, N + 1, M + 1) log assignment, scaled so that a sure match is 0; -inf where masked.
    """
    batch, rows, columns = scores.shape
    coupled = torch.cat([
        torch.cat([scores, bin_score.expand(batch, rows, 1)], 2),
        bin_score.expand(batch, 1, columns + 1)], 1)
    live0, real0 = _masses(batch, rows, mask0, scores)
    live1, real1 = _masses(batch, columns, mask1, scores)
    # Every keypoint has mass 1, each dustbin as much as there are keypoints on the other side. An empty side has next
    # to no mass: log(0) would poison the gradients.
    bin0, bin1 = (real.sum(1, keepdim=True).clamp_min(1e-6) for real in (real1, real0))
    mass0, mass1 = torch.cat([real0, bin0], 1), torch.cat([real1, bin1], 1)
    live = None
    if live0 is not None or live1 is not None:
        live = torch.ones_like(coupled, dtype=torch.bool)
        live = live if live0 is None else live & live0[:, :, None]
        live = live if live1 is None else live & live1[:, None]
        coupled = coupled.masked_fill(~live, _NEVER)
    if torch.is_grad_enabled():
        u, v = _Potentials.apply(coupled, mass0, mass1, iterations)
    else:
        u, v, *_ = _potentials(coupled, mass0, mass1, iterations)
    assigned = coupled + u[:, :, None] + v[:, None]
    return assigned if live is None else assigned.masked_fill(~live, -torch.inf)


def _masses(batch: int, count: int, mask: Tensor | None, like: Tensor) -> tuple[Tensor | None, Tensor]:
    """Return (B, N + 1) what is real, the dustbin last, None for all, and (B, N) the mass of each keypoint."""
    if mask is None:
        return None, like.new_ones(batch, count)
    return F.pad(mask, (0, 1), value=True), mask.to(like.dtype)


def _product(rows: Tensor, matrices: Tensor) -> Tensor:
    """Return (B, M): each of (B, N) times its matrix of (B, N, M); as rows, since columns take ten times as long."""
    return torch.bmm(rows[:, None], matrices)[:, 0]


class _Found(NamedTuple):
    """Logarithms of what rows and columns are multiplied by, and how they were found: the factors of each iteration."""

    log_u: Tensor
    log_v: Tensor
    kernel: Tensor
    us: list[Tensor]
    vs: list[Tensor]


def _potentials(coupled: Tensor, mass0: Tensor, mass1: Tensor, iterations: int) -> _Found:
    """Iterate on (B, N + 1, M + 1) scores, of which masked ones are very low."""
    highest = coupled.amax(2, keepdim=True)
    kernel = (coupled - highest).exp_()
    # A masked row would be all ones.
    kernel *= (mass0 > 0).to(kernel)[..., None]
    u, v = mass0, (mass1 > 0).to(kernel)
    us, vs = [], [v]
    transposed = kernel.transpose(1, 2)
    for _ in range(iterations):
        u = mass0 / _product(v, transposed).clamp_(min=_LEAST)
        v = mass1 / _product(u, kernel).clamp_(min=_LEAST)
        us.append(u)
        vs.append(v)
    # Of what is masked, any number will do, if it is finite.
    log_u = _where_real(mass0, u, 1).log() - _where_real(mass0, highest[..., 0], 0)
    return _Found(log_u, _where_real(mass1, v, 1).log(), kernel, us, vs)


def _where_real(mass: Tensor, values: Tensor, other: float) -> Tensor:
    # Of one type, which the exporter of PyTorch 2.0 does not see to.
    return torch.where(mass > 0, values, torch.full_like(values, other))


class _Potentials(torch.autograd.Function):
    """:func:`_potentials` with the gradient of the iterations, unrolled."""

    @staticmethod
    def forward(ctx, coupled: Tensor, mass0: Tensor, mass1: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """Return (B, N + 1) and (B, M + 1) for (B, N + 1, M + 1) scores."""
        found = _potentials(coupled, mass0, mass1, iterations)
        ctx.save_for_backward(found.kernel, mass0, mass1, torch.stack(found.us, 2), torch.stack(found.vs, 2))
        return found.log_u, found.log_v

    @staticmethod
    def backward(ctx, grad_u: Tensor, grad_v: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the scores: minus the kernel times a sum of outer products, two an iteration."""
        kernel, mass0, mass1, us, vs = ctx.saved_tensors
        # Masked ones have no part in it.
        share0, share1 = (torch.where(mass > 0, 1 / mass.clamp_min(_LEAST), 0) for mass in (mass0, mass1))
        transposed = kernel.transpose(1, 2)
        lefts, rights = [], []
        for step in reversed(range(us.shape[2])):
            u, v, before = us[..., step], vs[..., step + 1], vs[..., step]
            right = grad_v * v * share1
            grad_u = grad_u - u * _product(right, transposed)
            left = grad_u * u * share0
            lefts += [u, left]
            rights += [right, before]
            grad_v = -before * _product(left, kernel)
            grad_u = torch.zeros_like(grad_u)
        total = torch.bmm(torch.stack(lefts, 2), torch.stack(rights, 2).transpose(1, 2))
        return -kernel * total, None, None, None
