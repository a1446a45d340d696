"""Maps on disk: written beside the old one and put in its place whole; checked to the last blob when read."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.similarity import widened
from superslam_ros.maps import schema
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, Edge, MapError, Session, in_metres
from superslam_ros.maps.reading import cameras_of, opened, read, sessions_of, tables_of


@dataclass(frozen=True)
class Description:
    """What a file says of its map, without its blobs.

    ``loops`` and ``edges`` are counts, ``bytes`` that of the file.
    """

    version: int
    bytes: int
    sessions: tuple[Session, ...]
    cameras: tuple[tuple[Pinhole, tuple[int, int]], ...]
    keyframes: int
    landmarks: int
    edges: int
    loops: int
    descriptor_size: int
    embedding_size: int

    @property
    def metric(self) -> bool:
        """Whether its unit is the metre."""
        return in_metres(self.sessions)


def save(kept: Map, path: str | os.PathLike) -> None:
    """Write a map. Until that is done the old file stays as it is, whatever happens.

    :raises MapError: saying why, when it cannot be written.
    """
    path = part = Path(path).expanduser()
    try:
        path = _place(path)
        part = path.with_name(f'{path.name}.part')
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as file:
            identity = os.stat(part)
            _write(kept, file)
        if not part.exists() or not os.path.samestat(identity, os.stat(part)):
            raise MapError(f'the map {path} is not saved: another process is saving to the same file')
        _sync(part)
        os.replace(part, path)
        _sync(path.parent)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink()
        reason = getattr(error, 'strerror', None) or str(error)
        raise MapError(f'the map {path} cannot be saved ({reason}); what was there is as it was. Is the disk full, and '
                       f'may you write to {path.parent}?') from error


def load(path: str | os.PathLike) -> Map:
    """Read a map; the file is not changed, and may be on a medium that cannot be.

    :raises MapError: saying why, when it is none, of a newer version, or damaged.
    """
    path = Path(path).expanduser()
    with opened(path) as file:
        return read(path, file)


def describe(path: str | os.PathLike) -> Description:
    """Return what a file says of its map, quickly.

    :raises MapError: as :func:`load` does, but for blobs.
    """
    path = Path(path).expanduser()
    with opened(path) as file:
        tables, about = tables_of(path, file)
        return Description(
            schema.VERSION, path.stat().st_size, tuple(sessions_of(tables)), tuple(cameras_of(tables).values()),
            len(tables['keyframes']), about['landmarks'], about['edges'], about['loops'], about['descriptor_size'],
            about['embedding_size'])


def _place(path: Path) -> Path:
    """Return where to write: what a link leads to.

    :raises MapError: when nothing can be written there.
    """
    if path.is_dir():
        raise MapError(f'the map {path} cannot be saved: that is a directory; name a file in it')
    if not path.parent.is_dir():
        raise MapError(f'the map {path} cannot be saved: the directory {path.parent} does not exist; create it, or '
                       'name another')
    return path.resolve()


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(kept: Map, file: sqlite3.Connection) -> None:
    """Write a map into an empty database; nobody reads it before it is whole, so there is no journal."""
    file.isolation_level = None
    for pragma in ('page_size = 4096', 'journal_mode = OFF', 'synchronous = OFF',
                   f'application_id = {schema.APPLICATION_ID}', f'user_version = {schema.VERSION}'):
        file.execute(f'PRAGMA {pragma}')
    file.execute('BEGIN')
    for statement in schema.TABLES.split(';'):
        file.execute(statement)
    tables = _rows(kept)
    tables['about'].append(('digest', schema.digest(tables)))
    for name, rows in tables.items():
        if rows:
            file.executemany(f'INSERT INTO {name} VALUES ({", ".join("?" * len(rows[0]))})', rows)
    for kind, number, data in _blobs(kept):
        file.execute('INSERT INTO blobs VALUES (?, ?, ?, ?)', (kind, number, data, hashlib.sha256(data).digest()))
    file.execute('COMMIT')


def _rows(kept: Map) -> dict[str, list[tuple]]:
    """Return what is not in blobs, as rows by table, in order."""
    loops = sum(edge.kind == LOOP for edge in kept.edges)
    about = {
        'landmarks': len(kept.landmarks), 'edges': len(kept.edges), 'loops': loops, 'next_keyframe': kept.next_id,
        'next_landmark': kept.landmarks.next_id, 'descriptor_size': kept.landmarks.descriptors.shape[1],
        'embedding_size': kept.embedding_size,
        **({'vocabulary': int(kept.vocabulary, 16)} if kept.vocabulary else {}),     # all are numbers
        **({'scales': 1} if any(edge.similar for edge in kept.edges) else {})}
    return {
        'about': [(name, str(value)) for name, value in sorted(about.items())],
        'sessions': [(one.id, one.name, int(one.start_ns), one.weights, int(one.metric))
                     for one in kept.sessions.values()],
        'cameras': [(number, camera.fx, camera.fy, camera.cx, camera.cy, *size)
                    for number, (camera, size) in kept.cameras.items()],
        'keyframes': [(one.id, int(one.stamp_ns), one.session, one.camera, one.keypoints, len(one.landmark_ids))
                      for one in kept.keyframes.values()]}


def _blobs(kept: Map) -> Iterator[tuple[str, int, bytes]]:
    """Yield kind, id and content of all blobs."""
    table, living = kept.landmarks, kept.landmarks.living()
    fields = schema.landmarks(table.descriptors.shape[1])
    poses = np.array([one.T_map_camera for one in kept.keyframes.values()]).reshape(-1, 4, 4)
    yield 'poses', 0, schema.pack(schema.POSES, {'poses': poses})
    yield 'index', 0, schema.pack(schema.INDEX, {'ids': table.ids[living], 'host': table.host[living]})
    yield 'edges', 0, schema.pack(schema.EDGES, _edge_arrays(kept.edges))
    if any(edge.similar for edge in kept.edges):
        yield 'scales', 0, schema.pack(schema.SCALES, _scale_arrays(kept.edges))
    hosted = schema.by_host(table.host[living])
    for number, one in kept.keyframes.items():
        yield 'embedding', number, schema.pack(schema.embedding(len(one.embedding)), {'embedding': one.embedding})
        yield 'sightings', number, schema.pack(schema.SIGHTINGS, vars(one))
        rows = living[hosted(number)]
        columns = {name: getattr(table, name)[rows] for name, *_ in fields}
        columns['covariance'] = columns['covariance'][:, schema.UPPER[0], schema.UPPER[1]]
        yield 'landmarks', number, schema.pack(fields, columns)


def _edge_arrays(edges: list[Edge]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(edge, name) for edge in edges]) for name in (
        'start', 'end', 'inlier', 'T_start_end')}
    return {**columns, 'covariance': np.array([edge.pose_covariance for edge in edges]),
            'loop': np.array([edge.kind == LOOP for edge in edges])}


def _scale_arrays(edges: list[Edge]) -> dict[str, np.ndarray]:
    return {'similar': np.array([edge.similar for edge in edges]), 'scale': np.array([edge.scale for edge in edges]),
            'scale_covariance': np.array([widened(edge.covariance)[6] for edge in edges])}
