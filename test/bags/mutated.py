"""Reads mutated bags of all formats: ``python -m bags.mutated FOLDER FIRST COUNT [run]``; prints what came of it.

Every bag follows from its number. An error that is not meant for the user ends the program with a traceback.
"""

from __future__ import annotations

import io
import json
import random
import resource
import shutil
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_typestore

from bags.mcap_file import McapFile
from superslam_ros import worlds
from superslam_ros.bags.messages import Messages, typestore
from superslam_ros.cli.main import main

FRAMES = 6
LENGTHS = [2**60, 2**63, 2**64 - 1, 2**40, 2**32, 2**31 - 1, 0]


def messages() -> list[tuple[str, int, object]]:
    """Return the messages of a small camera with depth."""
    make, camera, noise = Messages(typestore()), worlds.pinhole(64, 48), np.random.default_rng(0)
    found = []
    for index in range(FRAMES):
        stamp = (index + 1) * 10**8
        found += [('/cam/camera_info', stamp, make.camera_info(stamp, camera)),
                  ('/cam/image_raw', stamp, make.image(stamp, 'optical', noise.integers(0, 256, (48, 64), np.uint8))),
                  ('/cam/depth/image_rect', stamp, make.image(stamp, 'optical', np.full((48, 64), 2, np.float32)))]
    return found


def write_mcap(path: Path, compression: str, per_chunk: int) -> None:
    store, made = typestore(), McapFile()
    for topic, log_ns, message in messages():
        if topic not in made.topics:
            made.topic(topic, message.__msgtype__, store.generate_msgdef(message.__msgtype__, ros_version=2)[0],
                       qos='- durability: 1')
        made.put(topic, log_ns, store.serialize_cdr(message, message.__msgtype__))
    made.write(path, compression, per_chunk)


def write_sqlite(path: Path, page: int) -> None:
    store, topics = typestore(), {}
    db = sqlite3.connect(path)
    db.execute(f'PRAGMA page_size={page}')
    db.executescript('''
        CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT,
                            offered_qos_profiles TEXT);
        CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT, encoding TEXT,
                                         encoded_message_definition TEXT);
        CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB);
        CREATE INDEX timestamp_idx ON messages (timestamp ASC);''')
    for topic, log_ns, message in messages():
        kind = message.__msgtype__
        if topic not in topics:
            topics[topic] = len(topics) + 1
            db.execute('INSERT INTO topics VALUES(?, ?, ?, ?, ?)', (topics[topic], topic, kind, 'cdr', ''))
            db.execute('INSERT INTO message_definitions(topic_type, encoding, encoded_message_definition) '
                       'VALUES(?, ?, ?)', (kind, 'ros2msg', store.generate_msgdef(kind, ros_version=2)[0]))
        db.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                   (topics[topic], log_ns, store.serialize_cdr(message, kind)))
    db.commit()
    db.close()


def write_ros1(path: Path, compression: Writer.CompressionFormat | None) -> None:
    store, topics = get_typestore(Stores.ROS1_NOETIC), {}
    writer = Writer(path)
    writer.chunk_threshold = 8000
    if compression:
        writer.set_compression(compression)
    with writer:
        for topic, log_ns, message in messages():
            kind = message.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=store)
            fields = list(vars(message).values())[:len(store.fielddefs[kind][1])]
            fields[0] = store.types['std_msgs/msg/Header'](0, message.header.stamp, message.header.frame_id)
            writer.write(topics[topic], log_ns, store.serialize_ros1(store.types[kind](*fields), kind))


FORMATS: list[tuple[str, Callable[[Path], None]]] = [
    ('a.mcap', lambda path: write_mcap(path, 'zstd', 3)), ('b.mcap', lambda path: write_mcap(path, '', 4)),
    ('c.mcap', lambda path: write_mcap(path, 'lz4', 5)), ('d.mcap', lambda path: write_mcap(path, '', 0)),
    ('e.db3', lambda path: write_sqlite(path, 512)), ('f.db3', lambda path: write_sqlite(path, 4096)),
    ('g.bag', lambda path: write_ros1(path, None)),
    ('h.bag', lambda path: write_ros1(path, Writer.CompressionFormat.BZ2)),
]


def mutate(content: bytes, dice: random.Random) -> bytes:
    """Return a file with one to four things done to it that happen to files, or that a stranger may do."""
    data = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        # Half of it where the structure is: at the ends of the file.
        at = dice.choice([dice.randrange(len(data)), dice.randrange(min(300, len(data))),
                          len(data) - 1 - dice.randrange(min(1500, len(data)))])
        length = min(dice.choice([1, 2, 8, 64, 700]), len(data) - at)
        kind = dice.randrange(8)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            data[at:at + length] = dice.randbytes(length)
        elif kind == 2:
            data[at:at + 8] = struct.pack('<Q', dice.choice(LENGTHS))
        elif kind == 3:
            data[at:at + 4] = struct.pack('<I', dice.choice(LENGTHS) & 0xffffffff)
        elif kind == 4:
            del data[at:at + length]
        elif kind == 5:
            data[at:at] = data[at:at + length]
        elif kind == 6:
            data[at:at + length] = bytes(length)
        else:
            del data[max(at, 20):]
        if len(data) < 20:
            data += bytes(20)
    return bytes(data)


def quietly(arguments: list[str]) -> int:
    """Return the exit status of a command."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return main(arguments)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_all(folder: Path, first: int, count: int, run: bool) -> dict[str, float]:
    """Read mutated bags; return how many commands ended with which status, and by how much memory grew."""
    sources = {}
    for name, write in FORMATS:
        write(folder / name)
        sources[name] = (folder / name).read_bytes()
        assert quietly(['bag', 'info', str(folder / name)]) == 0, name
        (folder / name).unlink()
    assert not run or quietly(['run', 'missing', '--out', str(folder / 'out')]) == 2    # imports what a run needs
    statuses: Counter[str] = Counter()
    start = peak_mb()
    for number in range(first, first + count):
        print(number, file=sys.stderr, flush=True)
        dice = random.Random(number)
        name, content = sorted(sources.items())[number % len(sources)]
        (folder / name).write_bytes(mutate(content, dice))
        commands = [['bag', 'info'], ['bag', 'images', '--out', str(folder / 'images')]]
        if run:
            commands.append(['run', '--features', 'orb', '--out', str(folder / 'out')])
        for command in commands:
            statuses[f'{" ".join(command[:2])} {quietly([*command, str(folder / name)])}'] += 1
        (folder / name).unlink()
        for out in ('images', 'out'):
            shutil.rmtree(folder / out, ignore_errors=True)
    return {**statuses, 'grown_mb': round(peak_mb() - start)}


if __name__ == '__main__':
    print(json.dumps(read_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), 'run' in sys.argv[4:])))
