"""What is exported computes what the networks compute."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from superslam_ros.models import graphs, superpoint
from superslam_ros.models.compact import CompactSuperPoint
from superslam_ros.models.superglue import KeypointSet, SuperGlue
from superslam_ros.models.superpoint import SuperPoint

EXTRACTORS = {'paper': SuperPoint, 'compact': CompactSuperPoint,
              'no finer channels': lambda: CompactSuperPoint((8, 16, 16, 24), 16, 32, 0, 0)}


@pytest.mark.parametrize('make', EXTRACTORS.values(), ids=EXTRACTORS)
def test_the_heads_of_an_extractor(make) -> None:
    torch.manual_seed(0)
    network, images = make().eval().requires_grad_(False), torch.rand(2, 1, 48, 80)
    graph = graphs.of_extractor(network)
    scores, descriptors = network(images)
    logits, raw = graph.module(images)
    assert logits.shape == (2, 65, 6, 10)
    torch.testing.assert_close(superpoint.score_map(logits), scores, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(F.normalize(raw, dim=1), descriptors, atol=1e-5, rtol=1e-5)


def test_an_example_is_followed_without_its_size() -> None:
    """In an image as wide as this one, a CPU would take strips of rows, as many as the example has."""
    network = SuperPoint().eval().requires_grad_(False)
    module, images = graphs.of_extractor(network).module, torch.rand(1, 1, 48, 2048)
    with torch.no_grad():
        followed = torch.jit.trace(module, images, check_trace=False)
        lower = images[:, :, :40]
        torch.testing.assert_close(followed(lower), module(lower), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('counts', [None, (12, 9)])
@pytest.mark.parametrize('size', [256, 32])
def test_the_assignment_of_a_matcher(counts: tuple[int, int] | None, size: int) -> None:
    torch.manual_seed(1)
    network = SuperGlue(2, size).eval().requires_grad_(False)
    graph = graphs.of_matcher(network, counts)
    names = ('keypoints', 'scores', 'descriptors', *(['mask'] if counts else []))
    assert [port.name for port in graph.inputs] == [f'{name}{side}' for side in '01' for name in names]
    half = len(graph.example) // 2
    expected = network(KeypointSet(*graph.example[:half]), KeypointSet(*graph.example[half:]))
    found = graph.module(*graph.example)
    torch.testing.assert_close(found.exp(), expected.exp(), atol=1e-5, rtol=1e-4)
    if counts:      # the last keypoint of either image is padding
        assert (found[0, -2] == -torch.inf).all() and (found[0, :, -2] == -torch.inf).all()
