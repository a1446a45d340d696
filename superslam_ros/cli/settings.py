"""Configuration from files and the command line: ROS parameter files or plain names, and ``--set``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from superslam_ros import config as configuration
from superslam_ros.bags.bag import BagError
from superslam_ros.slam import SlamConfig


def load(file: Path | None = None, settings: Sequence[str] = ()) -> SlamConfig:
    """Build the configuration from a file and ``name=value`` settings, which win.

    :param file: YAML, in the layout of a ROS parameter file (``/**: ros__parameters: ...``; parameters that
        only the nodes have are passed over) or plain names (``extractor: {max_keypoints: 500}``).
    :raises BagError: when the file cannot be read or is no mapping, or a setting is not ``name=value``.
    :raises ValueError: for an unknown name, a wrong type or a value out of range, by name.
    """
    values = {} if file is None else configuration.flat(_read(file))
    for setting in settings:
        name, equals, text = setting.partition('=')
        if not equals:
            raise BagError(f'--set {setting}: expected NAME=VALUE, e.g. --set extractor.max_keypoints=500')
        values[name.strip()] = _value(name.strip(), text)
    try:
        return configuration.build(SlamConfig, values)
    except ValueError as error:
        raise ValueError(f'{file}: {error}' if file is not None and not settings else str(error)) from error


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f'{file}: cannot be read as a configuration ({str(error).splitlines()[0]})') from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BagError(f'{file}: expected a mapping of option names, or a ROS parameter file')
    nodes = [node['ros__parameters'] for node in content.values()
             if isinstance(node, dict) and isinstance(node.get('ros__parameters'), dict)]
    if not nodes:
        return content
    groups = {field.name for field in dataclasses.fields(SlamConfig)}
    return {
        name: value for node in nodes for name, value in configuration.flat(node).items()
        if name.split('.')[0] in groups}


def _value(name: str, text: str) -> Any:
    """Read a value as the option's type asks; what does not fit is left for the check to refuse."""
    kinds = {spec.name: spec.type for spec in configuration.options(SlamConfig)}
    if kinds.get(name) is str:
        return text
    try:
        if kinds.get(name) is float:
            return float(text)
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return text
