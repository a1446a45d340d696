"""Configuration dataclasses: every option is written once, with its description and range.

A stage keeps its options in a frozen dataclass beside the code it tunes; the fields are made by
:func:`option`. ROS parameters, command-line checks and the parameter tables are all read from there.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, get_type_hints

Config = TypeVar('Config')

_TRUTH = {'y': True, 'yes': True, 'on': True, 'true': True, 'n': False, 'no': False, 'off': False, 'false': False}
_REMEDY = {float: 'a number, such as 8.0', int: 'a whole number, such as 8', bool: 'true or false',
           str: 'text, a number in quotes'}


class Option(NamedTuple):
    """One leaf of a configuration: dotted name, type, default, description, what it accepts and whether it is live."""

    name: str
    type: type
    default: Any
    description: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool


def option(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    live: bool = False,
) -> Any:
    """Return a dataclass field with a description and, where given, an inclusive range or choices.

    :param live: whether a stage takes a new value at the next frame, without being built anew.
    """
    metadata = {'description': description, 'low': low, 'high': high, 'choices': tuple(choices), 'live': live}
    return dataclasses.field(default=default, metadata=metadata)


def group(config_class: type) -> Any:
    """Return a dataclass field that holds another configuration with its defaults."""
    return dataclasses.field(default_factory=config_class)


def options(config_class: type, prefix: str = '') -> Iterator[Option]:
    """Yield every leaf option of a configuration class, nested ones under ``group.name``."""
    types = get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if dataclasses.is_dataclass(types[field.name]):
            yield from options(types[field.name], f'{prefix}{field.name}.')
            continue
        about = field.metadata
        yield Option(
            f'{prefix}{field.name}', types[field.name], field.default,
            about['description'], about['low'], about['high'], about['choices'], about['live'],
        )


def check(spec: Option, value: Any) -> Any:
    """Return ``value`` as the option's type; raise ValueError that names the option and what it accepts.

    Whole numbers are numbers, and text that spells a number or a truth value is one: YAML readers differ in what they
    take 1e-3 or y for, and a file is read by PyYAML, by rcl, or by launch.
    """
    given, value = value, _read(spec, value)
    if type(value) is not spec.type:
        raise ValueError(f'option {spec.name}: expected {spec.type.__name__}, got {given!r} '
                         f'({type(given).__name__}); write {_REMEDY[spec.type]}')
    if spec.choices and value not in spec.choices:
        raise ValueError(f'option {spec.name}: {value!r} is not one of {", ".join(spec.choices)}')
    # Written so that NaN is refused.
    if (spec.low is not None and not value >= spec.low) or (spec.high is not None and not value <= spec.high):
        accepts = f'outside [{spec.low}, {spec.high}]' if spec.high is not None else f'not at least {spec.low}'
        raise ValueError(f'option {spec.name}: {value} is {accepts}')
    return value


def _read(spec: Option, value: Any) -> Any:
    """Return a value as the option's type where it plainly means one, or as it is."""
    kind = spec.type
    if isinstance(value, bool) and str(value).lower() in spec.choices:
        return str(value).lower()
    if kind is bool and isinstance(value, str):
        return _TRUTH.get(value.lower(), value)
    if kind not in (int, float) or isinstance(value, bool):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if kind is float:
        return number
    return int(number) if number.is_integer() else value


def unknown(name: str, known: Iterable[str]) -> str:
    """Return a name that does not exist, quoted, with the one that may be meant."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f'{name!r}' + (f' (did you mean {near[0]}?)' if near else '')


def build(config_class: type[Config], values: dict[str, Any]) -> Config:
    """Build a configuration from dotted or nested names.

    :param values: ``{'extractor.max_keypoints': 500}`` or ``{'extractor': {'max_keypoints': 500}}``.
    :raises ValueError: for an unknown name, a wrong type or a value outside the range, by name.
    """
    known = {spec.name: spec for spec in options(config_class)}
    checked = {}
    for name, value in flat(values).items():
        if name not in known:
            raise ValueError(f'unknown option {unknown(name, known)}; known: {", ".join(sorted(known))}')
        checked[name] = check(known[name], value)
    return _construct(config_class, checked, '')


def as_dict(config: Any) -> dict[str, Any]:
    """Return every leaf of a configuration under its dotted name."""
    return flat(dataclasses.asdict(config))


def flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return the leaves of nested mappings under their dotted names."""
    leaves = {}
    for name, value in values.items():
        leaves.update(flat(value, f'{prefix}{name}.') if isinstance(value, dict) else {f'{prefix}{name}': value})
    return leaves


def sections(content: dict[str, Any], namespace: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the full names of nodes in a ROS parameter file, with their parameters."""
    for name, inner in content.items():
        if name == 'ros__parameters' and isinstance(inner, dict):
            yield namespace, inner
        elif isinstance(inner, dict):
            yield from sections(inner, f'{namespace}/{name}'.replace('//', '/'))


def _construct(config_class: type, checked: dict[str, Any], prefix: str) -> Any:
    types = get_type_hints(config_class)
    arguments = {}
    for field in dataclasses.fields(config_class):
        name = f'{prefix}{field.name}'
        if dataclasses.is_dataclass(types[field.name]):
            arguments[field.name] = _construct(types[field.name], checked, f'{name}.')
        elif name in checked:
            arguments[field.name] = checked[name]
    return config_class(**arguments)
