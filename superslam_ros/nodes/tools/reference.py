"""Writes what is generated from the options; run ``-m superslam_ros.nodes.tools.reference`` in the repository."""

from __future__ import annotations

import json
from pathlib import Path

from superslam_ros.config import Option
from superslam_ros.node_config import NODES as NAMES
from superslam_ros.node_config import OF_ROS, every_option

NODES = {
    'superpoint': ('extractor',), 'superglue': ('matcher', 'temporal'), 'odometry': ('odometry', 'smoother', 'frames'),
    'charuco': ('charuco',), 'map': ('map',),
}
"""Groups of the separate nodes; all have those without a group, and superslam has everything but charuco's."""


def in_order() -> list[Option]:
    """Return every option, those without a group first, as a parameter file needs them."""
    return sorted(every_option(), key=lambda spec: '.' in spec.name)


def parameter_file() -> str:
    """Return config/superslam.yaml."""
    lines = ['# Every parameter with its default. One file serves all nodes, and `superslam run --config`.',
             '# Written by `python -m superslam_ros.nodes.tools.reference`.', '/**:', '  ros__parameters:']
    last = ''
    for spec in in_order():
        group, _, name = spec.name.rpartition('.')
        if group != last:
            lines.append(f'    {group}:')
            last = group
        indent = '      ' if group else '    '
        bounds = accepts(spec)
        lines.append(f'{indent}{name}: {_yaml(spec.default)}  # {spec.description}{f" [{bounds}]" if bounds else ""}')
    return '\n'.join(lines) + '\n'


def parameter_page() -> str:
    """Return docs/parameters.md."""
    lines = [
        '# Parameters', '', 'Written by `python -m superslam_ros.nodes.tools.reference`. The values of a file, such as '
        '[config/superslam.yaml](../config/superslam.yaml), serve all nodes and `superslam run --config`. Unknown '
        'names and values out of range are refused by name.', '',
        'Those marked *live* take effect with the next frame after `ros2 param set`. The others are used when a node '
        'is configured: `ros2 lifecycle set NODE deactivate`, then `cleanup`, change them, `configure`, `activate`.']
    last = None
    for spec in in_order():
        group = spec.name.rpartition('.')[0]
        if group != last:
            owner = next((node for node, groups in NODES.items() if group in groups), None)
            owners = f'superslam_node, {owner}_node' if owner != 'charuco' else 'charuco_node'
            title = f'`{group}`: {owners}' if group else 'All nodes'
            lines += ['', f'## {title}', '', '| parameter | default | accepts | live | |', '|---|---|---|---|---|']
            last = group
        kind = {bool: 'true, false', str: 'text'}.get(spec.type, '')
        live = 'live' if spec.live else ''
        lines.append(f'| `{spec.name}` | `{_yaml(spec.default)}` | {accepts(spec) or kind} | {live} | '
                     f'{spec.description} |')
    return '\n'.join(lines) + '\n'


def options_file() -> str:
    """Return superslam_ros/nodes/options.json, for programs without PyTorch."""
    specs = [{name: value for name, value in spec._asdict().items() if name != 'type'} for spec in every_option()]
    about = {'nodes': NAMES, 'of_ros': OF_ROS, 'options': specs}
    return json.dumps(about, indent=1) + '\n'


def accepts(spec: Option) -> str:
    """Return the choices or the range of an option; empty where it has neither."""
    return ', '.join(spec.choices) or ('' if spec.low is None else f'{spec.low:g} to {spec.high:g}')


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


PAGES = {'config/superslam.yaml': parameter_file, 'docs/parameters.md': parameter_page,
         'superslam_ros/nodes/options.json': options_file}


if __name__ == '__main__':
    for path, write in PAGES.items():
        Path(path).write_text(write(), encoding='utf-8')
