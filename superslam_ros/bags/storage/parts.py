"""What all storages share: connections, and parts of a file that are read when their time has come."""

from __future__ import annotations

import bz2
import heapq
import struct
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from lz4.frame import LZ4FrameDecompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGEST = 2**30
"""Bytes of a record or chunk beyond which its length is taken for damaged."""
LONGEST = 2**20
"""Characters of a name or definition beyond which it is taken for damaged."""
MOST_OPEN = 64
"""Parts that are open at once; beyond that, which only files with damaged times need, order of time is given up."""
REGION = 2**22
"""Bytes of messages outside chunks that are read at once."""

Report = Callable[[str], None]


class StorageError(RuntimeError):
    """A file, or a part of it, that cannot be read; the text is the reason."""


READ_ERRORS = (
    StorageError, struct.error, OSError, EOFError, ValueError, LookupError, RuntimeError, MemoryError, zstd.ZstdError)
"""What a damaged file makes the decompressors and us raise."""


@dataclass(frozen=True)
class Connection:
    """A topic of one type, as one file or all files of a bag have it.

    :ivar encoding: of the messages: cdr, ros1, json, ...
    :ivar format: of the definition: ros2msg, ros2idl, ros1msg, ..., or empty.
    :ivar latched: whether those who come late are to get the last message, too.
    :ivar msgcount: as far as is known.
    """

    topic: str
    msgtype: str
    encoding: str
    format: str = ''
    definition: str = ''
    latched: bool = False
    msgcount: int = field(default=0, compare=False)


Message = tuple[int, Connection, bytes]
"""Time of receipt in ns, connection, bytes."""


@dataclass
class Part:
    """A chunk, or messages outside chunks that follow each other: ``length`` bytes from ``offset`` of the file.

    :ivar channels: which are in it; None where that is not known.
    :ivar cut: whether the file ends before it does.
    """

    offset: int
    length: int
    start_ns: int = 0
    end_ns: int = 0
    chunk: bool = True
    channels: set[int] | None = None
    cut: bool = False


class Storage:
    """A file of messages.

    :ivar connections: with the numbers of their messages.
    :ivar start_ns: of the first message; ``end_ns`` of the last one; 0 without any.
    """

    def __init__(self, path: Path, report: Report) -> None:
        """Take over the function that is told of damage."""
        self.path, self.report = path, report
        self.connections: list[Connection] = []
        self.start_ns = self.end_ns = 0

    def messages(self, wanted: Collection[Connection]) -> Iterator[Message]:
        """Yield the messages of some connections in order of time, and report what cannot be read."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError


class PartedStorage(Storage):
    """A file of records, some of which are chunks of records; a sub-class knows the records.

    :ivar parts: of the file, in the order they were found in.
    :ivar channels: connection by number.
    :ivar counts: messages by number of channel.
    """

    def __init__(self, path: Path, report: Report) -> None:
        """Open the file."""
        super().__init__(path, report)
        self.parts: list[Part] = []
        self.channels: dict[int, Connection] = {}
        self.counts: Counter[int] = Counter()
        self.size = path.stat().st_size
        self._file = path.open('rb')

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file.

        :raises StorageError: when it does not have them, or they are too many to be true.
        """
        if offset < 0 or length > LARGEST or offset + length > self.size:
            raise StorageError(f'{length} bytes are said to follow byte {offset}, of {self.size}')
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise StorageError(f'{length} bytes from byte {offset} cannot be read')
        return data

    def inside(self, part: Part) -> Iterator[tuple[int, int, memoryview]]:
        """Yield (channel, time, bytes) of a part; take in the channels that it defines.

        :raises READ_ERRORS: where it is damaged.
        """
        raise NotImplementedError

    def add_chunk(self, part: Part, indexed: Counter[int]) -> None:
        """Take in a chunk with its index: channel -> count; what the index leaves open is looked up inside."""
        if not indexed or not indexed.keys() <= self.channels.keys():
            seen, times = Counter(), []
            try:
                for channel, log_ns, _ in self.inside(part):
                    seen[channel] += 1
                    times.append(log_ns)
            except READ_ERRORS as error:
                if not part.cut:
                    self._report_lost(part, error)
                    return
            if times:
                part.start_ns, part.end_ns = min(times), max(times)
            indexed = indexed or seen
        part.channels = set(indexed) or None
        self.counts.update(indexed)
        self.parts.append(part)

    def add_message(self, offset: int, length: int, channel: int, log_ns: int) -> None:
        """Take in a record of ``length`` bytes that is a message outside chunks."""
        self.counts[channel] += 1
        last = self.parts[-1] if self.parts else None
        if last is None or last.chunk or last.offset + last.length != offset or last.length + length > REGION:
            last = Part(offset, 0, log_ns, log_ns, chunk=False, channels=set())
            self.parts.append(last)
        last.length += length
        last.start_ns, last.end_ns = min(last.start_ns, log_ns), max(last.end_ns, log_ns)
        last.channels.add(channel)

    def finish(self) -> None:
        """Make the connections, and find the first and last time, when all parts are known."""
        counts: Counter[Connection] = Counter()
        for number, connection in self.channels.items():
            counts[connection] += self.counts[number]
        self.connections = [replace(connection, msgcount=count) for connection, count in counts.items()]
        filled = [part for part in self.parts if part.end_ns]
        self.start_ns = min((part.start_ns for part in filled), default=0)
        self.end_ns = max((part.end_ns for part in filled), default=0)

    def messages(self, wanted: Collection[Connection]) -> Iterator[Message]:
        """Yield the messages of some connections in order of time, and report what cannot be read."""
        chosen = {number: connection for number, connection in self.channels.items() if connection in wanted}
        return in_order((part.start_ns, partial(self._messages_of, part, chosen)) for part in self.parts
                        if part.channels is None or part.channels & chosen.keys())

    def _report_lost(self, part: Part, error: BaseException) -> None:
        self.report(
            f'the messages in bytes {part.offset} to {part.offset + part.length} are lost ({first_line(error)})')

    def _messages_of(self, part: Part, chosen: dict[int, Connection]) -> Iterator[Message]:
        found = []
        try:
            for channel, log_ns, raw in self.inside(part):
                if channel in chosen:
                    found.append((log_ns, chosen[channel], bytes(raw)))
        except READ_ERRORS as error:
            if not part.cut:
                self._report_lost(part, error)
        return iter(sorted(found, key=lambda message: message[0]))


def in_order(parts: Iterable[tuple[int, Callable[[], Iterator[Message]]]]) -> Iterator[Message]:
    """Yield the messages of (first time, function that begins to read) in order of time.

    A part is begun when its first time has come, so that few are in memory.
    """
    waiting = deque(sorted(parts, key=lambda part: part[0]))
    begun: list[tuple[int, int, Message, Iterator[Message]]] = []
    number = 0
    while waiting or begun:
        if waiting and (not begun or (waiting[0][0] <= begun[0][0] and len(begun) < MOST_OPEN)):
            messages, number = waiting.popleft()[1](), number + 1
            which = number
        else:
            _, which, message, messages = heapq.heappop(begun)
            yield message
        following = next(messages, None)
        if following is not None:
            heapq.heappush(begun, (following[0], which, following, messages))


def decompress(kind: str, data: bytes | memoryview, size: int) -> bytes | memoryview:
    """Return at most ``size`` bytes that ``data`` stands for; fewer when it has been cut.

    :raises READ_ERRORS: when it is damaged, or compressed in an unknown way.
    """
    if kind in ('', 'none') or not size:
        return data[:size]
    if size > LARGEST:
        raise StorageError(f'a chunk is said to have {size} bytes')
    decoders = {'zstd': zstd.ZstdDecompressor, 'lz4': LZ4FrameDecompressor, 'bz2': bz2.BZ2Decompressor}
    if kind not in decoders:
        raise StorageError(f'unknown compression {kind[:20]!r}')
    return decoders[kind]().decompress(data, max_length=size)


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
