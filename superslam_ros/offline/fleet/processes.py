"""Work side by side on this machine, in a process each."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait

from superslam_ros import cores
from superslam_ros.offline.fleet.work import Done, Item, Sparingly, Work, attempt

_GRACE_S = 10.0
"""That processes have to write what they have, when we are interrupted."""


def each(
    work: Work, items: Mapping[str, Item], jobs: int, on_progress: Callable[[str, int, int | None], None],
) -> Iterator[Done]:
    """Do as :func:`superslam_ros.offline.fleet.each` does, ``jobs`` pieces at once."""
    context = multiprocessing.get_context('spawn')
    waiting, running = list(items), {}
    threads = max(1, cores.available() // jobs)
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
                    said = Done(name, None, _ended(process.exitcode), time.monotonic() - began)
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
    given = os.environ.get(cores.THREADS)
    if not cores.told():
        os.environ[cores.THREADS] = str(count)
    try:
        yield
    finally:
        if given is None:
            del os.environ[cores.THREADS]
        else:
            os.environ[cores.THREADS] = given


def _work(pipe: Connection, work: Work, name: str, item: Item) -> None:
    """Do a piece of work in this process, which has nothing else to do."""
    with pipe:
        try:
            pipe.send(attempt(work, name, item, Sparingly(lambda done, of: pipe.send((done, of)))))
        except KeyboardInterrupt:       # as we are, who say so
            raise SystemExit(130) from None
