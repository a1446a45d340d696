"""ROS 1 bags, indexed or not, whole, cut off and damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_typestore

from superslam_ros.bags.storage.parts import StorageError
from superslam_ros.bags.storage.ros1 import Ros1Storage

STORE = get_typestore(Stores.ROS1_NOETIC)


def recording(path: Path, compression: Writer.CompressionFormat | None = None, count: int = 40) -> list[bytes]:
    """Write strings, some a chunk, on two topics, /latched and /plain; return what is in them."""
    String = STORE.types['std_msgs/msg/String']
    words = []
    writer = Writer(path)
    writer.chunk_threshold = 200
    if compression:
        writer.set_compression(compression)
    with writer:
        topics = [writer.add_connection(name, 'std_msgs/msg/String', typestore=STORE, latching=latching)
                  for name, latching in (('/latched', 1), ('/plain', None))]
        for index in range(count):
            words.append(bytes(STORE.serialize_ros1(String(f'word {index:03d}'), 'std_msgs/msg/String')))
            writer.write(topics[index % 2], 10**9 + index, words[-1])
    return words


def contents(path: Path) -> tuple[list[bytes], list[str], Ros1Storage]:
    reports: list[str] = []
    storage = Ros1Storage(path, reports.append)
    messages = [raw for _, _, raw in storage.messages(set(storage.connections))]
    storage.close()
    return messages, reports, storage


@pytest.mark.parametrize('compression', [None, *Writer.CompressionFormat])
def test_whole_bags(tmp_path: Path, compression: Writer.CompressionFormat | None) -> None:
    words = recording(tmp_path / 'a.bag', compression)
    messages, reports, storage = contents(tmp_path / 'a.bag')
    assert messages == words and not reports
    assert {(c.topic, c.msgtype, c.latched, c.msgcount) for c in storage.connections} == {
        ('/latched', 'std_msgs/msg/String', True, 20), ('/plain', 'std_msgs/msg/String', False, 20)}
    assert (storage.start_ns, storage.end_ns) == (10**9, 10**9 + 39)


@pytest.mark.parametrize('compression', [None, *Writer.CompressionFormat])
def test_a_bag_that_was_never_closed_and_indexed(tmp_path: Path, compression: Writer.CompressionFormat | None) -> None:
    """As rosbag record leaves it, .bag.active, when it is killed."""
    words = recording(tmp_path / 'a.bag', compression)
    content = bytearray((tmp_path / 'a.bag').read_bytes())
    at = content.index(b'index_pos=') + len(b'index_pos=')
    end, = struct.unpack_from('<Q', content, at)
    content[at:at + 8] = bytes(8)
    for cut, most in ((end, 40), (end // 2 + 2048, 39)):
        (tmp_path / 'a.bag.active').write_bytes(content[:cut])
        messages, reports, _ = contents(tmp_path / 'a.bag.active')
        assert messages == words[:len(messages)] and 10 < len(messages) <= most
        assert len(reports) == 1 and 'index is missing' in reports[0]
    assert len(messages) < 40


def test_cut_anywhere_it_gives_what_comes_before(tmp_path: Path) -> None:
    words = recording(tmp_path / 'a.bag')
    whole = (tmp_path / 'a.bag').read_bytes()
    counts = []
    for end in range(4200, len(whole) - 1, 37):
        (tmp_path / 'a.bag').write_bytes(whole[:end])
        messages, reports, _ = contents(tmp_path / 'a.bag')
        assert messages == words[:len(messages)] and len(reports) == 1
        counts.append(len(messages))
    assert counts == sorted(counts) and counts[-1] == 40 and len(set(counts)) > 5


def test_damage_in_the_middle_costs_what_is_damaged(tmp_path: Path) -> None:
    words = recording(tmp_path / 'a.bag')
    content = bytearray((tmp_path / 'a.bag').read_bytes())
    at = content.rindex(b'compression=', 0, content.index(b'word 020')) - 8
    content[at:at + 8] = b'\xff' * 8
    (tmp_path / 'a.bag').write_bytes(content)
    messages, reports, _ = contents(tmp_path / 'a.bag')
    assert 20 < len(messages) < 40 and words[0] in messages and words[-1] in messages and reports


def test_what_is_no_bag_or_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / 'a.bag'
    for content, reason in (
        (b'#ROSBAG V1.2\n' + bytes(100), 'version 2.0'), (b'#ROSBAG V2.0\n' + bytes(100), 'header'),
        (b'#ROSBAG V2.0\n' + b'\xff' * 100, 'header'), (b'#ROSBAG V2.0\n', 'bytes'),
    ):
        file.write_bytes(content)
        with pytest.raises(StorageError, match=reason):
            Ros1Storage(file, print)
