"""The folded SuperGlue gives what the network gives."""

from __future__ import annotations

import pytest
import torch

from superslam_ros.models import superglue
from superslam_ros.models.folded import FoldedSuperGlue
from superslam_ros.models.superglue import KeypointSet, SuperGlue


def random_network(rounds: int, size: int) -> SuperGlue:
    """Return random weights and batch statistics whose scores reach 20."""
    torch.manual_seed(0)
    network = SuperGlue(rounds, size).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
    if network.input_proj is not None:
        torch.nn.init.orthogonal_(network.input_proj.weight[..., 0])
    network.final_proj.weight.copy_(torch.eye(size)[..., None] * (20 * size**0.5) ** 0.5)
    network.bin_score.fill_(2.3)
    return network


def a_pair(counts: tuple[int, int], seed: int = 0) -> list[KeypointSet]:
    """Return two images' keypoints, of which the first ones look alike."""
    generator = torch.Generator().manual_seed(seed)
    common, sets = torch.randn(max(counts), 256, generator=generator), []
    for count in counts:
        descriptors = common[:count] + 0.3 * torch.randn(count, 256, generator=generator)
        sets.append(KeypointSet(torch.rand(count, 2, generator=generator) - 0.5, torch.rand(count, generator=generator),
                                torch.nn.functional.normalize(descriptors, dim=1)))
    return sets


@pytest.mark.parametrize('rounds, size', [(9, 256), (4, 128), (2, 64)])
def test_assignments_and_matches_are_the_same(rounds: int, size: int) -> None:
    network = random_network(rounds, size)
    sets = [superglue.pad_sets([one]) for one in a_pair((70, 60))]
    expected, found = network(*sets), FoldedSuperGlue(network)(*sets)
    assert (expected[0, :-1, :-1].exp() > 0.2).sum() > 20
    torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-5, rtol=1e-4)
    ours, theirs = (superglue.mutual_matches(one[0, :-1, :-1].exp(), 0.1)[:2] for one in (found, expected))
    assert all(torch.equal(*pair) for pair in zip(ours, theirs))


def test_padded_batches_are_the_same() -> None:
    """Masks, of an empty side too."""
    network = random_network(2, 128)
    pairs = [a_pair(counts, seed) for seed, counts in enumerate([(30, 20), (7, 33), (0, 5), (1, 1)])]
    sets = [superglue.pad_sets([pair[side] for pair in pairs]) for side in (0, 1)]
    torch.testing.assert_close(FoldedSuperGlue(network)(*sets).exp(), network(*sets).exp(), atol=1e-5, rtol=1e-4)


def test_the_network_stays_as_it_is() -> None:
    network = random_network(1, 64)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    FoldedSuperGlue(network, torch.bfloat16)(*(superglue.pad_sets([one]) for one in a_pair((9, 9))))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize('counts', [[(60, 50)], [(60, 50), (20, 40)]])
def test_bfloat16_is_near(counts: list[tuple[int, int]]) -> None:
    """Products of 8 bits, sums and transport in float32: what is sure stays sure."""
    network = random_network(4, 128)
    pairs = [a_pair(one, seed) for seed, one in enumerate(counts)]
    sets = [superglue.pad_sets([pair[side] for pair in pairs]) for side in (0, 1)]
    exact, near = (FoldedSuperGlue(network, dtype)(*sets) for dtype in (torch.float32, torch.bfloat16))
    assert near.dtype == torch.float32
    assert (exact.exp() - near.exp()).abs().max() < 0.1
