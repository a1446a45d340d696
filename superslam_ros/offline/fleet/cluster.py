"""Work on the machines of a Ray cluster (https://www.ray.io), which is an optional extra."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from superslam_ros.offline.fleet.work import Done, Item, Sparingly, Work, attempt

CORES = 2
"""Of a machine for each piece of work, and PyTorch's threads: it gains little from more."""
_PAUSE_S = 0.2


def each(
    work: Work, items: Mapping[str, Item], address: str,
    on_progress: Callable[[str, int, int | None], None],
) -> Iterator[Done]:
    """Do as :func:`superslam_ros.offline.fleet.each` does, each piece of work in a process of the cluster.

    :raises RuntimeError: when Ray is not installed, or the cluster not reached.
    """
    try:
        import ray
        from ray.util.queue import Empty, Queue
    except ImportError as error:
        raise RuntimeError(f'--ray needs Ray, here and on the cluster: pip install "superslam_ros[ray]" ({error})') \
            from error
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(address, log_to_driver=False, logging_level='ERROR')
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise RuntimeError(f'--ray {address}: no cluster is reached there ({" ".join(str(error).split())[:200]}); '
                               '`ray start --head` on one machine begins one, and says its address') from error
    try:
        reports = Queue(actor_options={'num_cpus': 0})
        cores = min(CORES, max((int(node['Resources'].get('CPU', 0)) for node in ray.nodes()), default=1)) or 1
        remote = ray.remote(num_cpus=cores, max_retries=0, max_calls=1)(_remotely)
        began = time.monotonic()
        names = {remote.remote(work, name, item, reports): name for name, item in items.items()}
        while names:
            ended, _ = ray.wait(list(names), timeout=_PAUSE_S)
            while True:
                try:
                    on_progress(*reports.get_nowait())
                except Empty:
                    break
            for reference in ended:
                name = names.pop(reference)
                try:
                    yield ray.get(reference)
                except ray.exceptions.RayError as error:     # the process or its machine is gone
                    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
                    yield Done(name, None, f'on the cluster: {first}', time.monotonic() - began)
    finally:
        if mine:
            ray.shutdown()


def _remotely(work: Work, name: str, item: Any, reports: Any) -> Done:
    """Run on a machine of the cluster."""
    return attempt(work, name, item, Sparingly(lambda done, of: reports.put((name, done, of))))
