"""Which files a bag is made of: as metadata.yaml says, as far as that is true, and as the folder has them."""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

import yaml

from superslam_ros.bags.storage import mcap, ros1, sqlite
from superslam_ros.bags.storage.parts import Report, Storage, StorageError, first_line

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

SUFFIXES = ('.mcap', '.db3', '.bag', '.bag.active')
PACKED = '.zstd'
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
EXPECTED = 'a rosbag2 folder, or a .mcap, .db3 or ROS 1 .bag file (also with .zstd)'
_RESERVE = 2**28
"""Bytes of a disk that unpacking leaves free."""
_LONGEST_METADATA = 2**24


class BagError(RuntimeError):
    """A recording that cannot be used; the text names the file or topic and the remedy."""


def is_bag(path: Path) -> bool:
    """Say whether a path is that of a bag by its name: a file of one, or a folder of metadata.yaml and such files."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or any(_is_bag(inner) for inner in path.iterdir() if inner.is_file())
    return _is_bag(path)


def is_one_inside(file: Path) -> bool:
    """Say whether a file begins as one of a bag, whatever it is called."""
    return file.stat().st_size > 0 and _magic(file) is not None


def find(path: Path, report: Report) -> list[Path]:
    """Return the files of a bag; report those that are missing.

    :raises BagError: when there is none, or it is not clear which.
    """
    if not path.exists():
        raise BagError(f'{path}: no such bag; give {EXPECTED}')
    if path.is_file():
        if path.stat().st_size == 0:
            raise BagError(f'{path}: the file is empty; record it again')
        if not _is_bag(path) and _magic(path) is None:
            raise BagError(f'{path}: not a bag; expected {EXPECTED}')
        return [path]
    there = {file.name: file for file in sorted(path.iterdir()) if file.is_file() and _is_bag(file)}
    # Of a file and its compressed form, the recorder had not finished compressing.
    there = {name: file for name, file in there.items() if name.removesuffix(PACKED) not in there or
             not name.endswith(PACKED)}
    listed = _listed(path / 'metadata.yaml')
    files = _as_listed(listed, there, path, report) if listed else list(there.values())
    if not files:
        metadata = f'none of the files that metadata.yaml names ({", ".join(listed)})' if listed else \
            'neither metadata.yaml nor a file' if not (path / 'metadata.yaml').exists() else 'no file'
        raise BagError(f'{path}: {metadata} of a bag in this folder; give {EXPECTED}')
    kinds = {_kind(file) for file in files}
    if len(kinds) > 1:
        raise BagError(f'{path}: {_names(files)} are of different formats, and no metadata.yaml says which are the '
                       'bag; give one of them')
    if len(files) > 1 and not listed:
        log.warning('%s: there is no metadata.yaml that can be used: %s are read as one recording, in order of time; '
                    'give one of them to read it alone', path, _names(files))
    return files


def _as_listed(listed: list[str], there: dict[str, Path], path: Path, report: Report) -> list[Path]:
    """Return the files that metadata.yaml names, others in place of those it names wrongly, and later ones."""
    names = {name.removesuffix(PACKED) for name in listed}
    files = [file for name, file in there.items() if name.removesuffix(PACKED) in names]
    missing = sorted(names - {file.name.removesuffix(PACKED) for file in files})
    others = [file for file in there.values() if file not in files]
    replacing, later = others[:len(missing)], [file for file in others[len(missing):] if _follows(file, names)]
    if replacing:
        log.warning('%s: metadata.yaml names %s, which is not there; %s is read in its place', path,
                    ', '.join(missing[:len(replacing)]), _names(replacing))
    for name in missing[len(replacing):]:
        report(f'{name}, which metadata.yaml names, is missing: the messages in it are lost; copy it into {path}')
    if later:
        log.warning('%s: metadata.yaml was not brought up to date: %s is read, too', path,
                    _names(later))
    ignored = [file for file in others if file not in replacing + later]
    if ignored:
        log.warning('%s: metadata.yaml does not name %s, which is left alone', path, _names(ignored))
    return files + replacing + later


def _follows(file: Path, names: set[str]) -> bool:
    """Whether a file is the next of a recording in several files, NAME_0, NAME_1, ..."""
    parts = [re.fullmatch(r'(.*_)(\d+)(\..*)', name) for name in (file.name.removesuffix(PACKED), *sorted(names))]
    if None in parts:
        return False
    (stem, number, suffix), *others = (part.groups() for part in parts)
    return all((other[0], other[2]) == (stem, suffix) and int(other[1]) < int(number) for other in others)


def _listed(metadata: Path) -> list[str]:
    """Return the names of the files in metadata.yaml, none where it is missing or cannot be understood."""
    if not metadata.exists():
        return []
    names, problem = [], ''
    try:
        if metadata.stat().st_size > _LONGEST_METADATA:
            raise ValueError('it is too long')
        content = yaml.load(metadata.read_text(), Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
        information = content['rosbag2_bagfile_information']
        names = [PurePath(name).name for name in information['relative_file_paths']]
        problem = _oddity(information)
    except (OSError, yaml.YAMLError, ValueError, TypeError, LookupError, RecursionError) as error:
        problem = f'it cannot be read: {first_line(error)}'
    if problem or not names:
        log.warning('%s: not quite right (%s); the files beside it say what they are', metadata,
                    problem or 'it names no files')
    return names


def _oddity(information: dict[str, Any]) -> str:
    kind = information.get('storage_identifier')
    return '' if kind in ('mcap', 'sqlite3') else f'storage_identifier {kind!r}'


def _names(files: list[Path]) -> str:
    return ', '.join(file.name for file in files)


def _is_bag(file: Path) -> bool:
    return file.name.removesuffix(PACKED).endswith(SUFFIXES)


def _kind(file: Path) -> str:
    return file.name.removesuffix(PACKED).removesuffix('.active').rpartition('.')[2]


def _magic(file: Path) -> type[Storage] | bool | None:
    """Return what reads a file; True where it has to be unpacked, None where nothing can read it."""
    with file.open('rb') as opened:
        head = opened.read(16)
    kinds = {mcap.MAGIC: mcap.McapStorage, sqlite.MAGIC: sqlite.SqliteStorage, ros1.MAGIC: ros1.Ros1Storage,
             ZSTD_MAGIC: True}
    return next((kind for magic, kind in kinds.items() if head.startswith(magic)), None)


def open_storage(file: Path, report: Report, stack: ExitStack) -> Storage:
    """Open a file; ``stack`` closes it and removes what was unpacked for it.

    :raises StorageError: when it cannot be read at all.
    """

    def scratch(size: int) -> Path:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='superslam_')))
        free = shutil.disk_usage(folder).free - _RESERVE
        if size > free:
            raise StorageError(f'{size >> 20} MB are needed in {folder.parent}, and {max(free, 0) >> 20} MB are free: '
                               'set TMPDIR to a folder with more')
        return folder

    try:
        kind = _magic(file)
        if kind is True:
            file = _unpacked(file, scratch, report)
            kind = _magic(file)
        if kind is None or kind is True:
            raise StorageError('the file is empty' if not file.stat().st_size else
                               'it begins neither as MCAP nor as SQLite nor as a ROS 1 bag')
        storage = kind(file, report, scratch) if kind is sqlite.SqliteStorage else kind(file, report)
    except OSError as error:
        raise StorageError(error.strerror or first_line(error)) from error
    stack.callback(storage.close)
    return storage


def _unpacked(file: Path, scratch: Callable[[int], Path], report: Report) -> Path:
    """Write the content of a zstd file into a temporary folder; what comes before damage where it is damaged.

    :raises StorageError: when the disk is too small.
    """
    out = scratch(file.stat().st_size) / file.name.removesuffix(PACKED)
    try:
        with zstd.open(file, 'rb') as packed, out.open('wb') as unpacked:
            while data := packed.read(2**20):
                if shutil.disk_usage(out).free < _RESERVE:
                    raise StorageError(f'{out.parent.parent} is full: set TMPDIR to a folder that has room for what is '
                                       f'in {file.name}')
                unpacked.write(data)
    except (zstd.ZstdError, EOFError) as error:
        report(f'it cannot be unpacked to its end ({first_line(error)}): what was recorded last is lost')
    return out
