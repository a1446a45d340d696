"""Keypoints between pixels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from superslam_ros.models.subpixel import to_corners, to_peaks


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


def dots(shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return (120, 160) in [0, 1]: dark blobs and bright quarters, all moved by a (2,), and (N, 2) where they are."""
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing='ij')
    at = torch.cartesian_prod(torch.arange(20.0, 150, 24), torch.arange(20.0, 110, 24)) + shift
    image = torch.full((120, 160), 0.5)
    for number, (u, v) in enumerate(at):
        if number % 2:
            image -= 0.4 * (-((x - u).square() + (y - v).square()) / 8).exp()
        else:
            window = ((x - u).abs().maximum((y - v).abs()) < 9).float()
            image += 0.4 * window * torch.sigmoid(2 * (x - u)) * torch.sigmoid(2 * (y - v))
    return image, at


def test_peaks_stay_on_what_has_moved() -> None:
    """Corners and blobs moved by parts of a pixel, with noise, found wherever the detector put the keypoints: peaks
    move along to a quarter of a pixel, and more exactly than what corners draw.
    """
    generator = torch.Generator().manual_seed(0)
    apart: dict[str, list[Tensor]] = {'peaks': [], 'corners': []}
    for shift in torch.rand(6, 2, generator=generator):
        found: dict[str, list[Tensor]] = {'peaks': [], 'corners': []}
        for moved in (torch.zeros(2), shift):
            image, at = dots(moved)
            image = (image + torch.randn(image.shape, generator=generator) / 128).clamp(0, 1)
            pixels = (at + 3 * torch.rand(at.shape, generator=generator) - 1.5).round()
            found['peaks'].append(to_peaks(image, pixels, pixels) - moved)
            found['corners'].append(to_corners(image, pixels) - moved)
        for name, (first, second) in found.items():
            apart[name].append((first - second).norm(dim=1))
    median = {name: float(torch.cat(parts).median()) for name, parts in apart.items()}
    assert median['peaks'] < min(0.25, 0.5 * median['corners']), median


def test_peaks_where_there_is_nothing() -> None:
    """A keypoint stays in a flat image and at its corners; none leaves the image, and none may be none."""
    points = torch.tensor([[0.0, 0.0], [79.0, 59.0], [20.0, 10.0]])
    assert torch.equal(to_peaks(torch.full((60, 80), 0.4), points, points), points)
    generator = torch.Generator().manual_seed(0)
    for height, width in ((60, 80), (3, 4)):
        image, last = torch.rand(height, width, generator=generator), torch.tensor([width - 1, height - 1])
        pixels = (torch.rand(50, 2, generator=generator) * last).round()
        moved = to_peaks(image, pixels, pixels)
        assert (moved >= 0).all() and (moved <= last).all() and moved.isfinite().all()
        assert to_peaks(image, torch.zeros(0, 2), torch.zeros(0, 2)).shape == (0, 2)


def test_the_same_image_gives_the_same_bytes_turned_by_a_quarter_the_same_places() -> None:
    """Nothing depends on the order of the axes but for rounding."""
    image, at = dots(torch.tensor([0.2, 0.7]))
    pixels = at.round()
    moved = to_peaks(image, pixels, pixels)
    assert torch.equal(moved, to_peaks(image, pixels, pixels))
    turned = to_peaks(image.T.contiguous(), pixels.flip(1), pixels.flip(1)).flip(1)
    assert torch.allclose(moved, turned, atol=1e-3)
