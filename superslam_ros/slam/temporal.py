"""Stage 2b: matches in time, always against a reference keyframe, so that errors do not add up per frame.

When the reference changes is decided from the matches alone, not from the odometry's state; so the
stages give the same answer in one process and in several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from superslam_ros.config import option
from superslam_ros.data import Features, Matches


@dataclass(frozen=True)
class TemporalConfig:
    """Options of the choice of keyframes."""

    min_matches: int = option(25, 'With fewer matches to the reference keyframe, the last frame is tried instead',
                              low=5, high=1000, live=True)
    overlap: float = option(0.6, 'New keyframe when the matches fall below this fraction of those at its start',
                            low=0.0, high=1.0, live=True)
    displacement: float = option(0.15, 'New keyframe when keypoints have moved by this fraction of the image diagonal '
                                 '(median)', low=0.01, high=1.0, live=True)
    patience: int = option(5, 'Frames without matches after which the current frame becomes the reference, if it '
                           'has min_matches keypoints', low=1, high=1000, live=True)
    memory: int = option(10, 'Earlier keyframes that are searched while tracking is lost', low=0, high=1000)


class KeyframeMatcher:
    """Matches every frame to the reference keyframe, and says when the frame becomes the next reference."""

    def __init__(
        self, matcher: Callable[[Features, Features], Matches], config: TemporalConfig | None = None
    ) -> None:
        """Remember the matcher; the first frame will be the first reference."""
        self.matcher, self.config = matcher, config or TemporalConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._reference: tuple[int, Features] | None = None
        self._previous: tuple[int, Features] | None = None
        self._earlier: deque[tuple[int, Features]] = deque(maxlen=self.config.memory)
        self._began_with = 0
        self._failures = 0

    def with_stereo(self, features: Features, right: Features | None, stamp_ns: int) -> tuple[Matches | None, Matches]:
        """Match the images of one instant, where there are two, and a frame as :meth:`__call__` does: in one pass."""
        if right is None:
            return None, self(features, stamp_ns)
        pairs = [(features, right)]
        if self._reference is not None and self._reference[1].image_size == features.image_size:
            pairs.append((self._reference[1], features))
        batch = getattr(self.matcher, 'batch', None)
        stereo, *first = batch(pairs) if batch else [self.matcher(*pair) for pair in pairs]
        return replace(stereo, stamp0_ns=stamp_ns, stamp1_ns=stamp_ns), self(features, stamp_ns, *first)

    def __call__(self, features: Features, stamp_ns: int, first: Matches | None = None) -> Matches:
        """Match a frame.

        :param first: what the matcher says of it and the reference, where that is known.
        :returns: matches from the reference (image 0) to this frame (image 1). Where there are too few,
            from the frame before this one, which then was the better reference, or else from the latest of the
            earlier keyframes that matches. Empty with ``keyframe`` set for the first frame (of an image size), and when
            nothing has matched for a while.
        """
        current = (stamp_ns, features)
        if self._reference is not None and self._reference[1].image_size != features.image_size:
            self.reset()
        if self._reference is None:
            return self._restart(current)
        matches = self._match(self._reference, current, first)
        if len(matches) < self.config.min_matches and self._previous is not self._reference:
            second = self._match(self._previous, current)
            if len(second) > len(matches):
                matches = replace(second, keyframe=len(second) >= self.config.min_matches)
        lost = len(matches) < self.config.min_matches
        if lost and len(features) >= self.config.min_matches:
            found = self._look_back(current)
            matches, lost = (matches, True) if found is None else (found, False)
        self._failures = self._failures + 1 if lost else 0
        if self._failures > self.config.patience and len(features) >= self.config.min_matches:
            return self._restart(current)
        if not lost:
            self._previous = current
            self._began_with = max(self._began_with, len(matches))
            if matches.keyframe or self._moved_on(matches, features.image_size):
                matches.keyframe = True
                self._refer_to(current)
        return matches

    def _look_back(self, current: tuple[int, Features]) -> Matches | None:
        """Match a lost frame to the earlier keyframes, the latest first; the one that fits is the reference again."""
        for keyframe in reversed(self._earlier):
            matches = self._match(keyframe, current)
            if len(matches) >= self.config.min_matches:
                self._refer_to(keyframe)
                return matches
        return None

    def _refer_to(self, keyframe: tuple[int, Features]) -> None:
        """Match the following frames to a keyframe, and remember the one before."""
        if self._reference is not None and all(self._reference is not one for one in self._earlier):
            self._earlier.append(self._reference)
        self._reference, self._began_with = keyframe, 0

    def _match(
        self, reference: tuple[int, Features], current: tuple[int, Features], found: Matches | None = None
    ) -> Matches:
        if found is None:
            found = self.matcher(reference[1], current[1])
        return replace(found, stamp0_ns=reference[0], stamp1_ns=current[0])

    def _restart(self, current: tuple[int, Features]) -> Matches:
        stamp_ns, features = current
        self._refer_to(current)
        self._previous, self._failures = current, 0
        nothing = Matches.of(features, features, np.zeros((0, 2)), np.zeros(0))
        return replace(nothing, stamp0_ns=stamp_ns, stamp1_ns=stamp_ns, keyframe=True)

    def _moved_on(self, matches: Matches, image_size: tuple[int, int]) -> bool:
        moved = np.linalg.norm(matches.keypoints1 - matches.keypoints0, axis=1)
        far = np.median(moved) > self.config.displacement * np.hypot(*image_size)
        return bool(far or len(matches) < self.config.overlap * self._began_with)
