"""An exported extractor in place of PyTorch's."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from superslam_ros.data import Features
from superslam_ros.models import checkpoint, superglue
from superslam_ros.offline.export import ExportOptions, export
from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.slam.match import Matcher, MatcherConfig, warn_of_strangers


@pytest.fixture(scope='module')
def files(room_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the compact network in float32 and int8, of one size, and a matcher."""
    for package in ('onnx', 'onnxruntime'):
        pytest.importorskip(package, reason=f'{package} is not installed: pip install onnx onnxruntime')
    folder = tmp_path_factory.mktemp('exported')
    for options in (ExportOptions(weights='compact'), ExportOptions(weights='compact', precision='int8'),
                    ExportOptions(weights='compact', size=(64, 48)),
                    ExportOptions('matcher', weights='superglue_lean')):
        export(options, folder, room_images)
    return folder


def extractor(weights: object, **options: object) -> Extractor:
    return Extractor(ExtractorConfig(weights=str(weights), **options))


def as_bytes(features: Features) -> list[bytes]:
    return [np.asarray(part).tobytes() for part in (
        features.keypoints, features.scores, features.descriptors, features.scales)]


def test_float32_gives_the_keypoints_of_pytorch(files: Path, room_images: list[np.ndarray]) -> None:
    """Up to rounding, which may exchange keypoints of nearly the same score."""
    own, theirs = (extractor(weights).batch(room_images) for weights in ('compact', files / 'compact.onnx'))
    for one, other in zip(own, theirs):
        assert len(one) > 100 and abs(len(one) - len(other)) <= 2
        distance = np.linalg.norm(one.keypoints[:, None] - other.keypoints, axis=2)
        assert (distance.min(1) < 0.01).mean() > 0.98


def test_int8_gives_nearly_the_same(files: Path, room_images: list[np.ndarray]) -> None:
    one, other = (extractor(weights)(room_images[1]) for weights in ('compact', files / 'compact_int8.onnx'))
    distance = np.linalg.norm(one.keypoints[:, None] - other.keypoints, axis=2)
    assert (distance.min(1) < 1).mean() > 0.8
    assert len(Matcher()(one, other)) > 0.7 * len(one)


def test_equal_bytes_whatever_came_before(files: Path, room_images: list[np.ndarray]) -> None:
    """From one object and from another, after images of other sizes."""
    first = extractor(files / 'compact_int8.onnx')
    expected = as_bytes(first(room_images[0]))
    for image in (room_images[0][:64, :72], room_images[1], np.ascontiguousarray(room_images[0].T)):
        assert first(image).image_size == image.shape[::-1]
    assert as_bytes(first(room_images[0])) == expected
    assert as_bytes(extractor(files / 'compact_int8.onnx')(room_images[0])) == expected


@pytest.mark.parametrize('shape', [(16, 16), (8, 640), (6000, 8000)])
def test_images_of_any_size(files: Path, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    features = extractor(files / 'compact_int8.onnx', max_size=400)(image)
    assert features.image_size == shape[::-1] and features.finite()


def test_superglue_knows_the_keypoints(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    lean = MatcherConfig(matcher='superglue', weights='superglue_lean')
    warn_of_strangers(ExtractorConfig(weights=str(files / 'compact_int8.onnx')), lean)
    assert not caplog.records
    assert checkpoint.digest(checkpoint.shipped('compact')) in checkpoint.metadata(
        files / 'compact_int8.onnx')['descriptors_of']


@pytest.mark.parametrize(('options', 'reason'), [
    ({'device': 'cuda'}, 'runs on the CPU; use device: auto or cpu'),
    ({'precision': 'bfloat16'}, 'is in int8; use precision: auto'),
    ({'precision': 'float32'}, 'is in int8; use precision: auto')])
def test_what_the_file_cannot_do(files: Path, options: dict[str, str], reason: str) -> None:
    assert extractor(files / 'compact_int8.onnx', precision='int8').precision == 'int8'
    with pytest.raises(RuntimeError, match=reason):
        extractor(files / 'compact_int8.onnx', **options)


def test_int8_is_not_made_of_weights_by_itself() -> None:
    with pytest.raises(RuntimeError, match='superslam export --precision int8'):
        extractor('compact', precision='int8')


def test_a_file_that_is_no_extractor(files: Path, tmp_path: Path) -> None:
    import onnx

    foreign = onnx.load(str(files / 'compact.onnx'))
    del foreign.metadata_props[:]
    onnx.save(foreign, str(tmp_path / 'foreign.onnx'))
    for name in ('text.onnx', 'text.xml'):
        (tmp_path / name).write_text('not a network')
    (tmp_path / 'short.onnx').write_bytes((files / 'compact.onnx').read_bytes()[:1000])
    for path, reason in ((tmp_path / 'foreign.onnx', 'is not an extractor of superslam_ros'),
                         (tmp_path / 'text.onnx', 'cannot be read by ONNX Runtime'),
                         (tmp_path / 'short.onnx', 'cannot be read by ONNX Runtime'),
                         (tmp_path / 'text.xml', 'is for other programs'),
                         (files / 'superglue_lean.onnx', 'is not an extractor of superslam_ros'),
                         (files / 'compact_64x48.onnx', 'takes images of 64x48 only.*--size dynamic')):
        with pytest.raises(ValueError, match=f'{path.name} {reason}'):
            extractor(path)
    with pytest.raises(FileNotFoundError, match=r'absent\.onnx'):
        extractor(tmp_path / 'absent.onnx')
    with pytest.raises(ValueError, match=r'superglue_lean\.onnx is an exported network'):
        superglue.load(files / 'superglue_lean.onnx')


def test_without_onnx_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(RuntimeError, match='pip install onnxruntime'):
        extractor(tmp_path / 'compact.onnx')


def test_the_log_stays_empty(files: Path, room_images: list[np.ndarray], capfd, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        extractor(files / 'compact_int8.onnx')(room_images[0])
    assert not caplog.records and capfd.readouterr() == ('', '')
