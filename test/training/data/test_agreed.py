"""Corners that two views agree on."""

import torch
import torch.nn.functional as F

from superslam_ros.training.data import agreed
from superslam_ros.training.data.glue_pairs import HomographyViews

SHIFT = (5, 3)


def views(corners_px, shift=SHIFT):
    """Return a pair of flat views (gradients move nothing); the second is the first, moved by ``shift`` pixels."""
    scores = torch.full((2, 64, 96), 1e-4)
    for side, of in enumerate(corners_px):
        for x, y in of:
            scores[side, y, x] = 0.5
    cells = F.pixel_unshuffle(scores[:, None], 8)
    H = torch.eye(3)[None].clone()
    H[0, :2, 2] = torch.tensor([float(value) for value in shift])
    made = HomographyViews(torch.full((2, 1, 64, 96), 0.5), torch.tensor([[0, 1]]), H)
    return torch.cat([cells, 1 - cells.sum(1, keepdim=True)], 1), made


def score_map(cells):
    return F.pixel_shuffle(cells[:, :-1], 8)[:, 0]


def test_a_corner_lies_halfway_between_what_the_views_say():
    cells, made = views([[(30, 20)], [(37, 23)]])     # the second view says 2 px further to the right
    first, second = score_map(agreed.cells(cells, made))
    assert first[20, 31] > 0.55 and first[20, 30] < 0.05 and second[23, 36] > 0.55
    cells, made = views([[(30, 20)], [(36, 23)]])     # one: between two pixels
    first, _ = score_map(agreed.cells(cells, made))
    assert first[20, 30] > 0.25 and abs(first[20, 30] - first[20, 31]) < 1e-3


def test_a_corner_that_the_other_view_does_not_bear_out_counts_less():
    cells, made = views([[(30, 20), (94, 40)], []])
    first, _ = score_map(agreed.cells(cells, made))
    assert 0.2 < first[20, 30] < 0.3                  # it should be in the other view
    assert 0.45 < first[40, 94] < 0.55                # this one is outside of it


def test_distributions_stay_distributions():
    torch.manual_seed(0)
    cells, made = views([[], []])
    cells = torch.rand_like(cells).pow(8)
    cells = cells / cells.sum(1, keepdim=True)
    moved = agreed.cells(cells, made)
    assert moved.min() >= 0 and torch.allclose(moved.sum(1), torch.ones(2, 8, 12), atol=1e-5)
