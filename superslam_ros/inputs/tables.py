"""Lines of numbers and names, as data sets have them: with commas or blanks between, and # before comments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

import numpy as np

from superslam_ros.bags.bag import LAST_NS
from superslam_ros.bags.files import BagError
from superslam_ros.inputs.listed import Files

Problems = list[tuple[str, str]]
"""Reason and detail of lines that cannot be used."""


def nanoseconds(word: str) -> int:
    """Return a time of whole nanoseconds.

    :raises ValueError: when it is none that ROS can hold.
    """
    return _checked(int(word), word)


def seconds(word: str) -> int:
    """Return a time in decimal seconds as nanoseconds, exactly.

    :raises ValueError: when it is none that ROS can hold.
    """
    try:
        return _checked(round(Decimal(word) * 10**9), word)
    except (InvalidOperation, OverflowError) as error:
        raise ValueError(f'{word!r} is no time') from error


def _checked(stamp_ns: int, word: str) -> int:
    if not 0 <= stamp_ns < LAST_NS:
        raise ValueError(f'{word!r} is no time from 0 to 2038')
    return stamp_ns


def rows(file: Path, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the line, words) of a file.

    :param separator: None for blanks.
    :raises BagError: when it cannot be read.
    """
    try:
        with file.open(encoding='utf-8', errors='replace') as lines:
            for number, line in enumerate(lines, 1):
                words = [word.strip() for word in line.partition('#')[0].split(separator)]
                if any(words):
                    yield number, words
    except OSError as error:
        raise BagError(f'{file}: cannot be read ({error.strerror or error})') from error


def stamped_files(
    table: Path, folder: Path, separator: str | None, time: Callable[[str], int],
) -> tuple[Files, Problems]:
    """Return what a table of times and file names lists, in order of time; and the lines that are none.

    :param folder: that the names are below; ``time`` returns nanoseconds.
    :raises BagError: when no line of it can be used.
    """
    found, problems = [], []
    for number, words in rows(table, separator):
        try:
            if len(words) < 2 or not words[1]:
                raise ValueError('no name of a file')
            found.append((time(words[0]), folder / words[1]))
        except ValueError as error:
            problems.append((f'a line of {table.name} is no time and file', f'line {number}: {error}'))
    if not found:
        raise BagError(f'{table}: no line of it is a time and the name of a file')
    return sorted(found), problems


def numbers(table: Path, separator: str | None, columns: int, what: str) -> np.ndarray:
    """Return the first columns of a table as (N, columns) float64.

    :param what: the columns are, for the message of the error.
    :raises BagError: naming the line that has fewer, or others than finite numbers; or when there is none.
    """
    return timed_numbers(table, separator, columns, what, lambda word: 0)[1]


def timed_numbers(
    table: Path, separator: str | None, columns: int, what: str, time: Callable[[str], int] = nanoseconds,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the times in the first column, (N,) int64 nanoseconds, and the columns as :func:`numbers` does."""
    stamps, found = [], []
    for number, words in rows(table, separator):
        try:
            values = [float(word) for word in words[:columns]]
            if len(values) < columns or not np.isfinite(values).all():
                raise ValueError
            stamps.append(time(words[0]))
        except ValueError as error:
            raise BagError(f'{table}, line {number}: expected {what}, got {" ".join(words)[:80]!r}') from error
        found.append(values)
    if not found:
        raise BagError(f'{table}: is empty; expected {what}')
    return np.array(stamps, np.int64), np.array(found)
