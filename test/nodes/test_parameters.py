"""Parameters come from the dataclasses; the shipped file holds all of them; wrong ones are refused."""

from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from superslam_ros import config as configuration
from superslam_ros.nodes.parameters import NodeConfig, TopicConfig
from superslam_ros.nodes.superglue_node import SuperGlueNode

ROOT = Path(__file__).parents[2]
FILE = ROOT / 'config' / 'superslam.yaml'
GROUPS = (TopicConfig, NodeConfig)


def flat(values, prefix=''):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def test_the_shipped_file_holds_every_parameter_with_its_default():
    given = dict(flat(yaml.safe_load(FILE.read_text())['/**']['ros__parameters']))
    defaults = {
        spec.name: spec.default for group in GROUPS for spec in configuration.options(group)}
    assert given == defaults
    assert {name: type(value) for name, value in given.items()} == {
        name: type(value) for name, value in defaults.items()}


def test_parameters_are_described_and_ranged(context, spin):
    node = SuperGlueNode(context=context)
    spin(node)
    described = node.describe_parameter('matcher.ratio')
    assert 'ratio' in described.description
    assert (described.floating_point_range[0].from_value, described.floating_point_range[0].to_value) == (0, 1)
    assert 'superglue' in node.describe_parameter('matcher.matcher').additional_constraints


@pytest.mark.parametrize('name, value, complaint', [
    ('matcher.ratoi', 0.5, 'matcher.ratoi'),
    ('matcher.matcher', 'magic', 'matcher.matcher'),
    ('mode', 'sterio', 'mode'),
])
def test_wrong_parameters_are_refused_by_name(context, name, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        SuperGlueNode(context=context, parameter_overrides=[Parameter(name, value=value)])


def test_parameters_of_the_other_nodes_are_let_pass(context, spin):
    node = SuperGlueNode(context=context, parameter_overrides=[Parameter('odometry.min_depth', value=0.5)])
    spin(node)
    assert not node.has_parameter('odometry.min_depth')


def table():
    """Return the README's table of parameters."""
    yield '| parameter | default | accepts | |'
    yield '|---|---|---|---|'
    for spec in (spec for group in GROUPS for spec in configuration.options(group)):
        default = '""' if spec.default == '' else str(spec.default)
        default = default.lower() if spec.type is bool else default
        ranged = '' if spec.low is None else f'{spec.low:g} to {spec.high:g}'
        any_value = {bool: 'true, false', str: 'text'}.get(spec.type, '')
        accepts = ', '.join(spec.choices) or ranged or any_value
        yield f'| `{spec.name}` | {default} | {accepts} | {spec.description} |'


def test_the_readme_lists_every_parameter():
    expected = '\n'.join(table())
    text = (ROOT / 'README.md').read_text()
    assert expected in text, f'put this into README.md:\n{expected}'
