"""ROS 1 bags of version 2.0 (http://wiki.ros.org/Bags/Format/2.0), also such as were never closed and indexed."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from superslam_ros.bags.storage.parts import (
    LONGEST,
    READ_ERRORS,
    Connection,
    Part,
    PartedStorage,
    Report,
    StorageError,
    decompress,
    first_line,
)

MAGIC = b'#ROSBAG V'
MESSAGE, BAG_HEADER, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
_LONGEST_HEADER = 2**16


class Ros1Storage(PartedStorage):
    """A ROS 1 bag, read from its beginning; by the index at its end where that is interrupted."""

    def __init__(self, path: Path, report: Report) -> None:
        """Find the connections and chunks.

        :raises StorageError: when there is nothing in it to read.
        """
        super().__init__(path, report)
        if self.read(0, min(13, self.size)) != MAGIC + b'2.0\n':
            raise StorageError('it is no ROS 1 bag of version 2.0')
        fields, at, length = self._record(13)
        if fields.get('op') != bytes([BAG_HEADER]):
            raise StorageError('it has no header')
        if fields.get('encryptor'):
            raise StorageError('it is encrypted')
        index, = struct.unpack('<Q', fields.get('index_pos', bytes(8)))
        end = self._scan(at + length)
        if not index:
            self.report('its index is missing: the recording was cut off, and what came last may be lost')
        elif index >= self.size:
            self.report(f'its end is missing: it was cut off, and what was recorded after byte {end} is lost')
        elif end < index:
            self.report(f'no record begins at byte {end}: what follows is found by the index, as far as it is in it')
            self._scan(index)
        elif end < self.size:
            self.report('the index at its end is damaged')
        self.finish()

    def _scan(self, offset: int) -> int:
        """Go from record to record; return where there are no more."""
        chunk, indexed = None, Counter()
        while offset < self.size:
            try:
                fields, at, length = self._record(offset)
                opcode = fields['op'][0]
            except READ_ERRORS:
                break
            if chunk is not None and opcode != INDEX:
                self.add_chunk(chunk, indexed)
                chunk, indexed = None, Counter()
            try:
                if opcode == INDEX and chunk is not None:
                    self._take_index(chunk, indexed, fields, self.read(at, length))
                elif opcode == CHUNK:
                    chunk = Part(offset, at + length - offset)
                elif opcode == CONNECTION:
                    self._define(fields, self.read(at, length))
                elif opcode == MESSAGE:
                    self.add_message(offset, at + length - offset, *_message(fields))
                elif opcode == CHUNK_INFO:
                    self._take_info(fields, self.read(at, length))
            except READ_ERRORS as error:
                self.report(f'the record at byte {offset} cannot be read ({first_line(error)})')
            offset = at + length
        if chunk is not None:
            self.add_chunk(chunk, indexed)
        return offset

    def _record(self, offset: int) -> tuple[dict[str, bytes], int, int]:
        """Return the fields of a record's header, and where its data are and how many.

        :raises StorageError: when no whole record begins there.
        """
        size, = struct.unpack('<I', self.read(offset, 4))
        if size > _LONGEST_HEADER:
            raise StorageError(f'a header of {size} bytes')
        head = self.read(offset + 4, size + 4)
        length, = struct.unpack_from('<I', head, size)
        at = offset + 8 + size
        if at + length > self.size:
            raise StorageError('the record is cut')
        return _fields(head[:size]), at, length

    def _take_index(self, chunk: Part, indexed: Counter[int], fields: dict[str, bytes], data: bytes) -> None:
        number, = struct.unpack('<I', fields['conn'])
        times = [seconds * 10**9 + nanoseconds for seconds, nanoseconds, _ in struct.iter_unpack('<III', data)]
        if times:
            chunk.start_ns = min(times) if not indexed else min(chunk.start_ns, *times)
            chunk.end_ns = max(chunk.end_ns, *times)
            indexed[number] += len(times)

    def _take_info(self, fields: dict[str, bytes], data: bytes) -> None:
        """Take in a chunk that the way from record to record has not come to."""
        offset, = struct.unpack('<Q', fields['chunk_pos'])
        if any(part.offset == offset for part in self.parts):
            return
        _, at, length = self._record(offset)
        start, end = _time(fields['start_time']), _time(fields['end_time'])
        self.add_chunk(Part(offset, at + length - offset, start, end), Counter(dict(struct.iter_unpack('<II', data))))

    def _define(self, fields: dict[str, bytes], data: bytes | memoryview) -> None:
        number, = struct.unpack('<I', fields['conn'])
        about = {name: str(value[:LONGEST], 'utf-8', 'replace') for name, value in _fields(data).items()}
        topic = str(fields['topic'][:LONGEST], 'utf-8', 'replace')
        # Names without a slash, or with two, are such as ROS 1 resolves.
        topic = ('/' if topic.startswith('/') else '') + '/'.join(part for part in topic.split('/') if part)
        package, _, name = about.get('type', '').rpartition('/')
        self.channels[number] = Connection(
            topic, f'{package}/msg/{name}', 'ros1', 'ros1msg', about.get('message_definition', ''),
            about.get('latching') == '1')

    def inside(self, part: Part) -> Iterator[tuple[int, int, memoryview]]:
        """Yield (channel, time, bytes) of a part; take in the connections that it defines."""
        data = memoryview(self.read(part.offset, part.length))
        if part.chunk:
            fields, content, _ = _split(data, 0)
            size, = struct.unpack('<I', fields['size'])
            data = memoryview(decompress(str(fields['compression'], 'ascii'), content, size))
            if len(data) != size:
                raise StorageError(f'{len(data)} bytes in place of {size}')
        at = 0
        while at < len(data):
            fields, content, at = _split(data, at)
            if fields['op'][0] == MESSAGE:
                yield (*_message(fields), content)
            elif fields['op'][0] == CONNECTION:
                self._define(fields, content)


def _split(data: memoryview, at: int) -> tuple[dict[str, bytes], memoryview, int]:
    """Return header and content of the record at ``at``, and where the next one begins.

    :raises StorageError: when it is not whole.
    """
    size, = struct.unpack_from('<I', data, at)
    if size > len(data) - at - 8:
        raise StorageError(f'no record begins at byte {at} of it')
    length, = struct.unpack_from('<I', data, at + 4 + size)
    begin = at + 8 + size
    if length > len(data) - begin:
        raise StorageError(f'no record begins at byte {at} of it')
    return _fields(data[at + 4:at + 4 + size]), data[begin:begin + length], begin + length


def _fields(header: bytes | memoryview) -> dict[str, bytes]:
    fields, at = {}, 0
    while at < len(header):
        size, = struct.unpack_from('<I', header, at)
        if size > len(header) - at - 4:
            raise StorageError('a header is damaged')
        name, _, value = bytes(header[at + 4:at + 4 + size]).partition(b'=')
        fields[str(name, 'ascii', 'replace')] = value
        at += 4 + size
    if fields.get('op') == b'':
        raise StorageError('a header is damaged')
    return fields


def _message(fields: dict[str, bytes]) -> tuple[int, int]:
    """Return number of connection, and time."""
    return struct.unpack('<I', fields['conn'])[0], _time(fields['time'])


def _time(value: bytes) -> int:
    seconds, nanoseconds = struct.unpack('<II', value)
    return seconds * 10**9 + nanoseconds
