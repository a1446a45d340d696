"""The same work on many recordings: one after the other, side by side, or on the machines of a Ray cluster.

Every piece of work has a process of its own, unless there is one at a time: what ends it, be it a bug or a lack of
memory, ends nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from superslam_ros.offline.fleet import processes
from superslam_ros.offline.fleet.work import Done, Item, Tell, Work, attempt

__all__ = ['Done', 'Tell', 'Work', 'each']


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
        from superslam_ros.offline.fleet import cluster

        yield from cluster.each(work, items, ray, on_progress)
    elif jobs <= 1 or len(items) <= 1:
        for name, item in items.items():
            yield attempt(work, name, item, lambda done, of, name=name: on_progress(name, done, of))
    else:
        yield from processes.each(work, items, min(jobs, len(items)), on_progress)
