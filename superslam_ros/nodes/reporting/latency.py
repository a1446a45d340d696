"""How old the frames are when their results are published."""

from __future__ import annotations

import time
from collections import deque

import numpy as np
from rclpy.clock import ROSClock

from superslam_ros.sync import Stamped

FRAMES = 100
"""The last ones, of which median and 95th percentile are told."""
OLDEST_S = 60.0
"""A stamp that seems to be older is of another clock; so is one of the future."""


class Latencies:
    """Collects latencies of the last frames: from the image's stamp, and from its receipt."""

    def __init__(self, clock: ROSClock) -> None:
        """Begin; ``clock`` is the node's, which with ``use_sim_time`` shows the time of /clock."""
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._of_stamp_ms: deque[float] = deque(maxlen=FRAMES)
        self._of_receipt_ms: deque[float] = deque(maxlen=FRAMES)

    def add(self, taken: Stamped) -> None:
        """Note that the result of a frame was published just now."""
        self._of_stamp_ms.append((self._clock.now().nanoseconds - taken.stamp_ns) / 1e6)
        self._of_receipt_ms.append((time.monotonic_ns() - taken.log_ns) / 1e6)

    def values(self) -> dict[str, str]:
        """Return what there is to tell, by name."""
        if not self._of_receipt_ms:
            return {}
        return {**self._since_stamp(), **_summary('receipt', self._of_receipt_ms)}

    def _since_stamp(self) -> dict[str, str]:
        clock = 'simulated time (/clock)' if self._clock.ros_time_is_active else 'system time'
        age_s = float(np.median(self._of_stamp_ms)) / 1e3
        if 0 <= age_s <= OLDEST_S:
            return {'latency clock': clock, **_summary('stamp', self._of_stamp_ms)}
        where = f'{-age_s:.3f} s ahead of' if age_s < 0 else f'{age_s:.0f} s behind'
        return {'latency clock': f'the stamps are of another one: {where} {clock}'}


def _summary(since: str, latencies_ms: deque[float]) -> dict[str, str]:
    median, high = np.percentile(latencies_ms, (50, 95))
    return {f'latency since {since}, median (ms)': f'{median:.1f}', f'latency since {since}, p95 (ms)': f'{high:.1f}'}
