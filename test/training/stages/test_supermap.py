"""SuperMap's stage: begins as SuperGlue, learns, resumes, and exports what inference loads."""

import pytest
import torch
from safetensors import safe_open

from superslam_ros.models import checkpoint, superglue, supermap
from superslam_ros.training import loop, weighted_pose
from superslam_ros.training.data import scenes, shapes
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import glue
from superslam_ros.training.stages import supermap as stages
from superslam_ros.training.stages.supermap import Source, SuperMapStage

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def small_views(monkeypatch):
    monkeypatch.setattr(glue, 'SHAPES', ((64, 96),))


@pytest.fixture(scope='module')
def textures() -> Textures:
    """Synthetic shapes as stand-ins for photographs."""
    return Textures((shapes.render(12, 128, 192, Rng(2)).images[:, 0] * 255).byte())


@pytest.fixture(scope='module')
def start(tmp_path_factory):
    """Weights of a small SuperGlue that acts as nearest neighbours."""
    torch.manual_seed(0)
    network = superglue.SuperGlue(rounds=2, size=64)
    network.begin_as_nearest()
    path = tmp_path_factory.mktemp('weights') / 'glue.safetensors'
    checkpoint.save(network.state_dict(), path)
    return path


def stage(textures, start) -> SuperMapStage:
    torch.manual_seed(0)
    return SuperMapStage(Source(textures), Source(textures, rooms_share=0.0, wide_share=0.0), CPU,
                         checkpoint.locate('superpoint'), start, keypoints=48, held_out_queries=4)


def test_loss_falls(textures, start):
    one = stage(textures, start)
    made = one.make(8, Rng(0))
    assert made.truth.match.any() and made.truth.alone0.any() and made.truth.alone1.any()
    optimiser = torch.optim.AdamW(one.model.train().parameters(), lr=3e-4)
    losses = []
    for _ in range(15):
        loss, figures = one.loss(made)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(figures['last_loss'])
    assert losses[-1] < 0.7 * losses[0]
    # What a map knows has begun to count.
    assert one.model.landmarks.layers[-1].weight.abs().max() > 1e-4


def test_run_resumes_and_exports(textures, start, tmp_path):
    figures = loop.train(stage(textures, start), tmp_path, loop.LoopConfig(steps=1, batch=2))
    assert {f'scenes_{who}{what}' for who in ('', 'nearest_') for what in ('precision', 'recall', 'f1', 'poses')} \
        < set(figures)
    loop.train(stage(textures, start), tmp_path, loop.LoopConfig(steps=2, batch=2))
    assert torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step'] == 2
    with safe_open(tmp_path / 'model.safetensors', 'pt') as file:
        assert file.metadata()['network'] == 'supermap' and len(file.metadata()['superpoint_sha256']) == 64
    assert supermap.load(tmp_path / 'model.safetensors').glue.size == 64


def test_same_seed_same_maps(textures, start):
    one = stage(textures, start)
    first, second = (one.make(4, Rng(3)) for _ in range(2))
    assert torch.equal(first.given.about, second.given.about)
    assert torch.equal(first.truth.match, second.truth.match)


def test_weights_pull_the_pose(textures, start):
    """Right matches leave the true pose; wrong ones pull, and less weight on them makes it better."""
    rng = Rng(0)
    K = torch.tensor([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]])[None]
    true = torch.eye(4)[None].clone()
    true[0, :3, :3] = scenes.rotation(*torch.tensor([[0.1], [0.2], [0.0]]))[0]
    at = torch.cat([rng.uniform(-1, 1, 1, 60, 2), rng.uniform(2, 5, 1, 60, 1)], 2)
    points = (at - true[:, None, :3, 3]) @ true[:, :3, :3]
    pixels = at[..., :2] / at[..., 2:] * 300 + torch.tensor([160.0, 120])
    pixels[:, 40:] += torch.tensor([2.0, -1.0])
    weights = torch.ones(1, 60, requires_grad=True)
    depth = torch.tensor([3.0])
    off = weighted_pose.error(weighted_pose.refine(points, pixels, weights, K, true), true, depth)
    off.sum().backward()
    assert weights.grad[0, 40:].mean() > 0 > weights.grad[0, :40].mean()
    right = weights.detach().clone()
    right[:, 40:] = 0
    away = true.clone()
    away[:, :3, 3] += 0.01
    found = weighted_pose.refine(points, pixels, right, K, away)
    assert weighted_pose.error(found, true, depth) < 1e-3 < 2e-3 < off


def test_a_map_without_landmarks_has_a_loss(textures, start):
    one = stage(textures, start)
    made = one.make(2, Rng(0))
    nothing = torch.zeros_like(made.landmarks.mask)
    empty = made._replace(given=made.given._replace(mask=nothing), landmarks=made.landmarks._replace(mask=nothing),
                          truth=made.truth._replace(match=made.truth.match & False, alone1=nothing))
    loss, _ = one.loss(empty)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in one.model.parameters() if p.grad is not None)
    assert not stages.nearest(empty).any()
