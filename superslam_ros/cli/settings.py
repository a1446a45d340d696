"""Configuration from files and the command line: ROS parameter files or plain names, and ``--set``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from superslam_ros import config as configuration
from superslam_ros.bags.bag import BagError
from superslam_ros.config import Config
from superslam_ros.node_config import NODES, unknown_names
from superslam_ros.slam import SlamConfig

log = logging.getLogger(__name__)


def load(
    file: Path | None = None, settings: Sequence[str] = (), config_class: type[Config] = SlamConfig
) -> Config:
    """Build a configuration from a file and ``name=value`` settings, which win.

    :param file: YAML, in the layout of a ROS parameter file (``/**: ros__parameters: ...``; parameters that
        only the nodes have are passed over, and sections of other nodes) or plain names
        (``extractor: {max_keypoints: 500}``).
    :raises BagError: when the file cannot be read or is no mapping, or a setting is not ``name=value``.
    :raises ValueError: for an unknown name, a wrong type or a value out of range, by name.
    """
    values = {} if file is None else configuration.flat(_read(file, config_class))
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not equals:
            raise BagError(f'--set {setting}: expected NAME=VALUE, e.g. --set extractor.max_keypoints=500')
        values[name.strip()] = _value(name.strip(), text, config_class)
    try:
        return configuration.build(config_class, values)
    except ValueError as error:
        raise ValueError(f'{file}: {error}' if file is not None and not settings else str(error)) from error


def _read(file: Path, config_class: type) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f'{file}: cannot be read as a configuration ({str(error).splitlines()[0]})') from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BagError(f'{file}: expected a mapping of option names, or a ROS parameter file')
    sections = dict(configuration.sections(content))
    if not sections:
        return content
    ours = {name: section for name, section in sections.items() if name.rpartition('/')[2] in ('*', '**', *NODES)}
    others = sorted(set(sections) - set(ours))
    if others:
        log.warning('%s: passed over, as of other nodes: %s (a section is read that is called /** or %s)',
                    file, ', '.join(others), ', '.join(NODES))
    values = {name: value for section in ours.values() for name, value in configuration.flat(section).items()}
    unknown = unknown_names(values)
    if unknown:
        raise ValueError(f'{file}: unknown option {", ".join(unknown)}')
    own = {spec.name for spec in configuration.options(config_class)}
    return {name: value for name, value in values.items() if name in own}


def _value(name: str, text: str, config_class: type) -> Any:
    """Read a value as YAML; what is none is a text, and an option that is a text is one without quotes, too."""
    try:
        value = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text
    is_text = any(spec.name == name and spec.type is str for spec in configuration.options(config_class))
    return text if is_text and not isinstance(value, str) else value
