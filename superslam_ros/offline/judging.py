"""Weights are measured on the test part of recordings and in general, and judged: the new ones, or a part of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from superslam_ros.evaluation import gain as gains
from superslam_ros.evaluation import general, pose_pairs, verdict
from superslam_ros.evaluation.homography import FrontEnd
from superslam_ros.evaluation.pose_pairs import PosePairs
from superslam_ros.evaluation.verdict import Measured, Verdict
from superslam_ros.improve import interpolation
from superslam_ros.models import checkpoint
from superslam_ros.offline.work import Work
from superslam_ros.slam.extract import ExtractorConfig

SHARES = (1.0, 0.5, 0.25)
"""How far from the old to the new weights: the first that is accepted is taken."""
CLEAR = 0.1
"""By so much of its AUC a pair has changed that is shown."""


@dataclass(frozen=True)
class Watch:
    """Is told what begins, of how many steps if that is known, and every step.

    :ivar tell: of several that go on at once: name, steps done, and of how many.
    """

    start: Callable[[str, int | None], None] = lambda name, steps: None
    step: Callable[[], None] = lambda: None
    tell: Callable[[str, int, int | None], None] = lambda name, done, of: None


@dataclass(frozen=True, eq=False)
class Candidate:
    """Weights so far from the old to the new ones, with what they do and what is said of it."""

    share: float
    weights: Path
    measured: Measured
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures front-ends on the same pairs of frames and the same views; what was measured is kept.

    :ivar pairs: of the test parts, a recording each; ``pictures`` name and (H, W) uint8 image for the general figures.
    """

    pairs: Sequence[PosePairs]
    pictures: Sequence[tuple[str, np.ndarray]]
    work: Work
    device: str = 'auto'
    block_s: float = verdict.BLOCK_S
    watch: Watch = field(default_factory=Watch)

    @property
    def wide(self) -> np.ndarray:
        """(P,) bool of the pairs of all recordings."""
        return np.concatenate([one.wide for one in self.pairs])

    @property
    def times_s(self) -> np.ndarray:
        """(P,) times of the pairs of all recordings."""
        return np.concatenate([one.times_s for one in self.pairs])

    def front_end(self, weights: Path | None) -> FrontEnd:
        """Return SuperPoint with weights; without any, SIFT with the ratio test."""
        if weights is None:
            return FrontEnd('sift-ratio')
        return FrontEnd('superpoint', ExtractorConfig(weights=str(weights), device=self.device))

    def measure(self, name: str, weights: Path | None) -> Measured:
        """Measure weights, or take what was measured of them before, under a name.

        :raises OSError: when it cannot be kept.
        """
        def make(partial: Path) -> None:
            end, views = self.front_end(weights), [*general.pairs(iter(self.pictures))]
            self.watch.start(f'measure {name}', sum(map(len, self.pairs)) + len(views))
            errors, _ = pose_pairs.measure(end, self.pairs, self.watch.step)
            with partial.open('wb') as file:
                np.savez(file, errors_deg=errors, general=general.measure(end, views, self.watch.step))

        with np.load(self.work.stage(f'measured_{name.replace(" ", "_")}.npz', make)) as file:
            return Measured(file['errors_deg'], file['general'])

    def candidates(self, old: Path, new: Path) -> list[Candidate]:
        """Return new weights, and parts of them, until one is accepted: the last one decides.

        :raises ValueError: when the weights are of two networks.
        """
        before, tried = self.measure('before', old), []
        for share in SHARES:
            about = {'improved_from': checkpoint.digest(old), 'share': f'{share:g}'}
            weights = self.work.stage(
                f'weights_{share:g}.safetensors',
                lambda partial, share=share, about=about: interpolation.write(old, new, share, partial, about))
            after = self.measure(f'after {share:g}', weights)
            tried.append(Candidate(share, weights, after, verdict.decide(
                before, after, self.wide, self.times_s, self.block_s)))
            if tried[-1].verdict.accepted:
                break
        return tried

    def changed(self, before: Measured, after: Measured, most: int = 4) -> tuple[list[int], list[int]]:
        """Return numbers of the wide pairs that are now found, and that are now lost, the clearest first."""
        difference = gains.scores(after.errors_deg) - gains.scores(before.errors_deg)
        order = np.flatnonzero(self.wide)[np.argsort(-difference[self.wide], kind='stable')]
        return ([int(one) for one in order[:most] if difference[one] >= CLEAR],
                [int(one) for one in order[::-1][:most] if difference[one] <= -CLEAR])

    def pair(self, number: int) -> tuple[PosePairs, int]:
        """Return the recording of a pair, and its number there."""
        for pairs in self.pairs:
            if number < len(pairs):
                return pairs, number
            number -= len(pairs)
        raise IndexError(number)
