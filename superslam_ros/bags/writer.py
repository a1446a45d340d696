"""Bags out: MCAP, the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from superslam_ros.bags.bag import BagError

# rosbag2 metadata that Humble and everything later reads.
_METADATA_VERSION = 8
# In the metadata of every bag written here: only those are ever replaced.
_MARK = 'written_by', 'superslam'


def _profiles(topic: str) -> dict[str, Any]:
    """Return what `ros2 bag play` is to offer, where it matters: tf2 hears latched static transforms only."""
    if topic != '/tf_static':
        return {}
    never = QosTime(0, 0)
    return {'offered_qos_profiles': [Qos(
        QosHistory.KEEP_LAST, 100, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, never, never,
        QosLiveliness.AUTOMATIC, never, False)]}


class BagWriter:
    """Writes messages by topic name; connections are made as topics appear. A context manager."""

    def __init__(self, path: Path, store: Typestore, replace: bool = True) -> None:
        """Create the bag.

        :param replace: whether one that was written here before may go.
        :raises BagError: when something else is in the way, or the folder cannot be written.
        """
        self.path, self.store = Path(path), store
        if not replace and self.path.exists():
            raise BagError(f'{path} exists already; choose another folder, or move it')
        try:
            _remove_bag(self.path)
            self._writer = Writer(self.path, version=_METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_custom_data(*_MARK)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except OSError as error:
            raise BagError(f'{path}: cannot be written ({error.strerror or error})') from error
        self._connections: dict[str, Connection] = {}

    def write(self, topic: str, log_ns: int, message: Any) -> None:
        """Serialise and write a message."""
        raw = self.store.serialize_cdr(message, message.__msgtype__)
        self.write_raw(topic, message.__msgtype__, log_ns, raw)

    def write_raw(self, topic: str, kind: str, log_ns: int, raw: bytes | memoryview) -> None:
        """Write a message that is serialised already (CDR), of a type of the typestore."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self.store, **_profiles(topic))
        self._writer.write(self._connections[topic], log_ns, raw)

    def __enter__(self) -> BagWriter:
        """Return the writer."""
        return self

    def __exit__(self, *error: object) -> None:
        """Write index and metadata, also after an error: what is there can be read."""
        self._writer.close()


def _remove_bag(path: Path) -> None:
    """Remove a bag that was written here before; refuse to touch anything else."""
    if not path.exists():
        return
    files = sorted(path.iterdir()) if path.is_dir() else []
    names = {file.name for file in files}
    metadata = path / 'metadata.yaml'
    ours = names <= {'metadata.yaml', f'{path.name}.mcap'} and (
        not metadata.is_file() or ': '.join(_MARK) in metadata.read_text())
    if not path.is_dir() or not ours:
        raise BagError(f'{path}: in the way of the bag to be written; move it, or choose another --out')
    for file in files:
        file.unlink()
    path.rmdir()
