"""The compact network: the interface of SuperPoint, known by its tensors."""

import pytest
import torch

from superslam_ros.models import checkpoint, extractors
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superpoint import SuperPoint


def test_it_has_the_shapes_of_superpoint():
    torch.manual_seed(0)
    images = torch.rand(2, 1, 48, 64)
    with torch.no_grad():
        ours, papers = (network.eval()(images) for network in (CompactSuperPoint(), SuperPoint()))
    assert [part.shape for part in ours] == [part.shape for part in papers]
    assert torch.allclose(ours[1].norm(dim=1), torch.ones(2, 6, 8), atol=1e-5)


def test_nothing_is_computed_at_full_resolution():
    sizes = []
    network = CompactSuperPoint()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _, inputs, output: sizes.append(max(output.shape[-2:])))
    with torch.no_grad():
        network(torch.rand(1, 1, 64, 64))
    assert len(sizes) == len(network.layers)
    assert max(sizes) == 32


NETWORKS = {'paper': SuperPoint(), 'compact': CompactSuperPoint(),
            'smaller': CompactSuperPoint((8, 16, 16, 24), 16, 32, 0)}


@pytest.mark.parametrize('network', NETWORKS.values(), ids=NETWORKS)
def test_the_tensors_say_which_network_it_is(tmp_path, network):
    path = tmp_path / 'weights.safetensors'
    checkpoint.save(network.state_dict(), path)
    loaded = extractors.load(path)
    assert type(loaded) is type(network)
    assert not loaded.training
    assert all(torch.equal(tensor, network.state_dict()[name].half().float())
               for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize('name', ['conv3.weight', 'convPa.weight', 'convDb.bias'])
def test_a_compact_network_with_a_tensor_missing_is_refused_by_name(tmp_path, name):
    state = CompactSuperPoint().state_dict()
    del state[name]
    checkpoint.save(state, tmp_path / 'weights.safetensors')
    with pytest.raises(ValueError, match=r'weights\.safetensors'):
        extractors.load(tmp_path / 'weights.safetensors')


def test_weights_of_one_architecture_do_not_go_into_the_other(tmp_path):
    checkpoint.save(CompactSuperPoint().state_dict(), tmp_path / 'compact.safetensors')
    with pytest.raises(ValueError, match='conv1a'):
        checkpoint.load_into(SuperPoint(), tmp_path / 'compact.safetensors')
