"""The corner network of boards: darkness is nothing special to it, and its peaks lie between pixels."""

import numpy as np
import pytest
import torch

from superslam_ros.models import board_refine, checkpoint
from superslam_ros.models.board_corners import BoardCorners, normalised, peaks
from superslam_ros.models.board_refine import BoardRefine


def texture(height=64, width=80):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.random((1, 1, height, width), np.float32))


def test_a_dark_image_is_normalised_like_a_bright_one():
    image = texture()
    for other in (0.2 * image, 0.3 * image + 0.5):
        assert (normalised(other) - normalised(image)).abs().max() < 0.15
    assert normalised(image).shape == (1, 8, 32, 40)


def test_a_shadow_is_taken_out_by_what_is_around():
    image = texture(128, 256)
    shaded = image.clone()
    shaded[..., 128:] *= 0.1
    lit, shadow = (normalised(shaded)[:, 4:, :, part].std() for part in (slice(0, 30), slice(98, 128)))
    assert shadow > 0.4 * lit
    assert normalised(shaded)[:, :4, :, 98:].std() < 0.15 * normalised(shaded)[:, :4, :, :30].std()


def test_an_even_image_has_no_corner_and_no_nan():
    assert torch.isfinite(normalised(torch.full((1, 1, 16, 16), 0.5))).all()


@pytest.mark.parametrize('at', [(20.0, 30.0), (20.4, 30.5), (2.0, 45.8)])
def test_a_peak_is_where_the_probability_is(at):
    y, x = np.mgrid[:48, :64].astype(np.float32)
    scores = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2).astype(np.float32)
    scores /= scores.sum()
    pixels, (score,), (sigma,) = peaks(scores)
    assert np.allclose(pixels, [at], atol=0.1)
    assert 0.3 < score <= 1 and 0.6 < sigma < 1.2


def test_peaks_come_the_best_first_and_the_weak_not_at_all():
    scores = np.zeros((40, 40), np.float32)
    scores[5, 5], scores[20, 30], scores[30, 10] = 0.5, 0.9, 0.05
    pixels, found, _ = peaks(scores)
    assert pixels.round().tolist() == [[30, 20], [5, 5]]
    assert found[0] > found[1]
    assert [len(part) for part in peaks(np.zeros((16, 16), np.float32))] == [0, 0, 0]


@pytest.mark.parametrize('network, kind', [(BoardCorners((4, 4, 8, 8)), BoardCorners),
                                           (BoardRefine((4, 8, 8)), BoardRefine)])
def test_the_widths_of_a_network_are_those_of_its_file(tmp_path, network, kind):
    path = tmp_path / 'weights.safetensors'
    checkpoint.save(network.state_dict(), path)
    loaded = checkpoint.load_like(kind, path)
    assert not loaded.training
    assert all(torch.equal(tensor, network.state_dict()[name].half().float())
               for name, tensor in loaded.state_dict().items())


@pytest.mark.parametrize('kind', [BoardCorners, BoardRefine])
def test_another_network_is_refused_by_the_name_of_its_file(tmp_path, kind):
    checkpoint.save({'conv1a.weight': torch.zeros(2)}, tmp_path / 'other.safetensors')
    with pytest.raises(ValueError, match=r'other\.safetensors'):
        checkpoint.load_like(kind, tmp_path / 'other.safetensors')


@pytest.mark.parametrize('step', [0.5, 1.0, 1.7, 2.0, 4.0])
def test_a_patch_shows_what_is_around_its_middle(step):
    y, x = torch.meshgrid(torch.arange(200.0), torch.arange(240.0), indexing='ij')
    levels = board_refine.pyramid(x + 1000 * y)
    patch = board_refine.cut(levels, torch.tensor([[100.25, 90.5]]), torch.tensor([step]))[0, 0]
    along = (torch.arange(24) - 11.5) * step
    assert torch.allclose(patch, 100.25 + along + 1000 * (90.5 + along)[:, None], rtol=1e-4)


def test_offsets_and_their_spread_are_bounded_in_what_they_mean():
    torch.manual_seed(0)
    offsets, spread, logits = BoardRefine()(torch.rand(3, 1, 24, 24) * 100)
    assert offsets.shape == (3, 2) and spread.shape == logits.shape == (3,)
    assert (spread >= -4).all() and (spread <= 2).all()
