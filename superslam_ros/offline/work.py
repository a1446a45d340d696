"""The folder in which a command of several stages keeps what each has made, so that a killed one goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ENDS = 2**20
"""Bytes of a recording's files that are looked at, at either end: they may be large."""
MADE_OF = 'made_of.json'


class Work:
    """What stages have made; each is a file or folder that appears whole, or not at all."""

    def __init__(self, folder: Path, made_of: dict[str, Any]) -> None:
        """Begin, or go on with what was made of the same.

        :param made_of: what the results depend on, for JSON.
        :raises ValueError: naming what differs, and the remedy, when the folder was begun with something else.
        :raises OSError: when it cannot be written.
        """
        self.folder = folder
        path, content = folder / MADE_OF, json.dumps(made_of, indent=2, sort_keys=True) + '\n'
        if path.exists():
            self._compare(path, json.loads(content))
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(f'{folder} holds files of something else: choose another --out')
        self.stage(MADE_OF, lambda partial: partial.write_text(content, encoding='utf-8'))

    def _compare(self, path: Path, made_of: dict[str, Any]) -> None:
        remedy = f'choose another --out, or remove {self.folder}'
        try:
            before = json.loads(path.read_text(encoding='utf-8'))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f'{path} is damaged ({error}): {remedy}') from error
        others = [f'{name} ({json.dumps(before.get(name))[:120]}, now {json.dumps(made_of.get(name))[:120]})'
                  for name in sorted({*before, *made_of}) if before.get(name) != made_of.get(name)]
        if others:
            raise ValueError(f'{self.folder} was begun with other {", ".join(others)}: {remedy}')

    def stage(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the file or folder of a stage; made anew by ``make``, which is told where to, if it is not there.

        :raises OSError: naming the stage, when the disk is full; and whatever ``make`` raises.
        """
        path, partial = self.folder / name, self.folder / f'{name}.partial'
        if path.exists():
            return path
        with full_disk_said(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            remove(partial)
            make(partial)
            os.replace(partial, path)
        return path


@contextmanager
def full_disk_said(path: Path) -> Iterator[None]:
    """Have it said what cannot be written, and what to do, when the disk is full.

    :raises OSError: then.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(error.errno, f'{path} cannot be written: the disk is full. Make room; the same command then '
                          'goes on from here') from error
        raise


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fingerprint(path: Path) -> str:
    """Return by what a file, or all files of a folder, are known again: names, sizes, and both ends of their content.

    :raises OSError: when one cannot be read.
    """
    found = hashlib.sha256()
    files = sorted(one for one in path.rglob('*') if one.is_file()) if path.is_dir() else [path]
    for one in files:
        size = one.stat().st_size
        name = one.relative_to(path).as_posix() if path.is_dir() else ''
        found.update(f'{name}\0{size}\0'.encode())
        with one.open('rb') as file:
            found.update(file.read(_ENDS))
            file.seek(max(0, size - _ENDS))
            found.update(file.read(_ENDS))
    return found.hexdigest()
