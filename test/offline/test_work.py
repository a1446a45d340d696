import errno

import pytest

from superslam_ros.offline.work import Work, fingerprint


def test_a_stage_is_made_once(tmp_path):
    made = []

    def make(path):
        made.append(path)
        path.mkdir()
        (path / 'a').write_text('1')

    for _ in range(2):
        work = Work(tmp_path / 'work', {'bags': ['x']})
        assert (work.stage('one', make) / 'a').read_text() == '1'
    assert len(made) == 1


def test_what_a_killed_run_left_is_made_anew(tmp_path):
    work = Work(tmp_path / 'work', {})

    def killed(path):
        path.mkdir()
        (path / 'half').write_text('')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.stage('one', killed)
    assert not (tmp_path / 'work/one').exists()
    found = work.stage('one', lambda path: path.mkdir())
    assert found.is_dir() and not list(found.iterdir()) and not (tmp_path / 'work/one.partial').exists()


def test_other_input_in_the_same_folder_is_refused(tmp_path):
    Work(tmp_path / 'work', {'bags': ['x'], 'steps': 5})
    with pytest.raises(ValueError, match=r'with other steps \(5, now 6\): choose another --out, or remove .*work'):
        Work(tmp_path / 'work', {'bags': ['x'], 'steps': 6})
    with pytest.raises(ValueError, match=r'other bags \(\["x"\], now null\), photos \(null, now 1\)'):
        Work(tmp_path / 'work', {'photos': 1, 'steps': 5})
    (tmp_path / 'work/made_of.json').write_text('{"bags')
    with pytest.raises(ValueError, match=r'made_of.json is damaged .* remove'):
        Work(tmp_path / 'work', {'bags': ['x'], 'steps': 5})
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/photo.jpg').touch()
    with pytest.raises(ValueError, match='other holds files of something else: choose another --out'):
        Work(tmp_path / 'other', {})


def test_a_full_disk_is_said(tmp_path):
    work = Work(tmp_path / 'work', {})

    def full(path):
        raise OSError(errno.ENOSPC, 'No space left on device')

    with pytest.raises(OSError, match=r'work/one cannot be written: the disk is full. Make room; the same command'):
        work.stage('one', full)
    with pytest.raises(FileNotFoundError, match='bag'):
        work.stage('one', lambda path: (tmp_path / 'bag').read_bytes())


def test_files_are_known_again(tmp_path):
    folder = tmp_path / 'a'
    (folder / 'b').mkdir(parents=True)
    (folder / 'b/c').write_bytes(bytes(3 * 2**20))
    before = fingerprint(folder)
    (tmp_path / 'a').rename(tmp_path / 'moved')
    assert fingerprint(tmp_path / 'moved') == before
    with (tmp_path / 'moved/b/c').open('r+b') as file:
        file.seek(-1, 2)
        file.write(b'1')
    assert fingerprint(tmp_path / 'moved') != before
    assert fingerprint(tmp_path / 'moved/b/c') == fingerprint(tmp_path / 'moved/b/c')
    (tmp_path / 'moved/b/c').rename(tmp_path / 'moved/b/d')
    assert fingerprint(tmp_path / 'moved') != before
