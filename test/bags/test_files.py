"""Folders as they are in real life: metadata.yaml wrong or missing, files renamed, missing, compressed or cut off."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bags.mcap_file import McapFile
from superslam_ros.bags import files
from superslam_ros.bags.bag import BagError, open_bag
from superslam_ros.bags.storage.parts import zstd
from superslam_ros.cli.main import main


def split(folder: Path, count: int = 3, each: int = 4, suffix: str = '.mcap') -> Path:
    """Write a recording in several files, NAME_0, NAME_1, ..., with metadata.yaml."""
    folder.mkdir()
    names = [f'{folder.name}_{number}{suffix}' for number in range(count)]
    for number, name in enumerate(names):
        times = range(1000 * (number + 1), 1000 * (number + 1) + each)
        write(folder / name, times)
    describe(folder, names)
    return folder


def write(path: Path, times: range) -> None:
    """Write a file with one message at each of the times."""
    if path.suffix == '.mcap':
        made = McapFile()
        made.topic('/a', 'std_msgs/msg/String', 'string data')
        for log_ns in times:
            made.put('/a', log_ns, b'\x00\x01\x00\x00' + bytes(8))
        made.write(path, per_chunk=1)
        return
    db = sqlite3.connect(path)
    db.execute('CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format)')
    db.execute('CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)')
    db.execute("INSERT INTO topics VALUES(1, '/a', 'std_msgs/msg/String', 'cdr')")
    db.executemany('INSERT INTO messages(topic_id, timestamp, data) VALUES(1, ?, ?)',
                   [(log_ns, b'\x00\x01\x00\x00' + bytes(8)) for log_ns in times])
    db.commit()
    db.close()


def describe(folder: Path, names: list[str], **changes: object) -> None:
    information = {'version': 9, 'storage_identifier': 'mcap', 'relative_file_paths': names, **changes}
    (folder / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': information}))


def read(path: Path) -> tuple[list[int], list[str]]:
    """Return the times of all messages, and the damage."""
    with open_bag(path) as reader:
        return [log_ns for _, log_ns, _ in reader.messages()], reader.damage


ALL = [1000, 1001, 1002, 1003, 2000, 2001, 2002, 2003, 3000, 3001, 3002, 3003]
HARMLESS: dict[str, tuple[Callable[[Path], object], str]] = {
    'as it is': (lambda folder: None, ''),
    'no identifier': (lambda folder: describe(folder, [f'bag_{i}.mcap' for i in range(3)], storage_identifier=''),
                      "storage_identifier ''"),
    'of the future': (lambda folder: describe(folder, [f'bag_{i}.mcap' for i in range(3)], version=99, new={}), ''),
    'absolute paths': (lambda folder: describe(folder, [f'/home/robot/bag/bag_{i}.mcap' for i in range(3)]), ''),
    'in another order': (lambda folder: describe(folder, ['bag_2.mcap', 'bag_0.mcap', 'bag_1.mcap']), ''),
    'empty': (lambda folder: (folder / 'metadata.yaml').write_text(''), 'not quite right'),
    'no YAML': (lambda folder: (folder / 'metadata.yaml').write_text('{: ]['), 'not quite right'),
    'no text': (lambda folder: (folder / 'metadata.yaml').write_bytes(b'\xff\xfe\x00'), 'not quite right'),
    'a list': (lambda folder: (folder / 'metadata.yaml').write_text('[1, 2]'), 'not quite right'),
    'without files': (lambda folder: describe(folder, []), 'names no files'),
    'files of numbers': (lambda folder: describe(folder, [1, 2]), 'not quite right'),
    'missing': (lambda folder: (folder / 'metadata.yaml').unlink(), 'read as one recording, in order of time'),
    'missing, files renamed': (lambda folder: ((folder / 'metadata.yaml').unlink(),
                                               (folder / 'bag_0.mcap').rename(folder / 'z.mcap')), 'z.mcap'),
    'a file renamed': (lambda folder: (folder / 'bag_1.mcap').rename(folder / 'good.mcap'),
                       'names bag_1.mcap, which is not there; good.mcap is read in its place'),
    'not brought up to date': (lambda folder: describe(folder, ['bag_0.mcap', 'bag_1.mcap']),
                               'not brought up to date: bag_2.mcap'),
    'unpacked': (lambda folder: describe(folder, [f'bag_{i}.mcap.zstd' for i in range(3)]), ''),
    'packed, half of it unpacked': (lambda folder: (pack(folder / 'bag_0.mcap'), shutil.copy(
        folder / 'bag_1.mcap', folder / 'keep'), pack(folder / 'bag_1.mcap'), (folder / 'keep').rename(
            folder / 'bag_1.mcap')), ''),
}


def pack(file: Path) -> Path:
    """Compress a file as rosbag2 does."""
    packed = file.with_name(f'{file.name}.zstd')
    packed.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    return packed


@pytest.mark.parametrize('case', HARMLESS)
def test_metadata_that_is_wrong_while_the_files_are_right(tmp_path: Path, caplog, case: str) -> None:
    change, said = HARMLESS[case]
    folder = split(tmp_path / 'bag')
    change(folder)
    assert read(folder) == (ALL, [])
    assert said in caplog.text and bool(said) == bool(caplog.records)


def test_a_file_that_is_missing_is_damage_and_the_others_are_read(tmp_path: Path) -> None:
    folder = split(tmp_path / 'bag')
    (folder / 'bag_1.mcap').unlink()
    times, damage = read(folder)
    assert times == ALL[:4] + ALL[8:]
    assert len(damage) == 1 and damage[0].startswith('bag_1.mcap, which metadata.yaml names, is missing')


@pytest.mark.parametrize('metadata', [True, False])
@pytest.mark.parametrize('left', [0, 5, 0.5])
def test_the_last_of_several_files_was_cut(tmp_path: Path, metadata: bool, left: float) -> None:
    folder = split(tmp_path / 'bag')
    file = folder / 'bag_2.mcap'
    content = file.read_bytes()
    file.write_bytes(content[:left if left > 1 else int(left * len(content))])
    if not metadata:
        (folder / 'metadata.yaml').unlink()
    times, damage = read(folder)
    assert times == ALL[:len(times)] and len(times) >= 8 and (left != 0.5 or len(times) > 8)
    assert len(damage) == 1 and damage[0].startswith('bag_2.mcap')


@pytest.mark.parametrize('suffix', ['.mcap', '.db3'])
@pytest.mark.parametrize('metadata', [True, False])
def test_compressed_files(tmp_path: Path, suffix: str, metadata: bool) -> None:
    folder = split(tmp_path / 'bag', suffix=suffix)
    names = [pack(folder / f'bag_{number}{suffix}').name for number in range(3)]
    describe(folder, names, compression_mode='FILE', compression_format='zstd')
    if not metadata:
        (folder / 'metadata.yaml').unlink()
    assert read(folder) == (ALL, [])
    assert read(folder / names[0]) == (ALL[:4], [])
    before = {file.name for file in folder.iterdir()}
    content = (folder / names[2]).read_bytes()
    (folder / names[2]).write_bytes(content[:-40])
    times, damage = read(folder)
    assert times[:8] == ALL[:8] and damage and damage[0].startswith(names[2])
    assert {file.name for file in folder.iterdir()} == before


def test_compressed_files_need_room(tmp_path: Path, monkeypatch) -> None:
    folder = split(tmp_path / 'bag', 1)
    pack(folder / 'bag_0.mcap')
    monkeypatch.setattr(files, '_RESERVE', 2**70)
    with pytest.raises(BagError, match='set TMPDIR'):
        read(folder)


def test_messages_that_are_compressed_one_by_one(tmp_path: Path) -> None:
    folder = split(tmp_path / 'bag', 1, suffix='.db3')
    with sqlite3.connect(folder / 'bag_0.db3') as db:
        db.execute('UPDATE messages SET data = ?', (zstd.compress(b'\x00\x01\x00\x00hello'),))
    with open_bag(folder) as reader:
        assert {raw for _, _, raw in reader.messages()} == {b'\x00\x01\x00\x00hello'}


def test_what_is_not_clear_or_not_there_is_refused_by_name(tmp_path: Path) -> None:
    folder = split(tmp_path / 'bag', 1)
    write(folder / 'bag_0.db3', range(3))
    (folder / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=r'bag_0.db3, bag_0.mcap are of different formats.*give one of them'):
        read(folder)
    describe(folder, ['bag_0.mcap'])
    assert read(folder)[0] == ALL[:4]
    for file in folder.glob('bag_0.*'):
        file.unlink()
    with pytest.raises(BagError, match=r'none of the files that metadata.yaml names \(bag_0.mcap\)'):
        read(folder)
    (folder / 'bag_0.mcap').write_bytes(b'noise')
    with pytest.raises(BagError, match=r'cannot be read as a bag.*begins neither.*record it again'):
        read(folder)


def test_files_that_overlap_are_read_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / 'bag').mkdir()
    write(tmp_path / 'bag/left.mcap', range(2, 100, 2))
    write(tmp_path / 'bag/right.mcap', range(1, 100, 2))
    assert read(tmp_path / 'bag') == (list(range(1, 100)), [])


def test_a_run_on_a_recording_that_was_cut_off(demo_bag, tmp_path: Path) -> None:
    folder = shutil.copytree(demo_bag.bag, tmp_path / 'demo')
    file = next(folder.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:-1000])
    (folder / 'metadata.yaml').unlink()
    assert main(['run', str(folder), '--features', 'orb', '--out', str(tmp_path / 'out')]) == 1
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert summary['frames'] >= demo_bag.frames - 3 and 'demo.mcap: its ' in summary['damage']
    assert main(['bag', 'info', str(folder)]) == 1
    assert main(['bag', 'images', str(folder), '--out', str(tmp_path / 'images')]) == 1
