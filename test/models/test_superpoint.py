"""SuperPoint against the implementation in transformers, and its decoding against what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from superslam_ros.models import superpoint
from superslam_ros.models.superpoint import SuperPoint


@pytest.fixture(scope='module')
def network() -> SuperPoint:
    """Return random weights, strong enough for peaked score maps."""
    torch.manual_seed(0)
    network = SuperPoint().eval().requires_grad_(False)
    for layer in network.children():
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
    return network


def random_image(height: int, width: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    """Return (B, 1, H, W) in [0, 1]."""
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(seed))


THEIR_HEADS = {
    'convPa': 'keypoint_decoder.conv_score_a', 'convPb': 'keypoint_decoder.conv_score_b',
    'convDa': 'descriptor_decoder.conv_descriptor_a', 'convDb': 'descriptor_decoder.conv_descriptor_b',
}


def in_transformers(network: SuperPoint, **options: float) -> torch.nn.Module:
    """Return the same weights in the network of transformers."""
    transformers = pytest.importorskip('transformers')
    theirs = transformers.SuperPointForKeypointDetection(transformers.SuperPointConfig(**options)).eval()
    state = {}
    for name, tensor in network.state_dict().items():
        layer, kind = name.split('.')
        block = f'encoder.conv_blocks.{int(layer[4]) - 1}.conv_{layer[5]}' if layer[4].isdigit() else ''
        state[f'{THEIR_HEADS.get(layer, block)}.{kind}'] = tensor
    theirs.load_state_dict(state)
    return theirs.requires_grad_(False)


def test_dense_scores_agree_with_transformers(network: SuperPoint) -> None:
    """The score map before and after suppression is theirs."""
    image = random_image(64, 96)
    scores, _ = network(image)
    for radius in (0, 4):
        theirs = in_transformers(network, nms_radius=radius)
        encoded = theirs.encoder(image).last_hidden_state
        expected = theirs.keypoint_decoder._get_pixel_scores(encoded)
        torch.testing.assert_close(superpoint.suppress(scores, radius), expected, atol=1e-5, rtol=1e-4)


def test_dense_descriptors_agree_with_transformers(network: SuperPoint) -> None:
    """The coarse descriptors are theirs."""
    image = random_image(64, 96)
    theirs = in_transformers(network)
    decoder = theirs.descriptor_decoder
    encoded = theirs.encoder(image).last_hidden_state
    dense = decoder.conv_descriptor_b(decoder.relu(decoder.conv_descriptor_a(encoded)))
    expected = torch.nn.functional.normalize(dense, dim=1)
    torch.testing.assert_close(network(image)[1], expected, atol=1e-5, rtol=1e-4)


def test_keypoints_agree_with_transformers(network: SuperPoint) -> None:
    """Pixels, scores and their order are theirs (whose border check is left out: it forgets right and bottom)."""
    image = random_image(64, 96)
    theirs = in_transformers(network, keypoint_threshold=0.02, border_removal_distance=0, max_keypoints=30)
    expected = theirs(image.expand(-1, 3, -1, -1))
    scores, descriptors = network(image)
    keypoints, confidences = superpoint.select(superpoint.suppress(scores, 4)[0], 0.02, 0, 30)
    assert len(keypoints) == 30
    torch.testing.assert_close(keypoints, expected.keypoints[0] * torch.tensor([96, 64]), atol=1e-3, rtol=0)
    torch.testing.assert_close(confidences, expected.scores[0], atol=1e-5, rtol=1e-4)
    # Their sampling stretches the grid a little: bring our positions to where they look.
    size = torch.tensor([96.0, 64.0])
    at = (keypoints - 3.5) / (size - 4.5) * (size - 8) + 3.5
    inside = ((at >= 3.5) & (at <= size - 4.5)).all(1)
    assert inside.sum() > 20
    ours = superpoint.sample_descriptors(descriptors, at[None])[0]
    torch.testing.assert_close(ours[inside], expected.descriptors[0][inside], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(('height', 'width'), [(64, 96), (61, 90), (57, 89), (16, 17)])
def test_any_size_is_the_padded_network_cropped(network: SuperPoint, height: int, width: int) -> None:
    """Padding repeats the last row and column, up to the next multiple of 8, and no further."""
    image = random_image(height, width)
    padded = superpoint.pad_to_cells(image)
    assert padded.shape[-2] == -(-height // 8) * 8 and padded.shape[-1] == -(-width // 8) * 8
    expected = np.pad(image[0, 0].numpy(), ((0, -height % 8), (0, -width % 8)), mode='edge')
    np.testing.assert_array_equal(padded[0, 0].numpy(), expected)
    assert network(padded)[0].shape == (1, *expected.shape)


def test_batch_equals_single(network: SuperPoint) -> None:
    """Images of a batch do not see each other."""
    images = random_image(40, 48, batch=3)
    scores, descriptors = network(images)
    for number in range(3):
        one_scores, one_descriptors = network(images[number:number + 1])
        torch.testing.assert_close(scores[number], one_scores[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(descriptors[number], one_descriptors[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('radius', [1, 3, 4])
def test_suppressed_maxima_keep_their_distance(radius: int) -> None:
    """No two survivors lie within the radius, and the highest pixel survives."""
    scores = random_image(60, 80)[0]
    peaks = superpoint.suppress(scores, radius)[0]
    pixels = torch.nonzero(peaks)
    apart = (pixels[:, None] - pixels[None]).abs().amax(-1) + 1000 * torch.eye(len(pixels), dtype=torch.long)
    assert len(pixels) > 10 and apart.min() > radius
    assert peaks.max() == scores.max()


def test_no_suppression_at_radius_zero() -> None:
    """Radius 0 leaves the map alone."""
    scores = random_image(8, 8)[0]
    assert torch.equal(superpoint.suppress(scores, 0), scores)


def test_select_respects_border_threshold_and_limit() -> None:
    """Pixels come strongest first, inside the border on all four sides, at most so many."""
    scores = random_image(30, 40)[0, 0]
    keypoints, values = superpoint.select(scores, 0.5, 5, 0)
    x, y = keypoints.T
    assert x.min() == 5 and x.max() == 34 and y.min() == 5 and y.max() == 24
    assert values.min() > 0.5 and (values.diff() <= 0).all()
    assert len(values) == (scores[5:25, 5:35] > 0.5).sum()
    torch.testing.assert_close(scores[y.long(), x.long()], values)
    few, few_values = superpoint.select(scores, 0.5, 5, 7)
    assert torch.equal(few, keypoints[:7]) and torch.equal(few_values, values[:7])


def test_select_of_nothing() -> None:
    """A flat map, and a border that meets itself, give no keypoints."""
    for scores, border in ((torch.zeros(20, 20), 0), (torch.ones(20, 20), 10), (torch.ones(20, 20), 64)):
        keypoints, values = superpoint.select(scores, 0.5, border, 10)
        assert keypoints.shape == (0, 2) and values.shape == (0,)
        assert superpoint.refine(scores, keypoints).shape == (0, 2)


def test_equal_scores_come_in_reading_order() -> None:
    """Ties are broken the same way every time."""
    scores = torch.zeros(9, 9)
    for row, column in ((2, 6), (2, 1), (7, 3)):
        scores[row, column] = 0.5
    assert superpoint.select(scores, 0.1, 0, 0)[0].tolist() == [[1, 2], [6, 2], [3, 7]]


def test_refine_finds_the_centre_of_a_blob() -> None:
    """A Gaussian's sub-pixel centre is found."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing='ij')
    for centre_x, centre_y in ((20.0, 20.0), (20.3, 19.8), (10.6, 30.4)):
        scores = torch.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * 0.6**2))
        start = torch.tensor([[round(centre_x), round(centre_y)]], dtype=torch.float32)
        moved = superpoint.refine(scores, start)[0]
        assert torch.allclose(moved, torch.tensor([centre_x, centre_y]), atol=0.03)


def test_refine_stays_near_also_at_the_edge() -> None:
    """No keypoint moves by more than the radius, nor out of the image."""
    scores = random_image(20, 30)[0, 0]
    corners = torch.tensor([[0, 0], [29, 0], [0, 19], [29, 19], [15, 10]], dtype=torch.float32)
    moved = superpoint.refine(scores, corners)
    assert (moved - corners).abs().max() <= 2
    assert (moved >= 0).all() and (moved <= torch.tensor([29, 19])).all()


def test_sampling_at_cell_centres_returns_the_map() -> None:
    """Pixel (8 j + 3.5, 8 i + 3.5) is cell (i, j); half way between two cells is their mean."""
    dense = torch.nn.functional.normalize(torch.randn(2, 256, 5, 7, generator=torch.Generator().manual_seed(0)), dim=1)
    i, j = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing='ij')
    centres = torch.stack([8 * j + 3.5, 8 * i + 3.5], -1).reshape(1, -1, 2).expand(2, -1, -1)
    sampled = superpoint.sample_descriptors(dense, centres)
    torch.testing.assert_close(sampled, dense.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-4)
    middle = superpoint.sample_descriptors(dense, torch.full((2, 1, 2), 7.5))[:, 0]
    mean = torch.nn.functional.normalize(dense[:, :, :2, :2].mean((2, 3)), dim=1)
    torch.testing.assert_close(middle, mean, atol=1e-5, rtol=1e-4)


def test_sampled_descriptors_have_unit_length_everywhere() -> None:
    """Also at the very corners of the image."""
    dense = torch.randn(1, 256, 3, 4, generator=torch.Generator().manual_seed(0))
    corners = torch.tensor([[[0, 0], [31, 0], [0, 23], [31, 23], [12.3, 4.5]]])
    sampled = superpoint.sample_descriptors(dense, corners)
    torch.testing.assert_close(sampled.norm(dim=-1), torch.ones(1, 5))


@pytest.mark.parametrize(('batch', 'height', 'width'), [(1, 64, 96), (2, 88, 64), (1, 40, 2048)])
def test_strips_compute_what_the_whole_image_does(
    network: SuperPoint, monkeypatch: pytest.MonkeyPatch, batch: int, height: int, width: int
) -> None:
    """Without gradients a CPU takes strips of rows; the seams cannot be seen."""
    image = random_image(height, width, batch=batch)
    monkeypatch.setattr(superpoint, 'STRIP_PIXELS', 18 * width * batch)
    widest = []
    hook = network.conv1a.register_forward_hook(lambda _, inputs, __: widest.append(inputs[0].shape[2]))
    with torch.inference_mode():
        strips = network.encode(image)
    assert len(widest) == -(-height // 18) and max(widest) <= 18 + 2 * superpoint.HALO
    widest.clear()
    with torch.enable_grad():
        whole = network.encode(image)
    hook.remove()
    assert widest == [height]
    assert strips.shape == whole.shape
    np.testing.assert_allclose(strips, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()))
