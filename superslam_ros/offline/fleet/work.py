"""A piece of work on a recording, and what comes of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

log = logging.getLogger(__name__)

Item = TypeVar('Item')
Tell = Callable[[int, 'int | None'], None]
"""Takes how many frames are done, and of how many, where that is known."""
TELL_S = 0.5
"""Between two reports of a process."""
BAD_INPUT = (RuntimeError, ValueError, OSError, MemoryError)
"""What is the recording's fault, or the machine's: said in a line."""


class Work(Protocol):
    """A function of a module, so that other processes find it."""

    def __call__(self, item: Any, tell: Tell) -> Any:
        """Do it, and return what came of it, which other processes can be sent."""


@dataclass(frozen=True)
class Done:
    """What came of a piece of work: its ``result``, or None and an ``error``.

    :ivar before: it was done by an earlier call, and is as it was.
    """

    name: str
    result: Any
    error: str = ''
    seconds: float = 0.0
    before: bool = False


def attempt(work: Work, name: str, item: Item, tell: Tell) -> Done:
    """Do a piece of work; what is wrong with it is told, and not raised."""
    began = time.monotonic()
    try:
        return Done(name, work(item, tell), '', time.monotonic() - began)
    except BAD_INPUT as error:
        log.debug('%s', name, exc_info=True)
        return Done(name, None, ' '.join(str(error).split()) or type(error).__name__, time.monotonic() - began)


class Sparingly:
    """Tells twice a second at most."""

    def __init__(self, tell: Tell) -> None:
        """Begin."""
        self._tell, self._last = tell, 0.0

    def __call__(self, done: int, of: int | None) -> None:
        """Tell, or not yet."""
        now = time.monotonic()
        if now - self._last >= TELL_S:
            self._last = now
            self._tell(done, of)
