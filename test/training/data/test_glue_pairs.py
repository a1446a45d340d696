"""Labels of keypoints: matches, unmatchable ones, and those that say nothing."""

import torch

from superslam_ros.training.data import glue_pairs
from superslam_ros.training.data.glue_pairs import Reprojected
from superslam_ros.training.data.textures import Textures
from superslam_ros.training.random import Rng

SIZE = (100, 100)


def label(points0, points1, H_1_0=None, mask0=None, mask1=None, similarity=None):
    points0, points1 = torch.tensor(points0)[None], torch.tensor(points1)[None]
    H_1_0 = torch.eye(3)[None] if H_1_0 is None else H_1_0
    there = glue_pairs.by_homography(points0, H_1_0, SIZE)
    back = glue_pairs.by_homography(points1, torch.linalg.inv(H_1_0), SIZE)
    masks = (torch.ones(1, points.shape[1], dtype=bool) if mask is None else torch.tensor([mask])
             for points, mask in ((points0, mask0), (points1, mask1)))
    mask0, mask1 = masks
    similarity = None if similarity is None else torch.tensor(similarity)[None]
    return glue_pairs.truth(points0, mask0, points1, mask1, there, back, similarity)


def test_near_is_a_match_far_is_alone_and_the_band_between_says_nothing():
    found = label([[10.0, 10], [30, 30], [50, 50], [70, 70]], [[12.9, 10.0], [34, 30], [50, 56], [20, 90]])
    assert found.match[0].nonzero().tolist() == [[0, 0]]
    assert found.alone0.tolist() == [[False, False, True, True]]
    assert found.alone1.tolist() == [[False, False, True, True]]


def test_a_keypoint_has_one_match_at_most():
    found = label([[10.0, 10], [12, 10]], [[11.5, 10.0], [13.8, 10.0], [8.5, 10.0]])
    assert found.match[0].nonzero().tolist() == [[0, 2], [1, 0]]
    assert not found.alone0.any() and not found.alone1.any()     # the third is 1.8 px from a taken one


def test_of_keypoints_at_one_place_those_that_look_alike_are_matches():
    points0, points1 = [[10.0, 10], [10.5, 10]], [[10.4, 10.0], [10.1, 10.0], [14.0, 10.0]]
    assert label(points0, points1).match[0].nonzero().tolist() == [[0, 1], [1, 0]]
    octaves = [[0.9, 0.7, 0.9], [0.7, 0.9, 1.0]]
    assert label(points0, points1, similarity=octaves).match[0].nonzero().tolist() == [[0, 0], [1, 1]]
    # Over more than a pixel or two, being nearer counts more; and nothing is a match that is not near.
    assert label([[10.0, 10]], [[10.5, 10.0], [12.5, 10.0]], similarity=[[0.7, 0.9]]).match[0].nonzero().tolist() == [
        [0, 0]]
    assert not label([[10.0, 10]], [[14.0, 10.0]], similarity=[[1.0]]).match.any()


def test_three_pixels_count_in_both_views():
    H_1_0 = torch.diag(torch.tensor([3.0, 3.0, 1.0]))[None]
    found = label([[10.0, 10], [20, 20]], [[31.5, 30.0], [64.0, 60.0]], H_1_0)
    assert found.match[0].nonzero().tolist() == [[0, 0]]         # 1.3 px in the first view, 4 px in the second
    assert not found.alone0.any() and not found.alone1.any()


def test_outside_the_other_view_is_alone():
    H_1_0 = torch.tensor([[[1.0, 0, 50], [0, 1, 0], [0, 0, 1]]])
    found = label([[80.0, 10], [20, 20]], [[70.0, 20], [10, 50]], H_1_0)
    assert found.match[0].nonzero().tolist() == [[1, 0]]
    assert found.alone0.tolist() == [[True, False]] and found.alone1.tolist() == [[False, True]]


def test_padding_has_no_label():
    found = label([[10.0, 10], [30, 30]], [[10.0, 10], [30, 30]], mask0=[True, False], mask1=[True, True])
    assert found.match[0].nonzero().tolist() == [[0, 0]]
    assert found.alone0.tolist() == [[False, False]] and found.alone1.tolist() == [[False, True]]
    nothing = label([[10.0, 10]], [[10.0, 10]], mask0=[False], mask1=[False])
    assert not nothing.match.any() and not nothing.alone0.any() and not nothing.alone1.any()


def test_what_is_not_known_has_no_label():
    points = torch.tensor([[[10.0, 10], [30, 30], [50, 50]]])
    real = torch.ones(1, 3, dtype=bool)
    there = Reprojected(points, torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]]))
    found = glue_pairs.truth(points, real, points[:, :1], real[:, :1], there, Reprojected(
        points[:, :1], real[:, :1], real[:, :1]))
    assert found.match[0].nonzero().tolist() == [[0, 0]]
    assert found.alone0.tolist() == [[False, True, False]]


def test_homography_views_show_the_same_points():
    coarse = Rng(0).uniform(0, 255, 3, 1, 15, 20)
    smooth = torch.nn.functional.interpolate(coarse, (120, 160), mode='bilinear')[:, 0].byte()
    views = glue_pairs.render_homographies(8, (48, 64), Textures(smooth), Rng(1))
    again = glue_pairs.render_homographies(8, (48, 64), Textures(smooth), Rng(1))
    assert torch.equal(views.images, again.images) and views.images.shape == (16, 1, 48, 64)
    points = Rng(2).integers(48, 8, 200, 2).float()
    there, back = glue_pairs.reproject(views, points, points)
    first, second = views.images.split(8)
    for found, before, after in ((there, first, second), (back, second, first)):
        here, other = (
            torch.nn.functional.grid_sample(images, ((2 * at + 1) / torch.tensor([64.0, 48.0]) - 1)[:, None],
                                            padding_mode='border', align_corners=False)[:, 0, 0]
            for images, at in ((before, points), (after, found.at)))
        assert found.known.all() and 0.4 < found.seen.float().mean() < 1
        assert (here - other)[found.seen].abs().quantile(0.95) < 0.04
