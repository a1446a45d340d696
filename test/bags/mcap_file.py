"""MCAP files in the making, of every kind that writers make: chunked or not, compressed or not, with or without end."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

import lz4.frame

from superslam_ros.bags.storage.parts import zstd

MAGIC = b'\x89MCAP0\r\n'
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    '': bytes, 'lz4': lz4.frame.compress, 'zstd': lambda data: zstd.compress(data)}


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack('<I', len(data)) + data


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


def message(channel: int, log_ns: int, data: bytes) -> bytes:
    return record(5, struct.pack('<HIQQ', channel, 0, log_ns, log_ns) + data)


class McapFile:
    """Collects topics and messages, and writes them in any of the forms of the format."""

    def __init__(self, profile: str = 'ros2') -> None:
        self.profile = profile
        self.definitions: list[bytes] = []
        self.topics: dict[str, int] = {}
        self.messages: list[tuple[int, int, bytes]] = []

    def topic(
        self, name: str, kind: str = '', definition: str = '', encoding: str = 'cdr', form: str = 'ros2msg',
        qos: str = '',
    ) -> None:
        """Add a topic with a schema of its own; without one where ``kind`` is empty."""
        number = self.topics[name] = len(self.topics) + 1
        if kind:
            self.definitions.append(record(3, struct.pack('<H', number) + text(kind) + text(form) + text(definition)))
        profiles = text('offered_qos_profiles') + text(qos) if qos else b''
        self.definitions.append(record(4, struct.pack('<HH', number, number if kind else 0) + text(name)
                                       + text(encoding) + text(profiles)))

    def put(self, name: str, log_ns: int, data: bytes) -> None:
        self.messages.append((self.topics[name], log_ns, bytes(data)))

    def write(
        self, path: Path, compression: str = 'zstd', per_chunk: int = 4, summary: bool = True, index: bool = True,
        crc: bool = True, counts: bool = True,
    ) -> Path:
        """Write the file; ``per_chunk`` messages a chunk, 0: no chunks; without ``counts`` of the topics."""
        out = bytearray(MAGIC + record(1, text(self.profile) + text('test')))
        indexes, chunks = [], [self.messages[i:i + per_chunk] for i in range(0, len(self.messages), per_chunk or 1)]
        if not per_chunk:
            out += b''.join(self.definitions) + b''.join(message(*entry) for entry in self.messages)
            chunks = []
        for number, entries in enumerate(chunks):
            content = (b'' if number else b''.join(self.definitions)) + b''.join(message(*entry) for entry in entries)
            indexes.append(self._chunk(out, content, entries, compression, index, crc))
        out += record(15, struct.pack('<I', 0))
        start = len(out) if summary else 0
        if summary:
            totals: dict[int, int] = defaultdict(int)
            for channel, _, _ in self.messages if counts else ():
                totals[channel] += 1
            times = [log_ns for _, log_ns, _ in self.messages]
            tally = b''.join(struct.pack('<HQ', *item) for item in totals.items())
            out += b''.join(self.definitions) + b''.join(indexes) + record(11, struct.pack(
                '<QHIIIIQQ', len(times), 1, len(self.topics), 0, 0, len(chunks), min(times), max(times)) + text(tally))
        footer = struct.pack('<BQQQ', 2, 20, start, 0)
        out += footer + struct.pack('<I', crc32(out[start:] + footer) if start else 0) + MAGIC
        path.write_bytes(out)
        return path

    def _chunk(
        self, out: bytearray, content: bytes, entries: Sequence[tuple[int, int, bytes]], compression: str,
        index: bool, crc: bool,
    ) -> bytes:
        """Add a chunk and its index; return its record for the summary."""
        offset, times = len(out), [log_ns for _, log_ns, _ in entries]
        packed = COMPRESS[compression](content)
        out += record(6, struct.pack('<QQQI', min(times), max(times), len(content), crc32(content) if crc else 0)
                      + text(compression) + struct.pack('<Q', len(packed)) + packed)
        length, offsets = len(out) - offset, b''
        for channel in sorted({entry[0] for entry in entries} if index else ()):
            offsets += struct.pack('<HQ', channel, len(out))
            table = b''.join(struct.pack('<QQ', log_ns, 0) for other, log_ns, _ in entries if other == channel)
            out += record(7, struct.pack('<H', channel) + text(table))
        return record(8, struct.pack('<QQQQ', min(times), max(times), offset, length) + text(offsets)
                      + struct.pack('<Q', len(out) - offset - length) + text(compression)
                      + struct.pack('<QQ', len(packed), len(content)))
