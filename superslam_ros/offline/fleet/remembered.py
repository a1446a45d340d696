"""What an earlier call has done already, and need not be done again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from superslam_ros.version import VERSION

_RECORD = 'done.json'


def figures(folder: Path, identity: str) -> dict[str, Any] | None:
    """Return the figures of an earlier call with the same input and options; None where there are none."""
    try:
        found = json.loads((folder / _RECORD).read_text())
    except (OSError, ValueError):
        return None
    return found.get('figures') if isinstance(found, dict) and found.get('identity') == identity else None


def keep(folder: Path, identity: str, found: Mapping[str, Any]) -> None:
    """Keep figures for a call that is made again; written last, when all else is there."""
    part = folder / f'{_RECORD}.part'
    part.write_text(json.dumps({'identity': identity, 'figures': found}, indent=1) + '\n')
    part.replace(folder / _RECORD)


def identity(recording: Path, options: str, truth: Path | None = None) -> str:
    """Return what tells a piece of work from others: files with size and time of change, options, our version.

    :param truth: that it is compared with.
    """
    files = [*(sorted(recording.rglob('*')) if recording.is_dir() else [recording]), *([truth] if truth else [])]
    told = [f'{file} {status.st_size} {status.st_mtime_ns}' for file in files if file.is_file()
            for status in [file.stat()]]
    return hashlib.sha256('\n'.join([VERSION, options, *told]).encode()).hexdigest()
