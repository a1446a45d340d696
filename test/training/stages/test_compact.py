"""The compact network learns from a teacher and from pairs, and is exported as what it computes."""

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, extractors
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.training import loop
from superslam_ros.training.data import taught
from superslam_ros.training.data.taught import Stock
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.network import TrainableCompact
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import compact

VIEW = (64, 80)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(compact, 'VIEW', VIEW)
    monkeypatch.setattr(compact, '_VALIDATED', 8)


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(3)
    path = tmp_path / 'teacher.safetensors'
    checkpoint.save(SuperPoint().state_dict(), path)
    return path


def textures(seed):
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.integers(0, 256, (4, 12, 16), dtype=np.uint8))
    return Textures(coarse.repeat_interleave(8, 1).repeat_interleave(8, 2))


def stage(teacher, **options):
    torch.manual_seed(0)
    return compact.CompactStage(textures(0), textures(1), torch.device('cpu'), teacher, **{'pairs': 16, **options})


def test_the_folded_network_computes_the_same():
    torch.manual_seed(0)
    trained = TrainableCompact()
    trained.train()(torch.rand(2, 1, 40, 48))               # statistics that are not the initial ones
    plain = CompactSuperPoint()
    plain.load_state_dict(trained.folded())
    images = torch.rand(1, 1, 40, 48)
    with torch.no_grad():
        for a, b in zip(trained.eval()(images), plain.eval()(images)):
            assert torch.allclose(a, b, atol=1e-5)


def test_points_of_a_pair_are_the_same_place():
    """The second view at a point is what the first view is there, in gray levels, since neither has noise."""
    network = extractors.load(checkpoint.shipped('superpoint'))
    rng = Rng(1)
    stock = Stock(8, VIEW, textures(0), network, rng, scenes_share=0.0)
    images = stock._views[0].float()[:, :, 0].transpose(0, 1).flatten(0, 1)
    first, second = (torch.stack([
        torch.nn.functional.grid_sample(
            image[None, None], ((2 * at + 1) / at.new_tensor([VIEW[1], VIEW[0]]) - 1)[None, None],
            align_corners=False)[0, 0, 0] for image, at in zip(side, points)])
        for side, points in zip(images.chunk(2), stock._points.transpose(0, 1)))
    apart = (first - second).abs()[stock._valid]
    assert stock._valid.float().mean() > 0.2
    assert apart.median() < 12                              # of 255: scales differ, and edges are sharp
    wrong = (first - second.roll(1, 0)).abs()[stock._valid & stock._valid.roll(1, 0)]
    assert apart.median() < 0.3 * wrong.median()


def test_a_stock_keeps_what_the_teacher_said():
    network = extractors.load(checkpoint.shipped('superpoint'))
    stock = Stock(2, VIEW, textures(0), network, Rng(1))
    kept = stock.take(torch.arange(2), Rng(0))
    with torch.no_grad():
        encoded = network.encode(stock._views[0].transpose(0, 1).flatten(0, 1).float() / 255)
        cells, descriptors = network.detect(encoded).softmax(1), network.describe(encoded)
    assert (kept.cells[:, -1] - cells[:, -1]).abs().median() < 0.05     # corners are moved to where the views agree
    assert torch.corrcoef(torch.stack([kept.cells[:, -1].flatten(), cells[:, -1].flatten()]))[0, 1] > 0.8
    assert (kept.descriptors * descriptors).sum(1).min() > 0.98


@pytest.mark.parametrize(('angle', 'upright'), [(0.0, True), (0.4, True), (1.0, False), (-1.5, False)])
def test_a_turned_view_is_known(angle, upright):
    c, s = np.cos(angle), np.sin(angle)
    made = taught.HomographyViews(torch.zeros(2, 1, *VIEW), torch.tensor([[0, 1]]),
                                  torch.tensor([[[c, -s, 3.0], [s, c, -2.0], [0, 0, 1]]], dtype=torch.float32))
    assert float(taught._turn(made)[0]) == pytest.approx(angle, abs=1e-4)
    assert bool(taught._turn(made).abs()[0] <= taught.UPRIGHT) is upright


def test_it_learns_and_a_run_resumes(tmp_path, teacher):
    trained = stage(teacher)
    trained.model.eval()
    with torch.no_grad():
        before = trained.validate()
    config = loop.LoopConfig(steps=12, batch=4, learning_rate=3e-3, warmup_steps=2)
    after = loop.train(trained, tmp_path / 'run', config)
    assert after['val_unlike'] < before['val_unlike']
    assert after['val_cells'] < before['val_cells']
    network = extractors.load(tmp_path / 'run/model.safetensors')
    assert isinstance(network, CompactSuperPoint)
    assert checkpoint.metadata(tmp_path / 'run/model.safetensors')['descriptors_of'] == checkpoint.digest(teacher)

    halves = tmp_path / 'halves'
    loop.train(stage(teacher), halves, loop.LoopConfig(steps=12, batch=4, learning_rate=3e-3, warmup_steps=2,
                                                       budget_s=1e-6))
    loop.train(stage(teacher), halves, config)
    whole, resumed = (checkpoint.load_state(path / 'model.safetensors') for path in (tmp_path / 'run', halves))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_a_teacher_of_another_kind_is_refused_by_name(tmp_path):
    checkpoint.save(CompactSuperPoint().state_dict(), tmp_path / 'other.safetensors')
    with pytest.raises(ValueError, match=r'other\.safetensors'):
        stage(tmp_path / 'other.safetensors')


def test_training_the_detector_alone_leaves_the_descriptors(tmp_path, teacher):
    """Begun from a network with fewer channels, it is at first what they are; descriptors stay to the bit."""
    torch.manual_seed(5)
    plain = CompactSuperPoint(detector=64, fine=0, middle=0).eval()
    checkpoint.save(plain.state_dict(), tmp_path / 'start.safetensors')
    plain = extractors.load(tmp_path / 'start.safetensors')
    trained = stage(teacher, start=tmp_path / 'start.safetensors', detector_only=True)
    images = torch.rand(2, 1, *VIEW)
    with torch.no_grad():
        for ours, theirs in zip(trained.model.eval()(images), plain(images)):
            assert torch.allclose(ours, theirs, atol=2e-3)
        before = trained.model.describe(trained.model.encode(images)), trained.validate()
    assert trained.about['descriptors_of'].split() == [
        checkpoint.digest(teacher), checkpoint.digest(tmp_path / 'start.safetensors')]
    figures = loop.train(trained, tmp_path / 'run', loop.LoopConfig(steps=10, batch=4, learning_rate=3e-3))
    assert figures['val_cells'] < before[1]['val_cells']
    with torch.no_grad():
        assert torch.equal(trained.model.eval().describe(trained.model.encode(images)), before[0])


def test_weights_of_other_widths_to_begin_with_are_refused(tmp_path, teacher):
    checkpoint.save(CompactSuperPoint((8, 16, 16, 24), 16, 32).state_dict(), tmp_path / 'small.safetensors')
    with pytest.raises(ValueError, match=r'small\.safetensors.*other layers'):
        stage(teacher, start=tmp_path / 'small.safetensors')
