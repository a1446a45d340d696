"""The stages learn, resume, and export what the inference network computes."""

import json

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, precision, superpoint
from superslam_ros.training import loop, workers
from superslam_ros.training.data import homographies, shapes
from superslam_ros.training.data.pairs import IGNORED, NOWHERE, LabelledPhotos, cell_centres
from superslam_ros.training.data.plane_pairs import plane_pairs, textured
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.losses import contrastive, hinge
from superslam_ros.training.network import TrainableSuperPoint
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import adaptation
from superslam_ros.training.stages.joint import SuperPointStage
from superslam_ros.training.stages.magicpoint import MagicPointStage

CPU = torch.device('cpu')


@pytest.fixture
def labels(tmp_path):
    """Shapes as stand-ins for photographs, with their exact corners as labels."""
    made = shapes.render(6, 80, 96, Rng(2))
    images = [(image[0] * 255).byte().numpy() for image in made.images]
    points = [corners[valid].numpy() for corners, valid in zip(made.corners, made.valid)]
    path = tmp_path / 'labels.npz'
    adaptation.save_labels(path, images, points, [str(i) for i in range(6)])
    return path


def test_folded_network_computes_the_same():
    torch.manual_seed(0)
    trained = TrainableSuperPoint()
    images = torch.rand(2, 1, 40, 48)
    trained.train()(images)                                # statistics that are not the initial ones
    plain = superpoint.SuperPoint()
    plain.load_state_dict(trained.folded())
    with torch.no_grad():
        for a, b in zip(trained.eval()(images), plain.eval()(images)):
            assert torch.allclose(a, b, atol=1e-5)


def test_beginning_from_plain_weights_changes_nothing(tmp_path):
    torch.manual_seed(0)
    plain = superpoint.SuperPoint().eval()
    images = torch.rand(2, 1, 40, 48)
    trained = TrainableSuperPoint()
    checkpoint.save(plain.state_dict(), tmp_path / 'plain.safetensors')
    checkpoint.load_into(plain, tmp_path / 'plain.safetensors')     # in fp16
    trained.begin_from(tmp_path / 'plain.safetensors', images)
    with torch.no_grad():
        for a, b in zip(plain(images), trained.eval()(images)):
            assert torch.allclose(a, b, atol=1e-4)


def test_magicpoint_loss_falls_and_a_run_resumes(tmp_path):
    torch.manual_seed(0)
    config = loop.LoopConfig(steps=20, batch=4, warmup_steps=1, ema=0.8, learning_rate=2e-3)
    stage = MagicPointStage(CPU, 48, 64)
    before = stage.validate()['val_loss']
    after = loop.train(stage, tmp_path, config)['val_loss']
    assert after < before
    step = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step']
    loop.train(MagicPointStage(CPU, 48, 64), tmp_path, loop.LoopConfig(steps=step + 2, batch=4))
    assert torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step'] > step
    checkpoint.load_into(superpoint.SuperPoint(), tmp_path / 'model.safetensors')


@pytest.mark.parametrize(('device', 'capability', 'native', 'fast'), [
    ('cpu', (8, 7), True, True), ('cpu', (8, 7), False, False), ('cuda', (8, 7), False, True),
    ('cuda', (7, 5), True, False)])
def test_bfloat16_where_the_device_computes_in_it(monkeypatch, device, capability, native, fast):
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda _: capability)
    monkeypatch.setattr(precision, 'native_bfloat16', lambda: native)
    assert workers.has_bfloat16(torch.device(device)) == fast


def test_a_batch_is_made_in_float32(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, 'has_bfloat16', lambda device: True)
    stage = MagicPointStage(CPU, 48, 64)
    seen = []
    make, loss = stage.make, stage.loss
    stage.make = lambda *arguments: seen.append(((one := torch.ones(1, 1)) @ one).dtype) or make(*arguments)
    stage.loss = lambda made: seen.append(((one := torch.ones(1, 1)) @ one).dtype) or loss(made)
    loop.train(stage, tmp_path, loop.LoopConfig(steps=1, batch=2))
    assert seen == [torch.float32, torch.bfloat16]
    assert json.loads((tmp_path / 'config.json').read_text())['precision'] == 'bfloat16'


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    torch.save({'model': {'weight': torch.zeros(1)}, 'average': {}, 'optimiser': {}, 'step': 0,
                'elapsed': 0.0, 'rng': Rng(0).generator.get_state()}, tmp_path / 'checkpoint.pt')
    with pytest.raises(ValueError, match='another architecture'):
        loop.train(MagicPointStage(CPU, 48, 64), tmp_path, loop.LoopConfig(budget_s=1))


def test_pairs_show_the_same_points(labels):
    pairs = LabelledPhotos(labels, CPU).pairs(4, (40, 48), Rng(0), extra=16)
    assert pairs.images.shape == (8, 1, 40, 48)
    assert pairs.labels.shape == (8, 5, 6)
    inside = (pairs.points >= 0) & (pairs.points <= torch.tensor([47.0, 39.0]))
    assert inside.all(-1).all(0)[pairs.valid].all()
    assert pairs.valid.any()


def test_cells_of_a_pair_are_where_its_points_are(labels):
    pairs = LabelledPhotos(labels, CPU).pairs(3, (80, 96), Rng(0), extra=200)
    centres = cell_centres((80, 96), CPU).expand(3, -1, -1)
    distance = torch.cdist(pairs.points[0], centres) + 1e3 * ~pairs.valid[..., None]
    near = (distance.amin(2) < 1).nonzero()
    assert len(near) > 20
    for pair, point in near.tolist():
        cell = int(distance[pair, point].argmin())
        assert torch.dist(pairs.points[1, pair, point], pairs.centres[pair, cell]) < 6      # views magnify


def test_points_of_scenes_of_planes_are_inside_both_views():
    smooth = torch.nn.functional.interpolate(torch.rand(5, 1, 12, 16, generator=torch.Generator().manual_seed(0)),
                                             (96, 128), mode='bicubic').clamp(0, 1)
    rng = Rng(3)
    pairs = plane_pairs(6, (80, 96), Textures((255 * smooth[:, 0]).byte()), rng, 120)
    assert pairs.images.shape == (12, 1, 80, 96) and (pairs.labels == IGNORED).all()
    assert pairs.valid.any(1).all() and not pairs.valid.all()
    assert ((pairs.points[1] >= -0.5) & (pairs.points[1] <= torch.tensor([95.5, 79.5]))).all(-1)[pairs.valid].all()
    seen = (pairs.centres > NOWHERE / 10).all(-1)
    assert 0.1 < seen.float().mean() < 0.95


def test_textured_places_are_chosen():
    image = torch.zeros(1, 1, 40, 48)
    image[..., 20:] = 1
    x = textured(image, 60, Rng(0))[0, :, 0]
    assert ((x >= 18) & (x <= 21)).float().mean() > 0.4
    assert len(textured(torch.zeros(1, 1, 16, 16), 200, Rng(0)).unique(dim=1)[0]) == 200


@pytest.mark.parametrize(('descriptor_loss', 'planes'), [('infonce', 0.0), ('infonce', 0.5), ('hinge', 0.5)])
def test_superpoint_stage_learns(labels, descriptor_loss, planes):
    torch.manual_seed(0)
    stage = SuperPointStage(
        labels, labels, CPU, view=(40, 48), descriptor_loss=descriptor_loss, planes=planes)
    made = stage.make(4, Rng(0))
    optimiser = torch.optim.Adam(stage.model.parameters(), 1e-3)
    losses = []
    for _ in range(8):
        loss, figures = stage.loss(made)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and set(figures) == {'detector', 'descriptor', 'right'}
    assert set(stage.export()) == set(superpoint.SuperPoint().state_dict())
    assert set(stage.validate()) == {'val_detector', 'val_descriptor', 'val_right', 'val_repeatability'}


def test_descriptor_losses_prefer_right_descriptors():
    torch.manual_seed(0)
    coarse = torch.nn.functional.normalize(torch.randn(1, 256, 6, 8), dim=1)
    points = torch.rand(2, 1, 20, 2) * torch.tensor([60.0, 44.0])
    points[1] = points[0]
    valid = torch.ones(1, 20, dtype=torch.bool)
    same, right = contrastive(torch.cat([coarse, coarse]), points, valid, torch.tensor(20.0))
    other, wrong = contrastive(torch.cat([coarse, coarse.flip(-1)]), points, valid, torch.tensor(20.0))
    assert same < other and right > wrong and right == 1
    centres = cell_centres((48, 64), CPU)
    assert hinge(torch.cat([coarse, coarse]), centres, centres) < hinge(
        torch.cat([coarse, coarse.flip(-1)]), centres, centres)
    nowhere = torch.full_like(centres, NOWHERE)
    assert hinge(torch.cat([coarse, coarse]), nowhere, centres) < hinge(
        torch.cat([coarse, coarse]), centres, centres)      # nothing is to be alike, and little is


@pytest.mark.usefixtures('either_precision')
def test_homographic_adaptation_is_seeded_and_labels_at_most_top_points():
    torch.manual_seed(0)
    network = superpoint.SuperPoint().eval()
    image = (np.random.default_rng(0).random((48, 64)) * 255).astype(np.uint8)
    first, second = (adaptation.label(network, image, Rng(5), views=3, top=20) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert 0 < len(first[0]) <= 20


def test_labels_are_warped_in_float32_where_the_network_is_in_bfloat16(monkeypatch):
    network = superpoint.SuperPoint().eval()
    checkpoint.load_into(network, checkpoint.shipped('magicpoint'))
    image = (255 * shapes.render(1, 64, 80, Rng(4)).images[0, 0]).byte().numpy()
    seen, warp = [], homographies.warp
    monkeypatch.setattr(homographies, 'warp', lambda *arguments: seen.append(warp(*arguments)) or seen[-1])
    exact, _ = adaptation.label(network, image, Rng(5), views=2, top=10)
    monkeypatch.setattr(workers, 'has_bfloat16', lambda device: True)
    points, _ = adaptation.label(network, image, Rng(5), views=2, top=10)
    (views, inside), back, (same_views, same_inside), other_back = seen
    assert torch.equal(views, same_views) and torch.equal(inside, same_inside)
    assert not torch.equal(back[0], other_back[0]) and (back[0] - other_back[0]).abs().mean() < 1e-3
    near = np.linalg.norm(exact[:, None] - points, axis=2).min(1)
    assert np.median(near) < 0.1 and points.dtype == np.float32


def test_a_detector_that_finds_nothing_repeats_nothing(labels, monkeypatch):
    monkeypatch.setattr(superpoint, 'select', lambda *_: (torch.zeros(0, 2), torch.zeros(0)))
    assert SuperPointStage(labels, labels, CPU, view=(40, 48)).validate()['val_repeatability'] == 0
