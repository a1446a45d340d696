import pytest
import torch

from superslam_ros.improve import interpolation
from superslam_ros.models import checkpoint


def test_weights_between_old_and_new(tmp_path):
    old, new, out = (tmp_path / f'{name}.safetensors' for name in ('old', 'new', 'out'))
    checkpoint.save({'a': torch.tensor([0.0, 4.0])}, old, {'network': 'superpoint'})
    checkpoint.save({'a': torch.tensor([1.0, 0.0]), 'head': torch.tensor([2.0])}, new, {'step': '9'})
    for share, wanted in ((0.25, [0.25, 3]), (0.5, [0.5, 2]), (1, [1, 0]), (0, [0, 4])):
        interpolation.write(old, new, share, out, {'share': str(share)})
        state = checkpoint.load_state(out)
        assert state['a'].tolist() == wanted and state['head'].tolist() == [2]
    assert checkpoint.metadata(out) == {'step': '9', 'share': '0'}


@pytest.mark.parametrize('state', [{'b': torch.zeros(2)}, {'a': torch.zeros(3)}])
def test_of_another_network_nothing_is_mixed(tmp_path, state):
    checkpoint.save({'a': torch.zeros(2)}, tmp_path / 'old.safetensors')
    checkpoint.save(state, tmp_path / 'new.safetensors')
    with pytest.raises(ValueError, match=r'new.safetensors: tensor a is not as in .* another network'):
        interpolation.write(tmp_path / 'old.safetensors', tmp_path / 'new.safetensors', 0.5, tmp_path / 'out')
