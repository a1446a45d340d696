"""How many cores this process may use, and whether the user has said how many threads are to be computed with."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

THREADS = 'OMP_NUM_THREADS'
"""The environment variable by which PyTorch is told."""


def available(quota: Path = Path('/sys/fs/cgroup/cpu.max')) -> int:
    """Return how many cores this process may use: those it is bound to and, in a container, as many as it gets time of.

    :param quota: of the container, as Linux has it (cgroup 2): microseconds of CPU, or ``max``, of how many.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
    except (OSError, ValueError):
        return bound
    return bound if most == 'max' else max(1, min(bound, math.ceil(int(most) / int(period))))


def told() -> bool:
    """Return whether :data:`THREADS` says how many threads; text that OpenMP does not take says nothing."""
    return re.fullmatch(r'\s*[1-9]\d*\s*(,\s*[1-9]\d*\s*)*', os.environ.get(THREADS, '')) is not None
