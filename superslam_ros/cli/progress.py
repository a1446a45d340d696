"""Progress bars on stderr, which show nothing where that is no terminal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import track as rich_track
from rich.text import Text

Item = TypeVar('Item')


log = logging.getLogger(__name__)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show frames per second."""
        return Text(f'{task.speed or 0:5.1f} frames/s', style='cyan')


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Show how many are done, of how many where that is known."""
        return Text(f'{task.completed:.0f}' if task.total is None else f'{task.completed:.0f}/{task.total:.0f}')


def bar(rate: bool = True) -> Progress:
    """Return a bar, with the rate of frames unless told otherwise, which stays when it is full."""
    console = Console(stderr=True)
    return Progress(
        TextColumn('{task.description}'), BarColumn(), _Count(), *([_Rate()] if rate else []),
        TimeRemainingColumn(), console=console, disable=not console.is_terminal)


class Stages:
    """Bars of a command of several stages, one after the other; between two stages there is none.

    The training loop has a bar of its own, and a terminal shows one at a time.
    """

    def __init__(self) -> None:
        """Begin without one."""
        self._bar: Progress | None = None
        self._side: Side | None = None

    def __enter__(self) -> Stages:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the last bar."""
        self._end()

    def start(self, name: str, steps: int | None) -> None:
        """Begin the bar of a stage of so many steps, if that is known."""
        self._end()
        log.info('%s%s', name, '' if steps is None else f': {steps} steps')
        self._bar = bar(rate=False)
        self._bar.start()
        self._bar.add_task(name, total=steps)

    def step(self) -> None:
        """Move the bar, which ends when it is full."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
            if self._bar.finished:
                self._end()

    def tell(self, name: str, done: int, of: int | None) -> None:
        """Move one of the bars of a stage of several pieces of work that go on at once."""
        if self._side is None:
            self._end()
            self._side = Side().__enter__()
        self._side.tell(name, done, of)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._side is not None:
            self._side.__exit__()
            self._side = None


class Side:
    """A bar for each of several pieces of work that go on at once."""

    def __init__(self) -> None:
        """Begin without any."""
        self._bar, self._tasks = bar(), {}

    def __enter__(self) -> Side:
        """Show them."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave them as they are."""
        self._bar.stop()

    def tell(self, name: str, done: int, of: int | None) -> None:
        """Move the bar of a piece of work."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=of)
        self._bar.update(self._tasks[name], completed=done, total=of)

    def end(self, name: str) -> None:
        """Fill the bar of a piece of work that has ended."""
        if name in self._tasks:
            total = next(task.total for task in self._bar.tasks if task.id == self._tasks[name])
            self._bar.update(self._tasks[name], completed=total or 0)


def of_bags(progress: Progress) -> dict[str, Callable[..., None]]:
    """Return ``on_start`` and ``on_frame``, which move a bar for each bag that is read."""
    return {'on_start': lambda name, frames: progress.add_task(name, total=frames),
            'on_frame': lambda: progress.advance(progress.task_ids[-1])}


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterable[Item]:
    """Return items with a bar that moves as they are taken, and goes when all are."""
    console = Console(stderr=True)
    return rich_track(items, description, total, console=console, transient=True, disable=not console.is_terminal)
