"""A folder of images of one camera."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from superslam_ros.bags.reader import ReaderOptions
from superslam_ros.inputs import tables
from superslam_ros.inputs.listed import SUFFIXES, Listing

log = logging.getLogger(__name__)

LAYOUT = f'images ({", ".join(SUFFIXES)})'
RATE_HZ = 10.0
"""Where neither the names nor the user say it."""
# At the end of a name: seconds with three decimals or more; or, of these decades, whole milliseconds, microseconds or
# nanoseconds.
_TIME = re.compile(r'(?:^|[^\d.])(\d+\.\d{3,}|\d{13}|\d{16}|\d{19})$')
_UNITS = {13: 10**6, 16: 10**3, 19: 1}
_EARLIEST_NS = 946_684_800 * 10**9      # 2000


def images(path: Path) -> list[Path]:
    """Return the images of a folder, sorted as people do: 2 before 10."""
    return sorted((file for file in path.iterdir() if file.suffix.lower() in SUFFIXES), key=_natural)


def listing(path: Path, files: list[Path], options: ReaderOptions) -> Listing:
    """Return the images with times: at the rate that the user gives, else as the names say, else at 10 Hz."""
    times = None if options.rate_hz else times_of(files)
    if times is None:
        rate = options.rate_hz or RATE_HZ
        if not options.rate_hz:
            log.warning('%s: the names are no times: %g images a second are assumed; --rate HZ says it', path, rate)
        times = [round(number * 1e9 / rate) for number in range(len(files))]
    return Listing('images', path, {'image': path.resolve().name}, {'image': sorted(zip(times, files))},
                   rectified=False)


def _natural(file: Path) -> tuple:
    parts = re.split(r'(\d+)', file.name.lower())
    return tuple(int(part) if part.isdigit() else part for part in parts), file.name


def times_of(files: list[Path]) -> list[int] | None:
    """Return the times in the names, None where one has none, or two have the same."""
    times = [_time(file.stem) for file in files]
    return None if None in times or len(set(times)) < len(times) else times


def _time(stem: str) -> int | None:
    match = _TIME.search(stem)
    if match is None:
        return None
    try:
        if '.' in match[1]:
            return tables.seconds(match[1])
        stamp_ns = tables.nanoseconds(match[1]) if len(match[1]) == 19 else int(match[1]) * _UNITS[len(match[1])]
    except ValueError:
        return None
    return stamp_ns if stamp_ns >= _EARLIEST_NS else None
