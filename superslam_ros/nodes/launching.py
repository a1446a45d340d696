"""What the launch files check before they start a process: one that has begun may outlive a launch that fails.

``ros2 launch`` runs with the Python of ROS, where PyTorch need not be: what the options of the nodes accept is read
from ``options.json``, which ``nodes/tools/reference.py`` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.exceptions import NameValidationException
from rclpy.validate_topic_name import validate_topic_name

from superslam_ros import config
from superslam_ros.config import Option
from superslam_ros.models.shipped import locate
from superslam_ros.nodes.shared.process import LAUNCHER

if TYPE_CHECKING:
    from launch import Action

OPTIONS = Path(__file__).with_name('options.json')
Row = tuple[str, Any, str, Sequence[str] | None]
"""An argument: name, default, description, choices."""
_TRUTH = {'true': 'true', '1': 'true', 'false': 'false', '0': 'false', '': ''}
"""Spellings, in lower case, that the conditions of launch take."""


def declare(rows: Iterable[Row]) -> list[Action]:
    """Return the actions that declare arguments, and bring truth values into the spellings ``true`` and ``false``."""
    from launch.actions import DeclareLaunchArgument, OpaqueFunction  # which is not everywhere

    rows = list(rows)
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=f'{description} (true or false)')
        if is_truth(choices) else
        DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)
        for name, default, description, choices in rows]
    return [*declared, OpaqueFunction(function=lambda context: settle(context.launch_configurations, rows))]


def is_truth(choices: Sequence[str] | None) -> bool:
    """Return whether an argument is a truth value, from its choices."""
    return bool(choices) and set(choices) - {''} == {'true', 'false'}


def settle(given: MutableMapping[str, str], rows: Iterable[Row]) -> None:
    """Bring truth values into one spelling, and check choices.

    :raises RuntimeError: naming the argument.
    """
    for name, _, _, choices in rows:
        value = given.get(name)
        if value is None or not choices:
            continue
        if is_truth(choices):
            value = given[name] = _TRUTH.get(value.strip().lower(), value)
        if value not in choices:
            known = 'true or false' if is_truth(choices) else ', '.join(filter(None, choices))
            raise RuntimeError(f'{name}:={value}: write {known}')


def preset(cameras: Path, name: str, mode: str) -> dict[str, str]:
    """Return the arguments that a camera's preset sets.

    :param name: of a file in the folder ``cameras``, or a path ending in .yaml.
    :param mode: empty for the first one that the preset has.
    :raises RuntimeError: when there is no such file, or no such mode in it.
    """
    file = Path(name) if name.endswith('.yaml') else cameras / f'{name}.yaml'
    known = ', '.join(sorted(file.stem for file in cameras.glob('*.yaml')))
    modes = read_yaml(file, f'camera:={name} (presets: {known})')
    mode = mode or next(iter(modes))
    if not isinstance(modes.get(mode), dict):
        raise RuntimeError(f'mode:={mode}: preset {name} has {", ".join(modes)}')
    return {'mode': mode, **{argument: str(value).lower() if isinstance(value, bool) else str(value)
                             for argument, value in modes[mode].items()}}


def read_yaml(file: str | Path, what: str) -> dict[str, Any]:
    """Return the mapping in a file.

    :raises RuntimeError: saying ``what`` the file is for, when it cannot be read.
    """
    try:
        content = yaml.safe_load(Path(file).read_text(encoding='utf-8'))
    except OSError as error:
        raise RuntimeError(f'{what}: {file} cannot be read ({error.strerror})') from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuntimeError(f'{what}: {file} is no YAML: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict) or not content:
        raise RuntimeError(f'{what}: {file} must hold names and values, as `NAME: VALUE`')
    return content


def check_parameters(file: str | Path) -> dict[str, Any]:
    """Check a parameter file, as the nodes will.

    :returns: what it says of our nodes, by dotted name.
    :raises RuntimeError: for one that is no parameter file, naming what is unknown, of a wrong type or out of range.
    """
    what, about = 'config', json.loads(OPTIONS.read_text())
    known = {spec['name']: Option(**{**spec, 'type': type(spec['default'])}) for spec in about['options']}
    sections = dict(config.sections(read_yaml(file, what)))
    if not sections:
        raise RuntimeError(f'{what}: {file} is no parameter file: it begins with `/**:`, then `  ros__parameters:`')
    ours = [section for name, section in sections.items() if name.rpartition('/')[2] in ('*', '**', *about['nodes'])]
    values = {name: value for section in ours for name, value in config.flat(section).items()}
    for name, value in values.items():
        if name in known:
            try:
                config.check(known[name], value)
            except ValueError as error:
                raise RuntimeError(f'{what}: {file}: {error}') from error
        elif not name.startswith(tuple(about['of_ros'])):
            raise RuntimeError(f'{what}: {file}: unknown parameter {config.unknown(name, known)}')
    return values


def check_files(files: Mapping[str, str]) -> None:
    """Refuse files that are not there.

    :param files: what each is called -> its path; empty ones are passed over.
    """
    for what, file in files.items():
        if file and not Path(file).is_file():
            raise RuntimeError(f'{what}: there is no file {file}')


def check_weights(files: Mapping[str, str]) -> None:
    """Refuse weights that are not there, and are no name of shipped ones.

    :param files: what each is called -> its path or name; empty ones are passed over.
    """
    check_files({what: str(locate('', file)) for what, file in files.items() if file})


def check_topics(topics: Mapping[str, str]) -> None:
    """Refuse names that are none of a topic, or of a namespace.

    :param topics: argument -> name; empty ones are passed over.
    """
    for argument, name in topics.items():
        try:
            validate_topic_name((name.rstrip('/') if argument == 'namespace' else name) or 'none')
        except NameValidationException as error:
            raise RuntimeError(f'{argument}:={name}: {str(error).splitlines()[0]}') from error


def check_numbers(given: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse arguments that are no numbers."""
    for name in names:
        try:
            float(given[name])
        except ValueError:
            raise RuntimeError(f'{name}:={given[name]}: no number') from None


def check_packages(*packages: str) -> None:
    """Refuse to start what is not installed."""
    for package in packages:
        try:
            get_package_prefix(package)
        except PackageNotFoundError as error:
            raise RuntimeError(f'package {package} is not installed: apt install '
                               f'ros-$ROS_DISTRO-{package.replace("_", "-")}') from error


def environment() -> dict[str, str]:
    """Return what our processes are to find in their environment, so that they end with the launch."""
    return {LAUNCHER: str(os.getpid())}
