"""What the unit has measured lately, in order."""

from __future__ import annotations

import logging
from collections import Counter
from typing import NamedTuple

import numpy as np

from superslam_ros.data import JUMP_BACK_NS

log = logging.getLogger(__name__)

MOST = 200_000
"""Samples kept: over three minutes at 1 kHz. A blackout that lasts longer is bridged in parts."""
MOST_RAD_S, MOST_M_S2 = 70.0, 320.0
"""Twice what common units can measure (2000 deg/s, 16 g)."""
BEYOND_S = 0.02
"""The last rate is believed for so long after it."""


class Part(NamedTuple):
    """Samples between two instants, which are interpolated: ``seconds`` (N,) since the first, rates and forces (N, 3).

    ``beyond_s``: for how long the last one is held.
    """

    seconds: np.ndarray
    angular: np.ndarray
    linear: np.ndarray
    beyond_s: float


class Samples:
    """Messages of the unit; they may come on one thread, and be asked for on another.

    :ivar refused: reason -> how many messages were not believed for it.
    """

    def __init__(self, max_gap_s: float) -> None:
        """Begin without any."""
        self._max_gap_s = max_gap_s
        self.refused: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget all messages."""
        self._begin(np.zeros(0, np.int64), np.zeros((0, 6)), 1024)

    def _begin(self, stamps: np.ndarray, values: np.ndarray, room: int) -> None:
        # A reader keeps the arrays that it has, which are only appended to.
        new = np.zeros(room, np.int64), np.zeros((room, 6))
        new[0][:len(stamps)], new[1][:len(stamps)] = stamps, values
        self._held = *new, len(stamps)

    @property
    def first_ns(self) -> int:
        """Stamp of the oldest that is kept; 0 without."""
        stamps, _, count = self._held
        return int(stamps[0]) if count else 0

    @property
    def last_ns(self) -> int:
        """Stamp of the last one; 0 without."""
        stamps, _, count = self._held
        return int(stamps[count - 1]) if count else 0

    def add(self, stamp_ns: int, angular_rad_s: np.ndarray, linear_m_s2: np.ndarray) -> bool:
        """Take a message; return whether it is believed."""
        stamps, values, count = self._held
        late_ns = self.last_ns - stamp_ns
        if count and 0 <= late_ns < JUMP_BACK_NS:
            return self.refuse('stamp out of order', f'{late_ns * 1e-9:.3f} s before the last one')
        value = np.concatenate([angular_rad_s, linear_m_s2])
        if not np.isfinite(value).all():
            return self.refuse('no number', 'it holds NaN or infinity')
        rate, force = np.linalg.norm(value[:3]), np.linalg.norm(value[3:])
        if rate > MOST_RAD_S:
            return self.refuse('too fast', f'{rate:.0f} rad/s, more than units can measure (in deg/s, or in ticks? '
                               'sensor_msgs/Imu has rad/s)')
        if force > MOST_M_S2:
            return self.refuse('too strong', f'{force:.0f} m/s^2, more than units can measure (in mg, or in ticks? '
                               'sensor_msgs/Imu has m/s^2)')
        if count and late_ns > 0:
            self.reset()
            stamps, values, count = self._held
        if count == len(stamps):
            keep = min(count, MOST)
            self._begin(stamps[count - keep:], values[count - keep:], min(2 * count, 2 * MOST))
            stamps, values, count = self._held
        stamps[count], values[count] = stamp_ns, value
        self._held = stamps, values, count + 1
        return True

    def refuse(self, reason: str, detail: str, count: int = 1) -> bool:
        """Count what is not believed, and say it once; return False."""
        first = not self.refused[reason]
        self.refused[reason] += count
        log.log(logging.WARNING if first else logging.DEBUG, 'IMU: %s: %s (said once, counted)', reason, detail)
        return False

    def within(self, stamp0_ns: int, stamp1_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the stamps (N,) and values (N, 6) from an instant on and before another one."""
        stamps, values, count = self._held
        part = slice(*np.searchsorted(stamps[:count], [stamp0_ns, stamp1_ns]).tolist())
        return stamps[part], values[part]

    def part(self, stamp0_ns: int, stamp1_ns: int) -> Part | None:
        """Return the samples of the time between two instants; None where some are missing."""
        stamps, values, count = self._held
        if count < 2 or not stamps[0] <= stamp0_ns <= stamp1_ns:
            return None
        beyond_s = max(0, stamp1_ns - int(stamps[count - 1])) * 1e-9
        if beyond_s > BEYOND_S:
            return None
        start = np.searchsorted(stamps[:count], stamp0_ns, 'right')
        end = np.searchsorted(stamps[:count], stamp1_ns)
        around = slice(max(0, start - 1), min(end + 1, count))
        # Relative to the first instant, doubles hold nanoseconds exactly.
        known = (stamps[around] - stamp0_ns) * 1e-9
        if len(known) > 1 and np.diff(known).max() > self._max_gap_s:
            return None
        seconds = np.concatenate([[0.0], (stamps[start:end] - stamp0_ns) * 1e-9, [(stamp1_ns - stamp0_ns) * 1e-9]])
        found = np.stack([np.interp(seconds, known, axis) for axis in values[around].T], 1)
        return Part(seconds, found[:, :3], found[:, 3:], beyond_s)
