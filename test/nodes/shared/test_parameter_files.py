"""One list of spellings for every way a value can come: the nodes and `superslam run` take the same as the same."""

from pathlib import Path

import pytest
import yaml
from rclpy.parameter import Parameter

from superslam_ros import config as configuration
from superslam_ros.cli import settings
from superslam_ros.node_config import NodeConfig
from superslam_ros.nodes.shared.base import SlamNode

ROOT = Path(__file__).parents[3]
NUMBER, WHOLE, TRUTH, TEXT = 'odometry.max_depth', 'extractor.max_keypoints', 'odometry.rectified', 'matcher.matcher'
REFUSED = object()

CASES = [
    (NUMBER, '8', 8.0), (NUMBER, '8.0', 8.0), (NUMBER, '8e0', 8.0), (NUMBER, '1E1', 10.0), (NUMBER, '08', 8.0),
    (NUMBER, '"8"', 8.0), (NUMBER, '+8', 8.0), (NUMBER, '8.', 8.0), ('extractor.threshold', '1e-3', 0.001),
    (NUMBER, '8,5', REFUSED), (NUMBER, '8 m', REFUSED), (NUMBER, 'yes', REFUSED), (NUMBER, 'null', REFUSED),
    (NUMBER, '[8.0]', REFUSED), (NUMBER, '.nan', REFUSED), (NUMBER, '-1', REFUSED), (NUMBER, '{low: 8}', REFUSED),
    (WHOLE, '500', 500), (WHOLE, '500.0', 500), (WHOLE, '5e2', 500), (WHOLE, '0x10', 16), (WHOLE, '1_000', 1000),
    (WHOLE, '500.5', REFUSED), (WHOLE, 'true', REFUSED), (WHOLE, 'many', REFUSED), (WHOLE, '.inf', REFUSED),
    (TRUTH, 'true', True), (TRUTH, 'yes', True), (TRUTH, 'on', True), (TRUTH, 'y', True), (TRUTH, 'N', False),
    (TRUTH, 'off', False), (TRUTH, '"false"', False), (TRUTH, '1', REFUSED), (TRUTH, 'maybe', REFUSED),
    (TEXT, 'superglue', 'superglue'), (TEXT, '"superglue"', 'superglue'), (TEXT, 'glue', REFUSED),
    ('matcher.weights', '8', REFUSED), ('matcher.weights', '"8"', '8'), ('odometry.max_dept', '8', REFUSED),
    ('odometri.max_depth', '8', REFUSED), ('max_depth', '8', REFUSED), ('frames.publish_tf', 'no', ...),
]
"""Option, what is written, and its value; ... where only the nodes have the option."""


class Holder(SlamNode):
    """Has all parameters, and nothing to do."""

    def __init__(self, **kwargs):
        super().__init__('superslam', NodeConfig, **kwargs)


@pytest.fixture
def node_value(context):
    """Return a function that gives the value a node has, started with ROS arguments or parameters, or its complaint."""
    def value(name, arguments=(), overrides=()):
        node = None
        try:
            node = Holder(context=context, cli_args=['--ros-args', *arguments],
                          parameter_overrides=[Parameter('autostart', value=False), *overrides])
            used = configuration.as_dict(node.parameters.of(NodeConfig))[name]
            assert node.get_parameter(name).value == used and type(node.get_parameter(name).value) is type(used)
            return used
        except ValueError as error:
            return str(error)
        finally:
            if node is not None:
                node.destroy_node()
    return value


def run_value(name, *arguments):
    """Return the value that `superslam run` has, or its complaint."""
    try:
        return configuration.as_dict(settings.load(*arguments)).get(name, ...)
    except ValueError as error:
        return str(error)


def assert_value(found, name, expected):
    if expected is REFUSED:
        assert isinstance(found, str) and name in found, 'not refused, or not by name'
    else:
        assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize('name, text, expected', CASES)
def test_a_file_is_read_alike(node_value, tmp_path, name, text, expected):
    file = tmp_path / 'p.yaml'
    file.write_text(f'/**:\n  ros__parameters:\n    {name}: {text}\n')
    assert_value(run_value(name, file), name, expected)
    expected = False if expected is ... else expected
    assert_value(node_value(name, ['--params-file', str(file)]), name, expected)
    # Launch reads the file itself for a node in a container.
    if '{' not in text and 'null' not in text:
        read = Parameter(name, value=yaml.safe_load(text))
        assert_value(node_value(name, overrides=[read]), name, expected)


@pytest.mark.parametrize('name, text, expected', [
    case for case in CASES if case[2] is not ... and case[0] != 'matcher.weights' and '{' not in case[1]])
def test_a_single_value_is_read_alike(node_value, name, text, expected):
    assert_value(run_value(name, None, [f'{name}={text}']), name, expected)
    assert_value(node_value(name, ['-p', f'{name}:={text}']), name, expected)


def test_a_value_is_read_alike_while_the_node_runs(context):
    node = Holder(context=context, parameter_overrides=[Parameter('autostart', value=False)])
    for name, value, expected in (
        ('extractor.threshold', 1, 1.0), ('extractor.threshold', '1e-3', 0.001), (WHOLE, 500.0, 500),
        ('extractor.threshold', 'low', None), ('extractor.threshold', 2, None), (WHOLE, 500.5, None),
        (TRUTH, 'no', False), (TRUTH, 0, None),
    ):
        before = node.get_parameter(name).value
        result, = node.set_parameters([Parameter(name, value=value)])
        assert result.successful == (expected is not None) and (result.successful or name in result.reason)
        assert_value(node.get_parameter(name).value, name, before if expected is None else expected)
        used = configuration.as_dict(node.parameters.of(NodeConfig))[name]
        assert used == node.get_parameter(name).value
    node.destroy_node()


@pytest.mark.parametrize('layout, expected', [
    ('/**: {ros__parameters: {odometry: {max_depth: 8}}}', 8.0),
    ('superslam: {ros__parameters: {odometry: {max_depth: 8}}}', 8.0),
    ('/superslam: {ros__parameters: {odometry.max_depth: 8}}', 8.0),
    ('ekf_node: {ros__parameters: {frequency: 8, odometry: {max_depth: 8}}}', NodeConfig().odometry.max_depth),
    ('/**: {ros__parameters: {use_sim_time: false, mode: rgbd, odometry: {max_depth: 8}}}', 8.0),
    ('/**: {ros__parameters: {odometry: {max_depth: 7}}}\n'
     'superslam: {ros__parameters: {odometry: {max_depth: 8}}}', 8.0),
    ('/**: {ros__parameters: {odometry: {max_depht: 8}}}', REFUSED),
    ('/**: {ros__parameters: {tolerance: 8}}', REFUSED),
])
def test_sections_are_found_alike(node_value, tmp_path, layout, expected):
    file = tmp_path / 'p.yaml'
    file.write_text(layout)
    for found in (run_value(NUMBER, file), node_value(NUMBER, ['--params-file', str(file)])):
        assert ('max_depht' in found or 'tolerance' in found) if expected is REFUSED else found == expected


def test_the_shipped_file_is_read_by_both(node_value):
    file = ROOT / 'config/superslam.yaml'
    default = NodeConfig().odometry.max_depth
    assert run_value(NUMBER, file) == node_value(NUMBER, ['--params-file', str(file)]) == default


def test_sections_of_namespaces_and_of_other_nodes(tmp_path, caplog):
    file = tmp_path / 'p.yaml'
    file.write_text('robot: {superslam: {ros__parameters: {odometry: {max_depth: 8}}}}\n'
                    '/camera/driver: {ros__parameters: {odometry: {max_depth: 7}, fps: 30}}\n')
    assert run_value(NUMBER, file) == 8.0
    assert '/camera/driver' in caplog.text and 'passed over' in caplog.text
