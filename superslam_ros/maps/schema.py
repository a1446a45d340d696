"""The file of a map: an SQLite database of few tables; whatever is large is a blob beside its SHA-256.

``blobs`` has, by kind and id, arrays one behind the other, little-endian: of every keyframe its embedding, its
sightings and the landmarks that it hosts; and, with id 0, the index of the landmarks, the poses and the edges, and the
scales of these where one is uncertain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

APPLICATION_ID = 0x53534C4D
"""SSLM in the header of the file, by which it is known."""
VERSION = 1
"""Of the format; a newer one is refused."""
TABLES = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sessions (id INTEGER PRIMARY KEY, name TEXT NOT NULL, start_ns INTEGER NOT NULL, weights TEXT NOT NULL,
    metric INTEGER NOT NULL);
CREATE TABLE cameras (id INTEGER PRIMARY KEY, fx REAL, fy REAL, cx REAL, cy REAL, width INTEGER, height INTEGER);
CREATE TABLE keyframes (id INTEGER PRIMARY KEY, stamp_ns INTEGER NOT NULL, session INTEGER NOT NULL,
    camera INTEGER NOT NULL, keypoints INTEGER NOT NULL, sightings INTEGER NOT NULL);
CREATE TABLE blobs (kind TEXT NOT NULL, id INTEGER NOT NULL, data BLOB NOT NULL, sha256 BLOB NOT NULL,
    PRIMARY KEY (kind, id));
"""
ROWS = ('about', 'sessions', 'cameras', 'keyframes')
"""Tables whose rows have one digest together, ``about.digest``."""


class Field(NamedTuple):
    """An array in a blob: its name, its type in the file, and the shape of one element."""

    name: str
    dtype: str
    shape: tuple[int, ...] = ()


POSES = (Field('poses', '<f8', (4, 4)),)
SIGHTINGS = (Field('pixels', '<f4', (2,)), Field('sigma_px', '<f4'), Field('landmark_ids', '<i8'))
INDEX = (Field('ids', '<i8'), Field('host', '<i8'))
EDGES = (Field('start', '<i8'), Field('end', '<i8'), Field('loop', '|u1'), Field('inlier', '|u1'),
         Field('T_start_end', '<f8', (4, 4)), Field('covariance', '<f8', (6, 6)))
SCALES = (Field('similar', '|u1'), Field('scale', '<f8'), Field('scale_covariance', '<f8', (7,)))
NAMES = {'poses': 'the poses of the keyframes', 'index': 'the index of the landmarks', 'edges': 'the edges',
         'scales': 'the scales of the edges',
         'embedding': 'the embedding of keyframe {}', 'sightings': 'the sightings of keyframe {}',
         'landmarks': 'the landmarks of keyframe {}'}
"""What a blob of a kind is called."""


def embedding(size: int) -> tuple[Field, ...]:
    """Return the arrays of a blob ``embedding`` of so many numbers."""
    return (Field('embedding', '<f2', (size,)),)


def landmarks(descriptor_size: int) -> tuple[Field, ...]:
    """Return the arrays of a blob ``landmarks``, in the order of their ids; covariance as its upper triangle."""
    return (Field('points', '<f4', (3,)), Field('covariance', '<f4', (6,)), Field('octave', '<f4'),
            Field('count', '<i4'), Field('direction', '<f2', (3,)), Field('first_seen_ns', '<i8'),
            Field('last_seen_ns', '<i8'), Field('descriptors', '|i1', (descriptor_size,)))


def pack(fields: tuple[Field, ...], values: Mapping[str, np.ndarray]) -> bytes:
    """Return arrays (N, ...) as a blob."""
    return b''.join(np.ascontiguousarray(values[one.name], one.dtype).tobytes() for one in fields)


def unpack(fields: tuple[Field, ...], data: bytes, count: int) -> dict[str, np.ndarray]:
    """Return the arrays (count, ...) of a blob, not to be written to.

    :raises ValueError: when the blob has another length.
    """
    sizes = [np.dtype(one.dtype).itemsize * int(np.prod(one.shape, dtype=np.int64)) * count for one in fields]
    if sum(sizes) != len(data):
        raise ValueError(f'{len(data)} bytes instead of {sum(sizes)}')
    starts = np.cumsum([0, *sizes])
    return {one.name: np.frombuffer(data, one.dtype, size // np.dtype(one.dtype).itemsize, start).reshape(
        count, *one.shape) for one, size, start in zip(fields, sizes, starts.tolist())}


def digest(tables: Mapping[str, list[tuple]]) -> str:
    """Return the SHA-256 of rows by table, without that of the digest itself."""
    total = hashlib.sha256()
    for name in ROWS:
        rows = [row for row in tables[name] if row[0] != 'digest']
        total.update(repr((name, rows)).encode())
    return total.hexdigest()


UPPER = np.triu_indices(3)
"""Where the six numbers of a covariance (3, 3) are."""


def whole(upper: np.ndarray) -> np.ndarray:
    """Return the covariance (N, 3, 3) of its upper triangle (N, 6)."""
    covariance = np.zeros((len(upper), 3, 3), dtype=np.float32)
    covariance[:, UPPER[0], UPPER[1]] = covariance[:, UPPER[1], UPPER[0]] = upper
    return covariance


def by_host(hosts: np.ndarray) -> Callable[[int], np.ndarray]:
    """Return a function from a host to the positions (M,) in ``hosts`` (L,) where it is."""
    order = np.argsort(hosts, kind='stable')
    inorder = hosts[order]
    return lambda host: order[np.searchsorted(inorder, host):np.searchsorted(inorder, host, 'right')]
