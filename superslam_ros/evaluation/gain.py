"""By how much one front-end is better than another on the same pairs of frames of a recording, and how sure that is.

Errors of pairs that follow one another are alike, so that a bootstrap over pairs is too narrow. The moving-block
bootstrap draws stretches of time instead (Kuensch, Annals of Statistics 17, 1989; circular, as Politis and Romano 1992,
so that the ends count as much as the middle).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from superslam_ros.evaluation.relative_pose import LEAD_DEGREES

RESAMPLINGS = 2000
COVERAGE = 0.95
FEWEST_BLOCKS = 6
"""Of fewer, the spread says nothing."""


@dataclass(frozen=True)
class Gain:
    """The mean difference after less before, with its confidence interval (95 %).

    :ivar blocks: how many stretches of time stand for themselves; of fewer than 6 the interval is infinite.
    """

    mean: float
    low: float
    high: float
    pairs: int
    blocks: int


def scores(errors_deg: np.ndarray, limit: float = LEAD_DEGREES) -> np.ndarray:
    """Return what each pair adds to the area under the curve of the pose error up to a limit, (P,) in [0, 1].

    The area under the curve of the share of errors below x is the mean of 1 - error / limit, at least 0.

    :param errors_deg: (P, O) of each pair in several orders of its matches; infinite without a pose.
    """
    return np.clip(1 - np.asarray(errors_deg, np.float64) / limit, 0, None).mean(1)


def gain(before: np.ndarray, after: np.ndarray, block: int) -> Gain:
    """Return by how much ``after`` is better than ``before``; the same on every run.

    Percentiles of the moving-block bootstrap, widened as Student's distribution is wider than the normal one for so
    many blocks: of few blocks, percentiles alone are too narrow.

    :param before: (P,) scores of the pairs in order of time; ``after`` those of the same pairs.
    :param block: how many successive pairs are alike, at least 1.
    """
    difference = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    count = len(difference)
    blocks = count // max(1, block)
    mean = float(difference.mean()) if count else 0.0
    if blocks < FEWEST_BLOCKS:
        return Gain(mean, -np.inf, np.inf, count, blocks)
    sums = np.concatenate([[0], np.cumsum(np.concatenate([difference, difference[:block]]))])
    means = (sums[block:block + count] - sums[:count]) / block
    drawn = means[np.random.default_rng(0).integers(count, size=(RESAMPLINGS, blocks))].mean(1)
    tail = (1 - COVERAGE) / 2
    ends = np.percentile(drawn, [100 * tail, 100 * (1 - tail)])
    wider = _student(1 - tail, blocks - 1) / NormalDist().inv_cdf(1 - tail)
    low, high = mean + (ends - mean) * wider
    return Gain(mean, float(low), float(high), count, blocks)


def pairs_per_block(times_s: np.ndarray, block_s: float) -> int:
    """Return how many successive pairs a stretch of time has on average, at least 1.

    :param times_s: (P,) times of the pairs, in order.
    """
    times = np.asarray(times_s, np.float64)
    steps = np.diff(times)
    # Where a recording has been cut, and from one to the next, time does not pass.
    within = steps[(steps >= 0) & (steps <= block_s)]
    covered = float(within.sum())
    return max(1, round(len(times) * block_s / covered)) if covered > 0 else max(1, len(times))


def _student(share: float, freedom: int) -> float:
    """Return a quantile of Student's distribution (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(share)
    terms = (
        z, (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
    return sum(term / freedom**power for power, term in enumerate(terms))
