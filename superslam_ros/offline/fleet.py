"""The same work on many recordings: one after the other, side by side, or on the machines of a Ray cluster.

Every piece of work has a process of its own, unless there is one at a time: what ends it, be it a bug or a lack of
memory, ends nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol, TypeVar

from superslam_ros.version import VERSION

log = logging.getLogger(__name__)

Item = TypeVar('Item')
Tell = Callable[[int, 'int | None'], None]
"""Takes how many frames are done, and of how many, where that is known."""
TELL_S = 0.5
"""Between two reports of a process."""
_GRACE_S = 10.0
BAD_INPUT = (RuntimeError, ValueError, OSError, MemoryError)
"""What is the recording's fault, or the machine's: said in a line."""


class Work(Protocol):
    """A function of a module, so that other processes find it."""

    def __call__(self, item: Any, tell: Tell) -> dict[str, Any]:
        """Do it, and return figures that JSON can hold."""


@dataclass(frozen=True)
class Done:
    """What came of a piece of work: its figures, or ``error``.

    :ivar before: it was done by an earlier call, and is as it was.
    """

    name: str
    figures: dict[str, Any]
    error: str = ''
    seconds: float = 0.0
    before: bool = False


def each(
    work: Work, items: Mapping[str, Item], jobs: int = 1, ray: str = '',
    on_progress: Callable[[str, int, int | None], None] = lambda name, done, of: None,
) -> Iterator[Done]:
    """Do a piece of work for every item, and yield what came of each as it ends.

    :param items: by names, which must differ.
    :param jobs: processes side by side on this machine; they share its cores.
    :param ray: address of a Ray cluster (``auto``, ``HOST:PORT``, ``ray://HOST:PORT``), which does it in place of this
        machine. Files are read and written there: folders must be shared, and have the same paths.
    :raises RuntimeError: when Ray is not installed, or the cluster not reached.
    """
    if ray:
        from superslam_ros.offline import fleet_ray

        yield from fleet_ray.each(work, items, ray, on_progress)
    elif jobs <= 1 or len(items) <= 1:
        for name, item in items.items():
            yield attempt(work, name, item, lambda done, of, name=name: on_progress(name, done, of))
    else:
        yield from _side_by_side(work, items, min(jobs, len(items)), on_progress)


def attempt(work: Work, name: str, item: Item, tell: Tell) -> Done:
    """Do a piece of work; what is wrong with it is told, and not raised."""
    began = time.monotonic()
    try:
        return Done(name, work(item, tell), '', time.monotonic() - began)
    except BAD_INPUT as error:
        log.debug('%s', name, exc_info=True)
        return Done(name, {}, ' '.join(str(error).split()) or type(error).__name__, time.monotonic() - began)


def _side_by_side(
    work: Work, items: Mapping[str, Item], jobs: int, on_progress: Callable[[str, int, int | None], None],
) -> Iterator[Done]:
    context = multiprocessing.get_context('spawn')
    waiting, running = list(items), {}
    threads = max(1, (os.cpu_count() or 1) // jobs)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(theirs, work, name, items[name]), name=name)
                with _threads(threads):
                    process.start()
                theirs.close()
                running[ours] = name, process, time.monotonic()
            for pipe in wait(list(running)):
                name, process, began = running[pipe]
                try:
                    said = pipe.recv()
                except EOFError:
                    process.join()
                    said = Done(name, {}, _ended(process.exitcode), time.monotonic() - began)
                if not isinstance(said, Done):
                    on_progress(name, *said)
                    continue
                del running[pipe]
                process.join()
                yield said
    finally:        # interrupted, as they are with us: they write what they have
        for _, process, _ in running.values():
            process.join(_GRACE_S)
            process.terminate()
            process.join()


def _ended(status: int | None) -> str:
    if status is not None and status < 0:
        return f'its process was ended by signal {-status}' + (
            ': too little memory? Fewer --jobs need less' if status == -9 else '')
    return f'its process ended with status {status}; `superslam -v run` of it alone says more'


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have processes that begin meanwhile compute with so many threads, unless the user has said how many."""
    given = os.environ.get('OMP_NUM_THREADS')
    os.environ['OMP_NUM_THREADS'] = given or str(count)
    try:
        yield
    finally:
        if given is None:
            del os.environ['OMP_NUM_THREADS']


def _work(pipe: Connection, work: Work, name: str, item: Item) -> None:
    """Do a piece of work in this process, which has nothing else to do."""
    with pipe:
        pipe.send(attempt(work, name, item, Sparingly(lambda done, of: pipe.send((done, of)))))


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


# What is done already ---------------------------------------------------------------------------------

_RECORD = 'done.json'


def remembered(folder: Path, identity: str) -> dict[str, Any] | None:
    """Return the figures of an earlier call with the same input and options; None where there are none."""
    try:
        found = json.loads((folder / _RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found.get('figures') if isinstance(found, dict) and found.get('identity') == identity else None


def remember(folder: Path, identity: str, figures: Mapping[str, Any]) -> None:
    """Keep figures for a call that is made again; written last, when all else is there."""
    part = folder / f'{_RECORD}.part'
    part.write_text(json.dumps({'identity': identity, 'figures': figures}, indent=1) + '\n')
    part.replace(folder / _RECORD)


def identity(recording: Path, options: str) -> str:
    """Return what tells a piece of work from others: files with size and time of change, options, our version."""
    files = sorted(recording.rglob('*')) if recording.is_dir() else [recording]
    told = [f'{file} {status.st_size} {status.st_mtime_ns}' for file in files if file.is_file()
            for status in [file.stat()]]
    return hashlib.sha256('\n'.join([VERSION, options, *told]).encode()).hexdigest()
