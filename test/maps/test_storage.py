"""A map comes back from the disk as it was, or not at all; and nothing that happens while saving spoils the old one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from places import EMBEDDING, Looker, all_round, built, check, lap

from superslam_ros.maps import reading, schema, storage
from superslam_ros.maps.map import Map
from superslam_ros.maps.parts import LOOP, Edge, MapError

COLUMNS = ('ids', 'host', 'points', 'descriptors', 'octave', 'count', 'first_seen_ns', 'last_seen_ns')


def walked() -> tuple[Map, Looker]:
    """Return a map with all that a map can have: two sessions, two cameras, a loop, and gaps in its ids."""
    world, poses = all_round(), lap(12)
    made, looker = built(world, poses[:9])
    made.remove(4)
    second, other = made.add_session('zweiter Gang', 10**18, 'f' * 64, metric=False), Looker(world, 10**18, 2, 5001)
    for T in poses[:3]:
        made.add(replace(other.look(T), metric=False), T, second, np.arange(8) / 7)
    made.cameras[2] = made.cameras[1][0], (320, 240)
    made.keyframes[9].camera = 2
    made.edges.append(Edge(10, 1, np.eye(4), 0.01 * np.eye(6), LOOP, False))
    return made, looker


@pytest.fixture(scope='module')
def kept() -> Map:
    return walked()[0]


@pytest.fixture
def file(kept: Map, tmp_path: Path) -> Path:
    storage.save(kept, tmp_path / 'house.map')
    return tmp_path / 'house.map'


def assert_same(one: Map, other: Map) -> None:
    """Assert that two maps are equal in all that is kept."""
    assert one.sessions == other.sessions and one.cameras == other.cameras
    assert (one.next_id, one.landmarks.next_id) == (other.next_id, other.landmarks.next_id)
    assert list(one.keyframes) == list(other.keyframes) and len(one.edges) == len(other.edges)
    for a, b in zip(one.keyframes.values(), other.keyframes.values()):
        assert vars(a).keys() == vars(b).keys()
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, vars(b)[name])
    for a, b in zip(one.edges, other.edges):
        assert (a.start, a.end, a.kind, a.inlier, a.scale) == (b.start, b.end, b.kind, b.inlier, b.scale)
        np.testing.assert_array_equal(a.T_start_end, b.T_start_end)
        np.testing.assert_array_equal(a.covariance, b.covariance)
    rows, others = one.landmarks.living(), other.landmarks.living()
    # Of a covariance, which is symmetric but for rounding, one half is kept.
    np.testing.assert_allclose(one.landmarks.covariance[rows], other.landmarks.covariance[others], atol=1e-9)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(one.landmarks, name)[rows], getattr(other.landmarks, name)[others])
    np.testing.assert_allclose(one.landmarks.direction[rows], other.landmarks.direction[others], atol=1e-3)


def test_a_map_comes_back_as_it_was_and_is_saved_as_the_same_bytes(kept: Map, file: Path) -> None:
    found = storage.load(file)
    check(found)
    assert_same(found, kept)
    assert found.neighbours(2, 9) == kept.neighbours(2, 9)
    storage.save(found, file.with_name('again.map'))
    assert file.read_bytes() == file.with_name('again.map').read_bytes()
    assert sorted(one.name for one in file.parent.iterdir()) == ['again.map', 'house.map']


def test_a_map_that_was_loaded_goes_on_growing(file: Path) -> None:
    found, world, T = storage.load(file), all_round(), lap(12)[10]
    last = max(found.keyframes)
    session = found.add_session('third', 2 * 10**18)
    number = found.add(Looker(world, 2 * 10**18, 3, 9001).look(T), T, session, EMBEDDING)
    check(found)
    assert number == last + 1
    found.cull(max_keyframes=4)
    check(found)
    storage.save(found, file)
    assert_same(storage.load(file), found)


def test_what_a_file_says_of_itself(kept: Map, file: Path) -> None:
    told = storage.describe(file)
    assert (told.keyframes, told.landmarks, told.edges, told.loops) == (
        len(kept), len(kept.landmarks), len(kept.edges), 1)
    assert told.sessions == tuple(kept.sessions.values()) and told.cameras == tuple(kept.cameras.values())
    assert (told.version, told.bytes) == (1, file.stat().st_size)
    assert (told.descriptor_size, told.embedding_size) == (32, 8)


def test_an_empty_map_and_one_of_a_keyframe_come_back(tmp_path: Path) -> None:
    for made in (Map(), built(all_round(), lap(4)[:1])[0]):
        storage.save(made, tmp_path / 'small.map')
        found = storage.load(tmp_path / 'small.map')
        check(found)
        assert_same(found, made)
    assert storage.describe(tmp_path / 'small.map').keyframes == 1


def test_nothing_of_pytorch_is_needed_to_read_a_map() -> None:
    code = 'import sys; from superslam_ros.maps import storage; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


# --- what is no map -------------------------------------------------------------------------------


def sqlite(path: Path, statement: str) -> None:
    file = sqlite3.connect(path)
    file.execute(statement)
    file.commit()
    file.close()


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    'nothing': (Path.unlink, r'there is no map .*superslam map build'),
    'a directory': (lambda path: (path.unlink(), path.mkdir()), r'is a directory, no map: name the file'),
    'an empty file': (lambda path: path.write_bytes(b''), r'is empty: its saving did not end'),
    'a text': (lambda path: path.write_text('resolution: 0.05\n' * 9), r'is no map, but another kind of file'),
    'a few bytes': (lambda path: path.write_bytes(b'SQLite'), r'is no map, but another kind of file'),
    'a header': (lambda path: path.write_bytes(path.read_bytes()[:100]), r'is damaged: .*use a copy'),
    'half a map': (lambda path: path.write_bytes(path.read_bytes()[:path.stat().st_size // 2]), r'is damaged: '),
    'a bag': (lambda path: (path.unlink(), sqlite(path, 'CREATE TABLE messages (id INTEGER)')),
              r'is an SQLite file, but no map: .*bags of ROS 2'),
    'a newer map': (lambda path: sqlite(path, 'PRAGMA user_version = 7'),
                    r'is of format 7, and .* reads 1: update superslam_ros'),
    'a version of nobody': (lambda path: sqlite(path, 'PRAGMA user_version = -3'), r'is damaged: its format is -3'),
    'a table less': (lambda path: sqlite(path, 'DROP TABLE cameras'), r'is damaged: no such table: cameras'),
    'another session': (lambda path: sqlite(path, "UPDATE sessions SET name = 'mine'"),
                        r'is damaged: the tables of sessions, cameras and keyframes are not what was written'),
    'a blob less': (lambda path: sqlite(path, "DELETE FROM blobs WHERE kind = 'sightings' AND id = 7"),
                    r'is damaged: it is without the sightings of keyframe 7'),
    'a number for a blob': (lambda path: sqlite(path, "UPDATE blobs SET data = 5 WHERE kind = 'edges'"),
                            r'is damaged: the SHA-256 of the edges is wrong'),
}


@pytest.mark.parametrize('what', WRONG)
def test_what_is_no_map_is_refused_by_name_and_with_a_remedy(what: str, file: Path) -> None:
    spoil, said = WRONG[what]
    spoil(file)
    with pytest.raises(MapError, match=said) as told:
        storage.load(file)
    assert str(file) in str(told.value)


@pytest.mark.parametrize(('spoil', 'said'), {
    'landmarks': (lambda made: made.keyframes[2].landmark_ids.__setitem__(0, 10**6), 'see landmarks that there are'),
    'hosts': (lambda made: made.landmarks.host.__setitem__(0, 77), 'landmarks are of keyframes that there are not'),
    'edges': (lambda made: made.edges.append(Edge(1, 77, np.eye(4), np.eye(6))), 'edges lead to keyframes'),
    'sessions': (lambda made: made.sessions.pop(2), 'are of sessions or cameras that there are not'),
    'poses': (lambda made: made.move({1: np.full((4, 4), np.nan)}), 'a pose is not finite'),
    'embeddings': (lambda made: setattr(made.keyframes[1], 'embedding', np.zeros(3)),
                   'of the embedding of keyframe 2 there are 16 bytes instead of 6'),
}.values())
def test_a_map_whose_parts_do_not_fit_together_is_refused(
    spoil: Callable[[Map], object], said: str, tmp_path: Path
) -> None:
    """Not of a flipped byte: every checksum is right."""
    made = walked()[0]
    spoil(made)
    storage.save(made, tmp_path / 'odd.map')
    with pytest.raises(MapError, match=f'is damaged: .*{said}'):
        storage.load(tmp_path / 'odd.map')


def test_a_map_that_may_not_be_read_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(reading, 'open', refuse, raising=False)     # root may read everything
    with pytest.raises(MapError, match=r'cannot be read \(Permission denied\): may you read it'):
        storage.load(file)


@pytest.mark.parametrize('kind', schema.NAMES)
def test_a_flipped_byte_is_found_and_named(kind: str, file: Path) -> None:
    number = 0 if kind in ('poses', 'index', 'edges', 'scales') else 7
    writer = sqlite3.connect(file)
    data, = writer.execute('SELECT data FROM blobs WHERE kind = ? AND id = ?', (kind, number)).fetchone()
    flipped = bytes([data[0] ^ 0x10]) + data[1:]
    writer.execute('UPDATE blobs SET data = ? WHERE kind = ? AND id = ?', (flipped, kind, number))
    writer.commit()
    writer.close()
    with pytest.raises(MapError, match=f'damaged: the SHA-256 of {schema.NAMES[kind].format(number)} is wrong'):
        storage.load(file)


def test_wherever_a_byte_flips_no_wrong_map_is_read(kept: Map, file: Path) -> None:
    """In the pages of SQLite as well: the map is refused, or is what it was."""
    whole, random, refused = file.read_bytes(), np.random.default_rng(0), 0
    places = [*range(16, 108, 4), *random.integers(0, len(whole), 60).tolist()]
    for at in places:
        content = bytearray(whole)
        content[at] ^= 1 << int(random.integers(8))
        file.write_bytes(content)
        try:
            found = storage.load(file)
        except MapError:
            refused += 1
        else:
            assert_same(found, kept)
    assert refused > 40


# --- saving ---------------------------------------------------------------------------------------


SAVING = """
import sys
from superslam_ros.maps import storage
made = storage.load({path!r})
made.remove(1)
{meanwhile}
try:
    storage.save(made, {path!r})
except storage.MapError as error:
    print(error)
"""
BLOCKED = """
blobs = storage._blobs
def slow(made):
    for number, blob in enumerate(blobs(made)):
        if number == 20:
            print('half', flush=True)
            sys.stdin.read()
        yield blob
storage._blobs = slow
"""
NO_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


def saving(path: Path, meanwhile: str) -> subprocess.Popen:
    """Begin to change a map and to save it, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, '-c', SAVING.format(path=str(path), meanwhile=meanwhile)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})


def test_killed_while_saving_the_old_map_stays_and_the_next_save_succeeds(kept: Map, file: Path) -> None:
    with saving(file, BLOCKED) as process:
        assert process.stdout.readline() == 'half\n'
        process.send_signal(signal.SIGKILL)
    assert file.with_name('house.map.part').exists()
    assert_same(storage.load(file), kept)
    storage.save(Map(), file)
    assert not len(storage.load(file)) and [one.name for one in file.parent.iterdir()] == ['house.map']


def test_a_full_disk_leaves_the_old_map_and_says_so(kept: Map, file: Path) -> None:
    with saving(file, NO_ROOM) as process:
        said = process.stdout.read()
    assert 'cannot be saved' in said and 'what was there is as it was. Is the disk full' in said
    assert_same(storage.load(file), kept)
    assert [one.name for one in file.parent.iterdir()] == ['house.map']


def test_two_that_save_to_one_file_do_not_mix(kept: Map, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = storage._write

    def meanwhile(made: Map, opened: sqlite3.Connection) -> None:
        write(made, opened)
        monkeypatch.setattr(storage, '_write', write)
        storage.save(Map(), file)

    monkeypatch.setattr(storage, '_write', meanwhile)
    with pytest.raises(MapError, match='another process is saving to the same file'):
        storage.save(kept, file)
    assert not len(storage.load(file))


def test_where_nothing_can_be_saved_that_is_said(kept: Map, tmp_path: Path) -> None:
    with pytest.raises(MapError, match='that is a directory; name a file in it'):
        storage.save(kept, tmp_path)
    with pytest.raises(MapError, match='no/where does not exist; create it, or name another'):
        storage.save(kept, tmp_path / 'no/where/house.map')
    with pytest.raises(MapError, match=r'cannot be saved \(File name too long\)'):
        storage.save(kept, tmp_path / ('x' * 300))


def test_a_link_to_a_map_stays_a_link_and_odd_names_are_names(kept: Map, tmp_path: Path) -> None:
    (tmp_path / 'maps').mkdir()
    odd = tmp_path / 'maps' / 'a?b #1%20 ü.map'
    (tmp_path / 'latest').symlink_to(odd)
    storage.save(kept, tmp_path / 'latest')
    assert (tmp_path / 'latest').is_symlink() and odd.is_file()
    assert_same(storage.load(tmp_path / 'latest'), storage.load(odd))
