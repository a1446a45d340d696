"""Parameters come from the dataclasses; the shipped file holds all of them; wrong ones are refused."""

import re
from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from superslam_ros.node_config import every_option
from superslam_ros.nodes.superglue_node import SuperGlueNode
from superslam_ros.nodes.tools.reference import PAGES

ROOT = Path(__file__).parents[3]
TUNING = (ROOT / 'docs/tuning.md').read_text()


def flat(values, prefix=''):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def test_the_shipped_file_holds_every_parameter_with_its_default():
    given = dict(flat(yaml.safe_load((ROOT / 'config/superslam.yaml').read_text())['/**']['ros__parameters']))
    defaults = {spec.name: spec.default for spec in every_option()}
    assert given == defaults
    assert {name: type(value) for name, value in given.items()} == {
        name: type(value) for name, value in defaults.items()}


@pytest.mark.parametrize('path', PAGES)
def test_what_is_generated_is_up_to_date(path):
    assert (ROOT / path).read_text() == PAGES[path](), 'run `python -m superslam_ros.nodes.tools.reference`'


def test_the_most_used_parameters_exist_with_these_defaults():
    section = TUNING.partition('## The most used parameters')[2].partition('\n## ')[0]
    named = dict(re.findall(r'^\| `((?:\w+\.)?\w+)` \| (.*?) \| .* \|$', section, re.M))
    assert len(named) > 5
    defaults = {spec.name: spec.default for spec in every_option()}
    assert {name: yaml.safe_load(default) for name, default in named.items()} == {
        name: defaults.get(name) for name in named}


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
