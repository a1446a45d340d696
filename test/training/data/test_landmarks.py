"""Maps made of rendered views: landmarks are where they should be, and labels say which keypoints show them."""

import numpy as np
import pytest
import torch

from superslam_ros.data import PosedImage
from superslam_ros.models.superglue import KeypointSet
from superslam_ros.training.data import landmarks as maps
from superslam_ros.training.data import map_views, rooms
from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.landmarks import Seen
from superslam_ros.training.data.posed import PosedFrames
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

VIEW = (60, 80)


@pytest.fixture(scope='module')
def textures() -> Textures:
    """Smooth noise, so that a place can be told by its brightness."""
    coarse = Rng(0).uniform(0.05, 0.75, 5, 1, 6, 8)
    smooth = torch.nn.functional.interpolate(coarse, (96, 128), mode='bilinear')
    return Textures((smooth[:, 0] * 255).byte())


def all_alike(made: map_views.Places) -> Seen:
    """Return a grid of keypoints in every view, whose descriptors say nothing."""
    batch, views = made.images.shape[:2]
    pixels = pixel_grid(*VIEW, made.K.device)[2::4, 2::4].reshape(-1, 2).expand(batch, views, -1, -1)
    shape = pixels.shape[:3]
    descriptors = torch.zeros(*shape, 256)
    descriptors[..., 0] = 1
    return Seen(pixels, KeypointSet(pixels / 60, torch.ones(shape), descriptors, torch.ones(shape, dtype=torch.bool)),
                torch.ones(shape))


def labels(made: map_views.Places, fused: maps.Landmarks, seen: Seen, number: int = -1):
    features = KeypointSet(*(part[:, number] for part in seen.features))
    return maps.truth(seen.pixels[:, number], features, fused, made.depth_m[:, number], made.K,
                      made.T_view_place[:, number], made.twin)


@pytest.fixture
def exact(monkeypatch):
    """Make maps without any noise."""
    for name in ('_PIXEL', '_DEPTH', '_TURN', '_SHIFT', '_WRONG'):
        monkeypatch.setattr(maps, name, 0.0)
    monkeypatch.setattr(maps, '_KEPT', 1.0)
    monkeypatch.setattr(map_views, '_TWINS', 0.0)


@pytest.mark.usefixtures('exact')
@pytest.mark.parametrize('kind', map_views.KINDS)
def test_landmarks_are_seen_by_the_keypoints_that_are_their_labels(textures, kind):
    made = map_views.render(kind, 6, VIEW, textures, Rng(1))
    seen = all_alike(made)
    fused = maps.fuse(made, seen, 500, Rng(2))
    torch.testing.assert_close(fused.known.points[fused.mask], fused.true[fused.mask], rtol=1e-3, atol=2e-3)
    assert (fused.known.counts[fused.mask] > 1).float().mean() > 0.1
    truth = labels(made, fused, seen)
    place, keypoint, landmark = truth.match.nonzero(as_tuple=True)
    assert len(place) > 100
    T = made.T_view_place[place, -1]
    at = (T[:, :3, :3] @ fused.true[place, landmark][..., None])[..., 0] + T[:, :3, 3]
    pixel = at[:, :2] / at[:, 2:] * made.K[place][:, [0, 1], [0, 1]] + made.K[place][:, :2, 2]
    assert (pixel - seen.pixels[place, -1, keypoint]).norm(dim=1).max() <= 3.0
    x, y = seen.pixels[place, -1, keypoint].long().unbind(1)
    assert ((made.depth_m[place, -1, y, x] / at[:, 2] - 1).abs() < 0.1).float().mean() > 0.95
    assert not (truth.match.any(1) & truth.alone1).any() and not (truth.match.any(2) & truth.alone0).any()
    assert truth.alone1.any()


@pytest.mark.usefixtures('exact')
def test_nothing_of_a_twin_is_there(textures, monkeypatch):
    monkeypatch.setattr(map_views, '_TWINS', 1.0)
    made = map_views.render('rooms', 3, VIEW, textures, Rng(1))
    seen = all_alike(made)
    fused = maps.fuse(made, seen, 500, Rng(2))
    truth = labels(made, fused, seen)
    assert not truth.match.any() and torch.equal(truth.alone1, fused.mask)
    assert truth.alone0.all()


@pytest.mark.usefixtures('exact')
def test_what_was_moved_and_what_is_far_off_is_no_match(textures, monkeypatch):
    """A moved box leaves landmarks where nothing is; a landmark at twice its depth is of no use from elsewhere."""
    monkeypatch.setattr(maps, '_RIGHT_PX', 2.0)
    monkeypatch.setattr(maps, '_WRONG_PX', 4.0)
    monkeypatch.setattr(map_views, '_MOVED', 0.0)
    still = map_views.render('rooms', 12, VIEW, textures, Rng(4))
    monkeypatch.setattr(map_views, '_MOVED', 1.0)
    moved = map_views.render('rooms', 12, VIEW, textures, Rng(4))
    changed = (moved.depth_m[:, -1] - still.depth_m[:, -1]).abs().amax((1, 2)) > 0.1
    assert changed.any()
    seen = all_alike(still)
    fused = maps.fuse(still, seen, 500, Rng(2))
    before, after = (labels(made, fused, seen).match.any(1) for made in (still, moved))
    assert (before & ~after)[changed].sum() > 20 and torch.equal(before[~changed], after[~changed])
    far = fused.known.points + (fused.known.points - torch.linalg.inv(still.T_view_place[:, :1])[:, :, :3, 3])
    wrong = labels(still, fused._replace(known=fused.known._replace(points=far)), seen)
    assert wrong.match.sum() < 0.5 * before.sum() and wrong.alone1.sum() > before.sum() / 2


def test_noise_is_as_large_as_the_map_says(textures, monkeypatch):
    for name in ('_TURN', '_SHIFT', '_WRONG'):
        monkeypatch.setattr(maps, name, 0.0)
    made = map_views.render('scenes', 12, VIEW, textures, Rng(3))
    fused = maps.fuse(made, all_alike(made), 500, Rng(2))
    error = (fused.known.points - fused.true)[fused.mask]
    nees = torch.einsum('ni,nij,nj->n', error, torch.linalg.inv(fused.known.covariance[fused.mask].double()).float(),
                        error)
    assert 2 < nees.mean() < 4


def test_recordings_are_places_too(textures):
    views = rooms.render_pairs(1, VIEW, textures, Rng(5), views=6, nearer=1.2)
    pairs = views.pairs.tolist()
    T = [np.eye(4)] + [np.linalg.inv(views.T_1_0[pairs.index([0, number])].double().numpy()) for number in range(1, 6)]
    frames = PosedFrames([PosedImage((255 * image[0]).byte().numpy(), depth.numpy(), K.double().numpy(), pose)
                          for image, depth, K, pose in zip(views.images, views.depth_m, views.K, T)],
                         VIEW[0] * VIEW[1], torch.device('cpu'))
    made = frames.places(4, Rng(0))
    assert made.images.shape == (4, 6, 1, 64, 80) and not made.twin.any() and (made.time_s.diff(dim=1) >= 0).all()
    assert torch.allclose(made.T_view_place[:, 0], torch.eye(4).expand(4, 4, 4), atol=1e-6)
