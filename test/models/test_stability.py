"""The stability head: optional tensors of a checkpoint, in either network, through every way that a network runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, extractors, graphs, stability, superpoint
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.training.network import TrainableCompact, TrainableSuperPoint

PLAIN = {'paper': 'superpoint', 'compact': 'compact'}
TRAINABLE = {'paper': TrainableSuperPoint, 'compact': TrainableCompact}


def with_head(name: str) -> SuperPoint | CompactSuperPoint:
    """Return a shipped network with a head of random weights."""
    state = checkpoint.load_state(checkpoint.shipped(PLAIN[name]))
    torch.manual_seed(3)
    network = (SuperPoint if name == 'paper' else CompactSuperPoint).like(state, stable=8)
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False)


@pytest.fixture(params=PLAIN)
def saved(request, tmp_path):
    path = tmp_path / 'headed.safetensors'
    checkpoint.save(with_head(request.param).state_dict(), path)
    return request.param, path


def test_the_tensors_say_whether_there_is_a_head(saved):
    name, path = saved
    before, after = (extractors.load(one) for one in (checkpoint.shipped(PLAIN[name]), path))
    image = torch.rand(1, 1, 48, 64, generator=torch.Generator().manual_seed(0))
    plain, headed = before(image), after(image)
    assert len(plain) == 2 and len(headed) == 3
    assert all(torch.equal(*pair) for pair in zip(plain, headed))
    assert headed[2].shape == (1, 2, 6, 8)
    assert stability.width(after.state_dict()) == 8 and stability.width(before.state_dict()) == 0
    assert not set(before.state_dict()) & {'convSa.weight', 'convSb.weight'}


def test_keypoints_have_the_probability_of_their_cells():
    """Between the centres of two cells logits are interpolated; the softmax comes after."""
    logits = torch.tensor([[[[0.0, 0.0]], [[0.0, 2.0]]]])
    found = superpoint.sample_stability(logits, torch.tensor([[[3.5, 3.5], [11.5, 3.5], [7.5, 3.5]]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 2.0, 1.0]]).sigmoid())


@pytest.mark.parametrize('octaves', [1, 2])
def test_features_have_it_where_the_weights_do(saved, octaves):
    name, path = saved
    image = np.random.default_rng(0).integers(0, 256, (30, 32), np.uint8).repeat(5, 0).repeat(5, 1)
    plain, headed = (Extractor(ExtractorConfig(str(weights), 'cpu', octaves=octaves, precision='float32',
                                               max_keypoints=50))(image)
                     for weights in (checkpoint.shipped(PLAIN[name]), path))
    assert plain.stability is None
    assert headed.stability.shape == (len(plain),) and headed.stability.std() > 0
    assert np.array_equal(plain.keypoints, headed.keypoints)
    assert np.array_equal(plain.descriptors, headed.descriptors)


def test_an_exported_extractor_has_it(saved):
    _, path = saved
    network = extractors.load(path)
    graph = graphs.of_extractor(network)
    assert [port.name for port in graph.outputs] == ['logits', 'descriptors', 'stability']
    image = torch.rand(1, 1, 40, 48, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(graph.module(image)[2], network(image)[2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('name', PLAIN)
def test_a_new_head_says_nothing_of_its_own_and_folds(name, tmp_path):
    """What is trained begins as the weights without a head, and is exported with it."""
    start = checkpoint.shipped(PLAIN[name])
    state = checkpoint.load_state(start)
    torch.manual_seed(0)
    trained, images = TRAINABLE[name].like(state, stable=8), torch.rand(2, 1, 64, 80)
    trained.begin_from(start, images)
    checkpoint.save(trained.folded(), tmp_path / 'headed.safetensors')
    plain, headed = extractors.load(start), extractors.load(tmp_path / 'headed.safetensors')
    for one, other, third in zip(plain(images), headed(images), trained.eval()(images)):
        torch.testing.assert_close(one, other, atol=5e-3, rtol=1e-2)
        torch.testing.assert_close(one, third, atol=2e-3, rtol=1e-2)
    again = TRAINABLE[name].like(headed.state_dict())
    again.begin_from(tmp_path / 'headed.safetensors', images)
    torch.testing.assert_close(again.eval()(images)[2], headed(images)[2], atol=5e-3, rtol=1e-2)


@pytest.mark.parametrize('name', PLAIN)
def test_a_head_stays_behind_where_there_is_to_be_none(name, tmp_path):
    checkpoint.save(with_head(name).state_dict(), tmp_path / 'headed.safetensors')
    trained, images = TRAINABLE[name](), torch.rand(1, 1, 64, 80)
    trained.begin_from(tmp_path / 'headed.safetensors', images)
    assert stability.width(trained.folded()) == 0
