"""Photographs: what is held out, what is skipped, and what is said about it."""

import cv2
import numpy as np
import pytest
from PIL import Image

from superslam_ros.training.data import photos


@pytest.fixture
def folder(tmp_path):
    """A folder of photographs."""
    rng = np.random.default_rng(0)
    for number in range(6):
        image = cv2.resize(rng.integers(0, 255, (12, 16), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f'walk_{number}.jpg'), image)
    return tmp_path


def scenes(folder, names):
    (folder / 'SOURCES.tsv').write_text('\ufefffile\tscene\n' + ''.join(
        f'walk_{number}.jpg\t{name}\n' for number, name in enumerate(names)), encoding='utf-8')


def test_one_of_few_scenes_is_held_out(folder):
    scenes(folder, 'aabbcc')
    training, held_out = photos.split(photos.find([folder]))
    assert len(training) == 4 and len(held_out) == 2 and held_out[0].stem[:-1] == held_out[1].stem[:-1]
    assert photos.split(photos.find([folder])) == (training, held_out)
    scenes(folder, 'aaaaaa')        # of one scene nothing can be held out
    assert photos.split(photos.find([folder]))[1] in ([], photos.find([folder]))


def test_many_scenes_are_split_by_hash_alone(tmp_path):
    paths = [tmp_path / f'{number}.jpg' for number in range(400)]
    held_out = photos.split(paths)[1]
    assert 20 < len(held_out) < 70
    assert set(photos.split(paths[:200])[1]) == set(held_out) & set(paths[:200])


def test_a_table_without_file_names_is_refused(folder):
    (folder / 'SOURCES.tsv').write_text('name\tscene\n')
    with pytest.raises(ValueError, match=r'SOURCES\.tsv: no column "file"'):
        photos.split(photos.find([folder]))


@pytest.mark.parametrize(('text', 'message'), [
    (b'scene\tfile\nabc\n', r'SOURCES\.tsv, line 2: names no file'), (b'\xff\xfe\n', r'SOURCES\.tsv is no table')])
def test_a_table_with_a_damaged_row_is_refused(folder, text, message):
    (folder / 'SOURCES.tsv').write_bytes(text)
    with pytest.raises(ValueError, match=message):
        photos.split(photos.find([folder]))


def test_what_holds_pictures_and_is_not_read_is_said(folder, caplog):
    for name in ('a.HEIC', 'b.heic', 'walk.mp4', 'notes.txt'):
        (folder / name).touch()
    photos.find([folder])
    assert [record.message.removeprefix(f'{folder}: ') for record in caplog.records] == [
        'passed over 2 .heic: convert them to JPEG', 'passed over 1 .mp4: give each by itself']


def test_what_is_no_folder_is_told_apart(folder):
    with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
        photos.find([folder / 'nowhere'])
    with pytest.raises(ValueError, match=r'walk_0\.jpg is one file: give the folder'):
        photos.find([folder / 'walk_0.jpg'])
    (folder / 'metadata.yaml').touch()
    (folder / 'walk.mcap').touch()
    for path in (folder, folder / 'walk.mcap'):
        with pytest.raises(ValueError, match='is a bag: `superslam bag images'):
            photos.find([path])


@pytest.mark.parametrize('part', [0.2, 0.6, 0.98])
def test_a_jpeg_that_was_cut_is_skipped_by_name(folder, caplog, part):
    path = folder / 'walk_0.jpg'
    assert photos.read_gray(path).shape == (120, 160)
    data = path.read_bytes()
    path.write_bytes(data[:int(len(data) * part)])
    assert photos.read_gray(path) is None and 'walk_0.jpg' in caplog.text


@pytest.mark.parametrize('options', [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]])
def test_a_jpeg_that_is_damaged_inside_is_skipped_by_name(folder, caplog, capfd, options):
    path, rng = folder / 'walk_0.jpg', np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (60, 80), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    whole = cv2.imencode('.jpg', image, options)[1].tobytes()
    for _ in range(5):
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + rng.integers(0, 256, 400, np.uint8).tobytes() + whole[middle + 400:])
        assert photos.read_gray(path) is None and 'walk_0.jpg: not a readable image' in caplog.text
        caplog.clear()
    # What libjpeg says is in the log, and not beside it.
    assert not [line for line in capfd.readouterr().err.splitlines() if line.startswith(('Corrupt', 'Premature'))]


def test_what_comes_behind_a_jpeg_does_not_matter(folder):
    path = folder / 'walk_0.jpg'
    image = photos.read_gray(path)
    path.write_bytes(path.read_bytes() + b'ftypmp4' + b'\xff\xd9' + b'\1' * 50 + b'\xff\xda' + b'\2' * 50)
    assert np.array_equal(photos.read_gray(path), image)


def test_all_depths_and_colours_look_the_same(tmp_path, caplog):
    gray = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    Image.fromarray(gray).convert('P').save(tmp_path / 'palette.png')
    for name, image in (('full.png', gray.astype(np.uint16) * 257), ('twelve.png', gray.astype(np.uint16) * 16),
                        ('twelve.tif', gray.astype(np.uint16) * 16), ('eight.png', gray.astype(np.uint16))):
        cv2.imwrite(str(tmp_path / name), image)
    for path in photos.find([tmp_path]):
        assert np.array_equal(photos.read_gray(path), gray), path
    cv2.imwrite(str(tmp_path / 'metres.tif'), gray / np.float32(255))
    assert photos.read_gray(tmp_path / 'metres.tif') is None and 'metres.tif: its pixels are float32' in caplog.text


def test_more_pixels_than_opencv_takes_are_skipped(tmp_path, caplog):
    path = tmp_path / 'huge.pgm'
    path.write_bytes(b'P5 100000 100000 255\n' + bytes(1000))
    assert photos.read_gray(path) is None and 'huge.pgm' in caplog.text


def test_what_cannot_be_used_is_counted(folder, capsys):
    (folder / 'walk_0.jpg').write_bytes(b'nothing')
    assert photos.stack(photos.find([folder]), 48, 64, 'training').shape == (5, 48, 64)
    assert 'training: 5 photographs; 1 skipped' in capsys.readouterr().out
    with pytest.raises(ValueError, match='no usable photographs for validation among 1'):
        photos.stack([folder / 'walk_0.jpg'], 48, 64, 'validation')
