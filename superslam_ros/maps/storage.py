"""Maps on disk: written beside the old one and put in its place whole; checked to the last blob when read."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.maps import schema
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, ODOMETRY, Edge, MapError, MapKeyframe, Session


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
    with _opened(path) as file:
        tables = _tables(path, file)
        return _read(_Blobs(path, file), tables)


def describe(path: str | os.PathLike) -> Description:
    """Return what a file says of its map, quickly.

    :raises MapError: as :func:`load` does, but for blobs.
    """
    path = Path(path).expanduser()
    with _opened(path) as file:
        tables = _tables(path, file)
        about = {name: int(value) for name, value in tables['about'] if name != 'digest'}
        return Description(
            schema.VERSION, path.stat().st_size, tuple(_sessions(tables)), tuple(_cameras(tables).values()),
            len(tables['keyframes']), about['landmarks'], about['edges'], about['loops'], about['descriptor_size'],
            about['embedding_size'])


# --- writing --------------------------------------------------------------------------------------


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
        'embedding_size': max((len(one.embedding) for one in kept.keyframes.values()), default=0)}
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
    hosted = _by_host(table.host[living])
    for number, one in kept.keyframes.items():
        yield 'embedding', number, schema.pack(schema.embedding(len(one.embedding)), {'embedding': one.embedding})
        yield 'sightings', number, schema.pack(schema.SIGHTINGS, vars(one))
        rows = living[hosted(number)]
        columns = {name: getattr(table, name)[rows] for name, *_ in fields}
        columns['covariance'] = columns['covariance'][:, schema.UPPER[0], schema.UPPER[1]]
        yield 'landmarks', number, schema.pack(fields, columns)


def _edge_arrays(edges: list[Edge]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(edge, name) for edge in edges]) for name in (
        'start', 'end', 'inlier', 'T_start_end', 'covariance')}
    return {**columns, 'loop': np.array([edge.kind == LOOP for edge in edges])}


def _by_host(hosts: np.ndarray) -> Callable[[int], np.ndarray]:
    """Return a function from a host to the positions (M,) in ``hosts`` (L,) where it is."""
    order = np.argsort(hosts, kind='stable')
    inorder = hosts[order]
    return lambda host: order[np.searchsorted(inorder, host):np.searchsorted(inorder, host, 'right')]


# --- reading --------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a map to read; what SQLite finds wrong meanwhile is told as damage.

    :raises MapError: when it is not the file of a map that this version reads.
    """
    _check_file(path)
    try:
        with closing(sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro&immutable=1', uri=True)) as file:
            kind, version = (file.execute(f'PRAGMA {name}').fetchone()[0] for name in (
                'application_id', 'user_version'))
            if kind != schema.APPLICATION_ID:
                raise MapError(f'{path} is an SQLite file, but no map: its application id is {kind:#x} (bags of ROS 2 '
                               'are such files); build a map with `superslam map build`')
            if version > schema.VERSION:
                raise MapError(f'the map {path} is of format {version}, and this version of superslam_ros reads '
                               f'{schema.VERSION}: update superslam_ros')
            if version < 1:
                raise _damaged(path, f'its format is {version}')
            yield file
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _check_file(path: Path) -> None:
    """Refuse what is no SQLite file.

    :raises MapError: saying what it is instead.
    """
    try:
        with open(path, 'rb') as file:
            start = file.read(16)
    except IsADirectoryError as error:
        raise MapError(f'{path} is a directory, no map: name the file in it') from error
    except FileNotFoundError as error:
        raise MapError(f'there is no map {path}: build one with `superslam map build`') from error
    except OSError as error:
        raise MapError(f'the map {path} cannot be read ({error.strerror}): may you read it?') from error
    if not start:
        raise MapError(f'{path} is empty: its saving did not end, or it is no map; build one with `superslam map '
                       'build`')
    if start != b'SQLite format 3\0':
        raise MapError(f'{path} is no map, but another kind of file: build a map with `superslam map build`')


def _damaged(path: Path, what: str) -> MapError:
    return MapError(f'the map {path} is damaged: {what}; take a copy of it, or build it anew')


def _tables(path: Path, file: sqlite3.Connection) -> dict[str, list[tuple]]:
    """Return all rows but the blobs, by table.

    :raises MapError: when they are not what was written.
    """
    tables = {name: file.execute(f'SELECT * FROM {name} ORDER BY 1').fetchall() for name in schema.ROWS}
    if dict(tables['about']).get('digest') != schema.digest(tables):
        raise _damaged(path, 'the tables of sessions, cameras and keyframes are not what was written')
    return tables


class _Blobs:
    """Reads blobs, and says which one is damaged."""

    def __init__(self, path: Path, file: sqlite3.Connection) -> None:
        """Remember the file."""
        self._path, self._file = path, file

    def get(self, kind: str, number: int, fields: tuple[schema.Field, ...], count: int) -> dict[str, np.ndarray]:
        """Return the arrays (count, ...) of a blob.

        :raises MapError: when it is not there, or not what was written.
        """
        name = schema.NAMES[kind].format(number)
        row = self._file.execute('SELECT data, sha256 FROM blobs WHERE kind = ? AND id = ?', (kind, number)).fetchone()
        if row is None:
            raise _damaged(self._path, f'{name} are missing')
        if not isinstance(row[0], bytes) or hashlib.sha256(row[0]).digest() != row[1]:
            raise _damaged(self._path, f'the SHA-256 of {name} is wrong')
        try:
            return schema.unpack(fields, row[0], count)
        except ValueError as error:
            raise _damaged(self._path, f'{name} have {error}') from error


def _sessions(tables: dict[str, list[tuple]]) -> list[Session]:
    return [Session(*row[:4], bool(row[4])) for row in tables['sessions']]


def _cameras(tables: dict[str, list[tuple]]) -> dict[int, tuple[Pinhole, tuple[int, int]]]:
    return {row[0]: (Pinhole(*row[1:5]), row[5:]) for row in tables['cameras']}


def _read(blobs: _Blobs, tables: dict[str, list[tuple]]) -> Map:
    kept = Map()
    about = {name: int(value) for name, value in tables['about'] if name != 'digest'}
    kept.sessions = {one.id: one for one in _sessions(tables)}
    kept.cameras = _cameras(tables)
    index = blobs.get('index', 0, schema.INDEX, about['landmarks'])
    fields = schema.landmarks(about['descriptor_size'])
    table = kept.landmarks
    table.append(**index, **{name: np.zeros((1, *shape), dtype) for name, dtype, shape in fields[2:]}, points=0,
                 covariance=0)
    hosted = _by_host(index['host'])
    poses = blobs.get('poses', 0, schema.POSES, len(tables['keyframes']))['poses']
    for (number, stamp_ns, session, camera, keypoints, sightings), T in zip(tables['keyframes'], poses):
        rows = hosted(number)
        for name, values in blobs.get('landmarks', number, fields, len(rows)).items():
            getattr(table, name)[rows] = schema.whole(values) if name == 'covariance' else values
        embedding = blobs.get('embedding', number, schema.embedding(about['embedding_size']), 1)['embedding'][0]
        seen = blobs.get('sightings', number, schema.SIGHTINGS, sightings)
        kept.put(MapKeyframe(number, stamp_ns, session, camera, T.copy(), embedding, keypoints=keypoints,
                             **{name: values.copy() for name, values in seen.items()}))
    kept.edges = _edges(blobs.get('edges', 0, schema.EDGES, about['edges']))
    kept.next_id, table.next_id = about['next_keyframe'], about['next_landmark']
    return kept


def _edges(columns: dict[str, np.ndarray]) -> list[Edge]:
    values = (columns[name] if columns[name].ndim > 1 else columns[name].tolist() for name in (
        'start', 'end', 'T_start_end', 'covariance', 'loop', 'inlier'))
    return [Edge(start, end, T.copy(), covariance.copy(), LOOP if loop else ODOMETRY, bool(inlier))
            for start, end, T, covariance, loop, inlier in zip(*values)]
