"""SQLite files of all versions of rosbag2, whole, cut off and damaged, with the logs of a killed recorder."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from superslam_ros.bags.storage.parts import StorageError
from superslam_ros.bags.storage.sqlite import SqliteStorage

TOPICS = {1: 'id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT'}
TOPICS[2] = TOPICS[1] + ', offered_qos_profiles TEXT'
TOPICS[4] = TOPICS[2] + ', type_description_hash TEXT'


def recording(path: Path, version: int = 4, count: int = 100, size: int = 3000) -> sqlite3.Connection:
    """Write messages whose first bytes are their number, those of pairs out of order; leave the database open."""
    db = sqlite3.connect(path)
    db.execute(f'CREATE TABLE topics({TOPICS[version]})')
    db.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)')
    db.execute('CREATE INDEX timestamp_idx ON messages (timestamp ASC)')
    for number, name, qos in ((1, '/a', '- durability: 1'), (2, '/b', '')):
        row = (number, name, 'std_msgs/msg/String', 'cdr', qos, 'RIHS01_x')[:{1: 4, 2: 5, 4: 6}[version]]
        db.execute(f'INSERT INTO topics VALUES({",".join("?" * len(row))})', row)
    if version == 4:
        db.execute('CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT, encoding TEXT, '
                   'encoded_message_definition TEXT, type_description_hash TEXT)')
        db.execute("INSERT INTO message_definitions VALUES(1, 'std_msgs/msg/String', 'ros2msg', 'string data', '')")
    db.commit()
    add(db, 0, count, size)
    return db


def add(db: sqlite3.Connection, start: int, end: int, size: int = 3000) -> None:
    for index in range(start, end):
        db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                   (1 + index % 2, 1000 + (index ^ 1), b'%04d' % (index ^ 1) + bytes(size)))
    db.commit()


def contents(path: Path, scratch: Path | None = None) -> tuple[list[int], list[str], SqliteStorage]:
    reports: list[str] = []

    def folder(size: int) -> Path:
        if scratch is None:
            raise StorageError('no room')
        scratch.mkdir()
        return scratch

    storage = SqliteStorage(path, reports.append, folder)
    numbers = [int(raw[:4]) for _, _, raw in storage.messages(set(storage.connections))]
    storage.close()
    return numbers, reports, storage


@pytest.mark.parametrize('version', TOPICS)
def test_whole_files_of_every_version_in_order_of_time(tmp_path: Path, version: int) -> None:
    path = tmp_path / 'a file? #1.db3'
    recording(path, version).close()
    numbers, reports, storage = contents(path)
    assert numbers == list(range(100)) and not reports
    assert [(c.topic, c.latched, c.msgcount) for c in storage.connections] == [
        ('/a', version > 1, 50), ('/b', False, 50)]
    assert {c.format for c in storage.connections} == {'ros2msg' if version == 4 else ''}
    assert (storage.start_ns, storage.end_ns) == (1000, 1099)


def test_cut_anywhere_it_gives_what_comes_before(tmp_path: Path) -> None:
    path = tmp_path / 'a.db3'
    recording(path).close()
    whole = path.read_bytes()
    counts = []
    for part in (0.3, 0.6, 0.9, 0.99):
        path.write_bytes(whole[:int(part * len(whole))])
        numbers, reports, storage = contents(path)
        assert numbers == sorted(set(numbers)) and any('missing' in report for report in reports)
        assert sum(c.msgcount for c in storage.connections) >= len(numbers)
        counts.append(len(numbers))
    assert counts == sorted(counts) and counts[0] > 15 and counts[2] > 80


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / 'a.db3'
    recording(path).close()
    whole = path.read_bytes()
    lost = []
    for page in range(5, len(whole) // 4096, 7):
        path.write_bytes(whole[:4096 * page] + b'\xff' * 4096 + whole[4096 * (page + 1):])
        numbers, reports, _ = contents(path)
        lost.append(100 - len(numbers))
        assert bool(reports) == bool(lost[-1])
    assert max(lost) > 0 and sum(lost) < 20 * len(lost)


def test_what_a_killed_recorder_left_in_the_log_beside_it_is_read(tmp_path: Path) -> None:
    live, path = tmp_path / 'live.db3', tmp_path / 'a.db3'
    db = recording(live, count=20)
    db.execute('PRAGMA journal_mode=WAL')
    db.execute('PRAGMA wal_autocheckpoint=0')
    add(db, 20, 40)
    for end in ('', '-wal'):
        shutil.copy(f'{live}{end}', f'{path}{end}')
    db.close()
    before = path.read_bytes()
    numbers, reports, _ = contents(path)
    assert numbers == list(range(40)) and not reports
    assert path.read_bytes() == before


def test_everything_may_still_be_in_the_log(tmp_path: Path) -> None:
    live, path = tmp_path / 'live.db3', tmp_path / 'a.db3'
    db = sqlite3.connect(live)
    db.execute('PRAGMA journal_mode=WAL')
    db.execute('PRAGMA wal_autocheckpoint=0')
    other = recording(live, count=10)
    for end in ('', '-wal'):
        shutil.copy(f'{live}{end}', f'{path}{end}')
    for one in (db, other):
        one.close()
    assert contents(path)[0] == list(range(10))


def test_a_transaction_that_was_cut_off_is_rolled_back_in_a_copy(tmp_path: Path) -> None:
    live, path = tmp_path / 'live.db3', tmp_path / 'a.db3'
    db = recording(live, count=20)
    db.execute('PRAGMA cache_size=1')
    db.execute('BEGIN')
    for index in range(20, 200):
        db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(1, ?, ?)',
                   (1000 + index, b'9999' + bytes(9000)))
    db.execute('UPDATE messages SET timestamp = timestamp + 1')
    for end in ('', '-journal'):
        shutil.copy(f'{live}{end}', f'{path}{end}')
    db.close()
    assert Path(f'{path}-journal').stat().st_size
    before = path.read_bytes()
    numbers, reports, _ = contents(path, tmp_path / 'scratch')
    assert numbers == list(range(20)) and len(reports) == 1 and 'rolled back' in reports[0]
    assert path.read_bytes() == before
    _, reports, _ = contents(path)
    assert any('a.db3-journal, cannot be read (no room)' in report for report in reports)


def test_what_is_no_bag(tmp_path: Path) -> None:
    path = tmp_path / 'a.db3'
    for content in (b'SQLite format 3\0' + bytes(5000), b'SQLite format 3\0' + b'\xff' * 5000):
        path.write_bytes(content)
        with pytest.raises(StorageError):
            contents(path)
    path.unlink()
    db = sqlite3.connect(path)
    db.execute('CREATE TABLE notes(text)')
    db.close()
    with pytest.raises(StorageError, match='no tables'):
        contents(path)
