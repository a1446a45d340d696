"""Checkpoints in every form that people have them in, and damaged ones."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from superslam_ros.models import checkpoint
from superslam_ros.models.superglue import SuperGlue
from superslam_ros.models.superpoint import SuperPoint


def small() -> nn.Module:
    """Return a small network with batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4))


def differs(module: nn.Module, state: dict[str, Tensor]) -> bool:
    """Whether any tensor of the module is not that of the state."""
    return any(not torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


WRAPPINGS: dict[str, Callable[[dict], object]] = {
    'plain': lambda state: state,
    'state_dict': lambda state: {'state_dict': state, 'epoch': 3},
    'model': lambda state: {'model': state},
    'model_state_dict': lambda state: {'model_state_dict': state, 'optimizer_state_dict': {'lr': 1.0}},
    'nested': lambda state: {'model': {'state_dict': state}},
    'data parallel': lambda state: {f'module.{name}': tensor for name, tensor in state.items()},
    'wrapped data parallel': lambda state: {
        'state_dict': {f'module.{name}': tensor for name, tensor in state.items()}},
}


@pytest.mark.parametrize('form', WRAPPINGS)
@pytest.mark.parametrize('suffix', ['.pth', '.pt', '.ckpt'])
def test_pytorch_files(tmp_path: Path, form: str, suffix: str) -> None:
    """The tensors are found in whatever they are wrapped in."""
    module = small()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    path = tmp_path / f'weights{suffix}'
    torch.save(WRAPPINGS[form](state), path)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    assert differs(module, state)
    checkpoint.load_into(module, path)
    assert not differs(module, state)


def test_safetensors_and_half_precision(tmp_path: Path) -> None:
    """What is saved as fp16 is read as float32; counters stay integers; text paths do as well."""
    module = small()
    state = module.state_dict()
    path = tmp_path / 'weights.safetensors'
    checkpoint.save(state, path, {'trained_on': 'shapes'})
    loaded = checkpoint.load_state(str(path))
    assert loaded['0.weight'].dtype == torch.float32 and loaded['1.num_batches_tracked'].dtype == torch.int64
    torch.testing.assert_close(loaded, dict(state), atol=1e-3, rtol=1e-3)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    checkpoint.load_into(module, path)


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    about = dict.fromkeys('fedcba', 'é"')
    for name, order in (('a', sorted(about)), ('b', about)):
        checkpoint.save({'w': torch.ones(3)}, tmp_path / f'{name}.safetensors', {key: about[key] for key in order})
    assert (tmp_path / 'a.safetensors').read_bytes() == (tmp_path / 'b.safetensors').read_bytes()
    assert checkpoint.metadata(tmp_path / 'a.safetensors') == about


def test_missing_batch_counter_is_no_matter(tmp_path: Path) -> None:
    """Old checkpoints lack num_batches_tracked."""
    state = {name: tensor for name, tensor in small().state_dict().items() if 'num_batches' not in name}
    torch.save(state, tmp_path / 'old.pth')
    checkpoint.load_into(small(), tmp_path / 'old.pth')


class Evil:
    """Unpickles as a call."""

    def __init__(self, target: Path) -> None:
        """Remember what to touch."""
        self.target = target

    def __reduce__(self) -> tuple:
        """Ask the unpickler to make a directory."""
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize('writer', ['torch', 'pickle'])
def test_pickled_objects_are_never_executed(tmp_path: Path, writer: str) -> None:
    """A file with code in it is refused, by name, and its code does not run."""
    target, path = tmp_path / 'made', tmp_path / 'evil.pth'
    content = {'0.weight': torch.zeros(1), 'state': Evil(target)}
    if writer == 'torch':
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({'state': Evil(target)}))
    with pytest.raises(ValueError, match=r'evil.pth.*never executed'):
        checkpoint.load_state(path)
    assert not target.exists()


@pytest.mark.parametrize(('version', 'suffix', 'warned'), [
    ('1.13.1+cpu', '.pth', True), ('2.9.1', '.pth', True), ('2.10.0a0+git', '.pth', False),
    ('2.5.0', '.safetensors', False)])
def test_pickles_are_warned_of_where_pytorch_has_known_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    version: str, suffix: str, warned: bool,
) -> None:
    path = tmp_path / f'weights{suffix}'
    (torch.save if suffix == '.pth' else checkpoint.save)(small().state_dict(), path)
    monkeypatch.setattr(torch, '__version__', version)
    checkpoint.load_state(path)
    checkpoint.load_state(path)
    said = [record.getMessage() for record in caplog.records if str(path) in record.getMessage()]
    assert len(said) == warned
    assert all(version in text and '.safetensors' in text for text in said)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('part', [0.0, 0.01, 0.5, 0.98])
def test_truncated_file_is_named(tmp_path: Path, suffix: str, part: float) -> None:
    """A download that broke off is an error that names the file."""
    path = tmp_path / f'weights{suffix}'
    if suffix == '.pth':
        torch.save(small().state_dict(), path)
    else:
        checkpoint.save(small().state_dict(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(len(whole) * part)])
    with pytest.raises(ValueError, match=f'weights{suffix} cannot be read'):
        checkpoint.load_state(path)


@pytest.mark.parametrize(('content', 'reason'), [
    (b'<html>404 Not Found</html>', 'a web page'), (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    (b'hello', 'no file of safetensors or PyTorch'), (b'', 'empty')])
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_other_files_are_named(tmp_path: Path, content: bytes, reason: str, suffix: str) -> None:
    """A web page or a Git LFS pointer is not a checkpoint."""
    path = tmp_path / f'weights{suffix}'
    path.write_bytes(content)
    for read in (checkpoint.load_state, checkpoint.metadata):
        with pytest.raises(ValueError, match=f'weights{suffix} cannot be read: .*{reason}'):
            read(path)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    """Safetensors are read whatever they are called; a pickle that is called .safetensors is none."""
    module = small()
    checkpoint.save(module.state_dict(), tmp_path / 'weights.pth', {'about': 'this'})
    checkpoint.load_into(module, tmp_path / 'weights.pth')
    assert checkpoint.metadata(tmp_path / 'weights.pth') == {'about': 'this'}
    torch.save(module.state_dict(), tmp_path / 'weights.safetensors')
    with pytest.raises(ValueError, match=r'it is a file of PyTorch: call it \.pth'):
        checkpoint.load_state(tmp_path / 'weights.safetensors')


def test_a_whole_module_is_refused_with_a_remedy(tmp_path: Path) -> None:
    """PyTorch's own text says how to run what is in the file."""
    torch.save(small(), tmp_path / 'module.pth')
    with pytest.raises(ValueError, match=r'never executed: save its tensors alone, its state_dict\(\)$'):
        checkpoint.load_state(tmp_path / 'module.pth')


@pytest.mark.parametrize('content', [{}, {'epoch': 3}, {'state_dict': {}}, [1, 2], 'text'])
def test_no_tensors(tmp_path: Path, content: object) -> None:
    """A readable file without tensors says so."""
    torch.save(content, tmp_path / 'empty.pth')
    with pytest.raises(ValueError, match=r'empty.pth holds no tensors'):
        checkpoint.load_state(tmp_path / 'empty.pth')


@pytest.mark.parametrize('name', ['absent.pth', 'absent.safetensors', '.'])
def test_missing_file(tmp_path: Path, name: str) -> None:
    """What is not a file does not exist."""
    with pytest.raises(FileNotFoundError, match='does not exist'):
        checkpoint.load_state(tmp_path / name)


def test_a_misspelt_name_lists_the_shipped_ones() -> None:
    with pytest.raises(FileNotFoundError, match=r'compakt does not exist \(shipped weights: .*compact'):
        checkpoint.load_state(checkpoint.locate('superpoint', 'compakt'))


@pytest.mark.parametrize(('name', 'said'), [
    ('compact', 'a SuperPoint, which extractor.weights takes'), ('superpoint', 'a SuperPoint'),
    ('board_corners', 'for ChArUco boards'), ('board_refine', 'for ChArUco boards'), ('places', 'for maps')])
def test_each_shipped_file_is_known_in_the_place_of_another(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f'{name}.safetensors is not a SuperGlue: .*; it is .*{said}'):
        checkpoint.load_into(SuperGlue(), checkpoint.shipped(name))


def test_missing_shipped_weights_list_what_there_is() -> None:
    """The remedy is named."""
    with pytest.raises(FileNotFoundError, match=r'no nonsense weights.*`weights` option'):
        checkpoint.shipped('nonsense')


def test_wrong_file_names_the_first_mismatch(tmp_path: Path) -> None:
    """Another network, another shape, or something more: each is named."""
    path = tmp_path / 'weights.pth'
    torch.save(SuperPoint().state_dict(), path)
    with pytest.raises(ValueError, match='not a SuperGlue: tensor bin_score is missing; it is a SuperPoint, which ext'):
        checkpoint.load_into(SuperGlue(), path)
    state = SuperPoint().state_dict()
    torch.save({**state, 'convPb.weight': torch.zeros(64, 256, 1, 1)}, path)
    with pytest.raises(ValueError, match=r'convPb.weight has shape \(64, 256, 1, 1\), expected \(65, 256, 1, 1\)'):
        checkpoint.load_into(SuperPoint(), path)
    torch.save({**state, 'extra': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match='tensor extra is unknown'):
        checkpoint.load_into(SuperPoint(), path)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    """A run that diverged, or overflowed in fp16, left nothing to compute with."""
    state = SuperPoint().state_dict()
    state['conv2b.bias'][3] = value
    checkpoint.save(state, tmp_path / 'weights.safetensors')
    with pytest.raises(ValueError, match=r'weights\.safetensors: tensor conv2b\.bias holds NaN or infinity'):
        checkpoint.load_into(SuperPoint(), tmp_path / 'weights.safetensors')


def test_save_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that fails half way leaves the old file, and nothing else."""
    path = tmp_path / 'weights.safetensors'
    checkpoint.save(small().state_dict(), path)
    before = path.read_bytes()

    def broken(self: Path, content: bytes) -> None:
        self.write_text('half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_bytes', broken)
    with pytest.raises(OSError, match=r'weights\.safetensors cannot be written \(No space left'):
        checkpoint.save(small().state_dict(), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_save_takes_views_and_shared_tensors(tmp_path: Path) -> None:
    """Tensors that share memory or are not contiguous are written as they read."""
    base = torch.arange(12.0).reshape(3, 4)
    checkpoint.save({'a': base, 'b': base.T, 'c': base[:, 1]}, tmp_path / 'w.safetensors')
    loaded = checkpoint.load_state(tmp_path / 'w.safetensors')
    assert torch.equal(loaded['b'], base.T) and torch.equal(loaded['c'], base[:, 1])


def test_weights_are_named_or_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is the default; the name of shipped weights is those; anything else is a path, also without a suffix."""
    assert checkpoint.locate('superpoint') == checkpoint.shipped('compact')
    assert checkpoint.locate('superpoint', 'superpoint') == checkpoint.shipped('superpoint')
    monkeypatch.chdir(tmp_path)
    assert checkpoint.locate('superpoint', 'compact.safetensors') == checkpoint.shipped('compact')
    Path('compact.safetensors').write_bytes(b'')
    assert checkpoint.locate('superpoint', 'compact.safetensors') == Path('compact.safetensors')
    Path('compact').write_bytes(b'')
    assert checkpoint.locate('superpoint', './compact') == Path('compact')
    assert checkpoint.locate('superpoint', tmp_path / 'compact') == tmp_path / 'compact'
    assert checkpoint.locate('superpoint', 'mine.pth') == Path('mine.pth')
    assert checkpoint.locate('superpoint', '~/mine.pth') == Path.home() / 'mine.pth'     # no shell has seen it
