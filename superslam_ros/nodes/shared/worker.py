"""A thread for the heavy work of a node, so that its callbacks stay quick; the latest items win."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class BrokenOff(Exception):
    """The item at work is not wanted any more."""


class LatestWorker:
    """Calls ``handle`` with the newest items offered; those that are overtaken are dropped and counted."""

    def __init__(
        self, handle: Callable[[Any], None], on_failure: Callable[[BaseException], None], waiting: int = 1
    ) -> None:
        """Start the thread.

        :param handle: deals with the errors it expects; any other ends the thread. Where it takes long, it calls
            :meth:`interrupt` now and then.
        :param on_failure: called with it, on the thread; ``failed`` is true from there on.
        :param waiting: how many items may wait, first in first out, before the oldest is dropped.
        """
        self._handle, self._on_failure = handle, on_failure
        self.failed = False
        self._condition = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._most = waiting
        self._stopping = self._working = self._breaking_off = False
        self._dropped = 0
        self.paused = False
        """Whether items that are offered are let go, uncounted."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many items were overtaken."""
        return self._dropped

    @property
    def busy(self) -> bool:
        """Whether an item is being worked on."""
        return self._working

    def offer(self, item: Any) -> None:
        """Hand over an item and return at once."""
        with self._condition:
            if self.paused:
                return
            if len(self._waiting) == self._most:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(item)
            self._condition.notify_all()

    def interrupt(self) -> None:
        """Break off the item at work, on its thread, if it is not wanted any more."""
        if self._breaking_off:
            raise BrokenOff

    def drain(self) -> None:
        """Forget the items that wait, break off the one at work, and return when that is over."""
        with self._condition:
            self._waiting.clear()
            self._breaking_off = True
            self._condition.wait_for(lambda: not self._working)
            self._breaking_off = self._stopping

    def stop(self) -> None:
        """Break off the item at work and end the thread."""
        with self._condition:
            self._stopping = self._breaking_off = True
            self._condition.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.popleft()
                self._working = True
            try:
                self._handle(item)
            except BrokenOff:
                pass
            except BaseException as error:
                self.failed = True
                self._on_failure(error)
                return
            finally:
                with self._condition:
                    self._working = False
                    self._condition.notify_all()
