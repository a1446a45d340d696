"""Rooms: depth and poses say exactly where each view's points are in the other, and cameras are inside."""

import pytest
import torch

from superslam_ros.training.data import glue_pairs, rooms
from superslam_ros.training.data.homographies import pixel_grid
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

VIEW = (60, 80)
CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def textures() -> Textures:
    """Smooth noise, so that a place can be told by its brightness."""
    coarse = Rng(0).uniform(0.05, 0.75, 5, 1, 6, 8)
    smooth = torch.nn.functional.interpolate(coarse, (96, 128), mode='bilinear')
    return Textures((smooth[:, 0] * 255).byte())


def test_points_that_are_seen_look_the_same_in_both_views(textures, monkeypatch):
    monkeypatch.setattr(rooms, '_LAMP_M', 0.0)           # the light stays, too
    views = rooms.render_pairs(24, VIEW, textures, Rng(1))
    assert views.images.shape == (48, 1, *VIEW) and views.T_1_0.shape == (24, 4, 4)
    points = pixel_grid(*VIEW, CPU).view(1, -1, 2).expand(24, -1, -1)
    there, _ = glue_pairs.reproject(views, points, points)
    size = torch.tensor([80.0, 60.0])
    grid = ((2 * there.at + 1) / size - 1)[:, None]
    after = torch.nn.functional.grid_sample(views.images[24:], grid, align_corners=False)[:, 0, 0]
    difference = (views.images[:24].view(24, -1) - after).abs()
    inside = ((there.at > 0) & (there.at < size - 1)).all(-1)
    hidden = there.known & ~there.seen & inside
    assert there.seen.float().mean() > 0.25 and hidden.sum() > 500
    assert difference[there.seen].median() < 0.01 and difference[there.seen].quantile(0.9) < 0.06
    assert difference[hidden].median() > 3 * difference[there.seen].quantile(0.75)


def test_there_is_a_wall_behind_every_pixel(textures):
    views = rooms.render_pairs(16, VIEW, textures, Rng(2), views=3)
    assert len(views.pairs) == 48
    assert ((views.depth_m > 0) & (views.depth_m < 12)).all()


def test_cameras_are_inside_and_distances_differ():
    size_m = torch.tensor([[4.0, 2.5, 5.0]]).expand(300, 3)
    T_view_room = rooms.random_cameras(size_m, 2, 3.0, Rng(3))
    eyes = -(T_view_room[..., :3, :3].transpose(2, 3) @ T_view_room[..., :3, 3:])[..., 0]
    assert ((eyes > 0.2) & (eyes < size_m - 0.2)).all()
    assert torch.allclose(torch.linalg.det(T_view_room[..., :3, :3]), torch.ones(2, 300), atol=1e-4)
    turned = (T_view_room[0, :, 2, :3] * T_view_room[1, :, 2, :3]).sum(1)
    assert 0.3 < turned.median() < 0.98


def test_a_room_has_bare_walls_and_tiles():
    planes, size_m = rooms.random_room(40, 7, Rng(4))
    assert planes.axes.shape == (40, 6 * (1 + rooms.BOXES), 3, 3) and planes.present[:, :6].all()
    assert 0.1 < (planes.contrast < 0.2).float().mean() < 0.5 and 0.1 < (planes.tiles > 1.5).float().mean() < 0.5
    assert ((size_m > 2) & (size_m < 8)).all()
