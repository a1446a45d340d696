"""Rooms: depth and poses say exactly where each view's points are in the other, and cameras are inside."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from superslam_ros.training.data import glue_pairs, rooms, scenes
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


def seen_from(eye, target, focal) -> tuple[torch.Tensor, torch.Tensor]:
    """Return K and T_view_room of a camera at ``eye`` that looks at ``target``; 1x3x3 and 1x4x4."""
    eye, down = torch.tensor(eye), torch.tensor([0.0, 1.0, 0.0])
    forward = F.normalize(torch.tensor(target) - eye, dim=0)
    right = F.normalize(torch.linalg.cross(down, forward), dim=0)
    R = torch.stack([right, torch.linalg.cross(forward, right), forward])
    T = torch.eye(4)
    T[:3, :3], T[:3, 3] = R, -R @ eye
    return torch.tensor([[[focal, 0, 79.5], [0, focal, 59.5], [0, 0, 1]]]), T[None]


def project(point, K, T) -> torch.Tensor:
    x = T[0, :3, :3] @ torch.tensor(point) + T[0, :3, 3]
    return (K[0] @ x / x[2])[:2]


THING = (2.0, 1.2, 0.0)
IMAGE = (5.98, 1.2, 0.0)
"""Of it in a mirror at x = 3.99."""


def mirror_room(textures, *cameras) -> scenes.PosedViews:
    """Render a room of 4 x 2.5 x 4 m with a mirror from y = .5 to 2 and z = 1 to 3; two views."""
    planes = rooms.with_mirrors(rooms.random_room(1, 5, Rng(0))[0], Rng(0))
    size_m = torch.tensor([[4.0, 2.5, 4.0]])
    planes.axes[:, :6] = rooms._faces(size_m, -torch.diag_embed(size_m))
    planes.axes[:, -1] = torch.tensor([[0.0, 0, 3.99], [-1.5, 0, 2], [0, -2, 3]])
    present = torch.arange(planes.axes.shape[1])[None] < 6
    present[:, -1] = True
    ones = torch.ones_like(planes.tiles)
    planes = replace(planes, present=present, contrast=ones, tiles=ones)
    rendered = [scenes.render(planes, K, T, (120, 160), textures, torch.tensor([[2.0, 1, 2]])) for K, T in cameras]
    images, depths = (torch.cat(part) for part in zip(*rendered))
    (K0, T0), (K1, T1) = cameras
    return scenes.PosedViews(images, depths, torch.cat([K0, K1]), torch.tensor([[0, 1]]), T1 @ torch.linalg.inv(T0))


def label(views, points0, points1) -> glue_pairs.Truth:
    points0, points1 = torch.stack(points0)[None], torch.stack(points1)[None]
    real0, real1 = (torch.ones(points.shape[:2], dtype=bool) for points in (points0, points1))
    return glue_pairs.truth(points0, real0, points1, real1, *glue_pairs.reproject(views, points0, points1))


def look(views, view, point) -> float:
    grid = ((2 * point + 1) / torch.tensor([160, 120]) - 1)[None, None, None]
    return F.grid_sample(views.images[view:view + 1], grid, align_corners=False).item()


def test_a_mirror_shows_the_image_behind_it(textures):
    at_mirror, at_thing = seen_from((1.0, 1.2, 3.0), IMAGE, 120.0), seen_from((2.0, 1.2, 2.0), THING, 120.0)
    views = mirror_room(textures, at_mirror, at_thing)
    image, thing = project(IMAGE, *at_mirror), project(THING, *at_thing)
    x, y = image.round().long().tolist()
    assert views.depth_m[0, y, x].item() == pytest.approx(torch.dist(torch.tensor(IMAGE), torch.tensor(
        [1.0, 1.2, 3.0])).item(), rel=0.02)
    assert look(views, 0, image) == pytest.approx(0.9 * look(views, 1, thing), abs=0.02)
    left, right = ((x, 1.2, 0.0) for x in (1.7, 2.3))
    for real, mirrored in ((left, (6.28, 1.2, 0.0)), (right, (5.68, 1.2, 0.0))):
        assert look(views, 0, project(mirrored, *at_mirror)) == pytest.approx(
            0.9 * look(views, 1, project(real, *at_thing)), abs=0.03)
    # What is right of the thing is left of its image.
    assert project((6.28, 1.2, 0.0), *at_mirror)[0] < image[0] and project(left, *at_thing)[0] > thing[0]


def test_a_thing_and_its_image_in_a_mirror_are_no_match(textures):
    at_both, at_thing = seen_from((1.0, 1.2, 3.0), (2.6, 1.2, 1.0), 60.0), seen_from((2.0, 1.2, 2.0), THING, 120.0)
    views = mirror_room(textures, at_both, at_thing)
    thing = [project(THING, *at_thing)]
    found = label(views, [project(IMAGE, *at_both), project(THING, *at_both)], thing)
    assert found.match[0].nonzero().tolist() == [[1, 0]] and found.alone0.tolist() == [[True, False]]
    only_mirror = seen_from((1.0, 1.2, 3.0), IMAGE, 120.0)
    views = mirror_room(textures, only_mirror, at_thing)
    found = label(views, [project(IMAGE, *only_mirror)], thing)
    assert not found.match.any() and found.alone0.all() and found.alone1.all()


def test_two_views_of_an_image_in_a_mirror_match(textures):
    first, second = seen_from((1.0, 1.2, 3.0), IMAGE, 120.0), seen_from((1.5, 1.3, 3.2), IMAGE, 120.0)
    views = mirror_room(textures, first, second)
    found = label(views, [project(IMAGE, *first)], [project(IMAGE, *second)])
    assert found.match.all() and not found.alone0.any() and not found.alone1.any()
    beside = seen_from((2.5, 1.2, 0.6), (3.9, 1.2, 0.6), 120.0)     # the mirror does not show it there
    found = label(mirror_room(textures, first, beside), [project(IMAGE, *first)], [torch.tensor([10.0, 10.0])])
    assert not found.match.any() and found.alone0.all()


def test_half_of_the_rooms_have_a_mirror_within_a_wall():
    planes, size_m = rooms.random_room(200, 7, Rng(5))
    planes = rooms.with_mirrors(planes, Rng(6))
    assert planes.mirror == planes.axes.shape[1] - 1 == planes.present.shape[1] - 1 == len(planes.endless) - 1
    assert 0.4 < planes.present[:, -1].float().mean() < 0.6
    mirror = planes.axes[:, -1]
    corners = torch.stack([mirror[..., 2] + a * mirror[..., 0] + b * mirror[..., 1] for a in (0, 1) for b in (0, 1)], 1)
    assert ((corners > -0.001) & (corners < size_m[:, None] + 0.001)).all()
    normal = torch.linalg.cross(mirror[..., 0], mirror[..., 1], dim=1)
    assert (normal[:, 1].abs() < 1e-5).all()
    towards = (normal * (size_m / 2 - mirror[..., 2])).sum(1)
    assert (towards < 0).all()                           # it faces into the room


def test_there_is_a_wall_behind_every_pixel(textures):
    views = rooms.render_pairs(16, VIEW, textures, Rng(2), views=3)
    assert len(views.pairs) == 48
    assert ((views.depth_m > 0) & (views.depth_m < 25)).all()


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
