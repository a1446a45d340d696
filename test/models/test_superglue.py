"""SuperGlue against the implementation in transformers, and padded batches against single pairs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from superslam_ros.models import checkpoint, superglue, transport
from superslam_ros.models.superglue import KeypointSet, SuperGlue

SIZE = (640, 480)


@pytest.fixture(scope='module')
def network() -> SuperGlue:
    """Return random weights and batch statistics, strong enough to tell pairs apart."""
    torch.manual_seed(0)
    network = SuperGlue().eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
    network.final_proj.weight.mul_(8)
    network.bin_score.fill_(2.3)
    return network


def random_set(count: int, seed: int) -> KeypointSet:
    """Return one image's keypoints."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 2, generator=generator) * torch.tensor(SIZE)
    descriptors = torch.nn.functional.normalize(torch.randn(count, 256, generator=generator), dim=1)
    return KeypointSet(
        superglue.normalise(pixels, SIZE), torch.rand(count, generator=generator), descriptors)


# Channel 64 h + d of transformers' head h is channel 4 d + h of the published weights.
BY_HEAD = torch.arange(256).reshape(64, 4).T.reshape(-1)


def theirs_name(name: str) -> str:
    """Return the name in transformers of one of our tensors (the attention's apart)."""
    parts = name.split('.')
    if parts[0] == 'kenc':
        head, index, depth = 'keypoint_encoder.encoder', int(parts[2]), 4
    elif parts[0] == 'gnn':
        head, index, depth = f'gnn.layers.{parts[2]}.mlp', int(parts[4]), 1
    elif parts[0] == 'final_proj':
        return f'final_projection.final_proj.{parts[1]}'
    else:
        return name
    block, kind = divmod(index, 3)
    if block == depth:
        return f'{head}.{block}.{parts[-1]}'
    return f'{head}.{block}.{"batch_norm" if kind else "linear"}.{parts[-1]}'


def converted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our state under transformers' names, with its order of heads."""
    result = {}
    for name, tensor in state.items():
        tensor = tensor.squeeze(-1) if tensor.dim() == 3 else tensor
        parts = name.split('.')
        if '.attn.proj.' in name:
            role = ('query', 'key', 'value')[int(parts[5])]
            result[f'gnn.layers.{parts[2]}.attention.self.{role}.{parts[6]}'] = tensor[BY_HEAD]
        elif '.attn.merge.' in name:
            tensor = tensor[:, BY_HEAD] if tensor.dim() == 2 else tensor
            result[f'gnn.layers.{parts[2]}.attention.output.dense.{parts[5]}'] = tensor
        else:
            result[theirs_name(name)] = tensor
    return result


def in_transformers(network: SuperGlue) -> torch.nn.Module:
    """Return the same weights in the network of transformers."""
    transformers = pytest.importorskip('transformers')
    theirs = transformers.SuperGlueForKeypointMatching(transformers.SuperGlueConfig()).eval()
    missing, unexpected = theirs.load_state_dict(converted(network.state_dict()), strict=False)
    assert not unexpected
    assert all(name.startswith('keypoint_detector.') for name in missing)
    return theirs.requires_grad_(False)


def test_log_assignment_agrees_with_transformers(network: SuperGlue) -> None:
    """Encoder, attention, projection and optimal transport give theirs."""
    theirs = in_transformers(network)
    from transformers.models.superglue import modeling_superglue

    sets = [random_set(40, 1), random_set(40, 2)]
    both = KeypointSet(*(torch.stack(part) for part in list(zip(*sets))[:3]))
    encoded = theirs.keypoint_encoder(both.keypoints, both.scores)[0]
    final = theirs.final_projection(theirs.gnn(both.descriptors + encoded)[0])
    scores = (final[:1] @ final[1:].transpose(1, 2)) / 16
    expected = modeling_superglue.log_optimal_transport(scores, theirs.bin_score, iterations=25)
    ours = network(*(superglue.pad_sets([one]) for one in sets), iterations=25)
    assert expected[0, :-1, :-1].std() > 0.1
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_normalise_agrees_with_transformers() -> None:
    """Positions are centred and scaled as theirs, in either orientation."""
    pytest.importorskip('transformers')
    from transformers.models.superglue.modeling_superglue import normalize_keypoints

    pixels = torch.rand(1, 9, 2) * 400
    for width, height in ((640, 480), (300, 700)):
        torch.testing.assert_close(
            superglue.normalise(pixels, (width, height)), normalize_keypoints(pixels, height, width))


def test_padded_batch_equals_single_pairs(network: SuperGlue) -> None:
    """Pairs of different counts share a batch without seeing each other's padding."""
    counts = [(30, 20), (7, 33), (1, 1), (33, 5)]
    pairs = [(random_set(n, 10 + n), random_set(m, 50 + m)) for n, m in counts]
    batch = network(*(superglue.pad_sets([pair[side] for pair in pairs]) for side in (0, 1)))
    for number, (n, m) in enumerate(counts):
        single = network(*(superglue.pad_sets([one]) for one in pairs[number]))[0]
        padded = batch[number]
        real = torch.cat([padded[:n], padded[-1:]])
        real = torch.cat([real[:, :m], real[:, -1:]], 1)
        torch.testing.assert_close(real, single, atol=1e-4, rtol=1e-3)
        assert torch.isneginf(padded[n:-1]).all() and torch.isneginf(padded[:, m:-1]).all()


def test_padding_holds_no_gradient(network: SuperGlue) -> None:
    """Training on padded batches: gradients are finite, and zero at what is padded."""
    sets = [superglue.pad_sets([random_set(5, 1), random_set(9, 2)]) for _ in range(2)]
    descriptors = sets[0].descriptors.clone().requires_grad_(True)
    assignment = network(sets[0]._replace(descriptors=descriptors), sets[1])
    assignment[:, :5, :5].exp().sum().backward()
    assert torch.isfinite(descriptors.grad).all() and descriptors.grad[0, :5].abs().sum() > 0
    assert (descriptors.grad[0, 5:] == 0).all()


@pytest.mark.parametrize('counts', [(0, 5), (5, 0), (0, 0)])
def test_images_without_keypoints(network: SuperGlue, counts: tuple[int, int]) -> None:
    """Alone or in a batch, an empty side sends the other to the dustbin, without a NaN in loss or gradient."""
    alone = [superglue.pad_sets([random_set(count, 1)]) for count in counts]
    assert not torch.isnan(network(*alone)).any()
    both = [superglue.pad_sets([random_set(count, 1), random_set(7, 2 + side)]) for side, count in enumerate(counts)]
    descriptors = both[0].descriptors.clone().requires_grad_(True)
    empty, other = network(both[0]._replace(descriptors=descriptors), both[1])
    assert not torch.isnan(empty).any() and torch.isneginf(empty[:-1, :-1]).all()
    torch.testing.assert_close(empty[:counts[0], -1], torch.zeros(counts[0]), atol=1e-4, rtol=0)
    expected = network(*(superglue.pad_sets([random_set(7, 2 + side)]) for side in (0, 1)))[0]
    torch.testing.assert_close(other[:7, :7], expected[:7, :7], atol=1e-4, rtol=1e-3)
    (other[:7, :7].sum() + empty[:counts[0], -1].sum()).backward()
    assert torch.isfinite(descriptors.grad).all()


def test_order_of_keypoints_does_not_matter(network: SuperGlue) -> None:
    """Permuted keypoints give the permuted assignment; swapped images the transposed one (when converged)."""
    first, second = random_set(12, 1), random_set(15, 2)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    shuffled = KeypointSet(*(part[order] for part in first[:3]))
    plain = network(superglue.pad_sets([first]), superglue.pad_sets([second]), iterations=100)[0]
    permuted = network(superglue.pad_sets([shuffled]), superglue.pad_sets([second]), iterations=100)[0]
    swapped = network(superglue.pad_sets([second]), superglue.pad_sets([first]), iterations=100)[0]
    torch.testing.assert_close(permuted[:-1], plain[:-1][order], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(swapped.T, plain, atol=1e-2, rtol=1e-2)


def test_attention_without_the_fused_kernel(network: SuperGlue, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch before 2.0 attends by the same formula."""
    sets = [superglue.pad_sets([random_set(5, 1), random_set(9, 2)]) for _ in range(2)]
    expected = network(*sets)
    monkeypatch.delattr(torch.nn.functional, 'scaled_dot_product_attention')
    torch.testing.assert_close(network(*sets), expected, atol=1e-4, rtol=1e-3)


def test_depths_end_with_the_default(network: SuperGlue) -> None:
    """Deep supervision returns one assignment by depth; the last is the network's answer."""
    sets = [superglue.pad_sets([random_set(8, seed)]) for seed in (1, 2)]
    early, last = network(*sets, depths=(0, 8))
    torch.testing.assert_close(last, network(*sets))
    assert not torch.allclose(early, last, atol=1e-2)


def test_begins_as_nearest_neighbour() -> None:
    """The untrained network already finds equal descriptors, wherever they are."""
    network = SuperGlue().eval()
    network.begin_as_nearest()
    first = random_set(30, 1)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    second = random_set(30, 2)._replace(descriptors=first.descriptors[order])
    with torch.no_grad():
        log_assignment = network(superglue.pad_sets([first]), superglue.pad_sets([second]))[0]
    index0, index1, scores = superglue.mutual_matches(log_assignment[:-1, :-1].exp(), 0.5)
    assert torch.equal(order[index1], index0) and len(index0) == 30 and (scores > 0.5).all()


def test_a_lean_network_begins_as_nearest_neighbour_of_what_it_keeps() -> None:
    """Of descriptors that lie in few directions, it keeps those: similarities are what they were."""
    generator = torch.Generator().manual_seed(4)
    few = torch.nn.functional.normalize(torch.randn(40, 64, generator=generator), dim=1)
    turn = torch.linalg.qr(torch.randn(256, 256, generator=generator))[0]
    descriptors = few @ turn[:64]
    network = SuperGlue(2, 64).eval()
    network.begin_as_nearest(descriptors=descriptors)
    sets = [superglue.pad_sets([random_set(40, seed)._replace(descriptors=descriptors)]) for seed in (1, 2)]
    with torch.no_grad():
        log_assignment = network(*sets)
    expected = transport.log_optimal_transport(20 * (few @ few.T)[None], torch.tensor(8.0), 20)
    torch.testing.assert_close(log_assignment, expected, atol=1e-3, rtol=1e-3)


def test_mutual_matches() -> None:
    """Only pairs that prefer each other and are sure enough."""
    assignment = torch.tensor([[0.9, 0.05, 0.0], [0.8, 0.1, 0.0], [0.0, 0.3, 0.15]])
    index0, index1, scores = superglue.mutual_matches(assignment, 0.2)
    assert index0.tolist() == [0, 2] and index1.tolist() == [0, 1]
    assert scores.tolist() == pytest.approx([0.9, 0.3])
    assert len(superglue.mutual_matches(assignment, 0.95)[0]) == 0


@pytest.mark.parametrize('rounds, size', [(2, 256), (9, 256), (3, 128), (1, 64)])
def test_a_checkpoint_says_how_many_layers_and_channels_it_has(tmp_path: Path, rounds: int, size: int) -> None:
    """A lean network is loaded like the paper's."""
    torch.manual_seed(0)
    network = SuperGlue(rounds, size).eval()
    checkpoint.save(network.state_dict(), tmp_path / 'weights.safetensors')
    loaded = superglue.load(tmp_path / 'weights.safetensors').eval()
    sets = [superglue.pad_sets([random_set(8, seed)]) for seed in (1, 2)]
    assert (loaded.rounds, loaded.size) == (rounds, size)
    torch.testing.assert_close(loaded(*sets), network(*sets), atol=0.05, rtol=0.05)    # weights are fp16


def test_what_is_no_superglue_is_refused_by_name(tmp_path: Path) -> None:
    """Half a round, or none at all; a lean network without its projection, or of channels that heads cannot share."""
    lean = SuperGlue(1, 128).state_dict()
    for number, state in enumerate((
            {'weight': torch.zeros(1)},
            {name: tensor for name, tensor in SuperGlue(2).state_dict().items() if 'layers.3' not in name},
            {name: tensor for name, tensor in lean.items() if name != 'input_proj.weight'},
            {**lean, 'final_proj.weight': torch.zeros(126, 126, 1)})):
        path = tmp_path / f'{number}.safetensors'
        checkpoint.save(state, path)
        with pytest.raises(ValueError, match=f'{number}.safetensors is not (a|this) SuperGlue'):
            superglue.load(path)


@pytest.mark.parametrize('size', [256, 128])
def test_transport_is_float32_under_autocast(size: int) -> None:
    """Equal descriptors stay apart from near ones when the layers compute in bfloat16."""
    network = SuperGlue(2, size).eval()
    network.begin_as_nearest()
    sets = [superglue.pad_sets([random_set(20, seed)]) for seed in (1, 2)]
    with torch.no_grad():
        exact = network(*sets)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed = network(*sets)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, atol=1e-4, rtol=1e-4)
