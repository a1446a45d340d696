"""SuperGlue's stage: begins as mutual nearest neighbour, learns, resumes, and exports what inference loads."""

import hashlib

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from superslam_ros.cli.main import main
from superslam_ros.cli.train import options as train_options
from superslam_ros.models import checkpoint, superglue, superpoint
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superglue import KeypointSet, SuperGlue
from superslam_ros.slam.extract import Extractor, ExtractorConfig
from superslam_ros.training import loop
from superslam_ros.training.data import shapes
from superslam_ros.training.data.glue_pairs import Truth
from superslam_ros.training.data.scenes import PosedViews, each_with_each
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng
from superslam_ros.training.stages import glue
from superslam_ros.training.stages.glue import Batch, Source, SuperGlueStage

CPU = torch.device('cpu')
VIEW = (64, 96)


@pytest.fixture(autouse=True)
def small_views(monkeypatch):
    monkeypatch.setattr(glue, 'SHAPES', (VIEW,))


@pytest.fixture(scope='module')
def textures() -> Textures:
    """Synthetic shapes as stand-ins for photographs."""
    return Textures((shapes.render(12, 128, 192, Rng(2)).images[:, 0] * 255).byte())


def stage(textures: Textures, **options) -> SuperGlueStage:
    torch.manual_seed(0)
    return SuperGlueStage(Source(textures), Source(textures), CPU, checkpoint.shipped('superpoint'), rounds=2,
                          keypoints=48, **{'held_out_pairs': 8, **options})


def some_pairs(batch: int = 3, shared: int = 40, alone: int = 20, noise: float = 0.04) -> Batch:
    """Return pairs whose first ``shared`` keypoints match in order; the rest have no partner. Some are masked."""
    rng = Rng(5)
    count = shared + alone
    common = torch.nn.functional.normalize(rng.normal(batch, shared, 256), dim=-1)
    sets = []
    for _ in range(2):
        both = torch.cat([common + noise * rng.normal(batch, shared, 256), rng.normal(batch, alone, 256) / 16], 1)
        sets.append(KeypointSet(rng.uniform(-0.7, 0.7, batch, count, 2), rng.uniform(0, 1, batch, count),
                                torch.nn.functional.normalize(both, dim=-1), torch.ones(batch, count, dtype=bool)))
    for one, last in zip(sets, (55, 50)):
        one.mask[:, last:] = False
    match = torch.eye(count, dtype=bool).expand(batch, -1, -1).clone()
    match[:, shared:] = False
    lonely = (torch.arange(count) >= shared).expand(batch, -1)
    return Batch(*sets, Truth(match, lonely & sets[0].mask, lonely & sets[1].mask))


@pytest.mark.parametrize('rounds', [1, 4, 9])
def test_untrained_network_gives_mutual_nearest_neighbours(rounds):
    torch.manual_seed(0)
    network = SuperGlue(rounds).eval()
    network.begin_as_nearest()
    made = some_pairs()
    with torch.no_grad():
        scores = network(made.set0, made.set1)[:, :-1, :-1].exp()
    similarity = made.set0.descriptors @ made.set1.descriptors.transpose(1, 2)
    found = glue.mutual(scores) & (scores > glue.MATCH_THRESHOLD)
    expected = glue.nearest(made) & (similarity > 0.4)
    assert 100 < expected.sum() < 3 * 55
    assert torch.equal(found, expected)


def test_loss_is_half_matches_half_dustbins():
    probability = torch.tensor([[[0.5, 0.1, 0.2], [0.3, 0.1, 0.25], [0.1, 0.125, 1.0]]])
    match = torch.tensor([[[True, False], [False, False]]])
    alone0, alone1 = torch.tensor([[False, True]]), torch.tensor([[False, True]])
    loss = glue.assignment_loss(probability.log(), Truth(match, alone0, alone1))
    matched, unmatched = np.log(0.5), (np.log(0.25) + np.log(0.125)) / 2
    assert loss.item() == pytest.approx(-0.5 * (matched + unmatched), rel=1e-5)


def test_pairs_without_keypoints_or_overlap_have_a_loss():
    network = SuperGlue(1)
    network.begin_as_nearest()
    made = some_pairs()
    nothing = torch.zeros_like(made.set0.mask)
    empty = made._replace(
        set0=made.set0._replace(mask=nothing), truth=Truth(made.truth.match & False, nothing, made.set1.mask))
    for batch in (empty, made._replace(truth=Truth(made.truth.match & False, made.set0.mask, made.set1.mask))):
        network.zero_grad()
        loss = glue.assignment_loss(network(batch.set0, batch.set1), batch.truth)
        loss.backward()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert glue.count(glue.nearest(empty), empty.truth).tolist() == [0, 0, 0]


def test_matches_are_counted_where_they_can_be_judged():
    match = torch.tensor([[[True, False, False], [False, False, False], [False, False, False]]])
    truth = Truth(match, torch.tensor([[False, True, False]]), torch.tensor([[False, False, False]]))
    found = torch.eye(3, dtype=bool)[None]            # right; wrong, its keypoint is alone; nobody knows
    assert glue.count(found, truth).tolist() == [1, 2, 1]


@pytest.mark.usefixtures('either_precision')
def test_features_are_those_of_the_extractor():
    image = (shapes.render(9, 120, 160, Rng(8)).images[:, 0].reshape(360, 480)[:240, :320] * 255).byte()
    expected = Extractor(ExtractorConfig(weights='superpoint', max_keypoints=64, device='cpu'))(image.numpy())
    network = superpoint.SuperPoint().eval()
    checkpoint.load_into(network, checkpoint.shipped('superpoint'))
    with torch.no_grad():
        points, features, _ = glue.extract(network, image[None, None].float() / 255, 64)
    assert features.descriptors.shape == (1, 64, 256)
    # There may be one of each octave at a place.
    near = torch.cdist(points[0][features.mask[0]], torch.from_numpy(expected.keypoints)) < 0.5
    alike = features.descriptors[0][features.mask[0]] @ expected.descriptors_on(CPU).T
    assert (near & (alike > 0.98)).any(1).float().mean() > 0.9          # bfloat16 changes which are the last
    torch.testing.assert_close(features.keypoints, superglue.normalise(points, (320, 240)))


def test_loss_falls(textures):
    one = stage(textures)
    made = one.make(4, Rng(0))
    optimiser = torch.optim.AdamW(one.model.parameters(), lr=1e-4)
    losses = []
    for _ in range(15):
        loss, figures = one.loss(made)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(figures['last_loss'])
    assert losses[-1] < 0.7 * losses[0]


def test_what_is_added_to_descriptors_learns_slowly(textures, tmp_path):
    one = stage(textures)
    before = {name: parameter.detach().clone() for name, parameter in one.model.named_parameters()}
    loop.train(one, tmp_path, loop.LoopConfig(steps=1, batch=2, warmup_steps=0, learning_rate=1e-3))
    moved = {name: (parameter - before[name]).abs().max().item() for name, parameter in one.model.named_parameters()}
    assert moved['gnn.layers.0.mlp.3.weight'] == pytest.approx(3e-5, rel=0.05)
    assert moved['final_proj.weight'] == pytest.approx(1e-3, rel=0.05)


def test_run_resumes_and_exports(textures, tmp_path):
    after = loop.train(stage(textures), tmp_path, loop.LoopConfig(steps=1, batch=2))
    assert {f'{kind}_{who}{what}' for kind in ('scenes', 'homography') for who in ('', 'nearest_')
            for what in ('precision', 'recall', 'f1')} < set(after)
    loop.train(stage(textures), tmp_path, loop.LoopConfig(steps=2, batch=2))
    assert torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step'] == 2
    with safe_open(tmp_path / 'model.safetensors', 'pt') as file:
        about = file.metadata()
    assert about['rounds'] == '2' and about['layers'] == '4' and len(about['superpoint_sha256']) == 64
    assert superglue.load(tmp_path / 'model.safetensors').rounds == 2


def test_same_seed_same_pairs(textures):
    one = stage(textures)
    first, second = (one.make(4, Rng(3)) for _ in range(2))
    assert torch.equal(first.set0.descriptors, second.set0.descriptors)
    assert torch.equal(first.truth.match, second.truth.match)
    assert first.truth.match.any() and first.truth.alone0.any() and first.truth.alone1.any()
    assert 24 <= first.set0.scores.shape[1] <= 48


def test_views_together_are_pairs_each_with_each(textures):
    drawn = Source(textures, scenes_share=0.5, together=3).draw(12, Rng(0))
    assert [(len(views.images), len(views.pairs)) for views in drawn] == [(6, 6), (6, 6)]
    one = stage(textures)
    made = one.label(drawn, 32)
    assert made.truth.match.shape == (12, 32, 32)
    assert torch.equal(made.set0.descriptors[0], made.set0.descriptors[2])      # the first view is in two pairs
    assert torch.isfinite(one.loss(made)[0])


def test_small_batches_have_every_kind_in_its_share(textures):
    source, rng = Source(textures, scenes_share=0.25, together=2), Rng(0)
    kinds = [type(views).__name__ for _ in range(80) for views in source.draw(1, rng)]
    assert len(kinds) == 80 and 10 <= kinds.count('PosedViews') <= 30


def test_wide_baselines_are_kinds_of_their_own(textures):
    source = Source(textures, scenes_share=0.5, wide_share=0.25)
    assert {kind: share for kind, share in source.shares.items() if share} == pytest.approx(
        {'scenes': 0.375, 'wide_scenes': 0.125, 'homography': 0.375, 'wide_homography': 0.125})
    drawn = Source(textures, rooms_share=1.0).draw(2, Rng(0))
    assert [type(views).__name__ for views in drawn] == ['PosedViews'] and len(drawn[0].pairs) == 2

    def scales(kind):
        H = source.views(kind, 60, VIEW, Rng(1)).H_1_0
        return torch.linalg.det(H / H[:, 2:, 2:]).abs().sqrt()

    assert scales('wide_homography').log().std() > 1.3 * scales('homography').log().std()


def test_more_keypoints_have_larger_views(textures):
    assert Source(textures, keypoints=64).shapes == Source(textures).shapes == [VIEW]
    larger = Source(textures, keypoints=1000, rooms_share=0.25, wide_share=0.5)
    assert larger.shapes == [(128, 192)]
    assert {tuple(views.images.shape[-2:]) for views in larger.draw(8, Rng(0))} == {(128, 192)}


def test_a_large_network_is_made_small_and_a_compact_extractor_serves(textures, tmp_path):
    torch.manual_seed(0)
    checkpoint.save(CompactSuperPoint().state_dict(), tmp_path / 'compact.safetensors')
    made = SuperGlueStage(
        Source(textures), Source(textures), CPU, tmp_path / 'compact.safetensors', keypoints=48, held_out_pairs=8,
        start=checkpoint.shipped('superglue'), size=64, rounds=2)
    assert (made.model.size, made.model.rounds, made.depths) == (64, 2, [0, 1])
    assert made.about['size'] == '64' and not made.slow
    assert torch.isfinite(made.loss(made.make(4, Rng(0)))[0])


def test_a_recording_keeps_its_size_beside_photographs(textures):
    class Recording:
        """Stands still."""

        def views(self, batch, rng):
            images = rng.uniform(0, 1, 2 * batch, 1, 48, 128)
            K = torch.tensor([[90.0, 0, 63.5], [0, 90, 23.5], [0, 0, 1]]).expand(2 * batch, -1, -1)
            return PosedViews(images, torch.full((2 * batch, 48, 128), 2.0), K, each_with_each(batch, 2, CPU),
                              torch.eye(4).expand(batch, -1, -1))

    source = Source(textures, [Recording()], scenes_share=0.5, recorded_share=0.25)
    drawn = source.draw(8, Rng(0))
    assert [(*views.images.shape[-2:], len(views.images)) for views in drawn] == [(48, 128, 4), (*VIEW, 6), (*VIEW, 6)]
    made = stage(textures).label(drawn, 32)
    assert made.truth.match.shape == (8, 32, 32)


def test_the_shipped_network_beats_nearest_neighbours_on_the_shipped_features(monkeypatch):
    path = checkpoint.shipped('superglue')
    with safe_open(path, 'pt') as file:
        about = file.metadata()
    assert about['superpoint_sha256'] == hashlib.sha256(checkpoint.shipped('superpoint').read_bytes()).hexdigest()
    monkeypatch.setattr(glue, 'SHAPES', ((160, 208),))
    painted = Textures((shapes.render(12, 256, 320, Rng(2)).images[:, 0] * 255).byte())
    made = SuperGlueStage(Source(painted), Source(painted), CPU, checkpoint.shipped('superpoint'), keypoints=128,
                          held_out_pairs=16, start=path)
    assert made.about['rounds'] == about['rounds']
    made.model.eval()
    with torch.inference_mode():
        figures = made.validate()
    for kind in ('scenes', 'homography'):
        assert figures[f'{kind}_f1'] > figures[f'{kind}_nearest_f1'], figures


@pytest.fixture
def folder(tmp_path):
    """Twenty photographs, some of which the split holds out."""
    pictures = shapes.render(20, 96, 128, Rng(3)).images[:, 0]
    (tmp_path / 'photos').mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(tmp_path / 'photos' / f'{number}.png'), (picture * 255).byte().numpy())
    return tmp_path / 'photos'


def test_command_line(folder, demo_bag, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_options, 'GLUE_PHOTO', (192, 256))
    monkeypatch.setattr(train_options, '_RECORDED', 96 * 128)
    (folder / 'damaged.jpg').write_bytes(b'no picture')
    arguments = ['train', 'superglue', '--images', str(folder), '--out', str(tmp_path / 'run'), '--rounds', '1',
                 '--keypoints', '32', '--batch', '4', '--steps', '2', '--device', 'cpu', '--bag', str(demo_bag.bag)]
    assert main(arguments) == 0
    assert 'scenes_f1' in capsys.readouterr().out
    assert superglue.load(tmp_path / 'run' / 'model.safetensors').rounds == 1
    assert main([*arguments, '--rounds', '2']) == 2
    assert 'another architecture' in capsys.readouterr().err


@pytest.mark.parametrize('options, message', [
    (['--images', 'nowhere'], 'nowhere does not exist'), (['--rounds', '0'], '--rounds 0: must be from 1 to'),
    (['--size', '126'], '--size 126: must be a multiple of 4'), (['--size', '512'], '--size 512: must be from 4 to'),
    (['--wide', '2'], '--wide 2'),
    (['--scenes', '1.5'], '--scenes 1.5'), (['--poses', 'a.tum'], '--poses: 1 files for 0 bags'),
    (['--bag', 'nothing.mcap'], 'nothing.mcap'), (['--weights', 'missing.pth'], 'missing.pth'),
    (['--start', 'none.safetensors'], 'none.safetensors')])
def test_bad_options_are_named(folder, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr(train_options, 'GLUE_PHOTO', (96, 128))
    arguments = ['train', 'superglue', '--images', str(folder), '--out', str(tmp_path / 'run'), *options]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
