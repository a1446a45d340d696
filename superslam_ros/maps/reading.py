"""Files of maps, opened without being changed, and checked: rows by one digest, blobs each by its own."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from superslam_ros.geometry.camera import Pinhole
from superslam_ros.geometry.similarity import widened
from superslam_ros.maps import schema
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, ODOMETRY, Edge, MapError, MapKeyframe, Session


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a map to read; whatever is found wrong meanwhile is told as damage.

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
            for pragma in ('trusted_schema = OFF', 'cell_size_check = ON'):     # it may be a stranger's
                file.execute(f'PRAGMA {pragma}')
            yield file
    except MapError:
        raise
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error
    except (LookupError, ValueError, TypeError, OverflowError) as error:     # its writer was not this one
        raise _damaged(path, f'what it says does not fit together ({error or type(error).__name__})') from error


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
    return MapError(f'the map {path} is damaged: {what}; use a copy from before, or build it anew')


def tables_of(path: Path, file: sqlite3.Connection) -> tuple[dict[str, list[tuple]], dict[str, int]]:
    """Return all rows but the blobs, by table, and the numbers of the table ``about``, by name.

    :raises MapError: when they are not what was written.
    """
    tables = {name: file.execute(f'SELECT * FROM {name} ORDER BY 1').fetchall() for name in schema.ROWS}
    if dict(tables['about']).get('digest') != schema.digest(tables):
        raise _damaged(path, 'the tables of sessions, cameras and keyframes are not what was written')
    return tables, {name: int(value) for name, value in tables['about'] if name != 'digest'}


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
            raise _damaged(self._path, f'it is without {name}')
        if not isinstance(row[0], bytes) or hashlib.sha256(row[0]).digest() != row[1]:
            raise _damaged(self._path, f'the SHA-256 of {name} is wrong')
        try:
            return schema.unpack(fields, row[0], count)
        except ValueError as error:
            raise _damaged(self._path, f'of {name} there are {error}') from error


def sessions_of(tables: dict[str, list[tuple]]) -> list[Session]:
    """Return the sessions in the rows of a file."""
    return [Session(*row[:4], bool(row[4])) for row in tables['sessions']]


def cameras_of(tables: dict[str, list[tuple]]) -> dict[int, tuple[Pinhole, tuple[int, int]]]:
    """Return by id the cameras in the rows of a file."""
    return {row[0]: (Pinhole(*row[1:5]), row[5:]) for row in tables['cameras']}


def read(path: Path, file: sqlite3.Connection) -> Map:
    """Return the map in an open file.

    :raises MapError: when it is damaged.
    """
    (tables, about), blobs, kept = tables_of(path, file), _Blobs(path, file), Map()
    kept.sessions = {one.id: one for one in sessions_of(tables)}
    kept.cameras = cameras_of(tables)
    index = blobs.get('index', 0, schema.INDEX, about['landmarks'])
    fields = schema.landmarks(about['descriptor_size'])
    table = kept.landmarks
    table.append(**index, **{name: np.zeros((1, *shape), dtype) for name, dtype, shape in fields[2:]}, points=0,
                 covariance=0)
    hosted = schema.by_host(index['host'])
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
    if 'scales' in about:
        kept.edges = _with_scales(kept.edges, blobs.get('scales', 0, schema.SCALES, about['edges']))
    kept.vocabulary = f'{about["vocabulary"]:064x}' if 'vocabulary' in about else ''
    kept.next_id, table.next_id = about['next_keyframe'], about['next_landmark']
    _check(kept)
    return kept


def _check(kept: Map) -> None:
    """Find out whether a map's parts refer to each other.

    :raises ValueError: when they do not.
    """
    table, known = kept.landmarks, np.array(list(kept.keyframes), dtype=np.int64)
    seen = np.concatenate([one.landmark_ids for one in kept.keyframes.values()] or [table.ids[:0]])
    ends = np.array([(edge.start, edge.end) for edge in kept.edges], dtype=np.int64)
    poses = np.array([one.T_map_camera for one in kept.keyframes.values()])
    facts = {'landmarks are not in order': (np.diff(table.ids) > 0).all(),
             'keyframes see landmarks that there are not': (table.rows(seen) >= 0).all(),
             'landmarks are of keyframes that there are not': np.isin(table.host, known).all(),
             'edges lead to keyframes that there are not': np.isin(ends, known).all(),
             'keyframes are of sessions or cameras that there are not': all(
                 one.session in kept.sessions and one.camera in kept.cameras for one in kept.keyframes.values()),
             'a pose is not finite': np.isfinite(poses).all()}
    for what, holds in facts.items():
        if not holds:
            raise ValueError(what)


def _edges(columns: dict[str, np.ndarray]) -> list[Edge]:
    values = (columns[name] if columns[name].ndim > 1 else columns[name].tolist() for name in (
        'start', 'end', 'T_start_end', 'covariance', 'loop', 'inlier'))
    return [Edge(start, end, T.copy(), covariance.copy(), LOOP if loop else ODOMETRY, bool(inlier))
            for start, end, T, covariance, loop, inlier in zip(*values)]


def _with_scales(edges: list[Edge], columns: dict[str, np.ndarray]) -> list[Edge]:
    found = []
    for edge, similar, scale, row in zip(edges, *columns.values()):
        covariance = edge.covariance
        if similar:
            covariance = widened(covariance)
            covariance[6], covariance[:, 6] = row, row
        found.append(replace(edge, scale=float(scale), covariance=covariance))
    return found
