"""Scenes of planes: depth and poses say exactly where each view's points are in the other."""

import pytest
import torch

from superslam_ros.training.data import glue_pairs, scenes
from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

VIEW = (60, 80)
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def textures() -> Textures:
    """Smooth noise, so that a place can be told by its brightness."""
    coarse = Rng(0).uniform(0.05, 0.75, 5, 1, 12, 16)
    smooth = torch.nn.functional.interpolate(coarse, (96, 128), mode='bilinear')
    return Textures((smooth[:, 0] * 255).byte())


def wall(depth_m: float, *rectangles: tuple[float, float, float, float]) -> scenes.Planes:
    """Return one scene: a wall that faces the camera, and rectangles (left, right, depth, half height)."""
    axes = [[[8.0, 0, -4], [0, 6, -3], [0, 0, depth_m]]]
    for left, right, depth, half in rectangles:
        axes.append([[right - left, 0, left], [0, 2 * half, -half], [0, 0, depth]])
    count = len(axes)
    return scenes.Planes(torch.tensor(axes)[None], torch.arange(count)[None] % 5, torch.ones(1, count, dtype=bool),
                         torch.arange(count) == 0)


def camera(focal: float = 60.0) -> torch.Tensor:
    return torch.tensor([[[focal, 0, 39.5], [0, focal, 29.5], [0, 0, 1]]])


def moved(x: float) -> torch.Tensor:
    """Return T_1_0 of a second camera ``x`` metres to the right of the first."""
    T = torch.eye(4)[None].clone()
    T[0, 0, 3] = -x
    return T


def both_views(planes: scenes.Planes, T_1_0: torch.Tensor, textures: Textures) -> scenes.PosedViews:
    lamp = torch.tensor([[0.5, -1.0, -1.0]]).expand(len(T_1_0), -1)
    K = camera().expand(len(T_1_0), -1, -1)
    T_0_0 = torch.eye(4).expand_as(T_1_0)
    first, second = (scenes.render(planes, K, T, VIEW, textures, lamp) for T in (T_0_0, T_1_0))
    return scenes.PosedViews(
        torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]]), torch.cat([K, K]),
        scenes.each_with_each(len(K), 2, CPU), T_1_0)


def test_a_wall_moves_by_its_disparity(textures):
    views = both_views(wall(4.0), moved(0.5), textures)
    assert torch.allclose(views.depth_m, torch.tensor(4.0))
    points = torch.tensor([[[40.0, 30.0], [10.0, 5.5], [3.0, 20.0]]])
    there, back = glue_pairs.reproject(views, points, points)
    assert torch.allclose(there.at, points - torch.tensor([7.5, 0.0]), atol=1e-4)
    assert torch.allclose(back.at, points + torch.tensor([7.5, 0.0]), atol=1e-4)
    assert there.known.all() and there.seen.tolist() == [[True, True, False]]     # the third leaves the image


def test_what_something_nearer_hides_is_not_seen(textures):
    views = both_views(wall(4.0, (-0.5, 0.5, 2.0, 0.6)), moved(0.5), textures)
    # The rectangle covers 24.5 to 54.5 of the first view and 9.5 to 39.5 of the second; the wall moves by 7.5.
    points = torch.tensor([[[20.0, 30.0], [62.0, 30.0], [40.0, 30.0], [24.0, 30.0], [54.9, 30.0]]])
    there, _ = glue_pairs.reproject(views, points, points)
    assert there.seen.tolist() == [[False, True, True, False, False]]
    assert there.known.tolist() == [[True, True, True, False, False]]              # at an edge nothing is sure


def test_points_that_are_seen_look_the_same_in_both_views(textures):
    planes, wall_m = scenes.random_planes(16, torch.full((16,), 80 / 60), torch.full((16,), 1.0), 5, Rng(1))
    views = both_views(planes, scenes.random_motion(16, wall_m, Rng(2)), textures)
    points = pixel_grid(*VIEW, CPU).view(1, -1, 2).expand(16, -1, -1)
    there, _ = glue_pairs.reproject(views, points, points)
    before = views.images[:16].view(16, -1)
    size = torch.tensor([80.0, 60.0])
    grid = ((2 * there.at + 1) / size - 1)[:, None]
    after = torch.nn.functional.grid_sample(views.images[16:], grid, align_corners=False)[:, 0, 0]
    difference = (before - after).abs()
    inside = ((there.at > 0) & (there.at < size - 1)).all(-1)
    hidden = there.known & ~there.seen & inside
    assert there.seen.float().mean() > 0.3 and hidden.sum() > 200
    assert difference[there.seen].quantile(0.95) < 0.04
    assert difference[hidden].median() > 0.1


def test_depth_that_is_not_known_says_nothing(textures):
    views = both_views(wall(4.0), moved(0.5), textures)
    views.depth_m[0, 25:35, 35:45] = torch.nan
    points = torch.tensor([[[40.0, 30.0], [33.0, 30.0], [60.0, 30.0], [47.5, 30.0]]])
    there, back = glue_pairs.reproject(views, points, points)
    assert there.known.tolist() == [[False, False, True, True]]
    assert back.known.tolist() == [[True, False, True, True]] and not back.seen[0, 1]
    assert not (there.seen & ~there.known).any()
    assert torch.isfinite(there.at).all()


def test_random_scenes_are_seeded_and_overlap(textures):
    first, second = (scenes.render_pairs(12, VIEW, textures, Rng(4)) for _ in range(2))
    assert torch.equal(first.images, second.images) and torch.equal(first.T_1_0, second.T_1_0)
    assert first.images.min() >= 0 and first.images.max() <= 1
    R = first.T_1_0[:, :3, :3]
    assert torch.allclose(R @ R.transpose(1, 2), torch.eye(3).expand(12, 3, 3), atol=1e-5)
    points = Rng(0).uniform(0, 60, 12, 50, 2)
    there, _ = glue_pairs.reproject(first, points, points)
    share = there.seen.float().mean(1)
    assert share.mean() > 0.3 and (share > 0).all() and there.known.float().mean() > 0.5


@pytest.mark.parametrize('kind', ['scenes', 'homographies'])
def test_every_two_of_three_views_are_a_pair(textures, kind):
    render = {'scenes': scenes.render_pairs, 'homographies': glue_pairs.render_homographies}[kind]
    made = render(8, VIEW, textures, Rng(4), 3)
    assert len(made.images) == 24 and len({tuple(pair) for pair in made.pairs.tolist()}) == 24
    assert all(one < other and one % 8 == other % 8 for one, other in made.pairs.tolist())
    points = Rng(0).integers(48, 24, 200, 2).float()
    there, _ = glue_pairs.reproject(made, points, points)
    size = torch.tensor([80.0, 60.0])
    before, after = (
        torch.nn.functional.grid_sample(made.images[side], ((2 * at + 1) / size - 1)[:, None],
                                        padding_mode='border', align_corners=False)[:, 0, 0]
        for side, at in zip(made.pairs.unbind(1), (points, there.at)))
    difference = (before - after).abs()
    for part in range(3):                                             # first and second, first and third, ...
        these = slice(8 * part, 8 * part + 8)
        assert there.seen[these].float().mean() > 0.2
        assert difference[these][there.seen[these]].median() < (0.04 if kind == 'scenes' else 0.01)


def test_textures_are_read_where_they_say():
    ramp = torch.arange(64).repeat(32, 1).byte()
    textures = Textures(torch.stack([ramp, 2 * ramp, ramp]))
    assert len(textures) == 3 and textures.size == (32, 64)
    u = torch.tensor([10.5, 10.75, 0.0, 74.5, 33.0]) / 64           # the fourth is mirrored: 53.5
    photo = torch.tensor([0, 0, 0, 0, 1])
    near = textures.look(photo, u, torch.full((5,), 0.5), torch.ones(5)) * 255
    assert torch.allclose(near, torch.tensor([10.0, 10.25, 0, 53, 65]), atol=1e-3)
    far = textures.look(photo, u, torch.full((5,), 0.5), torch.full((5,), 4.0)) * 255
    assert torch.allclose(far[[0, 1, 3, 4]], near[[0, 1, 3, 4]], atol=0.6)
    noise = Textures((Rng(0).uniform(0, 256, 1, 64, 64)).byte())
    place = Rng(1).uniform(0, 1, 2, 500)
    spread = [noise.look(torch.zeros(500, dtype=torch.long), *place, torch.full((500,), f)).std() for f in (1.0, 8.0)]
    assert spread[1] < 0.3 * spread[0]
