"""SQLite files of rosbag2 (.db3), with the logs that a killed recorder leaves beside them."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from superslam_ros.bags.storage.parts import LONGEST, Connection, Message, Report, Storage, StorageError, first_line

MAGIC = b'SQLite format 3\0'


class SqliteStorage(Storage):
    """A .db3 file of any version of rosbag2."""

    def __init__(self, path: Path, report: Report, scratch: Callable[[int], Path]) -> None:
        """Open the database, and find its topics.

        :param scratch: makes an empty folder for so many bytes.
        :raises StorageError: when there is nothing in it to read.
        """
        super().__init__(path, report)
        self._scratch = scratch
        self._topics: dict[int, Connection] = {}
        try:
            self._db = self._connect()
            self._find_topics()
        except sqlite3.Error as error:
            raise StorageError(first_line(error)) from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _connect(self) -> sqlite3.Connection:
        logs = [Path(f'{self.path}{end}') for end in ('-wal', '-journal')]
        logs = [log for log in logs if log.is_file() and log.stat().st_size]
        if not logs:
            return self._open(self.path, 'immutable=1')
        try:
            return self._open(self.path, 'mode=ro')
        except sqlite3.Error:
            pass                    # the folder is not ours to write, or a transaction is to be rolled back
        try:
            recovered = self._recovered(logs)
            if logs[-1].name.endswith('-journal'):
                self.report('the recording was cut off while it wrote, and what it had not finished is rolled back')
            return recovered
        except (sqlite3.Error, StorageError, OSError) as error:
            self.report(f'the recording was cut off, and what was recorded last, in {logs[0].name}, cannot be read '
                        f'({first_line(error)})')
        return self._open(self.path, 'immutable=1')

    def _recovered(self, logs: list[Path]) -> sqlite3.Connection:
        """Open a copy, into which SQLite works what the recorder has left beside the file."""
        files = [self.path, *logs]
        folder = self._scratch(2 * sum(file.stat().st_size for file in files))
        for file in files:
            shutil.copyfile(file, folder / file.name)
        return self._open(folder / self.path.name, 'mode=rw')

    def _open(self, path: Path, how: str) -> sqlite3.Connection:
        db = sqlite3.connect(f'{path.resolve().as_uri()}?{how}', uri=True, check_same_thread=False)
        db.text_factory = lambda text: text[:LONGEST].decode('utf-8', 'replace')
        try:
            try:
                db.execute('SELECT name FROM sqlite_master').fetchall()
            except sqlite3.DatabaseError as error:
                if how != 'immutable=1':
                    raise
                # So SQLite opens a file that is shorter than it should be, too.
                db.execute('PRAGMA writable_schema=ON')
                db.execute('SELECT name FROM sqlite_master').fetchall()
                self.report(f'a part of it is missing ({first_line(error)}): it was cut off, and what was recorded '
                            'last is lost')
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._db.execute(f'PRAGMA table_info({table})')}

    def _find_topics(self) -> None:
        columns = self._columns('topics')
        if not columns or not self._columns('messages'):
            raise StorageError('it has no tables of topics and messages')
        definitions = {}
        if self._columns('message_definitions'):
            definitions = {kind: (str(form), str(text)) for kind, form, text in self._db.execute(
                'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions')}
        profiles = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
        self._count()
        for number, name, kind, encoding, qos in self._db.execute(
                f'SELECT id, name, type, serialization_format, {profiles} FROM topics'):
            # QoS profiles are YAML with names, or in older files with numbers.
            latched = re.search(r'durability: *(1|transient_local)\b', str(qos)) is not None
            self._topics[number] = Connection(
                str(name), str(kind), str(encoding), *definitions.get(kind, ('', '')), latched, self._counts[number])
        self.connections = list(self._topics.values())

    def _count(self) -> None:
        """Count the messages of every topic, and find the first and last time; list them all where that fails."""
        self._counts: Counter[int] = Counter()
        self._salvaged: list[tuple[int, int, int]] | None = None
        try:
            rows = self._db.execute(
                'SELECT topic_id, COUNT(*), MIN(timestamp), MAX(timestamp) FROM messages GROUP BY topic_id').fetchall()
            times = [time for _, _, *both in rows for time in both]
            self._counts.update({topic: count for topic, count, _, _ in rows})
        except sqlite3.Error as error:
            self._salvage(error)
            times = [time for time, _, _ in self._salvaged]
            self._counts.update(topic for _, _, topic in self._salvaged)
        times = [time for time in times if isinstance(time, int)]
        self.start_ns, self.end_ns = min(times, default=0), max(times, default=0)

    def _salvage(self, error: sqlite3.Error) -> None:
        """List time, number and topic of the messages before and behind what is damaged."""
        self.report(f'the messages in a part of it are lost ({first_line(error)})')
        found = {}
        for order in ('ASC', 'DESC'):
            try:
                for row in self._db.execute(
                        f'SELECT timestamp, id, topic_id FROM messages NOT INDEXED ORDER BY id {order}'):
                    found[row[1]] = row
            except sqlite3.Error:
                continue
            break
        self._salvaged = sorted(row for row in found.values() if isinstance(row[0], int))

    def messages(self, wanted: Collection[Connection]) -> Iterator[Message]:
        """Yield the messages of some connections in order of time, and report what cannot be read."""
        chosen = {number: connection for number, connection in self._topics.items() if connection in wanted}
        lost, problem = 0, ''
        for time_ns, number, topic in self._listed(chosen):
            try:
                data, = self._db.execute('SELECT data FROM messages WHERE id = ?', (number,)).fetchone()
            except (sqlite3.Error, TypeError, MemoryError) as error:    # TypeError: there is none
                lost, problem = lost + 1, first_line(error)
                continue
            if isinstance(data, bytes) and isinstance(time_ns, int):
                yield time_ns, chosen[topic], data
        if lost:
            self.report(f'{lost} messages are lost ({problem})')

    def _listed(self, chosen: Collection[int]) -> Iterator[tuple[int, int, int]]:
        """Yield time, number and topic of messages in order of time."""
        done = (-2**63, 0)
        if self._salvaged is None:
            try:
                for row in self._db.execute(
                        'SELECT timestamp, id, topic_id FROM messages '
                        f'WHERE topic_id IN ({",".join(map(str, chosen))}) ORDER BY timestamp, id'):
                    done = row[:2]
                    yield row
                return
            except sqlite3.Error as error:
                self._salvage(error)
        yield from (row for row in self._salvaged if row[2] in chosen and row[:2] > done)
