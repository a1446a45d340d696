"""Networks for other runtimes: what is written, how it is checked, what is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from superslam_ros.cli.main import main
from superslam_ros.models import checkpoint, extractors, runtime
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superglue import SuperGlue
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.offline import export as exports
from superslam_ros.offline import quantise
from superslam_ros.offline.export import ExportOptions, export

PAGE = Path(__file__).parents[2] / 'docs/export.md'
NETWORKS = {'paper': ('extractor', SuperPoint), 'compact': ('extractor', CompactSuperPoint),
            'superglue': ('matcher', lambda: SuperGlue(1)), 'lean': ('matcher', lambda: SuperGlue(1, 32))}


@pytest.fixture
def needs() -> None:
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=f'{package} is not installed: pip install onnx onnxruntime')


@pytest.fixture(scope='module', params=NETWORKS)
def made(request, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return what a network is, and a file of it."""
    torch.manual_seed(0)
    what, make = NETWORKS[request.param]
    file = tmp_path_factory.mktemp('weights') / f'{request.param}.safetensors'
    checkpoint.save(make().state_dict(), file, {'superpoint_sha256': 'abc', 'descriptors_of': 'def'})
    return what, str(file)


def check_description(folder: Path, found: dict, weights: str) -> None:
    assert json.loads((folder / f'{found["name"]}.json').read_text()) == found
    assert found['largest_difference'] <= exports.TOLERANCE
    assert found['weights_sha256'] == checkpoint.digest(weights)


@pytest.mark.parametrize('fixed', [False, True])
def test_onnx(needs, made: tuple[str, str], fixed: bool, tmp_path: Path) -> None:
    """The file runs, at sizes it was not made with if it may, and says what it is."""
    import onnxruntime

    what, weights = made
    size = ({'extractor': (48, 32), 'matcher': (9, 6)}[what]) if fixed else None
    found = export(ExportOptions(what, 'onnx', weights, size), tmp_path)
    check_description(tmp_path, found, weights)
    assert {path.suffix for path in tmp_path.iterdir()} == {'.onnx', '.json'}
    session = onnxruntime.InferenceSession(str(tmp_path / f'{found["name"]}.onnx'), providers=['CPUExecutionProvider'])
    for ports, named in ((session.get_inputs(), found['inputs']), (session.get_outputs(), found['outputs'])):
        assert [port.name for port in ports] == list(named)
        if fixed:
            assert [port.shape for port in ports] == [about['shape'] for about in named.values()]
    about = session.get_modelmeta().custom_metadata_map
    assert about['what'] == what and about['size'] == found['size'] and about['precision'] == 'float32'
    assert (about['superpoint_sha256'] if what == 'matcher' else about['descriptors_of'].split()[1]) in ('abc', 'def')


def test_openvino(made: tuple[str, str], tmp_path: Path) -> None:
    for package in ('onnx', 'openvino'):
        pytest.importorskip(package, reason=f'{package} is not installed: pip install onnx openvino')
    what, weights = made
    found = export(ExportOptions(what, 'openvino', weights), tmp_path)
    check_description(tmp_path, found, weights)
    assert {path.suffix for path in tmp_path.iterdir()} == {'.xml', '.bin', '.json'}


@pytest.mark.parametrize('value', [0, np.nan])
def test_what_differs_is_not_written(needs, value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, '_runner', lambda *_: lambda inputs: [
        np.full((1, channels, *(side // 8 for side in inputs[0].shape[2:])), value, np.float32)
        for channels in (65, 256)])
    with pytest.raises(RuntimeError, match='differs from PyTorch'):
        export(ExportOptions(weights='compact', size=(64, 48)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('format', 'package'), [('onnx', 'onnx'), ('onnx', 'onnxruntime'), ('openvino', 'openvino')])
def test_a_missing_package_is_told_with_the_remedy(
        format: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(RuntimeError, match=rf'pip install .*(onnx|{package})'):
        export(ExportOptions(format=format), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('words', 'reason'), [
    (['--size', '640'], 'as 640x480'), (['--size', '644x480'], 'take 648x480'), (['--size', '0x480'], 'positive'),
    (['--precision', 'int8', '--what', 'matcher'], 'for the extractor'), (['--images', '.'], '--precision int8'),
    (['--weights', 'superglue'], 'is not a SuperPoint'), (['--weights', 'nowhere.pth'], 'nowhere.pth does not exist'),
    (['--what', 'matcher', '--weights', 'compact'], 'is not a SuperGlue'),
    (['--weights', 'compact.onnx'], 'that it was made of'),
    (['--precision', 'int8', '--images', 'EMPTY'], 'no images')])
def test_what_cannot_be_exported(needs, words: list[str], reason: str, tmp_path: Path, capsys) -> None:
    words = [str(tmp_path) if word == 'EMPTY' else word for word in words]
    assert main(['export', *words, '--out', str(tmp_path / 'out')]) == 2
    assert reason in capsys.readouterr().err


def test_the_command(needs, tmp_path: Path, capsys) -> None:
    assert main(['export', '--weights', 'compact', '--out', str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert 'in  image' in out and 'out logits' in out and 'differs from PyTorch' in out
    assert out.splitlines()[-1] == str(tmp_path / 'compact.onnx')
    assert runtime.metadata(tmp_path / 'compact.onnx')['weights'] == 'compact.safetensors'


def test_the_page_decodes_as_the_package_does(
        needs, room_images: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r'```python\n(.*?)```', PAGE.read_text(), re.S)[1]
    monkeypatch.chdir(tmp_path)
    export(ExportOptions(), tmp_path / 'exported')
    names = {'gray': room_images[0]}
    exec(code, names)
    with torch.no_grad():
        scores, descriptors = extractors.load(checkpoint.locate('superpoint'))(quantise.as_input(room_images[0]))
    np.testing.assert_allclose(names['scores'], scores[0], atol=1e-5)
    np.testing.assert_allclose(names['descriptors'], descriptors, atol=1e-4)


def test_int8(needs, room_images: list[np.ndarray], tmp_path: Path) -> None:
    """From the same images the same bytes, a quarter of the size, and nearly the same keypoints."""
    for name in 'ab':
        found = export(ExportOptions(weights='compact', precision='int8'), tmp_path / name, room_images)
    export(ExportOptions(weights='compact'), tmp_path)
    small, same = ((tmp_path / name / 'compact_int8.onnx').read_bytes() for name in 'ab')
    assert small == same and len(small) < (tmp_path / 'compact.onnx').stat().st_size / 3
    assert found['keypoints_kept'] > 0.9 and found['descriptor_cosine'] > 0.99
    assert runtime.metadata(tmp_path / 'a/compact_int8.onnx')['precision'] == 'int8'


def test_int8_that_loses_too_much_is_not_written(
        needs, room_images: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, '_LEAST', {'descriptor_cosine': 0.99999})
    with pytest.raises(RuntimeError, match=r'descriptor_cosine.*--precision float32'):
        export(ExportOptions(weights='compact', precision='int8'), tmp_path, room_images[:1])
    assert not list(tmp_path.iterdir())
