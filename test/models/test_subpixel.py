"""Keypoints between pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from superslam_ros.models.subpixel import to_corners


def square() -> Tensor:
    """Return (60, 80): a bright quarter whose corner, between pixels, is at (39.5, 29.5); blurred a little."""
    image = torch.zeros(60, 80)
    image[30:, 40:] = 1
    return torch.nn.functional.avg_pool2d(image[None, None], 3, 1, 1, count_include_pad=False)[0, 0]


@pytest.mark.parametrize('radius', [2, 3])
def test_a_corner_draws_what_is_near(radius: int) -> None:
    """Halfway at least, from any side; what is on it stays."""
    corner = torch.tensor([39.5, 29.5])
    around = corner + torch.tensor([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7]])
    moved = to_corners(square(), around, radius)
    before, after = ((points - corner).norm(dim=1) for points in (around, moved))
    assert after[0] < 0.3 and (after[1:] < 0.5 * before[1:] + after[0]).all(), after


def test_an_edge_draws_across_not_along() -> None:
    """On a vertical edge x comes nearer, y stays."""
    moved = to_corners(square(), torch.tensor([[40.3, 50.0], [38.8, 45.0]]))
    assert torch.allclose(moved[:, 1], torch.tensor([50.0, 45.0]), atol=1e-3)
    assert ((moved[:, 0] - 39.5).abs() < 0.4).all()


def test_where_there_is_nothing_a_keypoint_stays() -> None:
    """In a flat image, at its corners too; a flat one of noise of a gray level moves it by little."""
    points = torch.tensor([[0.0, 0.0], [79.0, 59.0], [20.3, 10.7]])
    assert torch.equal(to_corners(torch.full((60, 80), 0.4), points), points)
    noise = torch.rand(60, 80, generator=torch.Generator().manual_seed(0)) / 255
    assert (to_corners(noise, points) - points).abs().max() < 0.5


def test_none_leaves_the_image_and_none_may_be_no_keypoints() -> None:
    """Texture up to the edge, and an image that is smaller than the window."""
    generator = torch.Generator().manual_seed(0)
    for height, width in ((60, 80), (3, 4)):
        image = torch.rand(height, width, generator=generator)
        points = torch.rand(50, 2, generator=generator) * torch.tensor([width - 1, height - 1])
        moved = to_corners(image, points, 3)
        assert (moved >= 0).all() and (moved <= torch.tensor([width - 1, height - 1])).all()
        assert to_corners(image, torch.zeros(0, 2)).shape == (0, 2)
