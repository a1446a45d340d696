"""Messages with something wrong, each following from a random generator; their fields are within what ROS allows."""

from __future__ import annotations

import array
import copy
import math
import random
from typing import Any

import numpy as np

RANGES = {f'{sign}int{bits}': ((0, 2**bits - 1) if sign else (-2**(bits - 1), 2**(bits - 1) - 1))
          for sign in ('u', '') for bits in (8, 16, 32, 64)} | {'octet': (0, 255), 'byte': (0, 255)}
FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e-30, 1e30, 3e38, 0.5)
TEXTS = ('', 'mono8', 'bgr8', 'mono16', '16UC1', '32FC1', 'bayer_rggb8', '8UC3', '64FC4', 'yuv422', 'nv21', 'rgba16',
         'plumb_bob', 'equidistant', 'fisheye', 'rational_polynomial', 'jpeg', 'png', 'zstd',
         '16UC1; compressedDepth rvl', '32FC1; compressedDepth png', 'bgr8; jpeg compressed bgr8', '/', '//a', 'a b',
         'ä\n', 'x' * 5000, '\x7f')


def mutate(message: Any, rng: random.Random) -> Any:
    """Return a copy of a message with one to three fields changed."""
    message = copy.deepcopy(message)
    for _ in range(rng.choice((1, 1, 2, 3))):
        owner, name, kind = rng.choice(list(_leaves(message)))
        setattr(owner, name, _other(getattr(owner, name), kind, rng))
    return message


def _leaves(message: Any):
    """Yield the holder, name and type of every field of a message that is not a message."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if hasattr(value, 'get_fields_and_field_types'):
            yield from _leaves(value)
        else:
            yield message, name, kind


def _other(value: Any, kind: str, rng: random.Random) -> Any:
    """Return another value of a field's type."""
    if kind == 'boolean':
        return not value
    if kind in RANGES:
        low, high = RANGES[kind]
        near = [value + step for step in (-2, -1, 1, 2) if low <= value + step <= high]
        return rng.choice([low, high, 0, 1, min(high, 2 * abs(value)), value // 2, rng.randint(low, high), *near])
    if kind in ('float', 'double'):
        # Single precision, or the setter refuses it.
        return float(np.float32(rng.choice([*FLOATS, -value, value * 10, value / 1000])))
    if kind == 'string':
        return rng.choice([*TEXTS, value + 'x', value[:-1]])
    if isinstance(value, np.ndarray):       # of a fixed size
        changed = value.copy()
        changed[rng.randrange(len(changed))] = rng.choice(FLOATS)
        return changed * rng.choice([0, 1, 1, -1]) if rng.random() < 0.2 else changed
    return _other_sequence(value, rng)


def _other_sequence(value: array.array, rng: random.Random) -> array.array:
    """Return a sequence that is shorter, longer, empty, or has other values in some places."""
    changed = array.array(value.typecode, value)
    how, length = rng.randrange(5), len(changed)
    if how == 0:
        return changed[:rng.randrange(length + 1)]
    if how == 1:
        return changed + array.array(value.typecode, changed[:rng.randrange(1, 9)] or [0])
    if how == 2:
        return array.array(value.typecode)
    values = list(FLOATS) if value.typecode in 'fd' else [0, 1, 127, 255 if value.itemsize == 1 else 10**9]
    for _ in range(rng.choice((1, 3, length // 2)) if length else 0):
        changed[rng.randrange(length)] = rng.choice(values)
    return changed
