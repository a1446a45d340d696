"""The codes of markers: OpenCV's predefined dictionaries, and those of a file."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

_SMALLEST, _LARGEST = 3, 10
"""Bits along the side of a marker."""


def predefined() -> list[str]:
    """Return the names of the dictionaries that the installed OpenCV has."""
    names = [name for name in dir(getattr(cv2, 'aruco', None)) if name.startswith('DICT_')]
    return sorted({name.upper(): name for name in names}.values())


@lru_cache(maxsize=16)
def codes(name: str) -> np.ndarray:
    """Return the codes of a dictionary, (N, n, n) bool, row 0 at the top of the marker, True where it is white.

    :param name: one of :func:`predefined`, or the path of a file for :func:`read_codes`.
    :raises ValueError: when there is no such dictionary, or its file is wrong.
    """
    known = {other.upper(): other for other in predefined()}
    if name.upper() in known:
        return _predefined_codes(known[name.upper()])
    if Path(name).suffix.lower() in ('.yaml', '.yml', '.json'):
        return read_codes(name)
    if not known:
        raise ValueError(f'the installed OpenCV {cv2.__version__} has no ArUco dictionaries: install OpenCV 4.7 or '
                         'newer, or opencv-contrib-python, or give the file of a dictionary (.yaml or .json)')
    near = difflib.get_close_matches(name.upper(), known, 1)
    raise ValueError(f'unknown dictionary {name!r}' + (f': {known[near[0]]}?' if near else '')
                     + f' Known: {", ".join(predefined())}, or the path of a .yaml or .json file')


def read_codes(path: str | Path) -> np.ndarray:
    """Read a custom dictionary in OpenCV's format: ``nmarkers``, ``markersize``, ``marker_0: "101..."`` and so on.

    A file ending in .json holds the same keys as a JSON object.

    :returns: (N, n, n) bool as :func:`codes`.
    :raises ValueError: naming the file and the key.
    """
    content = _load(Path(path))
    count, size = _number(content, 'nmarkers', path, 1, 100_000), _number(content, 'markersize', path,
                                                                         _SMALLEST, _LARGEST)
    found = np.zeros((count, size * size), dtype=bool)
    for index in range(count):
        bits = content.get(f'marker_{index}')
        if not isinstance(bits, str) or len(bits) != size * size or set(bits) - {'0', '1'}:
            said = 'is missing' if bits is None else f'is {bits!r}'
            raise ValueError(f'{path}: marker_{index} {said}; expected {size * size} digits 0 (black) or 1 (white) in '
                             f'quotes, row by row, since markersize is {size} and nmarkers {count}')
        found[index] = [bit == '1' for bit in bits]
    return found.reshape(count, size, size)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding='utf-8')
        if path.suffix.lower() == '.json':
            content = json.loads(text)
        else:
            # OpenCV's first line, %YAML:1.0, is none of YAML's. All scalars are text: a code may begin with zeros.
            lines = [line for line in text.splitlines() if not line.startswith('%YAML')]
            content = yaml.load('\n'.join(lines), Loader=yaml.BaseLoader)
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror}); give the path of a dictionary file') from error
    except (UnicodeDecodeError, yaml.YAMLError, json.JSONDecodeError) as error:
        raise ValueError(f'{path}: not a dictionary file: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: not a dictionary file; expected the keys nmarkers, markersize, marker_0, ...')
    return content


def _number(content: dict[str, Any], key: str, path: str | Path, low: int, high: int) -> int:
    value = content.get(key)
    if not str(value).isdecimal() or not low <= int(value) <= high:
        said = 'is missing' if value is None else f'is {value!r}'
        raise ValueError(f'{path}: {key} {said}; expected a whole number from {low} to {high}')
    return int(value)


def _predefined_codes(name: str) -> np.ndarray:
    """Unpack OpenCV's bytes: of each marker its four turns, each filled from the left, the last byte to the right."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
    size = dictionary.markerSize
    bits, stride = size * size, -(-size * size // 8)
    packed = np.ascontiguousarray(dictionary.bytesList).reshape(len(dictionary.bytesList), -1)[:, :stride]
    unpacked = np.unpackbits(packed, axis=1)
    whole = 8 * (stride - 1)
    parts = unpacked[:, :whole], unpacked[:, 8 * stride - (bits - whole):]
    return np.concatenate(parts, axis=1).reshape(-1, size, size).astype(bool)
