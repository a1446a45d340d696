"""Optimal transport: its marginals, and the same in log space, gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from superslam_ros.models.transport import log_optimal_transport

REAL0 = torch.tensor([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
REAL1 = torch.tensor([[1, 1, 1, 1, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 0, 0]],
                     dtype=torch.bool)


def random_scores(strength: float) -> Tensor:
    """Return (3, 6, 9) scores."""
    return torch.randn(3, 6, 9, generator=torch.Generator().manual_seed(0)) * strength


def in_log_space(scores: Tensor, bin_score: Tensor, iterations: int) -> Tensor:
    """Return the assignment of one pair, (N, M) scores, by the paper's formula in float64."""
    rows, columns = scores.shape
    coupled = torch.nn.functional.pad(scores.double(), (0, 1, 0, 1)) + torch.nn.functional.pad(
        torch.zeros_like(scores), (0, 1, 0, 1), value=1.0) * bin_score
    total = float(rows + columns)
    log_mu = torch.tensor([1.0] * rows + [columns]).double().log() - torch.tensor(total).log()
    log_nu = torch.tensor([1.0] * columns + [rows]).double().log() - torch.tensor(total).log()
    u, v = torch.zeros_like(log_mu), torch.zeros_like(log_nu)
    for _ in range(iterations):
        u = log_mu - torch.logsumexp(coupled + v, 1)
        v = log_nu - torch.logsumexp(coupled + u[:, None], 0)
    return coupled + u[:, None] + v + torch.tensor(total).log()


def test_it_has_its_marginals() -> None:
    """After enough iterations every keypoint's mass is 1, shared with the dustbin."""
    plan = log_optimal_transport(random_scores(3)[:2], torch.tensor(1.0), 200).exp()
    torch.testing.assert_close(plan[:, :-1].sum(2), torch.ones(2, 6), atol=1e-4, rtol=0)
    torch.testing.assert_close(plan[:, :, :-1].sum(1), torch.ones(2, 9), atol=1e-4, rtol=0)
    torch.testing.assert_close(plan[:, -1].sum(1), torch.full((2,), 9.0), atol=1e-3, rtol=0)


@pytest.mark.parametrize('strength', [1, 8, 40, 200])
@pytest.mark.parametrize('masked', [False, True])
def test_value_and_gradient_are_those_of_log_space(strength: float, masked: bool) -> None:
    """Scores of any size, with keypoints that are padding, and a side that has none."""
    bin_score = torch.tensor(2.0, requires_grad=True)
    scores = random_scores(strength).requires_grad_()
    masks = (REAL0, REAL1) if masked else (None, None)
    ours = log_optimal_transport(scores, bin_score, 20, *masks)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    if masked:
        weights[1] = 0          # an empty side has no formula
    found = torch.autograd.grad((torch.where(torch.isfinite(ours), ours, 0) * weights).sum(), [scores, bin_score])
    assert all(torch.isfinite(grad).all() for grad in found)
    total = 0
    for pair in range(3):
        row = REAL0[pair] if masked else torch.ones(6, dtype=torch.bool)
        column = REAL1[pair] if masked else torch.ones(9, dtype=torch.bool)
        live = torch.cat([row, torch.tensor([True])])[:, None] & torch.cat([column, torch.tensor([True])])
        assert torch.isneginf(ours[pair][~live]).all()
        if row.any():
            expected = in_log_space(scores[pair][row][:, column], bin_score, 20)
            mine = ours[pair][live].view(expected.shape)
            torch.testing.assert_close(mine, expected.float(), atol=2e-5 * max(10, strength), rtol=1e-5)
            total = total + (expected * weights[pair][live].view(expected.shape)).sum()
    expected = torch.autograd.grad(total, [scores, bin_score])
    for mine, theirs in zip(found, expected):
        torch.testing.assert_close(mine, theirs, atol=2e-3, rtol=2e-3)


def test_scores_that_contradict_each_other_stay_finite() -> None:
    """All want the same one, by a hundred times what float32 exponentials hold."""
    scores = torch.full((1, 50, 40), -300.0)
    scores[0, :, 3] = 300
    scores.requires_grad_()
    plan = log_optimal_transport(scores, torch.tensor(1.0), 50)
    assert not torch.isnan(plan).any() and (plan < 5).all()
    plan.exp().sum().backward()
    assert torch.isfinite(scores.grad).all()
