"""Bringing messages of one instant together, by their stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


def tolerance_s(wanted: float, mode: str) -> float:
    """Return the largest difference of the stamps of what belongs to one frame (s).

    :param wanted: 0 for 5 ms in mode ``stereo``, where a camera that turns meanwhile gets wrong depths (0.2 rad/s and
        20 ms are as much as a disparity of a pixel), and else 20 ms, for depth cameras have stamps of their own.
    """
    return wanted or (0.005 if mode == 'stereo' else 0.02)


class Stamped(NamedTuple):
    """A message with the time it was taken and the time it was received (ns)."""

    stamp_ns: int
    log_ns: int
    item: Any


@dataclass
class Bundle:
    """A message and its companions; ``missing`` names the channels that had none near enough."""

    main: Stamped
    companions: dict[str, Stamped]
    missing: list[str]


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
        self._last_ns: int | None = None

    def add_main(self, message: Stamped) -> Iterator[Bundle]:
        """Take a message of the main channel; yield what is complete."""
        if self._last_ns is not None and message.stamp_ns < self._last_ns:
            # Time began anew: what came before with a later stamp is of the past.
            for name, queue in self._companions.items():
                self._companions[name] = deque(
                    one for one in queue if one.stamp_ns <= message.stamp_ns + self.tolerance_ns)
        self._last_ns = message.stamp_ns
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

    def _nearest(self, queue: deque[Stamped], stamp_ns: int) -> Stamped | None:
        best = min(queue, key=lambda message: abs(message.stamp_ns - stamp_ns), default=None)
        return best if best is not None and abs(best.stamp_ns - stamp_ns) <= self.tolerance_ns else None

    def _bundle(self, main: Stamped) -> Bundle:
        found = {name: self._nearest(queue, main.stamp_ns) for name, queue in self._companions.items()}
        companions = {name: message for name, message in found.items() if message is not None}
        return Bundle(main, companions, [name for name in found if name not in companions])
