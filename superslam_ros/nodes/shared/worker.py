"""A thread for the heavy work of a node, so that its callbacks stay quick; the latest items win."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class BrokenOff(Exception):
    """The item at work is not wanted any more."""


class LatestWorker:
    """Calls ``handle`` with the newest items offered; those that are overtaken are dropped and counted.

    With ``finish``, work has two halves: while a second thread finishes an item, ``handle`` begins the next one. It
    waits with what it has made until the item before is finished: nothing is dropped between the two, and nothing is
    overtaken.
    """

    def __init__(
        self, handle: Callable[[Any], Any], on_failure: Callable[[BaseException], None], waiting: int = 1,
        finish: Callable[[Any], None] | None = None,
    ) -> None:
        """Start the thread, or the two.

        :param handle: deals with the errors it expects; any other ends the work. Where it takes long, it calls
            :meth:`interrupt` now and then.
        :param on_failure: called with it, on the thread; ``failed`` is true from there on.
        :param waiting: how many items may wait, first in first out, before the oldest is dropped.
        :param finish: called, under the same rules, with what ``handle`` returns, unless that is None.
        """
        self._handle, self._finish, self._on_failure = handle, finish, on_failure
        self.failed = False
        self._condition = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._handed: deque[Any] = deque()
        self._most = waiting
        self._working = self._finishing = False
        self._stopping = self._breaking_off = False
        self._dropped = 0
        self.paused = False
        """Whether items that are offered are let go, uncounted."""
        self._threads = [threading.Thread(target=self._work, daemon=True)]
        if finish is not None:
            self._threads.append(threading.Thread(target=self._work_on, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def dropped(self) -> int:
        """How many items were overtaken."""
        return self._dropped

    @property
    def busy(self) -> bool:
        """Whether an item is being worked on."""
        return self._working or self._finishing

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
        if self._breaking_off or self.failed:
            raise BrokenOff

    def settle(self) -> None:
        """Wait, in ``handle``, until what was handed on is finished."""
        with self._condition:
            self._condition.wait_for(lambda: not self._finishing)
        self.interrupt()

    def drain(self) -> None:
        """Forget the items that wait, break off those at work, and return when that is over."""
        with self._condition:
            self._waiting.clear()
            self._breaking_off = True
            self._condition.wait_for(lambda: not self.busy)
            self._breaking_off = self._stopping

    def complete(self) -> None:
        """Wait until nothing waits or is worked on."""
        with self._condition:
            self._condition.wait_for(lambda: self._over or not (self._waiting or self.busy))

    def stop(self) -> None:
        """Break off the items at work and end the threads."""
        with self._condition:
            self._stopping = self._breaking_off = True
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                item = self._waiting.popleft()
                self._working = True
            with self._safely('_working'):
                made = self._handle(item)
                if self._finish is not None and made is not None:
                    self.settle()
                    with self._condition:
                        self._handed.append(made)
                        self._finishing = True
                        self._condition.notify_all()

    def _work_on(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._handed or self._over)
                if self._over:
                    self._finishing = False
                    self._condition.notify_all()
                    return
            with self._safely('_finishing'):
                made = self._handed.popleft()
                self.interrupt()
                self._finish(made)

    @property
    def _over(self) -> bool:
        return self._stopping or self.failed

    @contextmanager
    def _safely(self, state: str) -> Iterator[None]:
        """Work on an item, whatever comes of it; ``state`` is the attribute that says so."""
        try:
            yield
        except BrokenOff:
            pass
        except BaseException as error:
            self.failed = True
            self._on_failure(error)
        finally:
            with self._condition:
                setattr(self, state, False)
                self._condition.notify_all()
