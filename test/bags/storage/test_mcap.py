"""MCAP files of every form, whole, cut off anywhere, and damaged in the middle."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import pytest

from bags.mcap_file import McapFile
from superslam_ros.bags.storage.mcap import McapStorage
from superslam_ros.bags.storage.parts import StorageError

FORMS = [{'compression': compression, 'per_chunk': 4, 'summary': summary, 'index': index}
         for compression in ('', 'lz4', 'zstd') for summary in (True, False) for index in (True, False)]
FORMS += [{'counts': False}, {'counts': False, 'index': False}]
FORMS += [{'per_chunk': 0, 'summary': True}, {'per_chunk': 0, 'summary': False}]


def recording(count: int = 20) -> McapFile:
    """Return two topics with ``count`` messages each; those of /b come in pairs out of order."""
    made = McapFile()
    for name in ('/a', '/b'):
        made.topic(name, 'std_msgs/msg/String', 'string data')
    for index in range(count):
        made.put('/a', 1000 + 10 * index, b'a%03d' % index)
        made.put('/b', 1005 + 10 * (index ^ 1), b'b%03d' % (index ^ 1))
    return made


def contents(path: Path, topics: tuple[str, ...] = ('/a', '/b')) -> tuple[list[tuple[int, bytes]], list[str]]:
    """Return (time, bytes) of what is read, and what is reported."""
    reports: list[str] = []
    storage = McapStorage(path, reports.append)
    wanted = {connection for connection in storage.connections if connection.topic in topics}
    messages = [(log_ns, raw) for log_ns, _, raw in storage.messages(wanted)]
    storage.close()
    return messages, reports


@pytest.mark.parametrize('form', FORMS, ids=str)
def test_every_form_gives_all_messages_in_order_of_time(tmp_path: Path, form: dict) -> None:
    made = recording()
    path = made.write(tmp_path / 'a.mcap', **form)
    messages, reports = contents(path)
    assert messages == sorted((log_ns, data) for _, log_ns, data in made.messages) and not reports
    storage = McapStorage(path, reports.append)
    assert {c.topic: c.msgcount for c in storage.connections} == {'/a': 20, '/b': 20}
    assert (storage.start_ns, storage.end_ns) == (1000, 1195)
    storage.close()
    assert [raw[:1] for _, raw in contents(path, ('/b',))[0]] == [b'b'] * 20


@pytest.mark.parametrize('form', FORMS, ids=str)
def test_cut_anywhere_it_gives_what_comes_before(tmp_path: Path, form: dict) -> None:
    made = recording()
    path = made.write(tmp_path / 'a.mcap', **form)
    whole = path.read_bytes()
    wanted = Counter((log_ns, data) for _, log_ns, data in made.messages)
    counts = []
    for end in range(60, len(whole) - 1, 41):
        path.write_bytes(whole[:end])
        messages, reports = contents(path)
        assert not Counter(messages) - wanted and messages == sorted(messages)
        assert len(reports) == 1 and 'missing' in reports[0]
        counts.append(len(messages))
    assert counts == sorted(counts) and counts[-1] == 40
    assert len(set(counts)) > 8                             # not all or nothing


def test_without_its_last_bytes_no_message_is_missing(tmp_path: Path) -> None:
    path = recording().write(tmp_path / 'a.mcap')
    path.write_bytes(path.read_bytes()[:-37])
    messages, reports = contents(path)
    assert len(messages) == 40 and reports == ['its index and end are missing, but no message is']


def test_a_tail_of_zeros_as_a_power_cut_leaves_it(tmp_path: Path) -> None:
    path = recording().write(tmp_path / 'a.mcap')
    content = path.read_bytes()
    chunk = content.index(b'zstd', len(content) // 3)
    path.write_bytes(content[:chunk + 30] + bytes(len(content)))
    messages, reports = contents(path)
    assert 0 < len(messages) < 40 and len(reports) == 2     # the chunk with zeros in it, and the end


@pytest.mark.parametrize('summary', [True, False])
def test_a_damaged_chunk_is_left_out_and_those_after_it_are_read(tmp_path: Path, summary: bool) -> None:
    path = recording().write(tmp_path / 'a.mcap', compression='', summary=summary)
    content = bytearray(path.read_bytes())
    at = content.index(b'a006')
    content[at] = 0
    path.write_bytes(content)
    messages, reports = contents(path)
    assert len(messages) == 36 and len(reports) == 1 and 'checksum' in reports[0]


def test_a_damaged_record_in_the_middle_costs_nothing_but_its_chunk_where_there_is_an_index(tmp_path: Path) -> None:
    path = recording().write(tmp_path / 'a.mcap', compression='')
    content = bytearray(path.read_bytes())
    at = content.rindex(b'\x06', 0, content.index(b'a006') - 100)
    content[at + 1:at + 9] = struct.pack('<Q', 2**60)
    path.write_bytes(content)
    messages, reports = contents(path)
    assert len(messages) == 36 and len(reports) == 1


@pytest.mark.parametrize('compression', ['', 'lz4', 'zstd'])
def test_behind_damage_without_an_index_reading_goes_on_with_the_next_chunk(tmp_path: Path, compression: str) -> None:
    path = recording().write(tmp_path / 'a.mcap', compression=compression, summary=False)
    content = path.read_bytes()
    indexed = McapStorage(path, print)
    chunks = [part.offset for part in indexed.parts]
    indexed.close()
    assert len(chunks) == 10
    for cut in (0, 50):
        damaged = content[:chunks[3]] + b'\xff' * 20 + content[chunks[3] + 20:len(content) - cut]
        path.write_bytes(damaged)
        messages, reports = contents(path)
        assert 30 <= len(messages) < 40 and f'bytes {chunks[3]} to {chunks[4]} are lost' in reports[0]
        assert len(reports) == 1 + bool(cut)


def test_a_damaged_index_is_not_believed(tmp_path: Path) -> None:
    path = recording().write(tmp_path / 'a.mcap')
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)
    messages, reports = contents(path)
    assert len(messages) == 40 and len(reports) == 1 and 'index' in reports[0]


@pytest.mark.parametrize('length', [2**60, 2**40, 2**31])
def test_lengths_that_cannot_be_are_no_trouble(tmp_path: Path, length: int) -> None:
    for per_chunk in (0, 4):
        path = recording().write(tmp_path / 'a.mcap', per_chunk=per_chunk, compression='', summary=False, crc=False)
        whole = path.read_bytes()
        for at in range(8, len(whole) - 45, 97):
            path.write_bytes(whole[:at] + struct.pack('<Q', length) + whole[at + 8:])
            try:
                contents(path)
            except StorageError as error:
                assert str(error)


def test_a_chunk_that_claims_to_be_huge_is_not_unpacked(tmp_path: Path) -> None:
    path = recording().write(tmp_path / 'a.mcap', per_chunk=40, summary=False)
    content = bytearray(path.read_bytes())
    at = content.index(b'zstd') - 4 - 12
    content[at:at + 8] = struct.pack('<Q', 2**50)
    path.write_bytes(content)
    messages, reports = contents(path)
    assert not messages and any(str(2**50) in report for report in reports)


def test_latched_topics_of_old_and_new_files(tmp_path: Path) -> None:
    made = McapFile()
    for name, qos in (('/old', '- history: 1\n  durability: 1\n'), ('/new', '- durability: transient_local\n'),
                      ('/volatile', '- durability: 2\n'), ('/none', '')):
        made.topic(name, 'std_msgs/msg/String', 'string data', qos=qos)
        made.put(name, 1, b'')
    storage = McapStorage(made.write(tmp_path / 'a.mcap'), print)
    assert {c.topic for c in storage.connections if c.latched} == {'/old', '/new'}
    storage.close()
