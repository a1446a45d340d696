"""MCAP files (https://mcap.dev/spec): read by their index, and from their beginning where that is missing."""

from __future__ import annotations

import mmap
import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

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

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, STATISTICS, DATA_END = (
    0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0B, 0x0F)
_HEADER = struct.Struct('<BQ')          # opcode and length of every record
_FOOTER = struct.Struct('<BQQQI8s')
_MESSAGE = struct.Struct('<HIQQ')       # channel, sequence, log time, publish time
_CHUNK = struct.Struct('<QQQI')         # first time, last time, size, CRC
_CHUNK_BEGINS = re.compile(
    rb'\x06(?=.{4}\x00{4}.{28}(\x00{4}|\x03\x00{3}lz4|\x04\x00{3}zstd))', re.DOTALL)


class McapStorage(PartedStorage):
    """An MCAP file, with or without chunks, compression, index and end."""

    def __init__(self, path: Path, report: Report) -> None:
        """Find the channels and chunks.

        :raises StorageError: when there is nothing in it to read.
        """
        super().__init__(path, report)
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._unresolved: dict[int, tuple[int, str, str, bool]] = {}
        if self.read(0, min(8, self.size)) != MAGIC:
            raise StorageError('it does not begin as an MCAP file')
        summary, end = self._footer()
        if summary is None or not self._read_summary(summary, end):
            self.parts, self.counts = [], Counter()
            self._scan(end, cut=summary is None)
        self.finish()

    def _footer(self) -> tuple[int | None, int]:
        """Return where the summary begins (0: there is none; None: there is no footer), and where the records end."""
        if self.size < len(MAGIC) + _FOOTER.size:
            return None, self.size
        at = self.size - _FOOTER.size
        opcode, length, summary, _, crc, magic = _FOOTER.unpack(self.read(at, _FOOTER.size))
        if (opcode, length, magic) != (FOOTER, 20, MAGIC):
            return None, self.size
        if not summary:
            return 0, at
        try:
            intact = not crc or crc32(self.read(summary, at - summary + 25)) == crc
        except StorageError:
            intact = False
        if not intact:
            self.report('the index at its end is damaged; it is read from the beginning')
            return 0, at
        return summary, at

    def _read_summary(self, start: int, end: int) -> bool:
        """Take in the index at the end of the file; return whether it says all that is needed."""
        if not start:
            return False
        total = chunks = None
        try:
            for opcode, body in _split(memoryview(self.read(start, end - start))):
                if opcode == CHUNK_INDEX:
                    self.parts.append(self._indexed_chunk(body))
                elif opcode == STATISTICS:
                    total, chunks = struct.unpack_from('<Q14xI', body)
                    self.counts.update(dict(struct.iter_unpack('<HQ', _sized(body, 42)[0])))
                else:
                    self._define(opcode, body)
        except READ_ERRORS:
            return False
        defined = all(not schema or schema in self._schemas for schema, *_ in self._unresolved.values())
        self._resolve()
        counted = total == sum(self.counts.values()) and self.counts.keys() <= self.channels.keys()
        return chunks == len(self.parts) > 0 and defined and counted

    def _indexed_chunk(self, body: memoryview) -> Part:
        start_ns, end_ns, offset, length = struct.unpack_from('<QQQQ', body)
        if offset + length > self.size:
            raise StorageError('a chunk lies beyond the end of the file')
        channels = {channel for channel, _ in struct.iter_unpack('<HQ', _sized(body, 32)[0])}
        return Part(offset, length, start_ns, end_ns, channels=channels or None)

    def _scan(self, end: int, cut: bool) -> None:
        """Go from record to record, as far as there are any; report when that is not up to the end of the data."""
        offset, chunk, indexed, complete = len(MAGIC), None, Counter(), False
        while offset + _HEADER.size <= end and not complete:
            opcode, length = _HEADER.unpack(self.read(offset, _HEADER.size))
            following = offset + _HEADER.size + length
            if not opcode or following > end:
                following = self._next_chunk(offset + 1, end)
                if following is not None:
                    self.report(f'the messages in bytes {offset} to {following} are lost (no record begins there)')
                    offset = following
                    continue
                if opcode == CHUNK and cut:
                    self._close_chunk(chunk, indexed)
                    chunk, indexed, offset = Part(offset, end - offset, cut=True), Counter(), end
                break
            if opcode == MESSAGE_INDEX and length >= 6:
                channel, size = struct.unpack('<HI', self.read(offset + _HEADER.size, 6))
                indexed[channel] += size // 16
            elif opcode == CHUNK and length >= _CHUNK.size:
                self._close_chunk(chunk, indexed)
                times = _CHUNK.unpack(self.read(offset + _HEADER.size, _CHUNK.size))[:2]
                chunk, indexed = Part(offset, following - offset, *times), Counter()
            elif opcode == MESSAGE and length >= _MESSAGE.size:
                channel, _, log_ns, _ = _MESSAGE.unpack(self.read(offset + _HEADER.size, _MESSAGE.size))
                self.add_message(offset, following - offset, channel, log_ns)
            elif opcode in (SCHEMA, CHANNEL):
                self._define_at(offset, length, opcode)
            complete = opcode in (DATA_END, FOOTER)
            offset = following
        self._close_chunk(chunk, indexed)
        if cut and complete:
            self.report('its index and end are missing, but no message is')
        elif cut:
            self.report(f'its end is missing: it was cut off, and what was recorded after byte {offset} is lost')
        elif not complete and offset != end:
            self.report(f'no record begins at byte {offset}: what follows, up to byte {end}, is lost')

    def _next_chunk(self, start: int, end: int) -> int | None:
        """Return where the next record begins that is a whole chunk."""
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for found in _CHUNK_BEGINS.finditer(data, start, end):
                length, = struct.unpack_from('<I', data, found.start() + 1)
                following = found.start() + _HEADER.size + length
                content = found.end(1) + 8
                stored = following - content
                if following <= end and data[content - 8:content] == struct.pack('<q', stored):
                    return found.start()
        return None

    def _define_at(self, offset: int, length: int, opcode: int) -> None:
        try:
            self._define(opcode, memoryview(self.read(offset + _HEADER.size, length)))
        except READ_ERRORS as error:
            self.report(f'the definition at byte {offset} cannot be read ({first_line(error)})')

    def _close_chunk(self, chunk: Part | None, indexed: Counter[int]) -> None:
        self._resolve()
        if chunk is not None:
            self.add_chunk(chunk, indexed)
            self._resolve()

    def inside(self, part: Part) -> Iterator[tuple[int, int, memoryview]]:
        """Yield (channel, time, bytes) of a part; take in the channels that it defines."""
        data = memoryview(self.read(part.offset, part.length))
        if part.chunk:
            data = _content(data, part.cut)
        for opcode, body in _split(data):
            if opcode == MESSAGE:
                channel, _, log_ns, _ = _MESSAGE.unpack_from(body)
                yield channel, log_ns, body[_MESSAGE.size:]
            elif part.chunk:
                self._define(opcode, body)

    def _define(self, opcode: int, body: memoryview) -> None:
        if opcode == SCHEMA:
            name, at = _string(body, 2)
            encoding, at = _string(body, at)
            self._schemas[_number(body, 0)] = name, encoding, _string(body, at)[0]
        elif opcode == CHANNEL:
            topic, at = _string(body, 4)
            encoding, at = _string(body, at)
            # QoS profiles are YAML with names, or in older files with numbers.
            latched = re.search(rb'durability: *(1|transient_local)\b', bytes(_sized(body, at)[0])) is not None
            self._unresolved[_number(body, 0)] = _number(body, 2), topic, encoding, latched

    def _resolve(self) -> None:
        """Make connections of the channels, whose schemas may have come later."""
        for number, (schema, topic, encoding, latched) in self._unresolved.items():
            msgtype, form, definition = self._schemas.get(schema, ('', '', ''))
            if form in ('ros1msg', 'ros2msg') and msgtype.count('/') == 1:
                msgtype = msgtype.replace('/', '/msg/', 1)
            self.channels[number] = Connection(topic, msgtype, encoding, form, definition, latched)
        self._unresolved.clear()


def _content(record: memoryview, cut: bool) -> memoryview:
    """Return the records in a chunk, or as many as are left of one that was cut.

    :raises READ_ERRORS: when it is damaged.
    """
    opcode, length = _HEADER.unpack_from(record)
    if opcode != CHUNK or (length + _HEADER.size != len(record) and not cut):
        raise StorageError('no chunk begins there')
    _, _, size, crc = _CHUNK.unpack_from(record, _HEADER.size)
    kind, at = _string(record, _HEADER.size + _CHUNK.size)
    stored, = struct.unpack_from('<Q', record, at)
    payload = record[at + 8:at + 8 + stored]
    data = decompress(kind, payload, size)
    if not cut and (len(payload) != stored or len(data) != size):
        raise StorageError(f'{len(data)} bytes in place of {size}')
    if not cut and crc and crc32(data) != crc:
        raise StorageError('its checksum is wrong')
    return memoryview(data)


def _split(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (opcode, content) of records one after the other.

    :raises StorageError: where the last one is not whole.
    """
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise StorageError('a record is cut')
        opcode, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if not opcode or length > len(data) - at:
            raise StorageError(f'no record begins at byte {at - _HEADER.size} of it')
        yield opcode, data[at:at + length]
        at += length


def _number(body: memoryview, at: int) -> int:
    return struct.unpack_from('<H', body, at)[0]


def _sized(body: memoryview, at: int) -> tuple[memoryview, int]:
    """Return the bytes whose length stands at ``at``, and where they end."""
    length, = struct.unpack_from('<I', body, at)
    if length > len(body) - at - 4:
        raise StorageError(f'{length} bytes are said to follow, of {len(body) - at - 4}')
    return body[at + 4:at + 4 + length], at + 4 + length


def _string(body: memoryview, at: int) -> tuple[str, int]:
    data, end = _sized(body, at)
    return str(data[:LONGEST], 'utf-8', 'replace'), end
