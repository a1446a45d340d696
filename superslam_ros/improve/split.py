"""What of recordings is trained on, and what is held out to judge by: never the same place.

A stretch of time of one recording is held out, or a whole recording of several; frames elsewhere that see what it sees
are neither. Of all stretches the one is taken that leaves most to train on and to judge by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from superslam_ros.config import option
from superslam_ros.improve.evidence import Evidence
from superslam_ros.improve.overlap import Overlap, same_place


@dataclass(frozen=True)
class SplitConfig:
    """What is held out."""

    test_share: float = option(0.25, 'Part of the frames that is held out to judge by', low=0.05, high=0.5)
    common: float = option(0.2, 'Frames that share more of what they see are at the same place', low=0.0, high=1.0)
    scale: float = option(3.0, 'What is so many times nearer to one than to the other does not count', low=1.0)
    view_s: float = option(1.0, 'Frames so far apart are compared with all others, those between go with them', low=0.0)
    fewest_frames: int = option(100, 'So many frames at least must be left to train on', low=1)


@dataclass(frozen=True, eq=False)
class Part:
    """Of one recording, (F,) bool each: the frames to train on, and those to judge by."""

    train: np.ndarray
    test: np.ndarray


class Views:
    """Frames of several recordings at intervals, and which of them see the same place."""

    def __init__(self, evidences: Sequence[Evidence], overlaps: Sequence[Overlap], config: SplitConfig) -> None:
        """Compare each with each: by poses and points within a segment, by keypoints from one to another."""
        frames = [_at_intervals(one.stamps_ns, overlap.placed, config.view_s)
                  for one, overlap in zip(evidences, overlaps)]
        self.recording = np.repeat(np.arange(len(frames)), [len(one) for one in frames])
        self.frame = np.concatenate([np.zeros(0, int), *frames])
        segment = np.array([evidences[r].segment[f] for r, f in zip(self.recording, self.frame)], int)
        self.common = np.eye(len(self.frame), dtype=bool)
        for number, (r, frame) in enumerate(zip(self.recording, self.frame)):
            other = np.flatnonzero((self.recording == r) & (segment == segment[number]))
            self.common[other, number] |= overlaps[r].shares(
                self.frame[other], frame, config.scale) > config.common
        groups = sorted({*zip(self.recording.tolist(), segment.tolist())})
        for a, (r0, s0) in enumerate(groups):
            for r1, s1 in groups[a + 1:]:
                rows, columns = (np.flatnonzero((self.recording == r) & (segment == s))[::2]
                                 for r, s in ((r0, s0), (r1, s1)))
                alike = same_place(evidences[r0], self.frame[rows], evidences[r1], self.frame[columns])
                self.common[np.ix_(rows, columns)] |= alike
        self.common |= self.common.T

    def near(self, recording: int, chosen: np.ndarray, frames: int) -> np.ndarray:
        """Return (F,) bool: frames of a recording whose view before or after is among the chosen ones, (V,) bool."""
        own = np.flatnonzero(self.recording == recording)
        if not len(own):
            return np.ones(frames, bool)
        before, after = self._beside(own, np.arange(frames))
        return chosen[before] | chosen[after]

    def around(self, recording: int, frames: np.ndarray) -> np.ndarray:
        """Return (V,) bool: the views before and after frames of a recording, (F,) bool."""
        own, found = np.flatnonzero(self.recording == recording), np.zeros(len(self.frame), bool)
        if len(own):
            found[np.concatenate(self._beside(own, np.flatnonzero(frames)))] = True
        return found

    def _beside(self, own: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = np.searchsorted(self.frame[own], frames, side='right')
        return own[(place - 1).clip(0)], own[place.clip(0, len(own) - 1)]


def split(
    evidences: Sequence[Evidence], overlaps: Sequence[Overlap], pairs: Sequence[np.ndarray],
    config: SplitConfig | None = None,
) -> list[Part]:
    """Return what to train on and to judge by.

    :param pairs: (P, 2) frames of each recording that have little in common, by which is to be judged.
    :raises ValueError: with the remedy, when no stretch leaves enough to train on and anything to judge by.
    """
    config = config or SplitConfig()
    views = Views(evidences, overlaps, config)
    every, most = max(1, sum(map(len, pairs))), max(1, sum(int(one.placed.sum()) for one in overlaps))
    best, value, left = None, 0.0, 0
    for recording, stretch in _stretches(evidences, config):
        parts = _parts(views, evidences, overlaps, recording, stretch)
        train = sum(int(part.train.sum()) for part in parts)
        judged = int(parts[recording].test[pairs[recording]].all(1).sum())
        left = max(left, train if judged else 0)
        if train >= config.fewest_frames and min(train / most, judged / every) > value:
            best, value = parts, min(train / most, judged / every)
    if best is None:
        raise ValueError(
            f'every stretch of time that could be held out to judge by leaves {left} frames of other places to train '
            f'on, of {config.fewest_frames} that are needed: record for longer and more places, or add a recording of '
            'another place')
    return best


def _at_intervals(stamps_ns: np.ndarray, placed: np.ndarray, every_s: float) -> np.ndarray:
    """Return frames that are placed, the first of each interval."""
    found = np.flatnonzero(placed)
    number = ((stamps_ns[found] - stamps_ns[0]) / max(1, every_s * 1e9)).astype(np.int64)
    return found[np.concatenate([[True], np.diff(number) > 0])[:len(found)]]


def _stretches(evidences: Sequence[Evidence], config: SplitConfig) -> Iterator[tuple[int, np.ndarray]]:
    """Yield recordings with (F,) bool of what may be held out: whole ones of several, and stretches of each."""
    total = sum(len(one.stamps_ns) for one in evidences)
    for recording, one in enumerate(evidences):
        count = len(one.stamps_ns)
        if len(evidences) > 1 and count <= total / 2:
            yield recording, np.ones(count, bool)
        length = max(1, round(config.test_share * total))
        for start in range(0, count - length + 1, max(1, length // 4)):
            chosen = np.zeros(count, bool)
            chosen[start:start + length] = True
            yield recording, chosen


def _parts(
    views: Views, evidences: Sequence[Evidence], overlaps: Sequence[Overlap], recording: int, stretch: np.ndarray
) -> list[Part]:
    """Return the parts when a stretch (F,) bool of a recording is held out."""
    shared = views.common[views.around(recording, stretch)].any(0)
    parts = []
    for number, (one, overlap) in enumerate(zip(evidences, overlaps)):
        count = len(one.stamps_ns)
        test = stretch & overlap.placed if number == recording else np.zeros(count, bool)
        train = overlap.placed & ~test & ~views.near(number, shared, count)
        if number == recording:
            train &= ~stretch
        parts.append(Part(train, test))
    return parts
