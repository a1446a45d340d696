"""Bringing messages of one instant together, by their stamps."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from superslam_ros.data import JUMP_BACK_NS


def tolerance_s(wanted: float, mode: str) -> float:
    """Return the largest difference of the stamps of what belongs to one frame (s).

    :param wanted: 0 for 5 ms in mode ``stereo``, where a camera that turns meanwhile gets wrong depths (0.2 rad/s and
        20 ms are as much as a disparity of a pixel), and else 20 ms, for depth cameras have stamps of their own.
    """
    return wanted or (0.005 if mode == 'stereo' else 0.02)


def apart(later_ns: int) -> str:
    """Return in words by how much a stamp is later than the one that it should belong to."""
    amount, direction = abs(later_ns), 'later' if later_ns > 0 else 'earlier'
    if amount < JUMP_BACK_NS:
        return f'{amount / 1e6:.1f} ms {direction}'
    return f'{amount / 1e9:.3f} s {direction}, as of another clock: the same must stamp both'


class RateLimit:
    """Lets so many frames a second pass at most, evenly, by their stamps."""

    def __init__(self, rate_hz: float) -> None:
        """Let all pass where the rate is 0."""
        self._period_ns, self._due_ns = 1e9 / rate_hz if rate_hz > 0 else 0.0, -math.inf

    def passes(self, stamp_ns: int) -> bool:
        """Take a frame; return whether it is due."""
        if not self._period_ns:
            return True
        if self._due_ns - stamp_ns > JUMP_BACK_NS + self._period_ns:
            self._due_ns = -math.inf        # time begins anew
        if stamp_ns < self._due_ns - 0.05 * self._period_ns:
            return False
        in_time = stamp_ns < self._due_ns + self._period_ns
        self._due_ns = (self._due_ns if in_time else stamp_ns) + self._period_ns
        return True


class Stamped(NamedTuple):
    """A message with the time it was taken and the time it was received (ns)."""

    stamp_ns: int
    log_ns: int
    item: Any


@dataclass
class Bundle:
    """A message and its companions; ``missing`` names the channels that had none near enough.

    :ivar off_ns: of those of them that had any, by how much the nearest stamp is later.
    """

    main: Stamped
    companions: dict[str, Stamped]
    missing: list[str]
    off_ns: dict[str, int] = field(default_factory=dict)


class Requirements:
    """What a frame may not lack: any companion, but depth only as long as the map has none."""

    def __init__(self) -> None:
        """Begin without a map."""
        self.reset()

    def reset(self) -> None:
        """A new map begins."""
        self._had_depth, self._last_ns = False, -math.inf

    def lacking(self, bundle: Bundle) -> list[str]:
        """Return the channels for want of which a bundle cannot be used; where there are none, it is."""
        stamp_ns = bundle.main.stamp_ns
        if stamp_ns <= self._last_ns - JUMP_BACK_NS:
            self.reset()    # time begins anew, and so will the map
        self._last_ns = stamp_ns
        lacking = [name for name in bundle.missing if name != 'depth' or not self._had_depth]
        self._had_depth |= not lacking and 'depth' in bundle.companions
        return lacking


class Synchronizer:
    """For every message of the main channel the nearest one of each other channel, within a tolerance.

    Messages come in the order of receipt; stamps may repeat or jump back. A main message waits until a
    companion with the same or a later stamp has come, at most ``wait_ns`` of receive time. A channel that let one wait
    in vain is not waited for until it is heard again.
    """

    def __init__(self, companions: Sequence[str], tolerance_ns: int, wait_ns: int = 1_000_000_000) -> None:
        """Begin with empty queues."""
        self.tolerance_ns, self.wait_ns = tolerance_ns, wait_ns
        self._pending: deque[Stamped] = deque()
        self._companions: dict[str, deque[Stamped]] = {name: deque() for name in companions}
        self._silent: set[str] = set()
        self._last: Stamped | None = None

    def add_main(self, message: Stamped) -> Iterator[Bundle]:
        """Take a message of the main channel; yield what is complete."""
        last = self._last
        if last is not None and message.stamp_ns < last.stamp_ns:
            # Time began anew. Of the later stamps, those near the last message, or that came before it, are of the
            # past; the others have run ahead of this one.
            middle_ns, latest_ns = (last.stamp_ns + message.stamp_ns) / 2, message.stamp_ns + self.tolerance_ns
            for name, queue in self._companions.items():
                self._companions[name] = deque(one for one in queue if one.stamp_ns <= latest_ns or (
                    one.stamp_ns <= middle_ns and one.log_ns > last.log_ns))
        self._last = message
        self._pending.append(message)
        yield from self._ready(message.log_ns)

    def add_companion(self, name: str, message: Stamped) -> Iterator[Bundle]:
        """Take a message of another channel; yield what is complete."""
        self._companions[name].append(message)
        self._silent.discard(name)
        yield from self._ready(message.log_ns)

    def flush(self) -> Iterator[Bundle]:
        """Yield what still waits, at the end of the bag."""
        while self._pending:
            yield self._bundle(self._pending.popleft())

    def _ready(self, now_ns: int) -> Iterator[Bundle]:
        while self._pending:
            head = self._pending[0]
            awaited = {name for name, queue in self._companions.items() if not self._is_final(queue, head.stamp_ns)}
            if awaited - self._silent and now_ns - head.log_ns < self.wait_ns:
                break
            self._silent |= awaited
            yield self._bundle(self._pending.popleft())
        oldest = self._pending[0].log_ns if self._pending else now_ns
        for queue in self._companions.values():
            while queue and queue[0].log_ns < oldest - 2 * self.wait_ns:
                queue.popleft()

    def _is_final(self, queue: deque[Stamped], stamp_ns: int) -> bool:
        """Whether no later message could be a better companion."""
        return any(message.stamp_ns >= stamp_ns for message in queue)

    def _bundle(self, main: Stamped) -> Bundle:
        bundle = Bundle(main, {}, [])
        for name, queue in self._companions.items():
            nearest = min(queue, key=lambda message: abs(message.stamp_ns - main.stamp_ns), default=None)
            if nearest is not None and abs(nearest.stamp_ns - main.stamp_ns) <= self.tolerance_ns:
                bundle.companions[name] = nearest
                continue
            bundle.missing.append(name)
            if nearest is not None:
                bundle.off_ns[name] = nearest.stamp_ns - main.stamp_ns
        return bundle
