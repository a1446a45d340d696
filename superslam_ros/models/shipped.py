"""The weights that come with the package, by name; found without PyTorch."""

from __future__ import annotations

import os
from pathlib import Path

SHIPPED = Path(__file__).parent / 'weights'
DEFAULTS = {'superpoint': 'compact', 'superglue': 'superglue_lean', 'supermap': 'superglue_lean',
            'magicpoint': 'magicpoint', 'board_corners': 'board_corners',
            'board_refine': 'board_refine', 'places': 'places'}
"""Role of a network -> the shipped weights that fill it where none are named."""


def shipped(name: str) -> Path:
    """Return the path of weights that come with the package, e.g. ``'superpoint'``.

    :raises FileNotFoundError: when this installation has no such weights.
    """
    path = SHIPPED / f'{name}.safetensors'
    if not path.exists():
        have = ', '.join(names_shipped()) or 'none'
        raise FileNotFoundError(
            f'no {name} weights in this installation (it has: {have}); give a file with the `weights` option'
        )
    return path


def names_shipped() -> list[str]:
    """Return the names of the weights that this installation has."""
    return sorted(path.stem for path in SHIPPED.glob('*.safetensors'))


def locate(role: str, given: str | os.PathLike = '') -> Path:
    """Return the file of weights that an option names.

    :param role: one of :data:`DEFAULTS`.
    :param given: a path, which may begin with ``~``; the name of weights that come with the package, with or without
        its suffix; or empty for the default ones of the role.
    :raises FileNotFoundError: when this installation has no default weights.
    """
    if not given:
        return shipped(DEFAULTS[role])
    within = SHIPPED / f'{str(given).removesuffix(".safetensors")}.safetensors'
    path = Path(os.path.expanduser(given))
    named = path.name == str(given) and within.exists() and not (path.suffix and path.exists())
    return within if named else path
