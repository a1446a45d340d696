"""Whether new weights are better than old ones where they are to work, and no worse elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from superslam_ros.evaluation import gain as gains
from superslam_ros.evaluation import general
from superslam_ros.evaluation.gain import Gain

MOST_LOST = 0.01
"""By so much a figure may be lower than before that is not to gain: narrow pairs, and what is measured in general."""
BLOCK_S = 5.0
"""Pairs that begin within this time of each other are alike."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What weights do.

    :ivar errors_deg: (P, O) pose errors of the test pairs, in several orders of their matches.
    :ivar general: (N, 3) figures of the views, as :data:`general.FIGURES` names them.
    """

    errors_deg: np.ndarray
    general: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """Whether weights are accepted, and by which figures.

    :ivar reason: one sentence.
    :ivar gains: 'wide' and 'narrow': of the AUC to 10 degrees.
    :ivar general: name -> (before, after).
    """

    accepted: bool
    reason: str
    gains: dict[str, Gain]
    general: dict[str, tuple[float, float]]


def decide(
    before: Measured, after: Measured, wide: np.ndarray, times_s: np.ndarray, block_s: float = BLOCK_S
) -> Verdict:
    """Judge weights by the same pairs and views as the ones before.

    :param wide: (P,) bool: which of the test pairs have little in common.
    :param times_s: (P,) when they begin, in order within each recording.
    """
    score0, score1 = gains.scores(before.errors_deg), gains.scores(after.errors_deg)
    found = {}
    for name, chosen in (('wide', wide), ('narrow', ~wide)):
        block = gains.pairs_per_block(times_s[chosen], block_s)
        found[name] = gains.gain(score0[chosen], score1[chosen], block)
    figures = {name: (float(was), float(now)) for name, was, now in zip(
        general.FIGURES, before.general.mean(0), after.general.mean(0))}
    lacking = too_few(wide, times_s, block_s)
    against = [lacking] if lacking else _objections(found, figures)
    if against:
        return Verdict(False, '; '.join(against), found, figures)
    return Verdict(True, f'wide pairs gain {found["wide"].mean:+.3f} of AUC to 10 degrees, at least '
                   f'{found["wide"].low:+.3f} (95 %); narrow ones {found["narrow"].mean:+.3f}; in general no figure is '
                   f'lower by more than {MOST_LOST}', found, figures)


def too_few(wide: np.ndarray, times_s: np.ndarray, block_s: float = BLOCK_S) -> str:
    """Return why test pairs, as :func:`decide` takes them, do not suffice for a verdict; empty where they do."""
    many = int(wide.sum())
    blocks = many // gains.pairs_per_block(times_s[wide], block_s)
    if blocks >= gains.FEWEST_BLOCKS:
        return ''
    return (f'the {many} wide pairs of held-out frames cover {blocks} stretches of {block_s:g} s, of '
            f'{gains.FEWEST_BLOCKS} that are needed: record for longer')


def _objections(found: dict[str, Gain], figures: dict[str, tuple[float, float]]) -> list[str]:
    """Return what speaks against the new weights."""
    wide, narrow = found['wide'], found['narrow']
    against = []
    if not wide.low > 0:
        against.append(f'wide pairs do not gain for certain: {wide.mean:+.3f} of AUC to 10 degrees, '
                       f'from {wide.low:+.3f} to {wide.high:+.3f} (95 %)')
    if narrow.mean < -MOST_LOST:
        against.append(f'narrow pairs lose {-narrow.mean:.3f} of AUC to 10 degrees')
    against += [f'{name.replace("_", " ")} in general falls from {was:.3f} to {now:.3f}'
                for name, (was, now) in figures.items() if now < was - MOST_LOST]
    return against
