"""Matching by nearest neighbours and by SuperGlue."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from superslam_ros.data import Features
from superslam_ros.models import checkpoint, precision
from superslam_ros.models.superglue import SuperGlue
from superslam_ros.models.superpoint import SuperPoint
from superslam_ros.slam.extract import ExtractorConfig
from superslam_ros.slam.match import SAME_PX, Matcher, MatcherConfig, neighbours, warn_of_strangers

SIZE = (320, 240)


def test_a_superglue_of_another_superpoint_is_said(tmp_path, caplog):
    points, glue = tmp_path / 'points.safetensors', tmp_path / 'glue.safetensors'
    checkpoint.save(SuperPoint().state_dict(), points)
    known = hashlib.sha256(points.read_bytes()).hexdigest()
    checkpoint.save({'a': torch.zeros(1)}, glue, {'superpoint_sha256': known})
    matcher = MatcherConfig(matcher='superglue', weights=str(glue))
    warn_of_strangers(ExtractorConfig(weights=str(points)), matcher)
    warn_of_strangers(ExtractorConfig(), MatcherConfig(matcher='superglue'))         # the two that are shipped
    for name in ('superglue', 'superglue_lean'):                                     # descriptors of one space
        warn_of_strangers(ExtractorConfig(weights='compact'), MatcherConfig(matcher='superglue', weights=name))
    warn_of_strangers(ExtractorConfig(weights=str(points)), MatcherConfig())
    assert not caplog.text
    warn_of_strangers(ExtractorConfig(), matcher)
    assert 'glue.safetensors was trained on another SuperPoint' in caplog.text


def test_descriptors_that_are_untrained_are_said(caplog):
    warn_of_strangers(ExtractorConfig(weights='magicpoint'), MatcherConfig())
    assert 'magicpoint.safetensors finds keypoints, but has not learnt to describe them' in caplog.text


def random_features(count: int, seed: int, size: int = 256) -> Features:
    """Return features at random places."""
    random = np.random.default_rng(seed)
    descriptors = random.normal(size=(count, size))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(random.uniform(0, 200, (count, 2)), np.linspace(1, 0.1, count), descriptors, SIZE)


def reordered(features: Features, order: np.ndarray, noise: float = 0.0) -> Features:
    """Return the same points in another order, somewhere else, with noisy descriptors."""
    descriptors = features.descriptors[order]
    descriptors = descriptors + noise * np.random.default_rng(0).normal(size=descriptors.shape)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Features(features.keypoints[order] + 3, features.scores[order], descriptors, SIZE)


def repeated(features: Features, away_px: float) -> Features:
    """Return the features twice, the second time ``away_px`` farther right."""
    both = np.vstack([features.keypoints, np.add(features.keypoints, [away_px, 0])])
    return Features(both, np.tile(features.scores, 2), np.tile(features.descriptors, (2, 1)), SIZE)


@pytest.fixture(scope='module')
def superglue_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file of SuperGlue weights that match equal descriptors."""
    torch.manual_seed(0)
    network = SuperGlue()
    network.begin_as_nearest()
    path = tmp_path_factory.mktemp('weights') / 'superglue.safetensors'
    checkpoint.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(params=['nearest', 'superglue'])
def matcher(request: pytest.FixtureRequest, superglue_weights: str) -> Matcher:
    """Return either matcher."""
    weights = superglue_weights if request.param == 'superglue' else ''
    return Matcher(MatcherConfig(matcher=request.param, weights=weights, device='cpu'))


def test_finds_the_same_points(matcher: Matcher) -> None:
    """Every point is found in its new place, with its pixels."""
    first = random_features(60, 1)
    order = np.random.default_rng(2).permutation(60)[:45]
    second = reordered(first, order, noise=0.01)
    matches = matcher(first, second)
    assert len(matches) == 45
    np.testing.assert_array_equal(order[matches.indices[:, 1]], matches.indices[:, 0])
    np.testing.assert_array_equal(matches.keypoints0, first.keypoints[matches.indices[:, 0]])
    np.testing.assert_allclose(matches.keypoints1, matches.keypoints0 + 3)
    assert matches.scores.dtype == np.float32 and (matches.scores > 0.5).all() and (matches.scores <= 1).all()
    assert len(set(matches.indices[:, 0])) == len(set(matches.indices[:, 1])) == 45


def test_strangers_do_not_match(matcher: Matcher) -> None:
    """Random descriptors have nothing to say to each other."""
    assert len(matcher(random_features(50, 1), random_features(50, 2))) == 0


@pytest.mark.parametrize('counts', [(0, 0), (0, 5), (5, 0), (1, 1), (1, 5), (5, 1)])
def test_few_or_no_keypoints(matcher: Matcher, counts: tuple[int, int]) -> None:
    """No keypoints give no matches, and one equal pair gives one."""
    first, second = random_features(counts[0], 1), random_features(counts[1], 1)
    matches = matcher(first, second)
    assert matches.indices.shape == (min(counts), 2) and matches.indices.dtype == np.int64
    assert matches.keypoints0.shape == matches.keypoints1.shape == (min(counts), 2)


def test_batch_equals_single(matcher: Matcher) -> None:
    """Pairs of different counts, one empty, give the same together as alone."""
    pairs = []
    for seed, count in enumerate((20, 0, 33, 1)):
        first = random_features(count, seed)
        pairs.append((first, reordered(first, np.random.default_rng(seed).permutation(count), noise=0.02)))
    for together, pair in zip(matcher.batch(pairs), pairs):
        alone = matcher(*pair)
        np.testing.assert_array_equal(together.indices, alone.indices)
        np.testing.assert_allclose(together.scores, alone.scores, atol=1e-4)
    assert matcher.batch([]) == []


def test_descriptors_that_cannot_be_compared(matcher: Matcher) -> None:
    """NaN and other lengths are refused, saying which side."""
    good, bad = random_features(5, 1), random_features(5, 2)
    bad.descriptors[3, 7] = np.nan
    with pytest.raises(ValueError, match='image 1 hold NaN'):
        matcher(good, bad)
    with pytest.raises(ValueError, match='image 0 hold NaN'):
        matcher(bad, good)
    with pytest.raises(ValueError, match=r'256 values.*128'):
        matcher(good, random_features(5, 3, size=128))


def test_superglue_wants_superpoint_descriptors(superglue_weights: str) -> None:
    """Descriptors of another length than the network's are refused in words."""
    matcher = Matcher(MatcherConfig(matcher='superglue', weights=superglue_weights, device='cpu'))
    with pytest.raises(ValueError, match=r'128.*256'):
        matcher(random_features(5, 3, size=128), random_features(5, 3, size=128))


def test_nearest_tests() -> None:
    """Similarity and ratio each refuse what they should."""
    first = random_features(30, 1)
    twice = repeated(first, 300)
    other = reordered(first, np.arange(30), noise=0.05)
    assert len(Matcher(MatcherConfig(device='cpu'))(other, twice)) == 0
    assert len(Matcher(MatcherConfig(device='cpu', ratio=1.0))(other, twice)) == 30
    assert len(Matcher(MatcherConfig(device='cpu', min_similarity=0.999))(first, other)) == 0
    assert len(Matcher(MatcherConfig(device='cpu'))(first, other)) == 30


def test_equal_descriptors_are_not_told_apart() -> None:
    """A pattern that repeats exactly has no clear neighbour, also when the distance to it is zero."""
    first = random_features(30, 1)
    twice = repeated(first, 300)
    matcher = Matcher(MatcherConfig(device='cpu'))
    assert len(matcher(first, twice)) == len(matcher(twice, first)) == 0
    assert (matcher(first, first).scores > 0.99).all() and len(matcher(first, first)) == 30


def test_what_lies_at_the_same_place_is_no_rival() -> None:
    """A corner that two octaves have found is matched by one of its two keypoints."""
    first = random_features(30, 1)
    matcher = Matcher(MatcherConfig(device='cpu'))
    for there in (matcher(first, repeated(first, 2)), matcher(repeated(first, 2), first)):
        assert len(there) == 30 and (np.linalg.norm(there.keypoints0 - there.keypoints1, axis=1) < 2.1).all()
    assert len(matcher(first, repeated(first, 5))) == 0


@pytest.mark.parametrize('spread', [[0.0, 300.0], [40.0, 40.0], [3.0, 2000.0], [0.0, 0.0]])
def test_neighbours_are_those_of_all_distances(spread: list[float]) -> None:
    """Each has itself and those nearer than 4 px, also on one vertical line or in one heap."""
    points = (np.random.default_rng(0).uniform(0, 1, (150, 2)) * spread).astype(np.float32)
    table, real = neighbours(points)
    dense = np.linalg.norm(points[:, None] - points[None], axis=2) < SAME_PX
    found = np.zeros_like(dense)
    np.put_along_axis(found, table, True, 1)
    np.testing.assert_array_equal(found, dense)
    np.testing.assert_array_equal(real.sum(1), dense.sum(1))
    assert (table[~real] == np.nonzero(~real)[0]).all()


def test_nearest_neighbours_are_those_of_the_formula() -> None:
    """Mutual, similar, and clearer than any rival elsewhere: with dense masks of what lies at the same place."""
    first = random_features(150, 1)
    second = reordered(first, np.random.default_rng(3).permutation(150), noise=0.06)
    for features in (first, second):
        features.keypoints[100:] = features.keypoints[:50] + 1.5
        again = features.descriptors[:50] + 0.02 * np.random.default_rng(4).normal(size=(50, 256))
        features.descriptors[100:] = again / np.linalg.norm(again, axis=1, keepdims=True)
    similarity = first.descriptors @ second.descriptors.T
    same = [np.linalg.norm(one.keypoints[:, None] - one.keypoints[None], axis=2) < SAME_PX for one in (first, second)]
    expected = {}
    for i, j in enumerate(similarity.argmax(1)):
        rival = max(similarity[i, ~same[1][j]].max(), similarity[~same[0][i], j].max())
        ratio = np.sqrt((2 - 2 * similarity[i, j]) / (2 - 2 * rival))
        if similarity[:, j].argmax() == i and similarity[i, j] >= 0.5 and ratio <= 0.9:
            expected[i, j] = 1 - 0.5 * ratio**2
    matches = Matcher(MatcherConfig(device='cpu', min_similarity=0.5, ratio=0.9))(first, second)
    assert 40 < len(expected) < 140 and {tuple(pair) for pair in matches.indices} == set(expected)
    np.testing.assert_allclose(matches.scores, [expected[tuple(pair)] for pair in matches.indices], atol=1e-5)


def test_superglue_in_bfloat16_and_what_no_cpu_computes_in(
    superglue_weights: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine that has it, nearly the same matches; elsewhere it is refused, and auto takes float32."""
    first = random_features(60, 1)
    second = reordered(first, np.random.default_rng(2).permutation(60), noise=0.02)
    exact = Matcher(MatcherConfig('superglue', superglue_weights, 'cpu', precision='float32'))(first, second)
    monkeypatch.setattr(precision, 'native_bfloat16', lambda: True)
    near = Matcher(MatcherConfig('superglue', superglue_weights, 'cpu', precision='bfloat16'))(first, second)
    np.testing.assert_array_equal(near.indices, exact.indices)
    np.testing.assert_allclose(near.scores, exact.scores, atol=0.02)
    monkeypatch.setattr(precision, 'native_bfloat16', lambda: False)
    assert Matcher(MatcherConfig('superglue', superglue_weights, 'cpu')).network.dtype == torch.float32
    with pytest.raises(RuntimeError, match='precision bfloat16'):
        Matcher(MatcherConfig('superglue', superglue_weights, 'cpu', precision='bfloat16'))


def test_keypoints_at_the_same_place_share_what_superglue_is_sure_of(superglue_weights: str) -> None:
    """Each half of a pair of octaves is as sure as the place; of two places that look alike, neither is."""
    matcher, features = Matcher(MatcherConfig('superglue', superglue_weights, 'cpu')), random_features(30, 1)
    found = matcher(features, repeated(features, 1.0))
    assert len(found) == 30 and found.scores.min() > 0.9 and found.scores.max() <= 1
    assert (found.indices[:, 1] % 30 == found.indices[:, 0]).all()
    assert len(matcher(features, repeated(features, 20.0))) == 0


def test_either_direction_gives_the_same(matcher: Matcher) -> None:
    """Swapped images give swapped pairs."""
    first = random_features(40, 1)
    second = reordered(first, np.random.default_rng(5).permutation(40)[:30], noise=0.03)
    there, back = matcher(first, second), matcher(second, first)
    assert {tuple(pair) for pair in there.indices} == {tuple(pair[::-1]) for pair in back.indices}


def test_errors_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing and foreign weights and an absent GPU are said when the matcher is made."""
    with pytest.raises(FileNotFoundError, match=r'absent.pth'):
        Matcher(MatcherConfig(matcher='superglue', weights=str(tmp_path / 'absent.pth'), device='cpu'))
    torch.save(SuperPoint().state_dict(), tmp_path / 'superpoint.pth')
    with pytest.raises(ValueError, match=r'superpoint.pth is not a SuperGlue'):
        Matcher(MatcherConfig(matcher='superglue', weights=str(tmp_path / 'superpoint.pth'), device='cpu'))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(RuntimeError, match='device: auto or cpu'):
        Matcher(MatcherConfig(device='cuda'))


@pytest.mark.parametrize('kind', ['nearest', 'superglue'])
def test_gpu_that_is_too_full(
    kind: str, superglue_weights: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    """The stronger half of the keypoints is matched from then on, which is said once; then the frame is refused."""
    matcher = Matcher(MatcherConfig(matcher=kind, weights=superglue_weights, device='cpu'))
    first = random_features(40, 0)
    second = reordered(first, np.arange(40)[::-1].copy())
    room = 20
    match = matcher._match

    def full(pairs: list) -> list:
        if matcher._most is None or matcher._most > room:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')
        return match(pairs)

    monkeypatch.setattr(matcher, '_match', full)
    for _ in range(2):
        matches = matcher(first, reordered(first, np.arange(40)))
        assert sorted(matches.indices[:, 0]) == sorted(matches.indices[:, 1]) == list(range(20))
    assert len(matcher(first, second)) == 0     # the strongest of one are the weakest of the other
    assert [record.message for record in caplog.records] == ['GPU out of memory: matching the strongest 20 keypoints '
                                                             'from now on']
    room = 10
    with pytest.raises(RuntimeError, match='GPU out of memory with 20 keypoints; lower'):
        matcher(first, second)


def test_gpu_that_is_too_full_for_two_pairs(
    matcher: Matcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    """They are matched one by one from then on, with all their keypoints."""
    match, sizes = matcher._match, []

    def full(pairs: list) -> list:
        sizes.append(len(pairs))
        if len(pairs) > 1:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')
        return match(pairs)

    monkeypatch.setattr(matcher, '_match', full)
    first = random_features(40, 0)
    second = reordered(first, np.arange(40))
    for _ in range(2):
        assert [len(one) for one in matcher.batch([(first, second), (second, first)])] == [40, 40]
    assert sizes == [2, 1, 1, 1, 1]
    assert [record.message for record in caplog.records] == ['GPU out of memory with 2 pairs of images at once: one by '
                                                             'one from now on']
