"""Bags to read: topics, and messages in order of time, of ROS 2 folders, .mcap and .db3 files, and ROS 1 .bag files."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rosbags.serde import SerdeError

from superslam_ros import conversions
from superslam_ros.bags import files, types
from superslam_ros.bags.files import BagError
from superslam_ros.bags.storage.parts import READ_ERRORS, Connection, decompress, first_line, in_order

__all__ = ['BagError', 'BagReader', 'Connection', 'Topic', 'as_cdr', 'deserialize', 'first_message', 'is_latched',
           'list_topics', 'open_bag', 'read']

log = logging.getLogger(__name__)

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
INFO_TYPE = 'sensor_msgs/msg/CameraInfo'

LAST_NS = 2**31 * 10**9
"""Times of ROS end here, in 2038."""
# What a message whose bytes do not fit its definition makes the deserialiser raise.
MESSAGE_ERRORS = (
    types.UnknownTypeError, SerdeError, struct.error, ValueError, LookupError, AssertionError, TypeError, MemoryError,
    RecursionError)


@dataclass(frozen=True)
class Topic:
    """A topic of a bag with what its first message says.

    ``encoding`` and ``size`` (width, height) are empty for other types than images and camera_info, and where
    the first message cannot be read.

    :ivar problem: why its messages cannot be understood.
    """

    name: str
    type: str
    count: int
    encoding: str = ''
    size: tuple[int, int] | None = None
    frame_id: str = ''
    problem: str = ''

    @property
    def is_image(self) -> bool:
        """Whether it carries images, raw or compressed."""
        return self.type in IMAGE_TYPES


class BagReader:
    """The messages of all files of a bag, in order of time.

    :ivar connections: topics with type and number of messages.
    :ivar damage: what is missing or cannot be read, as far as is known yet; each is said in the log, too.
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        """Open the files; ``stack`` closes them.

        :raises BagError: when there are none, or none can be read.
        """
        self.path, self.damage = path, []
        self._storages = []
        found = files.find(path, self._report)
        problems = {}
        for file in found:
            report = partial(self._report, name=f'{file.name}: ' if path.is_dir() else '')
            try:
                self._storages.append(files.open_storage(file, report, stack))
            except READ_ERRORS as error:
                problems[file.name] = first_line(error)
        if not self._storages:
            reasons = '; '.join(problems.values())
            raise BagError(f'{path}: cannot be read as a bag ({reasons}); copy it again from where it was recorded, '
                           'or record it again')
        for name, reason in problems.items():
            self._report(f'{name} cannot be read ({reason}): its messages are lost')
        counts: dict[Connection, int] = {}
        for connection in (connection for storage in self._storages for connection in storage.connections):
            counts[connection] = counts.get(connection, 0) + connection.msgcount
        self.connections = [replace(connection, msgcount=count) for connection, count in counts.items()]

    def _report(self, damage: str, name: str = '') -> None:
        if name + damage not in self.damage:
            self.damage.append(name + damage)
            log.error('%s: %s', self.path, name + damage)

    @property
    def duration(self) -> int:
        """Time from the first to the last message in ns."""
        filled = [storage for storage in self._storages if storage.end_ns]
        return max((s.end_ns for s in filled), default=0) - min((s.start_ns for s in filled), default=0)

    def count(self, topic: str) -> int:
        """Return the number of messages of a topic."""
        return sum(connection.msgcount for connection in self.connections if connection.topic == topic)

    def of_topic(self, name: str) -> list[Connection]:
        """Return the connections of a topic."""
        return [one for one in self.connections if one.topic == name]

    def messages(self, connections: Collection[Connection] | None = None) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (connection, receive time ns, bytes), of some or all connections; report what cannot be read."""
        wanted = set(self.connections if connections is None else connections)
        ordered = in_order((storage.start_ns, partial(storage.messages, wanted)) for storage in self._storages)
        while True:
            try:
                item = next(ordered, None)
            except READ_ERRORS as error:
                self._report(f'reading ends before the end of the bag ({first_line(error)})')
                return
            if item is None:
                return
            log_ns, connection, raw = item
            if 0 <= log_ns < LAST_NS:
                yield connection, log_ns, _unpacked(raw) if raw[:4] == files.ZSTD_MAGIC else raw
            else:
                self._report(f'{connection.topic}: messages with impossible times are left out')


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[BagReader]:
    """Open a bag for reading.

    :raises BagError: when it is missing, empty, or nothing in it can be read.
    """
    with ExitStack() as stack:
        yield BagReader(Path(path), stack)


def _unpacked(raw: bytes) -> bytes:
    """Return a message that was compressed by itself; as it is when it is damaged."""
    try:
        return bytes(decompress('zstd', raw, 2**30))
    except READ_ERRORS:
        return raw


def list_topics(reader: BagReader) -> list[Topic]:
    """Return the topics sorted by name; of images and camera_info the first message is looked at.

    Those whose messages cannot be understood are named in the log.
    """
    by_name: dict[str, list[Connection]] = {}
    for connection in reader.connections:
        by_name.setdefault(connection.topic, []).append(connection)
    topics = []
    for name, connections in sorted(by_name.items()):
        kinds = {connection.msgtype for connection in connections}
        problems = [types.problem(connection) for connection in connections]
        problem = problems[0] if all(problems) else ''
        topic = Topic(name, kinds.pop() if len(kinds) == 1 else 'several types', reader.count(name), problem=problem)
        if topic.count and not problem and (topic.is_image or topic.type == INFO_TYPE):
            message = first_message(reader, connections)
            if message is not None:
                topic = _described(topic, message)
        topics.append(topic)
    left = [f'{topic.name} ({topic.problem})' for topic in topics if topic.problem]
    if left:
        log.warning('%s: left alone, as the type is not understood: %s', reader.path, '; '.join(left))
    return topics


def first_message(reader: BagReader, connections: Sequence[Connection]) -> Any | None:
    """Return the first message that can be read, None when there is none."""
    for _, _, message in read(reader, connections):
        if message is not None:
            return message
    return None


def read(reader: BagReader, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, Any]]:
    """Yield (connection, receive time ns, message), message None where its bytes cannot be understood."""
    for connection, log_ns, raw in reader.messages(connections):
        yield connection, log_ns, deserialize(raw, connection)


def deserialize(raw: bytes, connection: Connection) -> Any | None:
    """Return the message, None when its bytes do not fit the type."""
    try:
        return _deserialize(raw, connection)
    except MESSAGE_ERRORS:
        return None


def _deserialize(raw: bytes, connection: Connection) -> Any:
    store = types.store(connection)
    convert = store.deserialize_ros1 if connection.encoding == 'ros1' else store.deserialize_cdr
    return convert(raw, connection.msgtype)


def as_cdr(raw: bytes, connection: Connection) -> bytes | memoryview | None:
    """Return a message of a bag as ROS 2 serialises it, None when its bytes do not fit the type."""
    if connection.encoding == 'cdr':
        return raw
    try:
        return types.store(connection).ros1_to_cdr(raw, connection.msgtype)
    except MESSAGE_ERRORS:
        return None


def is_latched(connection: Connection) -> bool:
    """Whether those who come late are to get the messages of a topic, too: as recorded, and static transforms."""
    return connection.latched or connection.topic == '/tf_static'


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
    return replace(topic, encoding=encoding, size=size, frame_id=conversions.frame_id(message.header.frame_id))
