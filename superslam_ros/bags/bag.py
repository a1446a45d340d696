"""Opening bags: ROS 2 directories and bare .mcap/.db3 files, ROS 1 .bag files, through rosbags."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apsw import Error as ApswError
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag1 import ReaderError as Ros1ReaderError
from rosbags.rosbag2 import ReaderError as Ros2ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_typestore

from superslam_ros import conversions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
INFO_TYPE = 'sensor_msgs/msg/CameraInfo'

# What a damaged file makes rosbags and its decompressors raise while reading.
READ_ERRORS = (
    AnyReaderError, Ros1ReaderError, Ros2ReaderError, SerdeError, TypesysError, sqlite3.Error, ApswError,
    zstd.ZstdError, struct.error, OSError, EOFError, RuntimeError, AssertionError, ValueError, LookupError, TypeError,
)
# What a message whose bytes do not fit its definition makes the deserialiser raise.
MESSAGE_ERRORS = (AnyReaderError, SerdeError, struct.error, ValueError, LookupError, AssertionError)


class BagError(RuntimeError):
    """A bag that cannot be used; the text names the file or topic and the remedy."""


@dataclass(frozen=True)
class Topic:
    """A topic of a bag with what its first message says.

    ``encoding`` and ``size`` (width, height) are empty for other types than images and camera_info, and where
    the first message cannot be read.
    """

    name: str
    type: str
    count: int
    encoding: str = ''
    size: tuple[int, int] | None = None
    frame_id: str = ''

    @property
    def is_image(self) -> bool:
        """Whether it carries images, raw or compressed."""
        return self.type in IMAGE_TYPES


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """Open a bag for reading.

    :raises BagError: when it is missing, empty, truncated or no bag.
    """
    file = _bag_file(Path(path))
    for log_file in sorted((file if file.is_dir() else file.parent).glob('*.db3-wal')):
        if log_file.stat().st_size and (file.is_dir() or log_file.name == f'{file.name}-wal'):
            log.warning('%s: the recording was cut off, and its last messages are in %s, which is not read; '
                        '`sqlite3 %s "pragma wal_checkpoint(truncate)"` puts them into the bag',
                        path, log_file.name, log_file.name[:-len('-wal')])
    reader = None
    try:
        reader = AnyReader([file], default_typestore=get_typestore(Stores.LATEST))
        reader.open()
    except READ_ERRORS as error:
        raise BagError(f'{path}: cannot be read as a bag ({_first_line(error)}); {_remedy(file)}') from error
    try:
        yield reader
    finally:
        reader.close()


def _bag_file(path: Path) -> Path:
    """Return what rosbags should open."""
    if not path.exists():
        raise BagError(f'{path}: no such bag; give a rosbag2 directory, or a .mcap, .db3 or .bag file')
    if path.is_file():
        if path.suffix not in ('.mcap', '.db3', '.bag'):
            raise BagError(f'{path}: not a bag; expected a rosbag2 directory, or a .mcap, .db3 or .bag file')
        if path.stat().st_size == 0:
            raise BagError(f'{path}: the file is empty; record it again')
        return path
    if (path / 'metadata.yaml').exists():
        return path
    files = sorted(file for suffix in ('*.mcap', '*.db3', '*.bag') for file in path.glob(suffix))
    if len(files) == 1:
        return files[0]
    if not files:
        raise BagError(f'{path}: neither metadata.yaml nor a .mcap, .db3 or .bag file in this directory')
    raise BagError(
        f'{path}: {len(files)} files without metadata.yaml; run `ros2 bag reindex`, or give one of them'
    )


def _remedy(path: Path) -> str:
    if path.suffix == '.mcap' or (path.is_dir() and any(path.glob('*.mcap'))):
        return 'if recording was cut off, try `mcap recover`'
    return (
        'if recording was cut off, try `rosbag reindex`'
        if path.suffix == '.bag'
        else 'try `ros2 bag reindex`'
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def list_topics(reader: AnyReader) -> list[Topic]:
    """Return the topics sorted by name; of images and camera_info the first message is looked at."""
    topics = []
    for name, info in sorted(reader.topics.items()):
        kind = info.msgtype or 'several types'
        topic = Topic(name, kind, info.msgcount)
        if info.msgcount and (topic.is_image or kind == INFO_TYPE):
            message = first_message(reader, info.connections)
            if message is not None:
                topic = _described(topic, message)
        topics.append(topic)
    return topics


def first_message(reader: AnyReader, connections: Sequence[Connection]) -> Any | None:
    """Return the first message that can be read, None when there is none."""
    for _, _, message in read(reader, connections):
        if message is not None:
            return message
    return None


def read(reader: AnyReader, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, Any]]:
    """Yield (connection, receive time ns, message), message None where its bytes cannot be understood.

    Reading ends, with an error in the log, where the file is damaged.
    """
    for connection, log_ns, raw in read_raw(reader, connections):
        yield connection, log_ns, deserialize(reader, raw, connection)


def read_raw(
    reader: AnyReader, connections: Sequence[Connection], damage: list[str] | None = None
) -> Iterator[tuple[Connection, int, bytes]]:
    """Yield (connection, receive time ns, bytes) until the end, or until the file turns out to be damaged.

    :param damage: takes what is wrong then.
    """
    messages = reader.messages(connections=list(connections))
    while True:
        try:
            item = next(messages)
        except StopIteration:
            return
        except READ_ERRORS as error:
            log.error('the bag is damaged here, what follows is lost (%s)', _first_line(error))
            if damage is not None:
                damage.append(_first_line(error))
            return
        yield item


def deserialize(reader: AnyReader, raw: bytes, connection: Connection) -> Any | None:
    """Return the message, None when its bytes do not fit the type."""
    try:
        return reader.deserialize(raw, connection.msgtype)
    except MESSAGE_ERRORS:
        return None


def as_cdr(reader: AnyReader, raw: bytes, kind: str) -> bytes | memoryview:
    """Return a message of a bag as ROS 2 serialises it."""
    return raw if reader.is2 else reader.typestore.ros1_to_cdr(raw, kind)


def is_latched(connection: Connection) -> bool:
    """Whether those who come late are to get the messages of a topic, too: as recorded, and static transforms."""
    profiles = getattr(connection.ext, 'offered_qos_profiles', ())
    latched = any(profile.durability.name == 'TRANSIENT_LOCAL' for profile in profiles)
    return latched or bool(getattr(connection.ext, 'latching', False)) or connection.topic == '/tf_static'


def _described(topic: Topic, message: Any) -> Topic:
    encoding, size = '', None
    if topic.type == INFO_TYPE or not conversions.is_compressed(message):
        size = int(message.width), int(message.height)
    if topic.is_image:
        encoding = conversions.encoding(message)
        if size is None:
            try:
                size = conversions.gray(message).shape[::-1]
            except conversions.ConversionError:
                size = None
    return Topic(topic.name, topic.type, topic.count, encoding, size, message.header.frame_id)
