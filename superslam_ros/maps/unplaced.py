"""Sessions that were not found in a map: each is kept in a file of its own beside that of the map, until it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from superslam_ros.maps.map import Map
from superslam_ros.maps.storage import save


def save_all(kept: Map, others: Iterable[Map], path: str | os.PathLike) -> list[Path]:
    """Write a map, and beside it what was not found in it.

    A file of a session that the map holds by now goes.

    :param others: maps of one session each.
    :returns: the files beside the map.
    :raises MapError: saying why, when one of them cannot be written.
    """
    others, path = list(others), Path(path).expanduser()
    for one in others:      # first: what is only there is safe, even if the map cannot be written
        save(one, _beside(path, _start_ns(one)))
    save(kept, path)
    for start_ns in {one.start_ns for one in kept.sessions.values()} - {_start_ns(one) for one in others}:
        _beside(path, start_ns).unlink(missing_ok=True)
    return [_beside(path, _start_ns(one)) for one in others]


def files(path: str | os.PathLike) -> list[Path]:
    """Return the files beside that of a map with what was not found in it."""
    path = Path(path).expanduser()
    start, end = f'{path.stem}.unplaced-', path.suffix
    return sorted(one for one in path.parent.iterdir() if one.name.startswith(start) and one.suffix == end)


def advice(beside: Iterable[Path]) -> str:
    """Return what to say of files beside a map; '' where there are none."""
    names = ', '.join(one.name for one in beside)
    return f'not found in the map, and kept beside it: {names}; when the map knows the way there, ' \
           '`superslam map merge` joins them' if names else ''


def _beside(path: Path, start_ns: int) -> Path:
    return path.with_name(f'{path.stem}.unplaced-{start_ns}{path.suffix}')


def _start_ns(one: Map) -> int:
    return min(session.start_ns for session in one.sessions.values())
