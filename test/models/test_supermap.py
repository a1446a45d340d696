"""SuperMap: untrained it is SuperGlue fed with projected landmarks; what it keeps of a place does not change it."""

import numpy as np
import pytest
import torch

from superslam_ros.models import checkpoint, superglue, supermap
from superslam_ros.models.folded import FoldedSuperMap
from superslam_ros.models.superglue import KeypointSet, SuperGlue
from superslam_ros.models.supermap import ABOUT, Known, LandmarkSet, SuperMap

SIZE = 640, 480
K = torch.tensor([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])


def some_landmarks(count: int = 40, seed: int = 1) -> Known:
    """Return landmarks in front of a camera at the origin, which looked at them from near by."""
    torch.manual_seed(seed)
    points = torch.stack([torch.rand(count) * 4 - 2, torch.rand(count) * 2 - 1, torch.rand(count) * 4 + 3], 1)
    directions = torch.nn.functional.normalize(points - torch.tensor([0.3, 0.0, 0.0]), dim=1)
    return Known(points, torch.eye(3).expand(count, 3, 3) * 1e-4, directions, torch.ones(count), torch.ones(count) * 3,
                 torch.zeros(count))


def seen(known: Known, T=None) -> LandmarkSet:
    """Return (1, L, ...) landmarks as the network gets them, with descriptors of their own."""
    torch.manual_seed(2)
    descriptors = torch.nn.functional.normalize(torch.randn(len(known.points), 256), dim=1)
    keypoints, about = supermap.seen_from(torch.eye(4) if T is None else T, K, SIZE, known)
    return LandmarkSet(keypoints[None], descriptors[None], about[None])


def query(landmarks: LandmarkSet, noise: float = 0.03) -> KeypointSet:
    torch.manual_seed(3)
    order = torch.randperm(landmarks.keypoints.shape[1])[:30]
    descriptors = landmarks.descriptors[:, order] + noise * torch.randn(1, 30, 256)
    return KeypointSet(landmarks.keypoints[:, order] + 0.05, torch.rand(1, 30),
                       torch.nn.functional.normalize(descriptors, dim=2))


def shipped(fresh: int = supermap.FRESH) -> SuperMap:
    network = supermap.load(checkpoint.locate('superglue')).eval().requires_grad_(False)
    network.fresh = fresh
    return network


def test_landmarks_are_where_the_camera_projects_them():
    known = some_landmarks()
    keypoints, about = supermap.seen_from(torch.eye(4), K, SIZE, known)
    pixels = known.points @ K.T
    assert torch.allclose(keypoints, superglue.normalise(pixels[:, :2] / pixels[:, 2:], SIZE), atol=1e-6)
    assert about.shape == (40, len(ABOUT)) and about.isfinite().all()


def test_what_is_told_of_landmarks_knows_no_unit_of_length():
    known = some_landmarks()
    larger = known._replace(points=3 * known.points, covariance=9 * known.covariance)
    for one, other in zip(supermap.seen_from(torch.eye(4), K, SIZE, known),
                          supermap.seen_from(torch.eye(4), K, SIZE, larger)):
        assert torch.allclose(one, other, atol=1e-5)


def test_landmarks_beside_and_behind_the_view_stay_numbers():
    known = some_landmarks()._replace(points=torch.tensor([[0.0, 0, -2], [0, 0, 0], [9, 0, 0.1]]).repeat(14, 1)[:40])
    for part in supermap.seen_from(torch.eye(4), K, SIZE, known):
        assert part.isfinite().all() and part.abs().max() <= 5


def test_untrained_it_is_superglue_fed_with_projected_landmarks():
    """With self-attention fresh in every round, to the last bit of what rounding leaves."""
    network, glue = shipped(fresh=99), superglue.load(checkpoint.locate('superglue')).eval()
    landmarks = seen(some_landmarks())
    image = query(landmarks)
    with torch.no_grad():
        expected = glue(image, landmarks.as_keypoints())
        assert torch.allclose(network(image, network.remember(landmarks)), expected, atol=1e-4)
        # What is kept in place of the later rounds' self-attention changes little.
        kept = shipped()
        close = kept(image, kept.remember(landmarks))[:, :-1, :-1].exp()
    right = expected[:, :-1, :-1].exp() > 0.5
    assert right.sum() >= 25
    assert (right & (close > 0.3)).sum() >= 0.9 * right.sum()


def test_first_rounds_do_not_depend_on_what_is_kept():
    landmarks = seen(some_landmarks())
    image = query(landmarks)
    all_fresh, two = shipped(99), shipped(2)
    first, second = (network(image, network.remember(landmarks), depths=(0, 1, 3)) for network in (all_fresh, two))
    assert torch.allclose(first[0], second[0], atol=1e-4) and torch.allclose(first[1], second[1], atol=1e-4)
    assert not torch.allclose(first[2], second[2], atol=1e-2)


@pytest.mark.parametrize('fresh', [1, 2, 4])
def test_folded_network_computes_the_same(fresh):
    network = shipped(fresh)
    torch.nn.init.normal_(network.landmarks.layers[-1].weight, std=0.1)
    landmarks = seen(some_landmarks())
    image = query(landmarks)
    folded = FoldedSuperMap(network)
    assert torch.allclose(folded(image, folded.remember(landmarks)), network(image, network.remember(landmarks)),
                          atol=1e-3)


def test_masked_landmarks_have_no_say():
    network, landmarks = shipped(), seen(some_landmarks())
    image = query(landmarks)
    mask = torch.arange(40)[None] < 33
    part = LandmarkSet(*(one[:, :33] for one in landmarks[:3]))
    alone = network(image, network.remember(part))
    masked = network(image, network.remember(landmarks._replace(mask=mask)))
    assert torch.allclose(masked[:, :, :33], alone[:, :, :33], atol=1e-4)
    assert (masked[:, :, 33:-1] == -torch.inf).all()


def test_weights_are_written_and_read(tmp_path):
    torch.manual_seed(0)
    network = SuperMap(rounds=2, size=64)
    torch.nn.init.normal_(network.landmarks.layers[-1].weight)
    checkpoint.save(network.state_dict(), tmp_path / 'map.safetensors')
    again = supermap.load(tmp_path / 'map.safetensors')
    assert (again.glue.rounds, again.glue.size) == (2, 64)
    for name, tensor in network.state_dict().items():
        np.testing.assert_allclose(again.state_dict()[name], tensor, rtol=2e-3, atol=1e-6)


def test_weights_of_another_network_are_refused(tmp_path):
    state = SuperMap(rounds=1, size=64).state_dict()
    del state['glue.bin_score']
    checkpoint.save(state, tmp_path / 'part.safetensors')
    with pytest.raises(ValueError, match=r'part\.safetensors.*glue\.bin_score'):
        supermap.load(tmp_path / 'part.safetensors')
    with pytest.raises(ValueError, match=r'compact\.safetensors'):
        supermap.load(checkpoint.locate('superpoint'))


def test_normalisation_stays_as_it_is_while_training():
    network = SuperMap(rounds=1, size=64).train()
    assert network.training and not any(
        module.training for module in network.modules() if isinstance(module, torch.nn.BatchNorm1d))
    assert isinstance(network.glue, SuperGlue)
