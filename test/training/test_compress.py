"""A SuperGlue made smaller does nearly what the large one does."""

import pytest
import torch

from superslam_ros.models import checkpoint, superglue
from superslam_ros.models.superglue import KeypointSet, SuperGlue
from superslam_ros.training import compress
from superslam_ros.training.random import Rng


def some_pairs(batches: int, keypoints: int = 100) -> list[compress.Pair]:
    """Return batches of two pairs: noisy descriptors of the same points in another order, and strangers; padded."""
    rng, pairs = Rng(7), []
    low = rng.normal(48, 256) / 16
    for _ in range(batches):
        shared = rng.normal(2, keypoints, 48) @ low
        at, sides = rng.uniform(-0.6, 0.6, 2, keypoints, 2), []
        for shift in (0.0, 0.1):
            order = torch.randperm(keypoints, generator=rng.generator)
            noisy = shared[:, order] + 0.02 * rng.normal(2, keypoints, 256)
            noisy[:, :20] = rng.normal(2, 20, 48) @ low
            mask = torch.ones(2, keypoints, dtype=torch.bool)
            mask[1, keypoints - 10:] = False
            sides.append(KeypointSet(at[:, order] + shift, rng.uniform(0.01, 0.5, 2, keypoints),
                                     torch.nn.functional.normalize(noisy, dim=2), mask))
        pairs.append(tuple(sides))
    return pairs


def probabilities(network: SuperGlue, pairs: list[compress.Pair]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(*pair)[:, :-1, :-1].exp() for pair in pairs])


@pytest.fixture(scope='module')
def large() -> SuperGlue:
    return superglue.load(checkpoint.shipped('superglue')).eval()


@pytest.mark.parametrize('size, rounds, most', [(256, 5, 0.02), (128, 4, 0.15)])
def test_the_small_network_says_nearly_the_same(large, size, rounds, most):
    small = compress.compressed(large, some_pairs(12), size, rounds).eval()
    assert (small.size, small.rounds) == (size, rounds) and (small.input_proj is None) == (size == 256)
    unseen = some_pairs(14)[12:]
    expected, found = probabilities(large, unseen), probabilities(small, unseen)
    sure = expected > 0.5
    assert sure.sum() > 200
    assert (found[sure] - expected[sure]).abs().mean() < most
    assert (found[~sure] > 0.5).sum() < most * sure.sum()


def test_the_large_network_stays_as_it_is(large):
    before = {name: tensor.clone() for name, tensor in large.state_dict().items()}
    large.train()
    compress.compressed(large, some_pairs(2), 32, 1)
    assert large.training
    large.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in large.state_dict().items())


def test_what_cannot_be_made_smaller_is_refused(large):
    for network, size, rounds in ((large, 128, 6), (SuperGlue(2, 64), 32, 1)):
        with pytest.raises(ValueError, match=f'{network.rounds} rounds of {network.size} channels'):
            compress.compressed(network, some_pairs(1), size, rounds)
