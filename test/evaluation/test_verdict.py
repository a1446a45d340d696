import numpy as np
import pytest

from superslam_ros.evaluation import verdict
from superslam_ros.evaluation.verdict import Measured

TIMES = np.concatenate([np.arange(600) * 0.1] * 2)
WIDE = np.arange(1200) < 600


def measured(wide_deg: float, narrow_deg: float = 1.0, general: tuple[float, ...] = (0.6, 0.4, 0.9)) -> Measured:
    """Return pose errors around some degrees, with the same luck in every pair whatever they are."""
    luck = np.random.default_rng(0).uniform(0.5, 1.5, (1200, 5))
    errors = luck * np.where(WIDE, wide_deg, narrow_deg)[:, None]
    return Measured(errors, np.tile(general, (20, 1)))


BEFORE = measured(8)


def test_what_gains_and_loses_nothing_is_accepted():
    found = verdict.decide(BEFORE, measured(6), WIDE, TIMES)
    assert found.accepted and found.gains['wide'].mean == pytest.approx(0.2, abs=0.05)
    assert 0 < found.gains['wide'].low <= found.gains['wide'].mean and found.gains['narrow'].mean == 0
    assert found.general['matching_score'] == pytest.approx((0.4, 0.4)) and len(found.general) == 3
    assert 'wide pairs gain +0.' in found.reason
    # What is lower by less than a hundredth may be.
    assert verdict.decide(BEFORE, measured(6, 1.05, (0.595, 0.4, 0.9)), WIDE, TIMES).accepted


@pytest.mark.parametrize(('after', 'reason'), [
    (measured(8), 'do not gain for certain: +0.000'),
    (measured(9), 'do not gain for certain: -0.0'),
    (measured(6, 2.0), 'narrow pairs lose 0.1'),
    (measured(6, 1.0, (0.6, 0.38, 0.9)), 'matching score in general falls from 0.400 to 0.380'),
    (measured(6, 1.0, (0.6, 0.4, 0.8)), 'homography 3px in general falls from 0.900 to 0.800'),
    (Measured(np.full((1200, 5), np.inf), BEFORE.general), 'do not gain'),
])
def test_what_does_not_is_refused_with_the_reason(after, reason):
    found = verdict.decide(BEFORE, after, WIDE, TIMES)
    assert not found.accepted and reason in found.reason


def test_a_gain_by_luck_is_no_gain():
    rng = np.random.default_rng(3)
    luck = rng.normal(0, 3, 12)
    stretch = np.repeat(luck - luck.mean(), 50)[:, None]      # of 5 s
    after = measured(8)
    after.errors_deg[WIDE] = (after.errors_deg[WIDE] - 0.1 + stretch).clip(0)
    found = verdict.decide(BEFORE, after, WIDE, TIMES)
    assert found.gains['wide'].mean > 0.01 and found.gains['wide'].low < 0 and not found.accepted


def test_of_too_few_pairs_nothing_is_believed():
    few = np.arange(0, 1200, 3)[np.concatenate([np.arange(60), np.arange(200, 400)])]
    before, after = (Measured(one.errors_deg[few], one.general) for one in (BEFORE, measured(4)))
    found = verdict.decide(before, after, WIDE[few], TIMES[few])
    assert not found.accepted and '60 wide pairs of held-out frames cover 3 stretches of 5 s, of 6' in found.reason
    assert verdict.too_few(WIDE, TIMES) == '' and '0 wide pairs' in verdict.too_few(WIDE[600:], TIMES[600:])
