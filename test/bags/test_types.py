"""One topic that nobody asks for does not decide whether a bag opens; one that is asked for is named when it does."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from conftest import Bag
from rosbags.typesys import Stores, get_typestore

from bags.mcap_file import McapFile
from superslam_ros.bags import types
from superslam_ros.bags.bag import BagError, Connection, deserialize, list_topics, open_bag
from superslam_ros.bags.reader import BagFrames
from superslam_ros.cli.main import main

WHEEL = 'float64 speed\nstring<=8 name "left=1"\n'
IDL = 'module demo_msgs { module msg { struct Wheel { double speed; }; }; };'
# Name of the case: (type, encoding of messages, format of the definition, definition, is it understood).
ODD = {
    'service event': ('demo_msgs/srv/SetLamp_Event', 'cdr', 'ros2msg', 'service_msgs/ServiceEventInfo info\n'
                      'SetLamp_Request[<=1] request\n' + '=' * 80 + '\nMSG: SetLamp_Request\nbool on\n', False),
    'CRLF': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', WHEEL.replace('\n', '\r\n'), True),
    'byte order mark': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', '\ufeff' + WHEEL, True),
    'empty constant': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', 'string FRAME=\nstring OTHER=""\n' + WHEEL, True),
    'IDL': ('demo_msgs/msg/Wheel', 'cdr', 'ros2idl', IDL, True),
    'broken IDL': ('demo_msgs/msg/Wheel', 'cdr', 'ros2idl', IDL[:-9], False),
    'no definition': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', '', False),
    'part of it missing': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', 'demo_msgs/Tyre tyre\n', False),
    'of itself': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', 'int32 a\nWheel inner\n', True),
    'noise': ('demo_msgs/msg/Wheel', 'cdr', 'ros2msg', '\x00\x01 ====', False),
    'no schema': ('', 'cdr', '', '', False),
    'protobuf': ('foxglove.Log', 'protobuf', 'protobuf', '\x00\x01', False),
    'JSON': ('Log', 'json', 'jsonschema', '{}', False),
    'JSON that claims to be an image': ('sensor_msgs/msg/Image', 'json', 'jsonschema', '{}', False),
    'unknown format': ('demo_msgs/msg/Wheel', 'cdr', 'flatbuffer', 'x', False),
    'a name that is code': ('a/msg/B:\n import os\nclass C', 'cdr', 'ros2msg', 'int32 a', False),
}


def camera(bag: Bag, count: int = 3) -> McapFile:
    """Return an MCAP file in the making with the frames of a bag."""
    bag.frames(count)
    made = McapFile()
    for topic, log_ns, message in bag.messages:
        kind = message.__msgtype__
        if topic not in made.topics:
            made.topic(topic, kind, bag.make.store.generate_msgdef(kind, ros_version=2)[0])
        made.put(topic, log_ns, bag.make.store.serialize_cdr(message, kind))
    return made


@pytest.mark.parametrize('case', ODD)
def test_in_mcap(bag, tmp_path: Path, capsys, case: str) -> None:
    kind, encoding, form, definition, understood = ODD[case]
    made = camera(bag)
    made.topic('/odd', kind, definition, encoding, form)
    made.put('/odd', 10**8, b'\x00\x01\x00\x00' + bytes(16))
    check(made.write(tmp_path / 'odd.mcap'), understood, capsys)


@pytest.mark.parametrize('case', [name for name, odd in ODD.items() if odd[0]])
def test_in_sqlite(bag, tmp_path: Path, capsys, case: str) -> None:
    odd_kind, encoding, form, definition, understood = ODD[case]
    bag.frames(3)
    db = sqlite3.connect(tmp_path / 'odd.db3')
    db.execute('CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format, offered_qos_profiles)')
    db.execute('CREATE TABLE message_definitions(topic_type, encoding, encoded_message_definition)')
    db.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)')
    db.execute('INSERT INTO topics VALUES(9, ?, ?, ?, ?)', ('/odd', odd_kind, encoding, ''))
    db.execute('INSERT INTO message_definitions VALUES(?, ?, ?)', (odd_kind, form, definition))
    db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(9, 100, ?)', (b'\x00\x01\x00\x00' + bytes(16),))
    for topic, log_ns, message in bag.messages:
        number = 1 + topic.endswith('info')
        kind = message.__msgtype__
        db.execute('INSERT OR IGNORE INTO topics VALUES(?, ?, ?, ?, ?)', (number, topic, kind, 'cdr', ''))
        db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                   (number, log_ns, bag.make.store.serialize_cdr(message, kind)))
    db.commit()
    db.close()
    check(tmp_path / 'odd.db3', understood, capsys)


def check(path: Path, understood: bool, capsys) -> None:
    with open_bag(path) as reader:
        topic = next(topic for topic in list_topics(reader) if topic.name == '/odd')
        assert bool(topic.problem) != understood
        assert len(list(BagFrames(reader))) == 3 and not reader.damage
    assert main(['bag', 'info', str(path)]) == 0
    said = capsys.readouterr()
    assert ('left alone' in said.out) != understood and ('/odd' in said.err) != understood
    assert main(['bag', 'images', str(path), '--out', str(path.parent / 'images')]) == 0


def test_an_image_topic_that_is_asked_for_and_not_understood_is_the_reason(bag, tmp_path: Path) -> None:
    made = McapFile()
    made.topic('/odd', 'sensor_msgs/msg/Image', '{}', 'json', 'jsonschema')
    made.put('/odd', 1, b'{}')
    with open_bag(made.write(tmp_path / 'odd.mcap')) as reader:
        with pytest.raises(BagError, match=r"/odd .*its messages are serialised as 'json'"):
            BagFrames(reader)
        from superslam_ros.bags.reader import ReaderOptions
        with pytest.raises(BagError, match=r"/odd: its messages are serialised as 'json'"):
            BagFrames(reader, ReaderOptions(image='/odd'))


@pytest.mark.parametrize('damaged', [b'uint8[[ data', b'uint8[] dada', b'float32 data'])
def test_images_and_calibrations_are_what_they_are_in_ros_whatever_a_bag_says(
    bag, tmp_path: Path, damaged: bytes,
) -> None:
    made = camera(bag)
    made.definitions = [definition.replace(b'uint8[] data', damaged) for definition in made.definitions]
    with open_bag(made.write(tmp_path / 'odd.mcap')) as reader:
        assert len(list(BagFrames(reader))) == 3


def test_ros1_messages_in_mcap_are_understood(bag, tmp_path: Path) -> None:
    store = get_typestore(Stores.ROS1_NOETIC)
    bag.frames(3)
    made = McapFile(profile='ros1')
    for topic, log_ns, message in bag.messages:
        kind = message.__msgtype__
        if topic not in made.topics:
            made.topic(topic, kind.replace('/msg/', '/'), store.generate_msgdef(kind)[0], 'ros1', 'ros1msg')
        fields = list(vars(message).values())[:len(store.fielddefs[kind][1])]
        fields[0] = store.types['std_msgs/msg/Header'](0, message.header.stamp, message.header.frame_id)
        made.put(topic, log_ns, store.serialize_ros1(store.types[kind](*fields), kind))
    with open_bag(made.write(tmp_path / 'old.mcap')) as reader:
        assert len(list(BagFrames(reader))) == 3


def test_a_standard_type_whose_definition_is_not_understood_is_the_standard_one() -> None:
    connection = Connection('/a', 'std_msgs/msg/ColorRGBA', 'cdr', 'ros2msg', 'float32 [r')
    assert deserialize(b'\x00\x01\x00\x00' + bytes(16), connection).a == 0.0 and not types.problem(connection)


def test_two_definitions_of_one_type_are_both_believed() -> None:
    short, long = (Connection('/a', 'a/msg/B', 'cdr', 'ros2msg', text) for text in ('uint8 x', 'uint8 x\nuint8 y'))
    assert deserialize(b'\x00\x01\x00\x00\x07\x00\x00\x00', short).x == 7
    assert not hasattr(deserialize(b'\x00\x01\x00\x00\x07\x00\x00\x00', short), 'y')
    assert deserialize(b'\x00\x01\x00\x00\x07\x08\x00\x00', long).y == 8
    assert not types.problem(short) and not types.problem(long)


def test_the_choice_for_programs_is_all_that_is_printed(bag, tmp_path: Path, capsys) -> None:
    made = camera(bag)
    made.topic('/odd', 'foxglove.Log', '', 'protobuf', 'protobuf')
    path = made.write(tmp_path / 'odd.mcap')
    path.write_bytes(path.read_bytes()[:-37])
    assert main(['bag', 'info', '--json', str(path)]) == 1
    assert json.loads(capsys.readouterr().out)['mode'] == 'mono'
