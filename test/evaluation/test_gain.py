import numpy as np
import pytest

from superslam_ros.evaluation import gain as gains
from superslam_ros.evaluation import measures


def test_scores_are_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    errors = rng.exponential(8, (400, 5))
    errors[::7] = np.inf
    scores = gains.scores(errors)
    assert scores.shape == (400,) and scores.min() == 0 and scores.max() < 1
    assert scores.mean() == pytest.approx(measures.auc(errors.ravel(), 10), abs=1e-3)
    assert gains.scores(np.array([[0.0, 5.0], [10.0, np.inf]])).tolist() == [0.75, 0]
    assert gains.scores(np.zeros((0, 5))).shape == (0,)


def test_pairs_of_a_block_by_time():
    assert gains.pairs_per_block(np.arange(100) * 0.1, 5.0) == 51       # 100 pairs in 9.9 s
    assert gains.pairs_per_block(np.repeat(np.arange(100) * 0.1, 2), 5.0) == 101
    two = np.concatenate([np.arange(100), np.arange(100), 500 + np.arange(100)]) * 0.1
    # Two recordings, the second with a cut.
    assert gains.pairs_per_block(two, 5.0) == 51
    assert gains.pairs_per_block(np.zeros(0), 5.0) == 1 and gains.pairs_per_block(np.zeros(7), 5.0) == 7


def test_a_constant_gain_is_certain_and_none_is_not():
    before = np.random.default_rng(0).uniform(0, 0.8, 240)
    found = gains.gain(before, before + 0.1, 10)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (found.pairs, found.blocks) == (240, 24)
    assert gains.gain(before, before, 10).low == 0
    few = gains.gain(before[:50], before[:50] + 0.1, 10)
    assert few.blocks == 5 and few.mean == pytest.approx(0.1) and few.low == -np.inf
    assert gains.gain(before[:0], before[:0], 10).blocks == 0
    assert gains.gain(before, before[::-1], 10) == gains.gain(before, before[::-1], 10)


def alike(rng: np.random.Generator, count: int, stretch: int) -> np.ndarray:
    """Return noise of deviation 1 that is the same within a sliding stretch."""
    return np.convolve(rng.normal(size=count + stretch - 1), np.full(stretch, stretch**-0.5), 'valid')


@pytest.mark.parametrize('blocks', [8, 30])
def test_the_interval_covers_the_truth_although_successive_pairs_are_alike(blocks):
    rng, stretch, truth = np.random.default_rng(1), 10, 0.05
    block, within, plain = 3 * stretch, 0, 0
    for _ in range(150):
        difference = truth + 0.1 * alike(rng, blocks * block, stretch)
        found = gains.gain(np.zeros_like(difference), difference, block)
        within += found.low <= truth <= found.high
        lone = gains.gain(np.zeros_like(difference), difference, 1)       # as a bootstrap over pairs
        plain += lone.low <= truth <= lone.high
    assert 0.88 <= within / 150 <= 1 and plain / 150 < 0.7


def test_students_quantiles():
    for freedom, wanted in ((5, 2.5706), (7, 2.3646), (29, 2.0452)):
        assert gains._student(0.975, freedom) == pytest.approx(wanted, abs=0.01)
