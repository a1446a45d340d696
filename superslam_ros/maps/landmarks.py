"""Landmarks of a map: a table that grows, and the extract of it that a camera is matched to."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

FUSED = 8
"""Observations that make a landmark's mean descriptor and viewing direction; later ones do not change them."""
_KINDS = {'ids': (np.int64, ()), 'host': (np.int64, ()), 'points': (np.float32, (3,)),
          'covariance': (np.float32, (3, 3)), 'octave': (np.float32, ()), 'count': (np.int32, ()),
          'direction': (np.float32, (3,)), 'first_seen_ns': (np.int64, ()), 'last_seen_ns': (np.int64, ()),
          'descriptors': (np.int8, (0,))}


@dataclass(frozen=True, eq=False)
class PlaceLandmarks:
    """Some landmarks of a map, in its frame; row i belongs to landmark i.

    :ivar ids: (L,) int64, increasing; ``host`` (L,) the keyframe in whose frame each is kept.
    :ivar points: (L, 3) float64 in the map; ``covariance`` (L, 3, 3), in its axes, given the pose of the host.
    :ivar descriptors: (L, D) float32, unit length.
    :ivar octave: (L,) float32, log2 of the scale in which it was first found.
    :ivar count: (L,) by how many keyframes it has been seen.
    :ivar direction: (L, 3) float32, unit: the mean way from the cameras to it, in the map's axes.
    :ivar last_seen_ns: (L,) int64.
    """

    ids: np.ndarray
    points: np.ndarray
    covariance: np.ndarray
    descriptors: np.ndarray
    octave: np.ndarray
    count: np.ndarray
    direction: np.ndarray
    last_seen_ns: np.ndarray
    host: np.ndarray

    def __len__(self) -> int:
        """Return the number of landmarks."""
        return len(self.ids)

    def select(self, rows: np.ndarray) -> PlaceLandmarks:
        """Return some of them, by index or mask."""
        return PlaceLandmarks(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class LandmarkTable:
    """All landmarks of a map, in the order of their ids, which are never given twice.

    :ivar ids: (L,) from 1 on.
    :ivar host: (L,) keyframe in whose camera frame the landmark is kept, so that it moves with it; it is one of those
        that see it. 0 for a landmark that has been removed.
    :ivar points: (L, 3) metres there; ``covariance`` (L, 3, 3) given its pose.
    :ivar descriptors: (L, D) int8, see :func:`quantised`.
    :ivar direction: (L, 3) mean way from the cameras to it, in the host's axes.
    :ivar octave, count, first_seen_ns, last_seen_ns: (L,), as in :class:`PlaceLandmarks`.
    """

    def __init__(self, descriptor_size: int = 0) -> None:
        """Begin empty."""
        self._rows = self._dead = 0
        self.next_id = 1
        self._columns = {name: np.zeros((0, *shape), kind) for name, (kind, shape) in _KINDS.items()}
        self._columns['descriptors'] = np.zeros((0, descriptor_size), np.int8)

    def __len__(self) -> int:
        """Return the number of landmarks that have not been removed."""
        return self._rows - self._dead

    def __getattr__(self, name: str) -> np.ndarray:
        """Return a column, to read or to write into."""
        if name.startswith('_') or name not in self._columns:
            raise AttributeError(name)
        return self._columns[name][:self._rows]

    def append(self, ids: np.ndarray | None = None, **columns: np.ndarray) -> np.ndarray:
        """Append landmarks and return their ids (M,).

        :param ids: larger than all there are, and increasing; by default the next ones.
        """
        count = len(columns['host'])
        ids = np.arange(self.next_id, self.next_id + count) if ids is None else ids
        if not self._rows:
            self._columns['descriptors'] = np.zeros((0, columns['descriptors'].shape[1]), np.int8)
        end = self._rows + count
        for name, column in self._columns.items():
            if end > len(column):
                larger = np.zeros((max(end, len(column) * 3 // 2), *column.shape[1:]), column.dtype)
                larger[:self._rows] = column[:self._rows]
                self._columns[name] = column = larger
            column[self._rows:end] = ids if name == 'ids' else columns[name]
        self._rows = end
        if count:
            self.next_id = int(ids[-1]) + 1
        return ids

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Return the row of each id, -1 for those that are gone (and for 0)."""
        ids = np.asarray(ids, dtype=np.int64)
        if not self._rows:
            return np.full(len(ids), -1)
        rows = np.minimum(np.searchsorted(self.ids, ids), self._rows - 1)
        return np.where((self.ids[rows] == ids) & (self.host[rows] > 0), rows, -1)

    def living(self) -> np.ndarray:
        """Return the rows that have not been removed."""
        return np.flatnonzero(self.host > 0)

    def remove(self, rows: np.ndarray) -> None:
        """Remove landmarks. Rows move now and then, ids stay."""
        self._dead += len(np.unique(rows[self.host[rows] > 0]))
        self.host[rows] = 0
        if self._dead > max(1000, self._rows // 4):
            living = self.living()
            self._columns = {name: column[living] for name, column in self._columns.items()}
            self._rows, self._dead = len(living), 0

    def see(self, rows: np.ndarray, descriptors: np.ndarray, directions: np.ndarray, stamp_ns: int) -> None:
        """Take another sighting of landmarks (M,), each once.

        :param descriptors: (M, D) float32; ``directions`` (M, 3) to it, unit, in the host's axes.
        """
        young = self.count[rows] < FUSED
        some = rows[young]
        weight = self.count[some, None]
        self.descriptors[some] = quantised(unit(self.descriptors[some]) * weight + descriptors[young])
        self.direction[some] = unit(self.direction[some] * weight + directions[young])
        self.count[rows] += 1
        self.first_seen_ns[rows] = np.minimum(self.first_seen_ns[rows], stamp_ns)
        self.last_seen_ns[rows] = np.maximum(self.last_seen_ns[rows], stamp_ns)

    def absorb(self, rows: np.ndarray, others: np.ndarray, directions: np.ndarray) -> None:
        """Take over what was known of other landmarks (M,), which are the same ones; they are not removed.

        :param directions: (M, 3) of the others, in the axes of the hosts of ``rows``.
        """
        for column, weighted in (('descriptors', unit(self.descriptors[others])), ('direction', directions)):
            before = unit(self._columns[column][rows])
            fused = before * self.count[rows, None] + weighted * self.count[others, None]
            self._columns[column][rows] = quantised(fused) if column == 'descriptors' else unit(fused)
        self.count[rows] += self.count[others]
        self.first_seen_ns[rows] = np.minimum(self.first_seen_ns[rows], self.first_seen_ns[others])
        self.last_seen_ns[rows] = np.maximum(self.last_seen_ns[rows], self.last_seen_ns[others])


def quantised(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (M, D) as int8, each so scaled that its largest value is 127; :func:`unit` brings them back.

    Of SuperPoint's descriptors the cosine of what comes back with what went in is .999.
    """
    largest = np.abs(vectors).max(1, keepdims=True, initial=0)
    return np.rint(vectors * (127 / np.maximum(largest, 1e-20))).astype(np.int8)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (M, D) as float32 of length one."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
