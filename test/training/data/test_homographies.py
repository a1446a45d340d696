"""Homographies and warping keep the pixel convention."""

import torch

from superslam_ros.training.data import homographies
from superslam_ros.training.random import Rng


def test_identity_warp_changes_nothing():
    image = Rng(0).uniform(0, 1, 2, 1, 24, 32)
    warped, inside = homographies.warp(image, torch.eye(3).expand(2, 3, 3), (24, 32))
    assert torch.allclose(warped, image, atol=1e-5)
    assert inside.all()


def test_a_shift_moves_pixels_by_whole_pixels():
    image = Rng(0).uniform(0, 1, 1, 1, 24, 32)
    H_source_view = torch.tensor([[[1.0, 0, 5], [0, 1, 3], [0, 0, 1]]])
    warped, inside = homographies.warp(image, H_source_view, (10, 10))
    assert torch.allclose(warped[0, 0], image[0, 0, 3:13, 5:15], atol=1e-5)
    assert inside.all()


def test_sampled_homographies_look_into_the_source_and_invert():
    rng = Rng(3)
    spread = homographies.Spread(scale=(0.4, 0.9), perspective=0.05)
    H = homographies.sample(64, (120, 160), (240, 320), spread, rng)
    centre = torch.tensor([[[79.5, 59.5]]]).expand(64, -1, -1)
    mapped = homographies.warp_points(H, centre)
    assert ((mapped > 0) & (mapped < torch.tensor([320.0, 240.0]))).all()
    back = homographies.warp_points(torch.linalg.inv(H), mapped)
    assert torch.allclose(back, centre, atol=1e-2)
