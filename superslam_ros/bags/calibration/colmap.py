"""COLMAP's cameras.txt: lines of CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]."""

from __future__ import annotations

from superslam_ros.bags.calibration.entry import Entry, plain_camera

CENTRE = 0.5
"""COLMAP's coordinates begin at the corner of the first pixel, not at its centre."""
# Model -> (how many focal lengths, distortion model, where its parameters stand among the coefficients).
MODELS = {
    'SIMPLE_PINHOLE': (1, '', ()), 'PINHOLE': (2, '', ()),
    'SIMPLE_RADIAL': (1, 'plumb_bob', (0,)), 'RADIAL': (1, 'plumb_bob', (0, 1)),
    'OPENCV': (2, 'plumb_bob', (0, 1, 2, 3)), 'FULL_OPENCV': (2, 'rational_polynomial', tuple(range(8))),
    'SIMPLE_RADIAL_FISHEYE': (1, 'equidistant', (0,)), 'RADIAL_FISHEYE': (1, 'equidistant', (0, 1)),
    'OPENCV_FISHEYE': (2, 'equidistant', (0, 1, 2, 3))}
_LENGTHS = {'': 0, 'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}


def entries(text: str) -> list[Entry]:
    """Return the cameras of a file.

    :raises ValueError: for a model that is not known here, or a line that is none; with its number.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition('#')[0].split()
        if words:
            try:
                found.append(_entry(words))
            except (ValueError, IndexError) as error:
                raise ValueError(f'line {number}: {error}; expected CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]') from error
    return found


def is_one(text: str) -> bool:
    """Say whether a text looks like such a file."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith('#')]
    return bool(lines) and all(len(words) > 4 and words[1].isupper() and words[2].isdigit() for words in lines)


def _entry(words: list[str]) -> Entry:
    name, model, width, height, *parameters = words
    if model not in MODELS:
        raise ValueError(f'model {model} is not supported; supported: {", ".join(MODELS)}')
    focals, distortion, places = MODELS[model]
    values = [float(word) for word in parameters]
    if len(values) != focals + 2 + len(places):
        raise ValueError(f'{model} has {focals + 2 + len(places)} parameters, not {len(values)}')
    coefficients = [0.0] * _LENGTHS[distortion]
    for place, value in zip(places, values[focals + 2:]):
        coefficients[place] = value
    intrinsics = (values[0], values[focals - 1], *values[focals:focals + 2])
    return Entry(name, plain_camera((int(width), int(height)), intrinsics, coefficients, distortion, name, CENTRE))
