"""Synthetic shapes: exact, seeded, and only visible corners are labels."""

import torch

from superslam_ros.training.data import shapes
from superslam_ros.training.random import Rng


def test_same_seed_same_pictures():
    first, second = (shapes.render(16, 64, 96, Rng(4)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.corners, second.corners)


def test_every_kind_is_drawn_and_only_shapes_with_corners_have_labels():
    made = shapes.render(200, 64, 96, Rng(0))
    for index, kind in enumerate(shapes.KINDS):
        chosen = made.kinds == index
        assert chosen.any(), kind
        assert bool(made.valid[chosen].any()) == (kind not in ('ellipses', 'noise')), kind
    assert made.images.min() >= 0 and made.images.max() <= 1


def test_labels_lie_where_a_corner_detector_sees_corners():
    made = shapes.render(64, 120, 160, Rng(1))
    boards = made.kinds == shapes.KINDS.index('checkerboard')
    errors = []
    for image, corners, valid in zip(made.images[boards, 0], made.corners[boards], made.valid[boards]):
        # A saddle is where the image equals its own point reflection; look for the best shift.
        for x, y in corners[valid].tolist():
            if not (12 < x < 148 and 12 < y < 108):
                continue
            errors.append(_saddle_offset(image, x, y))
    assert len(errors) > 20
    assert torch.tensor(errors).median() < 0.5


def _saddle_offset(image, x, y):
    steps = torch.linspace(-1.5, 1.5, 13)
    dy, dx = torch.meshgrid(torch.arange(-4.0, 5.0), torch.arange(-4.0, 5.0), indexing='ij')
    scores = []
    for sy in steps:
        for sx in steps:
            patch = _bilinear(image, x + sx + dx, y + sy + dy)
            scores.append(((patch - patch.flip(0, 1)) ** 2).mean())
    best = int(torch.stack(scores).argmin())
    return float(torch.hypot(steps[best // 13], steps[best % 13]))


def _bilinear(image, x, y):
    left, top = x.floor().long(), y.floor().long()
    fx, fy = x - left, y - top
    return ((image[top, left] * (1 - fx) + image[top, left + 1] * fx) * (1 - fy)
            + (image[top + 1, left] * (1 - fx) + image[top + 1, left + 1] * fx) * fy)


def test_a_corner_under_a_later_polygon_is_no_label():
    square = torch.tensor([[10.0, 10], [30, 10], [30, 30], [10, 30]])
    distance = shapes._inside_distance(square[None], torch.tensor([[[20.0, 20], [30, 20], [35, 20], [20, 5]]]))
    assert torch.allclose(distance, torch.tensor([[-10.0, 0, 5, 5]]))


def test_all_seven_corners_of_a_cube_are_labels():
    made = shapes.render(300, 120, 160, Rng(6))
    seen = made.valid[made.kinds == shapes.KINDS.index('cube')].sum(1)
    assert seen.max() == 7 and (seen == 7).float().mean() > 0.5


def test_a_corner_that_looks_like_what_is_below_is_no_label():
    below = 0.5 + 0.1 * Rng(0).normal(1, 40, 60)
    alpha = torch.zeros(1, 40, 60)
    alpha[0, 10:30, 10:50] = 1
    corners = torch.tensor([[[10.0, 10], [49, 10], [49, 29], [10, 29]]])
    for step, seen in ((0.15, True), (0.0, False)):
        above = 0.5 + step + 0.1 * Rng(1).normal(1, 40, 60)
        assert (shapes._stands_out((above - below) * alpha, alpha, corners) == seen).all()


def test_cell_labels_name_the_pixel_of_the_cell():
    corners = torch.tensor([[[3.2, 1.9], [9.0, 0.0], [12.0, 4.0], [-5.0, 3.0]]])
    valid = torch.tensor([[True, True, True, True]])
    labels = shapes.cell_labels(corners, valid, 16, 24)
    assert labels.shape == (1, 2, 3)
    assert labels[0, 0].tolist() == [2 * 8 + 3, 1, 64]      # the first of two in the second cell
    assert (labels[0, 1] == 64).all()
